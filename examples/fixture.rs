//! Run `cargo test --example fixture`: each test starts a server of its own, on a port that the
//! system chooses, and the server ends with the test. `cargo run --example fixture` prints one such
//! exchange.

use hardstop::Server;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

fn main() -> io::Result<()> {
    let server = Server::bind("127.0.0.1:0")?.spawn(|_| "21.5")?;
    let addr = server.local_addr();
    println!("the thermometer at {addr} says {:?}", temperature(addr));
    drop(server);
    println!("the same one, dropped: {:?}", temperature(addr));
    println!("run the tests with `cargo test --example fixture`");
    Ok(())
}

/// The code under test: requests the temperature from a thermometer, and retries once if it is busy.
fn temperature(addr: SocketAddr) -> io::Result<f32> {
    for _ in 0..2 {
        let mut thermometer = TcpStream::connect(addr)?;
        write!(
            thermometer,
            "GET /now HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        thermometer.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200 ") {
            let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
            return body
                .parse()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
        }
    }
    Err(ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardstop::{Response, StatusCode};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[test]
    fn the_temperature_is_what_the_thermometer_says() -> io::Result<()> {
        let thermometer = Server::bind("127.0.0.1:0")?.spawn(|req| match req.path() {
            "/now" => Response::text("-3.5"),
            _ => StatusCode::NOT_FOUND.into(),
        })?;
        assert_eq!(temperature(thermometer.local_addr())?, -3.5);
        // Dropping the thermometer destroys its server, even if a test fails.
        Ok(())
    }

    #[test]
    fn a_busy_thermometer_is_asked_once_more() -> io::Result<()> {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let thermometer =
            Server::bind("127.0.0.1:0")?.spawn(|_| match ASKED.fetch_add(1, SeqCst) {
                0 => StatusCode::SERVICE_UNAVAILABLE.into(),
                _ => Response::text("7"),
            })?;
        assert_eq!(temperature(thermometer.local_addr())?, 7.0);
        assert_eq!(ASKED.load(SeqCst), 2);
        Ok(())
    }

    #[test]
    fn a_thermometer_that_breaks_while_it_is_asked_is_an_error() -> io::Result<()> {
        let server = Server::bind("127.0.0.1:0")?;
        let handle = server.handle();
        let thermometer = server.spawn(move |_| {
            handle.destroy();
            "no client receives this"
        })?;
        assert!(temperature(thermometer.local_addr()).is_err());
        Ok(())
    }
}
