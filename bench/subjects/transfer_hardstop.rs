//! `transfer-hardstop PORT FILE`: GET /memory, /memory-chunked, /file and /file-chunked; POST /memory and /file, which
//! writes to FILE.up.

use hardstop::{Body, Request, Response, Server};
use std::fs::File;
use std::io::{self, Read, Write};
use std::{env, hint::black_box};

const SIZE: usize = 256 << 20;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let path = env::args().nth(2).unwrap_or_default();
    let memory: &'static [u8] = vec![b'x'; SIZE].leak();
    let answer = |req: &mut Request<'_>| -> io::Result<Response> {
        Ok(match (req.method(), req.path()) {
            ("GET", "/memory") => Response::bytes("text/plain", memory),
            ("GET", "/memory-chunked") => Response::stream(move |body| body.write_all(memory)),
            ("GET", "/file") => Response::file(File::open(&path)?)?,
            ("GET", "/file-chunked") => Response::reader(File::open(&path)?, None),
            ("POST", "/memory") => Response::text(copy(req.body(), &mut io::sink())?.to_string()),
            _ => Response::text(
                copy(req.body(), &mut File::create(format!("{path}.up"))?)?.to_string(),
            ),
        })
    };
    let server = Server::bind(format!("127.0.0.1:{port}"))?;
    server.run(|req| {
        answer(req).unwrap_or_else(|error| Response::text(error.to_string()).with_status(500))
    });
    Ok(())
}

fn copy(body: &mut Body, to: &mut dyn Write) -> io::Result<usize> {
    body.set_limit(u64::MAX);
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
