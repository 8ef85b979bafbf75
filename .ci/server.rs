//! The server that scripts in `.ci/extra` test. It reads every body and answers with its length. `/early` answers at
//! once and reads no body. `/large` sends 8 MB. `/query` answers with the value of `q`, and `/connection` with the number
//! of the connection. `/report` counts how connections have ended since the last report, and the resources that the
//! process uses. With a path as its argument, the server listens on a Unix socket at that path. `IDLE_SECONDS` and
//! `BODY_SECONDS` in the environment set its `idle_timeout` and `body_timeout`.

use hardstop::{Builder, Error, Event, Request, Response, Server};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, io};

static TALLY: Mutex<Tally> = Mutex::new(Tally {
    open: 0,
    most: 0,
    counts: BTreeMap::new(),
});

struct Tally {
    open: u64,
    most: u64,
    /// The number of connections that ended for each reason, and the number of each rare event.
    counts: BTreeMap<String, u64>,
}

fn main() -> io::Result<()> {
    let builder = Server::builder()
        .max_body_bytes(100_000_000)
        // A test cannot wait for the defaults of 30 s, twice, and of 60 s.
        .body_timeout(Duration::from_secs(4))
        .write_timeout(Duration::from_secs(4))
        .on_event(|event| with_tally(|tally| tally.note(event)));
    let builder = with_timeouts_of_environment(builder);
    let server = match env::args_os().nth(1) {
        Some(path) => builder.bind_unix(path)?,
        None => builder.bind("127.0.0.1:0")?,
    };
    println!("{}", server.local_addr());
    server.run(answer);
    Ok(())
}

fn with_timeouts_of_environment(mut builder: Builder) -> Builder {
    if let Some(timeout) = seconds("IDLE_SECONDS") {
        builder = builder.idle_timeout(timeout);
    }
    if let Some(timeout) = seconds("BODY_SECONDS") {
        builder = builder.body_timeout(timeout);
    }
    builder
}

fn seconds(name: &str) -> Option<Duration> {
    let seconds = env::var(name).ok()?;
    let seconds = seconds.parse().expect("the variable is a number");
    Some(Duration::from_secs(seconds))
}

fn answer(req: &mut Request<'_>) -> Result<Response, Error> {
    Ok(match req.path() {
        "/large" => Response::bytes("application/octet-stream", &[0; 8_000_000][..]),
        "/early" => Response::text("early\n"),
        "/query" => {
            let value = req.query_value("q").unwrap_or_default();
            Response::text(format!("{value}\n"))
        }
        "/connection" => {
            io::copy(req.body(), &mut io::sink())?;
            Response::text(format!("{}\n", req.connection_id()))
        }
        "/report" => Response::text(report()?),
        _ => {
            let length = io::copy(req.body(), &mut io::sink())?;
            Response::text(format!("{} of {length} bytes\n", req.method()))
        }
    })
}

fn with_tally<T>(with: impl FnOnce(&mut Tally) -> T) -> T {
    with(&mut TALLY.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Tally {
    fn note(&mut self, event: &Event) {
        let name = match event {
            Event::Opened { .. } => {
                self.open += 1;
                self.most = self.most.max(self.open);
                return;
            }
            Event::Closed { reason, .. } => {
                self.open -= 1;
                format!("{reason:?}")
            }
            Event::Request { .. } | Event::Responded { .. } | Event::RequestFailed { .. } => return,
            rare => format!("{rare:?}").split(' ').take(1).collect(),
        };
        *self.counts.entry(name).or_default() += 1;
    }
}

/// Returns one `name value` on each line. `open` and `most` count connections, including the one of this request.
/// Memory is in KiB, and `VmHWM` is its maximum.
fn report() -> io::Result<String> {
    let mut report = with_tally(|tally| {
        let (open, most) = (tally.open, std::mem::replace(&mut tally.most, tally.open));
        let mut report = format!("open {open}\nmost {most}\n");
        for (name, count) in std::mem::take(&mut tally.counts) {
            report += &format!("{name} {count}\n");
        }
        report
    });
    for line in fs::read_to_string("/proc/self/status")?.lines() {
        if let Some((name @ ("Threads" | "VmRSS" | "VmHWM"), value)) = line.split_once(':') {
            report += &format!("{name} {}\n", value.trim().trim_end_matches(" kB"));
        }
    }
    Ok(report)
}
