//! Run `cargo run --bin countdown` here, open https://127.0.0.1:4433/ in a browser, and trust its
//! certificate: the server is destroyed at 0 with every connection that is open, and the program
//! goes on. A file for the certificate may follow, then a port, then a number to count down from.

use hardstop::{CloseReason, Event, Server};
use hardstop_https::{SelfSigned, Tls};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let number = |n: usize, default: u16| match args.get(n).map(|arg| arg.parse()) {
        None => Ok(default),
        Some(number) => number.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
    };
    let (port, from) = (number(2, 4433)?, number(3, 10)?);

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
                Event::Closed { id, reason, .. } => match *reason == CloseReason::Destroyed {
                    true => format!("socket {id} destroyed"),
                    false => format!("socket {id} closed ({reason:?})"),
                },
                _ => return,
            };
            let _ = events.send(line); // the host may be about to end
        })
        .bind(("127.0.0.1", port))?;
    let addr = server.local_addr();
    let running = server.spawn(|_| "Hello world!")?;
    println!("listening on https://{addr}\ncertificate {sha256}");

    // The host's own work: it counts, and prints what the server tells it meanwhile.
    for n in (1..=from).rev() {
        println!("{n}");
        let began = Instant::now();
        let left = || Duration::from_secs(1).saturating_sub(began.elapsed());
        while let Ok(line) = log.recv_timeout(left()) {
            println!("{line}");
        }
    }
    println!("0");

    running.destroy(); // every connection is cut, in the middle of its handshake or after it, and the port is closed
    running.join(); // every thread is gone, and has told its last event
    log.try_iter().for_each(|line| println!("{line}"));
    println!("Server closed!");

    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        println!("host still running");
    }
    TcpListener::bind(addr)?;
    println!("port {} is free again", addr.port());
    Ok(())
}
