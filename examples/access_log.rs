//! Run `cargo run --example access_log`, then `curl 127.0.0.1:8080/there`: each answer is a line in
//! the combined log format. `curl 127.0.0.1:8080/endless | head` breaks one off. Enter ends it.
//! Copy what follows `main`.

use hardstop::{ConnectionId, Event, Response, Server, Version};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};
use std::{collections::HashMap, sync::Mutex};

fn main() -> io::Result<()> {
    let builder = Server::builder().on_event(access_log(io::stdout()));
    let addr = std::env::args().nth(1);
    let server = builder.bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    let running = server.spawn(|request| match request.path() {
        "/endless" => Response::reader(io::repeat(b'.'), None),
        path => Response::text(format!("hello from {path}\n")),
    })?;
    eprintln!("listening on http://{}", running.local_addr());
    io::stdin().read_line(&mut String::new())?;
    running.shutdown(Duration::from_secs(1));
    running.join(); // the last lines have been written
    Ok(())
}

/// Writes `host - - [date] "request" status bytes "referer" "user-agent"` for each response. A
/// request that was refused before its handler could be called is `"-"`; a response that broke off
/// has neither status nor bytes.
pub(crate) fn access_log(out: impl Write + Send + 'static) -> impl Fn(&Event) + Send + Sync {
    // The hosts of the open connections, with the parts of a line that are known before the result.
    let open: HashMap<ConnectionId, (String, Option<[String; 2]>)> = HashMap::new();
    let log = Mutex::new((open, out));
    move |event| {
        let mut log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (open, out) = &mut *log;
        let mut write = |host: &str, [begin, end]: [String; 2], result: String| {
            let line = format!("{host} - - {begin} {result} {end}\n");
            let _ = out.write_all(line.as_bytes()); // a server does not end with its log
        };
        match event {
            Event::Opened { id, peer, .. } => {
                let host = peer.map_or(String::from("-"), |peer| peer.ip().to_string());
                drop(open.insert(*id, (host, None)));
            }
            Event::Request {
                id,
                method,
                target,
                version,
                headers,
                ..
            } => {
                let line = format!(
                    "{method} {target} HTTP/1.{}",
                    u8::from(*version > Version::Http10)
                );
                let field = |name| headers.get_bytes(name).unwrap_or(b"-");
                let known = parts(line.as_bytes(), field("Referer"), field("User-Agent"));
                open.entry(*id)
                    .and_modify(|(_, parts)| *parts = Some(known));
            }
            Event::Responded {
                id, status, bytes, ..
            } => {
                if let Some((host, known)) = open.get_mut(id) {
                    let known = known.take().unwrap_or_else(|| parts(b"-", b"-", b"-"));
                    write(host, known, format!("{} {bytes}", status.as_u16()));
                }
            }
            Event::Closed { id, .. } => {
                if let Some((host, Some(known))) = open.remove(id) {
                    write(&host, known, String::from("- -"));
                }
            }
            _ => {}
        }
    }
}

/// What stands before the result, and after it.
fn parts(request: &[u8], referer: &[u8], agent: &[u8]) -> [String; 2] {
    // What clients send must not end a field or a line, nor steer a terminal.
    let quoted = |text: &[u8]| format!("\"{}\"", text.escape_ascii());
    let begin = format!("[{}] {}", date(SystemTime::now()), quoted(request));
    [begin, quoted(referer) + " " + &quoted(agent)]
}

/// `10/Oct/2000:13:55:36 +0000`, in UTC.
pub(crate) fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(' ');
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut day, mut year, mut month) = (seconds / 86_400 + 1, 1970, "");
    for (name, length) in names.zip(lengths).cycle() {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = length + u64::from(is_leap && name == "Feb");
        month = name;
        if day <= length {
            break;
        }
        day -= length;
        year += u64::from(name == "Dec");
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
}
