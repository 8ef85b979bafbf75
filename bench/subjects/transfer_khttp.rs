//! `transfer-khttp PORT FILE`, with the paths of `transfer-hardstop`.

use khttp::{Headers, Method, Server};
use std::fs::File;
use std::io::{self, Read, Write};
use std::{env, hint::black_box};

const SIZE: usize = 256 << 20;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let path: &'static str = env::args().nth(2).unwrap_or_default().leak();
    let memory: &'static [u8] = vec![b'x'; SIZE].leak();
    let mut app = Server::builder(format!("127.0.0.1:{port}"))?;
    app.route(Method::Get, "/memory", move |_, response| {
        response.ok(Headers::empty(), memory)
    });
    app.route(Method::Get, "/memory-chunked", move |_, response| {
        response.okr(Headers::empty(), memory)
    });
    app.route(Method::Get, "/file", move |_, response| {
        let mut headers = Headers::new();
        headers.set_content_length(Some(SIZE as u64));
        response.okr(&headers, File::open(path)?)
    });
    app.route(Method::Get, "/file-chunked", move |_, response| {
        response.okr(Headers::empty(), File::open(path)?)
    });
    app.route(Method::Post, "/memory", |mut ctx, response| {
        let count = copy(ctx.body(), &mut io::sink())?;
        response.ok(Headers::empty(), count.to_string())
    });
    app.route(Method::Post, "/file", move |mut ctx, response| {
        let count = copy(ctx.body(), &mut File::create(format!("{path}.up"))?)?;
        response.ok(Headers::empty(), count.to_string())
    });
    app.build().serve_threaded()
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
