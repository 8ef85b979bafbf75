//! Run `cargo run --example countdown`, open http://127.0.0.1:4000/ in a browser, and watch: the
//! server is destroyed at 0 with every connection that is open, and the program goes on.
//! `-- --help` lists the options.

use hardstop::{CloseReason, Event, Server};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: countdown [--port P] [--from N] [--idle S]
  --port P  listen on 127.0.0.1:P, 0 for any free port (4000)
  --from N  count down from N, one a second (10)
  --idle S  seconds after which an idle connection closes by itself (4)";

fn main() -> ExitCode {
    let (mut port, mut from, mut idle) = (4000_u16, 10_u32, 4_u64);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next();
        let text = value.as_deref().unwrap_or_default();
        let parsed = match name.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--port" => text.parse().map(|value| port = value),
            "--from" => text.parse().map(|value| from = value),
            "--idle" => text.parse().map(|value| idle = value),
            _ => return fail(&format!("unknown option {name}, see --help")),
        };
        if parsed.is_err() || (idle == 0 && name == "--idle") {
            return fail(&format!("{name} needs a number, not {text:?}, see --help"));
        }
    }
    match countdown(port, from, Duration::from_secs(idle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("countdown: {message}");
    ExitCode::from(2)
}

fn countdown(port: u16, from: u32, idle: Duration) -> std::io::Result<()> {
    let (events, log) = mpsc::channel();
    let events = Mutex::new(events); // before Rust 1.72, threads cannot share a bare `Sender`
    let server = Server::builder()
        .idle_timeout(idle)
        .on_event(move |event| {
            let line = if let Event::Opened { id, .. } = event {
                format!("socket {id} opened")
            } else if let Event::Closed { id, reason, .. } = event {
                match *reason == CloseReason::Destroyed {
                    true => format!("socket {id} destroyed"),
                    false => format!("socket {id} closed ({reason:?})"),
                }
            } else {
                return;
            };
            if let Ok(events) = events.lock() {
                let _ = events.send(line); // the host may be about to end
            }
        })
        .bind(("127.0.0.1", port))?;
    let addr = server.local_addr();
    let running = server.spawn(|_| "Hello world!")?;
    println!("listening on http://{addr}");

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

    running.destroy(); // every connection is cut, and the port is closed
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
