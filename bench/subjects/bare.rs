//! `bare PORT`: the upper bound for this design, a thread per connection that can be cut. It sends a fixed response and
//! does not parse requests, and takes a POST for a chunked upload without trailers. `bare PORT once` closes each connection after its first response. A line on its stdin stops
//! it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n";

type Streams = Arc<Mutex<HashMap<u64, TcpStream>>>;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_default();
    let once = env::args().nth(2).is_some();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let streams = Streams::default();
    let theirs = Arc::clone(&streams);
    thread::spawn(move || accept(&listener, &theirs, once));
    io::stdin().read_line(&mut String::new())?;
    let start = Instant::now();
    let open = std::mem::take(&mut *streams.lock().unwrap());
    for stream in open.values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let cut = start.elapsed();
    while Arc::strong_count(&streams) > 2 || fs::read_dir("/proc/self/task")?.count() > 2 {
        // Only this thread and the accept loop remain.
        thread::sleep(Duration::from_micros(50));
    }
    println!("{} {}", cut.as_micros(), start.elapsed().as_micros());
    Ok(())
}

fn accept(listener: &TcpListener, streams: &Streams, once: bool) -> io::Result<()> {
    for id in 0.. {
        let (stream, _) = listener.accept()?;
        streams.lock().unwrap().insert(id, stream.try_clone()?);
        let streams = Arc::clone(streams);
        thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(move || {
                let _ = serve(stream, once);
                streams.lock().unwrap().remove(&id);
            })?;
    }
    Ok(())
}

/// Answers each blank line. Requests that arrive together are answered with one write.
fn serve(mut stream: TcpStream, once: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "{ANSWER}{}\r\nHello world!",
        if once { "Connection: close\r\n" } else { "" }
    );
    let (mut buffer, mut filled, mut answers) = (vec![0; 4096], 0, Vec::new());
    loop {
        let n = stream.read(&mut buffer[filled..])?;
        if n == 0 {
            return Ok(());
        }
        filled += n;
        let mut start = 0;
        while let Some(length) = request_length(&buffer[start..filled]) {
            start += length;
            answers.extend_from_slice(answer.as_bytes());
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        stream.write_all(&answers)?;
        if once && !answers.is_empty() {
            return Ok(());
        }
        answers.clear();
    }
}

/// Returns the length of the first request, if it has come whole.
fn request_length(bytes: &[u8]) -> Option<usize> {
    if cfg!(feature = "upload") && bytes.starts_with(b"POST") {
        let at = bytes.windows(7).position(|at| at == b"\r\n0\r\n\r\n")?;
        return Some(at + 7);
    }
    let at = bytes.windows(4).position(|at| at == b"\r\n\r\n")?;
    Some(at + 4)
}
