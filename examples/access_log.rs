//! Run `cargo run --example access_log`, then `curl 127.0.0.1:8080/there`: each response is printed
//! as a line in the combined log format. `curl 127.0.0.1:8080/endless | head` aborts a response.
//! Press Enter to stop. To use the log in your own program, copy everything but `main`.

use hardstop::{ConnectionId, Event, Response, Server, Version};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

fn main() -> io::Result<()> {
    let builder = Server::builder().on_event(access_log(io::stdout()));
    let addr = std::env::args().nth(1);
    let server = builder.bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    let running = server.spawn(|request| match request.path() {
        "/endless" => Response::reader(io::repeat(b'.'), None),
        path => Response::text(format!("hello from {path}\n")),
    })?;
    eprintln!("listening on http://{}", running.local_addr());
    if io::stdin().read_line(&mut String::new())? == 0 {
        eprintln!("stdin is at its end, so this stops; a terminal or a pipe would keep it running");
    }
    running.shutdown(Duration::from_secs(1));
    // Once this returns, every event has been reported, so the last lines have been written.
    running.join();
    Ok(())
}

/// Writes `host - - [date] "request" status bytes "referer" "user-agent"` for each response.
///
/// The request is `"-"` if it was refused before the handler was called. Status and bytes are `-`
/// if the connection ended before the response was complete.
pub(crate) fn access_log(out: impl Write + Send + 'static) -> impl Fn(&Event) + Send + Sync {
    let log = Mutex::new(AccessLog {
        connections: HashMap::new(),
        out,
    });
    move |event| {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.record(event);
    }
}

struct AccessLog<W> {
    connections: HashMap<ConnectionId, Connection>,
    out: W,
}

/// An open connection, with the request that has not been answered yet.
struct Connection {
    host: String,
    request: Option<RequestFields>,
}

/// The fields of a line that are known before the response.
struct RequestFields {
    date_and_request: String,
    referer_and_agent: String,
}

impl<W: Write> AccessLog<W> {
    fn record(&mut self, event: &Event) {
        match event {
            Event::Opened { id, peer, .. } => {
                let host = peer.map_or(String::from("-"), |peer| peer.ip().to_string());
                let request = None;
                self.connections.insert(*id, Connection { host, request });
            }
            Event::Request {
                id,
                method,
                target,
                version,
                headers,
                ..
            } => {
                let minor = if *version == Version::Http10 { 0 } else { 1 };
                let line = format!("{method} {target} HTTP/1.{minor}");
                let referer = headers.get_bytes("Referer").unwrap_or(b"-");
                let agent = headers.get_bytes("User-Agent").unwrap_or(b"-");
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.request = Some(RequestFields::new(line.as_bytes(), referer, agent));
                }
            }
            Event::Responded {
                id, status, bytes, ..
            } => {
                if let Some(connection) = self.connections.get_mut(id) {
                    let request = connection.request.take();
                    let request = request.unwrap_or_else(|| RequestFields::new(b"-", b"-", b"-"));
                    let result = format!("{} {bytes}", status.as_u16());
                    write_line(&mut self.out, &connection.host, &request, &result);
                }
            }
            Event::Closed { id, .. } => {
                if let Some(connection) = self.connections.remove(id) {
                    if let Some(request) = connection.request {
                        write_line(&mut self.out, &connection.host, &request, "- -");
                    }
                }
            }
            _ => {}
        }
    }
}

impl RequestFields {
    fn new(request: &[u8], referer: &[u8], agent: &[u8]) -> RequestFields {
        let date = date(SystemTime::now());
        RequestFields {
            date_and_request: format!("[{date}] {}", quoted(request)),
            referer_and_agent: format!("{} {}", quoted(referer), quoted(agent)),
        }
    }
}

/// Quotes a field. Escaping keeps a client from ending the field or the line, and from sending
/// control sequences to a terminal.
fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", text.escape_ascii())
}

fn write_line(out: &mut impl Write, host: &str, request: &RequestFields, result: &str) {
    let begin = &request.date_and_request;
    let end = &request.referer_and_agent;
    let line = format!("{host} - - {begin} {result} {end}\n");
    // The server keeps serving when its log cannot be written.
    let _ = out.write_all(line.as_bytes());
}

/// Formats a time as `10/Oct/2000:13:55:36 +0000`, in UTC.
pub(crate) fn date(time: SystemTime) -> String {
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_epoch.unwrap_or_default().as_secs();
    let mut day = seconds / 86_400 + 1;
    let mut month = "";
    let mut year = 1970;
    for (name, length) in MONTHS.into_iter().cycle() {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = if is_leap && name == "Feb" { 29 } else { length };
        month = name;
        if day <= length {
            break;
        }
        day -= length;
        if name == "Dec" {
            year += 1;
        }
    }
    let hour = seconds / 3600 % 24;
    let minute = seconds / 60 % 60;
    let second = seconds % 60;
    format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
}
