//! `transfer-http-net PORT FILE`, with the paths of `transfer-hardstop`. It holds the whole body of a request in memory.

use http_net::blocking::{Connection, Error};
use http_net::{Limits, Method, Response};
use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::{env, hint::black_box, thread};

const SIZE: usize = 256 << 20;

fn main() -> Result<(), Error> {
    let port = env::args().nth(1).unwrap_or_default();
    let path: &'static str = env::args().nth(2).unwrap_or_default().leak();
    let memory: &'static [u8] = vec![b'x'; SIZE].leak();
    for stream in TcpListener::bind(format!("127.0.0.1:{port}"))?.incoming() {
        let stream = stream?;
        thread::spawn(move || serve(stream, path, memory));
    }
    Ok(())
}

fn serve(stream: TcpStream, path: &str, memory: &'static [u8]) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream, Limits::new().with_max_body(SIZE as u64));
    while let Some(request) = connection.next_request()? {
        let target = request.head().target().to_string();
        if request.head().method() == Method::Post {
            let body = black_box(request.body());
            if target == "/file" {
                fs::write(format!("{path}.up"), body)?;
            }
            let count = body.len().to_string();
            connection.respond(&Response::text(200, &count))?;
        } else if target == "/memory" {
            connection.respond(&Response::new(200).body(memory))?;
        } else {
            let response = Response::new(200);
            let chunked = target.ends_with("chunked");
            connection.respond(&if chunked {
                response.chunked()
            } else {
                response.content_length(SIZE as u64)
            })?;
            let mut from: Box<dyn Read> = if target.starts_with("/file") {
                Box::new(File::open(path)?)
            } else {
                Box::new(memory)
            };
            let mut buffer = vec![0; 512 * 1024];
            loop {
                match from.read(&mut buffer)? {
                    0 => break,
                    n => connection.send_body(&buffer[..n])?,
                }
            }
            connection.end_body()?;
        }
    }
    Ok(())
}
