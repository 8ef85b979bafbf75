//! Run `cargo run --example countdown` and open http://127.0.0.1:4000/ in a browser: at 0 the
//! server is destroyed, every open connection is cut, and the program keeps running. `-- --help`
//! lists the options.

use hardstop::{CloseReason, Event, Server};
use std::net::TcpListener;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: countdown [--port P] [--from N] [--idle S]
  --port P  listen on 127.0.0.1:P, or on any free port if P is 0 (default: 4000)
  --from N  count down from N, one number a second (default: 10)
  --idle S  close a connection after S seconds without a request (default: 4)";

struct Options {
    port: u16,
    from: u32,
    idle: u64,
}

fn main() -> ExitCode {
    let mut options = Options {
        port: 4000,
        from: 10,
        idle: 4,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_default();
        let is_valid = match name.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--port" => parse_into(&mut options.port, &value),
            "--from" => parse_into(&mut options.from, &value),
            "--idle" => parse_into(&mut options.idle, &value) && options.idle > 0,
            _ => return fail(&format!("unknown option {name}, see --help")),
        };
        if !is_valid {
            return fail(&format!("{name} needs a number, not {value:?}, see --help"));
        }
    }
    match countdown(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Sets an option. Returns false if the text is not a valid number.
fn parse_into<T: FromStr>(option: &mut T, text: &str) -> bool {
    match text.parse() {
        Ok(number) => {
            *option = number;
            true
        }
        Err(_) => false,
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("countdown: {message}");
    ExitCode::from(2)
}

fn countdown(options: &Options) -> std::io::Result<()> {
    let (events, log) = mpsc::channel();
    // Before Rust 1.72, threads cannot share a bare `Sender`.
    let events = Mutex::new(events);
    let server = Server::builder()
        .idle_timeout(Duration::from_secs(options.idle))
        .on_event(move |event| {
            let line = match event {
                Event::Opened { id, .. } => format!("socket {id} opened"),
                Event::Closed { id, reason, .. } if *reason == CloseReason::Destroyed => {
                    format!("socket {id} destroyed")
                }
                Event::Closed { id, reason, .. } => format!("socket {id} closed ({reason:?})"),
                _ => return,
            };
            if let Ok(events) = events.lock() {
                // The receiver is gone if the program is about to exit.
                let _ = events.send(line);
            }
        })
        .bind(("127.0.0.1", options.port))?;
    let addr = server.local_addr();
    let running = server.spawn(|_| "Hello world!")?;
    println!("listening on http://{addr}");

    // The host program's own work: it counts, and prints the events that the server reports.
    for n in (1..=options.from).rev() {
        println!("{n}");
        let next = Instant::now() + Duration::from_secs(1);
        while let Ok(line) = log.recv_timeout(next.saturating_duration_since(Instant::now())) {
            println!("{line}");
        }
    }
    println!("0");

    // Cuts every connection and closes the port.
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
