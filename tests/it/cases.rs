//! HTTP as tables: the bytes of a client, the expected responses, and the clause that decides.
//!
//! Each case is sent to a real socket in these ways, and has to get the same responses each time:
//! 1. in one piece, after which the client closes its sending half;
//! 2. in two pieces, split at every place; the second is sent when the server has read the first;
//! 3. one byte at a time;
//! 4. if the last response says `Connection: close`: without closing anything, so that the server
//!    has to;
//! 5. with another request after it, which must be answered if and only if the response before has
//!    no such header.
//!
//! The responses are read by a strict parser and written as one line, separated by ` | `:
//! - `400 close`: the status code, and ` close` or ` keep-alive` for that `Connection` header (the
//!   latter comes with `Keep-Alive: timeout=74`);
//! - after a 200, what the handler has understood: `POST /a%20b?c 1.1 path=/a b query=c X=y
//!   body(5)=hello` is the method, the target, the version, the path if it is not the same as the
//!   target, the query if there is one, every field but those that frame (in their order), and the
//!   body with its number of bytes, or `unread`. The handler does not read the body for a path that
//!   begins with `/unread`. Bytes that are no text are written as `\xe9`.
//! - `200 bodiless(17)`: a response without the body whose length it declares;
//! - `!...`: what is wrong with a response. No case expects it.
//!
//! The date and the text of a refusal are not compared, but their form is checked.
//!
//! The clauses are of RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 3986 (URIs) and RFC 6585
//! (431).

mod chunked;
mod connection;
mod ended_early;
mod fields;
mod framing;
mod host;
mod limits;
mod request_line;
mod target;

use crate::support::{until, SOON};
use hardstop::{ConnectionState, Error, Event, Request, Running, Server, Version};
use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes in, responses out, and the reason.
type Case = (&'static [u8], &'static str, &'static str);

const ALL: &[&[Case]] = &[
    request_line::CASES,
    target::CASES,
    host::CASES,
    fields::CASES,
    framing::CASES,
    chunked::CASES,
    connection::CASES,
    limits::CASES,
    ended_early::CASES,
];

#[test]
fn there_are_at_least_250_different_cases() {
    let mut inputs = HashSet::new();
    for case in ALL.iter().copied().flatten() {
        assert!(inputs.insert(case.0), "twice: {case:?}");
    }
    assert!(inputs.len() >= 250, "{}", inputs.len());
}

#[test]
fn request_lines_follow_their_grammar() {
    check(request_line::CASES);
}

#[test]
fn targets_are_split_and_never_corrected() {
    check(target::CASES);
}

#[test]
fn a_request_names_one_valid_host() {
    check(host::CASES);
}

#[test]
fn header_lines_follow_their_grammar() {
    check(fields::CASES);
}

#[test]
fn ambiguous_framing_is_refused() {
    check(framing::CASES);
}

#[test]
fn chunked_bodies_follow_their_grammar() {
    check(chunked::CASES);
}

#[test]
fn a_connection_persists_only_if_both_sides_agree() {
    check(connection::CASES);
}

#[test]
fn a_request_over_a_limit_gets_its_own_status() {
    check(limits::CASES);
}

#[test]
fn a_truncated_request_is_never_taken_for_whole() {
    check_last_words(ended_early::CASES);
}

/// The way in which the bytes of a case are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    SplitAt(usize),
    Bytewise,
    /// Without closing the sending half.
    Waiting,
    /// Without closing the sending half, with [`NEXT`] after it.
    Followed,
}

/// The server ends the connection after this one.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const NEXT_ANSWER: &str = "200 GET /next 1.1 close";

/// The number of connections that are open at once.
const BATCH: usize = 64;

/// The number of wrong cases after which the test fails.
const FEW: usize = 10;

/// Checks a table in every way.
fn check(table: &[Case]) {
    check_in(
        table,
        &[Way::Whole, Way::Bytewise, Way::Waiting, Way::Followed],
    );
}

/// The same without the ways that keep the sending half open, for cases about the end of the input.
fn check_last_words(table: &[Case]) {
    check_in(table, &[Way::Whole, Way::Bytewise]);
}

fn check_in(table: &[Case], ways: &[Way]) {
    let server = Subject::start();
    let mut jobs = Vec::new();
    for case in table {
        let splits = (1..case.0.len()).map(Way::SplitAt);
        let ways = ways.iter().copied().chain(splits);
        let jobs_of_case = ways.filter_map(|way| Some((case, way, wanted(case.1, way)?)));
        jobs.extend(jobs_of_case);
    }
    let mut wrong = BTreeMap::new(); // each case once
    for batch in jobs.chunks(BATCH) {
        for ((case, way, want), got) in batch.iter().zip(server.ask(batch)) {
            let got = without_100(&got, *way);
            if got != *want {
                let (sent, why) = (case.0.escape_ascii(), case.2);
                let text = format!("{sent}\n  {way:?}: {got}\n  want: {want}\n  {why}");
                wrong.entry(case.0).or_insert(text);
            }
        }
        if wrong.len() >= FEW {
            break; // each may have waited for long
        }
    }
    let texts: Vec<String> = wrong.into_values().collect();
    assert!(texts.is_empty(), "{}:\n{}", texts.len(), texts.join("\n"));
}

/// The expected responses; `None` if nothing would end the connection.
fn wanted(want: &str, way: Way) -> Option<String> {
    let closes = want.ends_with(" close");
    match way {
        Way::Followed if want.is_empty() => Some(String::from(NEXT_ANSWER)),
        Way::Followed if !closes => Some(format!("{want} | {NEXT_ANSWER}")),
        Way::Waiting if !closes => None,
        _ => Some(without_100(want, way)),
    }
}

/// RFC 9110 §10.1.1: a `100` may be omitted if the body has arrived, which is a race if the body is
/// sent later.
fn without_100(answers: &str, way: Way) -> String {
    match way {
        Way::SplitAt(_) | Way::Bytewise => answers.replace("100 | ", ""),
        Way::Whole | Way::Waiting | Way::Followed => String::from(answers),
    }
}

type Job<'a> = (&'a Case, Way, String);

/// A client in the middle of a case.
struct Client {
    tcp: TcpStream,
    way: Way,
    first: &'static [u8],
    second: &'static [u8],
}

/// A server with small limits and otherwise default settings, so that the limits can be tried with
/// every split, too.
struct Subject {
    running: Running,
    opened: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Subject {
    fn start() -> Subject {
        let opened = Arc::<Mutex<HashSet<SocketAddr>>>::default();
        let note = Arc::clone(&opened);
        let limits = Server::builder().max_head_bytes(256).max_headers(8);
        let server = limits.max_body_bytes(32).on_event(move |event| {
            if let Event::Opened { peer, .. } = event {
                note.lock().unwrap().insert(peer.unwrap());
            }
        });
        let server = server.bind("127.0.0.1:0").unwrap();
        let running = server.spawn(understood).unwrap();
        Subject { running, opened }
    }

    /// The server's responses to each of these, which are all open at the same time.
    fn ask(&self, jobs: &[Job<'_>]) -> Vec<String> {
        self.opened.lock().unwrap().clear(); // a port may come again
        let clients = jobs.iter().map(|(case, way, _)| {
            let at = match way {
                Way::SplitAt(at) => *at,
                _ => 0,
            };
            let (first, second) = case.0.split_at(at);
            let mut tcp = TcpStream::connect(self.running.local_addr()).unwrap();
            tcp.set_write_timeout(Some(SOON)).unwrap();
            tcp.set_nodelay(true).unwrap();
            tcp.write_all(first).unwrap();
            let way = *way;
            Client {
                tcp,
                way,
                first,
                second,
            }
        });
        let mut clients: Vec<Client> = clients.collect();
        self.wait_until_all_is_read(&clients);
        for Client {
            tcp, way, second, ..
        } in &mut clients
        {
            let size = if *way == Way::Bytewise { 1 } else { usize::MAX };
            let next = if *way == Way::Followed { NEXT } else { b"" };
            for piece in second.chunks(size).chain([next]) {
                let _ = tcp.write_all(piece); // it may have been refused already
            }
            if !matches!(way, Way::Waiting | Way::Followed) {
                let _ = tcp.shutdown(Shutdown::Write); // the same
            }
        }
        let deadline = Instant::now() + SOON; // for all together
        let answers = clients.into_iter().map(|client| rest(client, deadline));
        answers.map(|said| summary(&said)).collect()
    }

    fn wait_until_all_is_read(&self, clients: &[Client]) {
        let addr = |client: &Client| client.tcp.local_addr().unwrap();
        let speaking = clients.iter().filter(|client| !client.first.is_empty());
        // An empty line does not begin a request, so nothing shows that it has been read.
        let (hidden, shown): (Vec<_>, Vec<_>) =
            speaking.partition(|it| matches!(it.first, b"\r" | b"\r\n" | b"\n"));
        until("the server has read the first pieces", || {
            let opened = self.opened.lock().unwrap().clone(); // before the next line: what is gone was there
            let open = self.running.connections();
            let new = open.iter().filter(|it| it.state == ConnectionState::New);
            let new: HashSet<SocketAddr> = new.filter_map(|it| it.peer).collect();
            let mut shown = shown.iter().map(|it| addr(it));
            let mut hidden = hidden.iter().map(|it| addr(it));
            shown.all(|it| opened.contains(&it) && !new.contains(&it))
                && hidden.all(|it| opened.contains(&it))
        });
        if !hidden.is_empty() {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Reads to the end.
fn rest(mut client: Client, deadline: Instant) -> Vec<u8> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1)); // zero would mean none
    client.tcp.set_read_timeout(Some(left)).unwrap();
    let in_parts = matches!(client.way, Way::SplitAt(_) | Way::Bytewise);
    let mut said = Vec::new();
    match client.tcp.read_to_end(&mut said) {
        Ok(_) => {}
        // On a busy machine a later piece may arrive after the server has stopped waiting.
        Err(error) if error.kind() == ErrorKind::ConnectionReset && in_parts => {}
        Err(error) => said.extend(format!("!{error}").bytes()),
    }
    said
}

/// The handler, which answers with what it has understood.
fn understood(req: &mut Request<'_>) -> Result<String, Error> {
    let length = req.body().len();
    let body = match req.path().starts_with("/unread") {
        true => None,
        false => Some(req.body().read_to_vec()?),
    };
    let version = match req.version() {
        Version::Http10 => "1.0",
        _ => "1.1",
    };
    let mut line = format!("{} {} {version}", req.method(), req.target());
    if req.path() != req.target() {
        line += &format!(" path={}", visible(req.path().as_bytes()));
    }
    if let Some(query) = req.query() {
        line += &format!(" query={query}");
    }
    let framing = [
        "connection",
        "content-length",
        "transfer-encoding",
        "expect",
    ];
    for (name, value) in req.headers().iter() {
        let is_usual = name.eq_ignore_ascii_case("host") && value.eq_ignore_ascii_case(b"x");
        if !is_usual && !framing.contains(&name.to_ascii_lowercase().as_str()) {
            line += &format!(" {name}={}", visible(value));
        }
    }
    match body {
        Some(body) if length != Some(0) => {
            line += &format!(" body({})={}", body.len(), visible(&body));
        }
        Some(_) => {}
        None => line += " unread",
    }
    Ok(line)
}

/// Escapes control characters, and bytes that are not text.
fn visible(bytes: &[u8]) -> String {
    let byte = |byte: u8| match byte {
        b' '..=b'~' => String::from(char::from(byte)),
        _ => format!("\\x{byte:02x}"),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => String::from(text),
        _ => bytes.iter().copied().map(byte).collect(),
    }
}

/// All responses in one line.
fn summary(mut said: &[u8]) -> String {
    let mut answers = Vec::new();
    while !said.is_empty() {
        match answer(&mut said) {
            Ok(answer) => answers.push(answer),
            Err(why) => {
                answers.push(format!("!{why}: {}", said.escape_ascii()));
                break;
            }
        }
    }
    in_short(&answers.join(" | "))
}

/// Shortens a run of more than 32 to `a*99`.
fn in_short(text: &str) -> String {
    let (mut short, text) = (String::new(), text.chars().collect::<Vec<_>>());
    for run in text.chunk_by(|one, next| one == next) {
        match run.len() {
            0..=32 => short.extend(run),
            more => short += &format!("{}*{more}", run[0]),
        }
    }
    short
}

/// Takes one response. `Err` says how it is malformed.
fn answer(said: &mut &[u8]) -> Result<String, String> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let head = &said[..end.ok_or("no whole head")?];
    let head = std::str::from_utf8(head).map_err(|_| "a head that is not text")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .ok_or("another version")?;
    let (code, reason) = status.split_once(' ').ok_or("no space after the code")?;
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    if !is_code || reason.is_empty() || head.replace("\r\n", "").contains(char::is_control) {
        return Err(format!("{status_line:?}, or a control character"));
    }
    *said = &said[head.len() + 4..];
    if code == "100" {
        let is_bare = lines.next().is_none();
        return is_bare
            .then(|| String::from(code))
            .ok_or(String::from("fields in a 100"));
    }
    let (mut names, mut length, mut dated, mut more) = (HashSet::new(), None, false, String::new());
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or("a field without a colon")?;
        match name {
            "Date" => dated = is_date(value),
            "Content-Length" => length = value.parse::<usize>().ok(),
            "Connection" => more += &format!(" {value}"),
            "Keep-Alive" if value == "timeout=74" && more.ends_with(" keep-alive") => {}
            "Content-Type" if value == "text/plain; charset=utf-8" => {}
            _ => more += &format!(" {name}={value}"),
        }
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(format!("{name} twice"));
        }
    }
    if more.contains(" keep-alive") && !names.contains("keep-alive") {
        return Err(String::from("a keep-alive without its time"));
    }
    let length = length
        .filter(|_| dated)
        .ok_or("no Date or no Content-Length")?;
    if length > 0 && (said.is_empty() || said.starts_with(b"HTTP/1.1 ")) {
        let length = if code == "200" {
            format!("({length})")
        } else {
            String::new()
        };
        return Ok(format!("{code} bodiless{length}{more}"));
    }
    let body = said.get(..length).ok_or("a body shorter than its length")?;
    let body = std::str::from_utf8(body).map_err(|_| "a body that is not text")?;
    *said = &said[length..];
    if code == "200" {
        return Ok(format!("{code} {body}{more}"));
    }
    let words = body.strip_prefix(&format!("{code} {reason}: "));
    let words = words.and_then(|words| words.strip_suffix('\n'));
    match words.filter(|words| !words.contains('\n') && !words.is_empty()) {
        Some(_) => Ok(format!("{code}{more}")),
        None => Err(format!("a refusal that does not say why: {body:?}")),
    }
}

/// RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(value: &str) -> bool {
    let form = value.bytes().map(|byte| match byte {
        b'0'..=b'9' => '0',
        b'a'..=b'z' => 'a',
        b'A'..=b'Z' => 'A',
        other => char::from(other),
    });
    form.eq("Aaa, 00 Aaa 0000 00:00:00 AAA".chars()) && value.ends_with(" GMT")
}
