//! Run `cargo run --example upgrade_echo`, and in another terminal
//! `(printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n'; cat) | nc 127.0.0.1 8080`:
//! each line that you type comes back. `curl 127.0.0.1:8080` tells so, too. Press Enter here: the echo says good-bye.

use hardstop::{CancelToken, Error, Response, Server, Upgraded};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::time::Duration;

const PAGE: &str = "Ask for the upgrade, then type lines. Each comes back.

(printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n'; cat) | nc HOST
";

/// How long a stop may take until an echo whose client is silent sees it.
const TICK: Duration = Duration::from_millis(200);

/// How much is kept of a line. A longer one comes back in pieces.
const MAX_LINE: usize = 4096;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    let running = server.spawn(|request| {
        // Any page that the user has open can ask 127.0.0.1 for a WebSocket. Browsers then name the page's origin, and
        // this is not for pages. A protocol that is compares it with its own: see `examples/dashboard.rs`.
        if request.header("Origin").is_some() {
            return Error::new(403, "this is not for pages").into();
        }
        if request.header("Upgrade").is_none() {
            let host = request.header("Host").unwrap_or_default();
            return Response::text(PAGE.replace("HOST", &host.replace(':', " ")));
        }
        // It is answered with 400 if the client has offered another protocol.
        let (id, token) = (request.connection_id(), request.cancel_token());
        Response::upgrade("echo", move |stream| match echo(stream, &token) {
            Ok(()) => println!("echo {id} has ended"),
            Err(error) => println!("echo {id} was cut: {error}"),
        })
    })?;
    println!("listening on http://{}", running.local_addr());

    println!("press Enter to stop");
    io::stdin().read_line(&mut String::new())?;
    println!("{:?}", running.shutdown(Duration::from_secs(2)));
    running.join();
    Ok(())
}

/// Sends each line back, until the client ends, the server drains, or something fails: a stop that waits no longer
/// makes every read and write fail.
fn echo(stream: Upgraded, token: &CancelToken) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    // Nothing else bounds them now, and a read that waited for ever would not see that the server drains.
    let write_timeout = Duration::from_secs(30);
    stream.get_mut().set_timeouts(Some(TICK), Some(write_timeout))?;
    let mut line = Vec::new();
    while !token.is_draining() {
        let left = MAX_LINE.saturating_sub(line.len());
        let left = u64::try_from(left).unwrap_or_default();
        match stream.by_ref().take(left).read_until(b'\n', &mut line) {
            Ok(0) if line.is_empty() => return Ok(()),
            Ok(_) => {
                stream.get_mut().write_all(&line)?;
                line.clear();
            }
            // The time was over, and what has come of a line stays in it.
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    stream.get_mut().write_all(b"good-bye\n")
}
