//! The memory that a byte from outside takes: `src/guide/security.md` has the table. The limits are
//! raised, so that the measured growth stands out.
//!
//! Each test needs a process of its own: it measures the largest size that the process has ever
//! had.

use crate::support::client::Client;
use crate::support::isolated_process::{is_alone, kib};
use crate::support::{until, GET};
use hardstop::{Builder, Error, Request, Response, Running, Server};
use std::io::{repeat, Read, Write};
use std::time::Duration;

/// One heap for all threads, so that free memory is reused; large pieces go back to the system.
const ONE_HEAP: &str = "export MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072";

/// The number of bytes that are sent.
const SIZE: usize = 1024 * 1024;

/// The time that a response may take: on a busy machine these requests take a while to be read.
const PATIENCE: Duration = Duration::from_secs(60);

/// The growth of the process that is allowed for other reasons.
const SLACK_KIB: f64 = 512.0;

fn connect(to: &Running) -> Client {
    let client = Client::connect(to.local_addr());
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends a beginning, a unit that is repeated up to [`SIZE`] bytes, and an end.
fn send(client: &mut Client, beginning: &str, unit: &[u8], end: &str) {
    let piece = unit.repeat(64 * 1024 / unit.len());
    client.stream.write_all(beginning.as_bytes()).unwrap();
    for _ in 0..SIZE / piece.len() {
        client.stream.write_all(&piece).unwrap();
    }
    client.stream.write_all(end.as_bytes()).unwrap();
}

/// The number of bytes in the repeated part of [`send`].
fn size_of(unit: &[u8]) -> usize {
    let piece = 64 * 1024 / unit.len() * unit.len();
    SIZE / piece * piece
}

/// Fails if the process has ever grown by more than so many times the bytes that were sent.
fn assert_grown_by(times: f64, at_first: usize, what: &str) {
    let grown = number(kib("VmHWM") - at_first);
    let sent = number(SIZE / 1024);
    println!("{what}: {:.2} times what was sent", grown / sent);
    assert!(
        grown <= sent * times + SLACK_KIB,
        "{what}: {grown} KiB for {sent} KiB"
    );
}

/// Waits until the connection of the last client has freed its memory.
fn wait_for_the_end(of: &Running) {
    until("its connection has ended", || of.connection_count() == 0);
}

fn number(of_kib: usize) -> f64 {
    u32::try_from(of_kib).unwrap().into()
}

fn start(
    builder: Builder,
    handler: fn(&mut Request<'_>) -> Result<Response, Error>,
) -> (Running, usize) {
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(handler).unwrap();
    // The first request shows how much a server needs in any case.
    drop(Client::answered(running.local_addr()));
    wait_for_the_end(&running);
    (running, kib("VmHWM"))
}

fn read_what_there_is(request: &mut Request<'_>) -> Result<Response, Error> {
    match request.path() {
        "/form" => Ok(Response::text(
            request.body().read_form()?.len().to_string(),
        )),
        "/body" => Ok(Response::text(
            request.body().read_to_vec()?.len().to_string(),
        )),
        _ => Ok(Response::text(format!("{:?}", request.query_value("b")))),
    }
}

// Regression: the fields of a form were not counted, and a form of 1 MiB took 42 MiB.
#[test]
fn a_form_takes_a_few_times_its_size_whatever_is_in_it() {
    if !is_alone(
        "a_form_takes_a_few_times_its_size_whatever_is_in_it",
        ONE_HEAP,
    ) {
        return;
    }
    let (running, at_first) = start(
        Server::builder().max_body_bytes(1 << 30),
        read_what_there_is,
    );
    // In the order of their growth, as the largest size so far is measured.
    let table: [(&[u8], u16, f64); 5] = [
        (b"&", 200, 2.0),
        (b"a&", 413, 2.0),
        (b"%41", 200, 2.0),
        (b"v", 200, 3.0),
        (b"\xff", 200, 8.0),
    ];
    for (unit, want, times) in table {
        let mut client = connect(&running);
        let media_type = "Content-Type: application/x-www-form-urlencoded";
        let length = size_of(unit);
        let head = format!(
            "POST /form HTTP/1.1\r\nHost: x\r\n{media_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        send(&mut client, &head, unit, "");
        assert_eq!(client.response().status, want);
        assert_grown_by(times, at_first, &unit.escape_ascii().to_string());
        drop(client);
        wait_for_the_end(&running);
    }
}

#[test]
fn a_body_takes_twice_its_size_however_it_is_sent() {
    if !is_alone("a_body_takes_twice_its_size_however_it_is_sent", ONE_HEAP) {
        return;
    }
    let (running, at_first) = start(
        Server::builder().max_body_bytes(1 << 30),
        read_what_there_is,
    );
    let mut client = connect(&running);
    let head = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = b"1\r\nx\r\n";
    send(&mut client, head, chunk, "0\r\n\r\n");
    assert_eq!(
        client.response().text(),
        (size_of(chunk) / chunk.len()).to_string()
    );
    assert_grown_by(0.4, at_first, "chunks of one byte");
    let head = format!(
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        size_of(b"x")
    );
    send(&mut client, &head, b"x", "");
    assert_eq!(client.response().status, 200);
    assert_grown_by(2.0, at_first, "a length");
}

/// By default a head has at most 16 KiB and 100 headers, so these factors apply to little memory.
#[test]
fn a_head_takes_a_few_times_its_size_and_that_of_its_headers() {
    if !is_alone(
        "a_head_takes_a_few_times_its_size_and_that_of_its_headers",
        ONE_HEAP,
    ) {
        return;
    }
    let builder = Server::builder()
        .header_timeout(None)
        .max_head_bytes(1 << 30)
        .max_headers(1 << 30);
    let (running, at_first) = start(builder.on_event(|_| {}), read_what_there_is);
    let in_a_field = ("GET / HTTP/1.1\r\nHost: x\r\na:", "\r\n\r\n");
    let in_a_query = ("GET /?", " HTTP/1.1\r\nHost: x\r\n\r\n");
    let in_a_path = ("GET /", " HTTP/1.1\r\nHost: x\r\n\r\n");
    let as_fields = ("GET / HTTP/1.1\r\nHost: x\r\n", "\r\n");
    // In the order of their growth, with the copy that the hook gets.
    let table: [((&str, &str), &[u8], f64); 5] = [
        (in_a_field, b"v", 4.0),
        (in_a_query, b"a&", 5.0),
        (in_a_path, b"x", 5.0),
        (in_a_path, b"%FF", 5.5),
        (as_fields, b"a:\r\n", 21.0),
    ];
    for ((beginning, end), unit, times) in table {
        let mut client = connect(&running);
        send(&mut client, beginning, unit, end);
        assert_eq!(client.response().status, 200);
        let what = format!("{beginning}{}", unit.escape_ascii());
        assert_grown_by(times, at_first, &what.escape_debug().to_string());
        drop(client);
        wait_for_the_end(&running);
    }
}

// Regression: the heads of responses without a body were collected until more had to be read, here
// 2 MiB.
#[test]
fn responses_without_a_body_do_not_pile_up() {
    if !is_alone("responses_without_a_body_do_not_pile_up", ONE_HEAP) {
        return;
    }
    const REQUESTS: usize = 2000;
    let answer = |request: &mut Request<'_>| match request.path() {
        "/204" => Ok(Response::new(204).with_header("Large", "x".repeat(4000))),
        _ => Ok(Response::text("hello")),
    };
    let (running, at_first) = start(Server::builder(), answer);
    let mut client = connect(&running);
    // A large head enlarges the buffer, which then holds all the requests after it.
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
        "a".repeat(16_000)
    );
    let short = "GET /204 HTTP/1.1\r\nHost:x\r\n\r\n".repeat(REQUESTS);
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.say(&[&large, &short, last].concat());
    let mut received = 0;
    let mut piece = [0; 4096];
    loop {
        match client.stream.read(&mut piece).unwrap() {
            0 => break,
            n => received += n,
        }
    }
    assert!(received > REQUESTS * 4000, "{received} bytes came");
    let grown = kib("VmHWM") - at_first;
    println!("{grown} KiB");
    assert!(grown < 1024, "{grown} KiB");
}

#[test]
fn a_connection_takes_little_memory_in_every_state() {
    if !is_alone("a_connection_takes_little_memory_in_every_state", ONE_HEAP) {
        return;
    }
    const CLIENTS: usize = 40;
    let answer = |request: &mut Request<'_>| match request.path() {
        "/stream" => Ok(Response::stream(|body| loop {
            body.write_all(b"hello")?;
        })),
        "/reader" => Ok(Response::reader(repeat(b'x'), None)),
        _ => Ok(Response::text("hello")),
    };
    let (running, _) = start(Server::builder().max_head_bytes(1 << 20), answer);
    let asks = |path: &str| GET.replacen('/', path, 1);
    // Regression: an idle connection kept the memory of a long method.
    let long_method = GET.replacen("GET", &"M".repeat(200_000), 1);
    // Regression: one of two heads was kept if they had come together.
    let two_heads = asks(&format!("/{}", "a".repeat(200_000))) + &asks("/");
    let table = [
        ("idle", asks("/"), 64),
        ("idle after a long method", long_method, 96),
        ("idle after a long head and a short one", two_heads, 96),
        ("sends a stream", asks("/stream"), 192),
        ("sends what a reader yields", asks("/reader"), 384),
    ];
    let mut open = Vec::new();
    for (what, say, allowed) in table {
        let before = kib("VmRSS");
        for _ in 0..CLIENTS {
            let mut client = connect(&running);
            client.say(&say);
            client.stream.peek(&mut [0]).unwrap();
            open.push(client);
        }
        let each = (kib("VmRSS") - before) / CLIENTS;
        println!("{what}: {each} KiB");
        assert!(each <= allowed, "{what}: {each} KiB each");
    }
    running.destroy();
}
