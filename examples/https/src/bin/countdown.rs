//! Run `cargo run --bin countdown` here, open https://127.0.0.1:4433/ in a browser, and trust its
//! certificate: at 0 the server is destroyed, every open connection is cut, and the program keeps
//! running. Optional arguments: a file for the certificate, a port, and the number to count from.

use hardstop::{CloseReason, Event, Server};
use hardstop_https::{SelfSigned, Tls};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let port = number(args.get(2), 4433)?;
    let from = number(args.get(3), 10)?;

    let SelfSigned {
        config,
        pem,
        sha256,
    } = SelfSigned::new()?;
    if let Some(file) = args.get(1) {
        std::fs::write(file, pem)?;
    }
    let (events, log) = mpsc::channel();
    let server = Server::builder()
        .transport(move |tcp, _id| Ok(Tls::new(&config, tcp)?))
        .idle_timeout(Duration::from_secs(4))
        .on_event(move |event| {
            let line = match event {
                Event::Opened { id, .. } => format!("socket {id} opened"),
                Event::TransportFailed { id, error, .. } => format!("socket {id}: {error}"),
                Event::Closed { id, reason, .. } if *reason == CloseReason::Destroyed => {
                    format!("socket {id} destroyed")
                }
                Event::Closed { id, reason, .. } => format!("socket {id} closed ({reason:?})"),
                _ => return,
            };
            // The receiver is gone if the program is about to exit.
            let _ = events.send(line);
        })
        .bind(("127.0.0.1", port))?;
    let addr = server.local_addr();
    let running = server.spawn(|_| "Hello world!")?;
    println!("listening on https://{addr}\ncertificate {sha256}");

    // The host program's own work: it counts, and prints the events that the server reports.
    for n in (1..=from).rev() {
        println!("{n}");
        let next = Instant::now() + Duration::from_secs(1);
        while let Ok(line) = log.recv_timeout(next.saturating_duration_since(Instant::now())) {
            println!("{line}");
        }
    }
    println!("0");

    // Cuts every connection, even in the middle of its handshake, and closes the port.
    running.destroy();
    // Waits until every thread has ended and every event has been reported.
    running.join();
    for line in log.try_iter() {
        println!("{line}");
    }
    println!("Server closed!");

    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        println!("host still running");
    }
    TcpListener::bind(addr)?;
    println!("port {} is free again", addr.port());
    Ok(())
}

/// Parses an optional argument.
fn number(arg: Option<&String>, default: u16) -> io::Result<u16> {
    match arg {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
    }
}
