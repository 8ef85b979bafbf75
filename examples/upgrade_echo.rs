//! Run `cargo run --example upgrade_echo`, and in another terminal `(printf 'GET /
//! HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n'; cat) | nc 127.0.0.1 8080`:
//! each line that you type is echoed. `curl 127.0.0.1:8080` prints that command, too. Press Enter
//! in the first terminal: the echo says good-bye.

use hardstop::{CancelToken, Error, Response, Server, Upgraded};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::time::Duration;

const PAGE: &str = "Request the upgrade, then type lines. Each is echoed.

(printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n'; cat) | nc HOST
";

/// The time within which an echo with a silent client notices that the server stops.
const TICK: Duration = Duration::from_millis(200);

/// The longest line that is echoed as a whole. A longer line is echoed in pieces.
const MAX_LINE: usize = 4096;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    let running = server.spawn(|request| {
        // Any page that the user has open can request a WebSocket from 127.0.0.1. Browsers send the
        // page's origin with it, and this protocol is not for pages. A protocol for pages compares
        // the origin with its own: see `examples/dashboard.rs`.
        if request.header("Origin").is_some() {
            return Error::new(403, "this protocol is not for web pages").into();
        }
        if request.header("Upgrade").is_none() {
            let host = request.header("Host").unwrap_or_default();
            return Response::text(PAGE.replace("HOST", &host.replace(':', " ")));
        }
        // If the client offers only other protocols, the library answers with 400.
        let id = request.connection_id();
        let token = request.cancel_token();
        Response::upgrade("echo", move |stream| match echo(stream, &token) {
            Ok(()) => println!("echo {id} has ended"),
            Err(error) => println!("echo {id} was cut: {error}"),
        })
    })?;
    println!("listening on http://{}", running.local_addr());

    println!("press Enter to stop");
    if io::stdin().read_line(&mut String::new())? == 0 {
        eprintln!("stdin is at its end, so this stops; a terminal or a pipe would keep it running");
    }
    println!("{:?}", running.shutdown(Duration::from_secs(2)));
    running.join();
    Ok(())
}

/// Sends each line back until the client closes its side, the server drains, or a read or write
/// fails. When the server stops waiting and cuts the connection, reads and writes fail.
fn echo(stream: Upgraded, token: &CancelToken) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    // The library no longer limits reads and writes, and a read that waits forever would not notice
    // that the server drains.
    let write_timeout = Duration::from_secs(30);
    stream
        .get_mut()
        .set_timeouts(Some(TICK), Some(write_timeout))?;
    let mut line = Vec::new();
    while !token.is_draining() {
        let room = (MAX_LINE - line.len()) as u64;
        match stream.by_ref().take(room).read_until(b'\n', &mut line) {
            Ok(0) if line.is_empty() => return Ok(()),
            Ok(_) => {
                stream.get_mut().write_all(&line)?;
                line.clear();
            }
            // The read timed out. `line` keeps the part of the line that has arrived.
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    stream.get_mut().write_all(b"good-bye\n")
}
