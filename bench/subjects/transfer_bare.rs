//! `transfer-bare PORT FILE`, the upper bound: loops that copy with buffers of 512 KiB. A chunked upload is read to its
//! end but not decoded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, hint::black_box, thread};

const SIZE: usize = 256 << 20;
const KEPT: usize = 7;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let path: &'static str = env::args().nth(2).unwrap_or_default().leak();
    let memory: &'static [u8] = vec![b'x'; SIZE].leak();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || serve(stream, path, memory));
    }
}

fn serve(mut stream: TcpStream, path: &str, memory: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; 512 * 1024 + KEPT], 0);
    let end = loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            n => filled += n,
        }
        if let Some(end) = buffer[..filled].windows(4).position(|at| at == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut words = head.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/memory")) => {
            stream.write_all(head_of(SIZE).as_bytes())?;
            stream.write_all(memory)
        }
        (Some("GET"), Some("/file")) => {
            stream.write_all(head_of(SIZE).as_bytes())?;
            copy(&mut File::open(path)?, &mut stream, &mut buffer, false)
        }
        (Some("GET"), Some("/memory-chunked")) => {
            copy(&mut &memory[..], &mut stream, &mut buffer, true)
        }
        (Some("GET"), _) => copy(&mut File::open(path)?, &mut stream, &mut buffer, true),
        (_, Some(to)) => {
            let mut file = if to == "/file" {
                Some(File::create(format!("{path}.up"))?)
            } else {
                None
            };
            let chunked = head.contains("chunked");
            // The last chunk may arrive in pieces, so the bytes before `KEPT` are the end of the previous read.
            let last = b"\r\n0\r\n\r\n";
            buffer.copy_within(end..filled, KEPT);
            let (mut n, mut total) = (filled - end, 0);
            loop {
                total += n;
                let piece = &buffer[KEPT..KEPT + n];
                match &mut file {
                    Some(file) => file.write_all(piece)?,
                    None => _ = black_box(piece),
                }
                if if chunked {
                    buffer[..KEPT + n].ends_with(last)
                } else {
                    total >= SIZE
                } {
                    break;
                }
                buffer.copy_within(n..n + KEPT, 0);
                n = stream.read(&mut buffer[KEPT..])?;
                if n == 0 {
                    return Ok(());
                }
            }
            let count = SIZE.to_string();
            stream.write_all((head_of(count.len()) + &count).as_bytes())
        }
        _ => Ok(()),
    }
}

fn head_of(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

fn copy(
    from: &mut dyn Read,
    to: &mut TcpStream,
    buffer: &mut [u8],
    chunked: bool,
) -> io::Result<()> {
    if chunked {
        to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    }
    // Leaves space for the lines around a chunk, so that one write sends all of it.
    let room = buffer.len() - 16;
    loop {
        let n = from.read(&mut buffer[8..8 + room])?;
        if !chunked && n == 0 {
            return Ok(());
        } else if !chunked {
            to.write_all(&buffer[8..8 + n])?;
            continue;
        } else if n == 0 {
            return to.write_all(b"0\r\n\r\n");
        }
        buffer[..8].copy_from_slice(format!("{n:06x}\r\n").as_bytes());
        buffer[8 + n..10 + n].copy_from_slice(b"\r\n");
        to.write_all(&buffer[..10 + n])?;
    }
}
