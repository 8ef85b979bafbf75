//! `transfer-tiny_http PORT FILE`, with the paths of `transfer-hardstop`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::{env, hint::black_box};
use tiny_http::{Method, Request, Response, Server};

const SIZE: usize = 256 << 20;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let port = env::args().nth(1).unwrap_or_default();
    let path = env::args().nth(2).unwrap_or_default();
    let memory: &'static [u8] = vec![b'x'; SIZE].leak();
    for request in Server::http(format!("127.0.0.1:{port}"))?.incoming_requests() {
        answer(request, &path, memory)?;
    }
    Ok(())
}

fn answer(mut request: Request, path: &str, memory: &'static [u8]) -> io::Result<()> {
    let target = request.url().to_owned();
    let length = if target.ends_with("chunked") {
        None
    } else {
        Some(SIZE)
    };
    let plain = || Response::empty(200);
    if *request.method() == Method::Post {
        let count = if target == "/file" {
            copy(
                request.as_reader(),
                &mut File::create(format!("{path}.up"))?,
            )?
        } else {
            copy(request.as_reader(), &mut io::sink())?
        };
        request.respond(Response::from_string(count.to_string()))
    } else if target.starts_with("/memory") {
        request.respond(
            plain()
                .with_data(memory, length)
                .with_chunked_threshold(usize::MAX),
        )
    } else {
        request.respond(
            plain()
                .with_data(File::open(path)?, length)
                .with_chunked_threshold(usize::MAX),
        )
    }
}

fn copy(body: &mut dyn Read, to: &mut dyn Write) -> io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; 512 * 1024], 0);
    loop {
        match body.read(&mut buffer)? {
            0 => return Ok(total),
            n => {
                to.write_all(black_box(&buffer[..n]))?;
                total += n;
            }
        }
    }
}
