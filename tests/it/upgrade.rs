//! Upgraded connections: the promises of `Response::upgrade`, `Upgraded` and `Lease`.

mod closures;
mod stops;
mod streams;

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::{assert_ends, observed};
use crate::support::{until, GET, LONG, SHORT, SOON};
use hardstop::{
    Builder, CancelToken, CloseReason, ConnectionState, Event, Handle, Lease, Outcome, Response,
    Running, Server, Upgraded,
};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

const UPGRADE: &str =
    "GET /up%20there HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server that upgrades every request that offers it to this closure.
fn taking(
    builder: Builder,
    take: impl Fn(Upgraded, CancelToken) + Clone + Send + Sync + 'static,
) -> (Running, Recorder) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| match request.header("Upgrade") {
        Some(_) => {
            let (take, token) = (take.clone(), request.cancel_token());
            Response::upgrade("echo", move |stream| take(stream, token))
        }
        None => Response::text("hello"),
    });
    (running.unwrap(), facts)
}

/// A server whose closures send their streams and tokens to the test's thread, and return at once.
fn moving(builder: Builder) -> (Running, Recorder, Receiver<(Upgraded, CancelToken)>) {
    let (sender, streams) = mpsc::channel();
    let (running, facts) = taking(builder, move |stream, token| {
        let _ = sender.send((stream, token)); // the test may have ended
    });
    (running, facts, streams)
}

/// A client of an upgraded connection.
fn upgraded(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.say(UPGRADE);
    assert_eq!(client.head_response().status, 101);
    client
}

fn read_exact(stream: &mut impl Read, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Writes until that fails, and returns the error.
fn fill(mut write: impl FnMut() -> std::io::Result<usize>) -> std::io::Error {
    loop {
        match write() {
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

#[test]
fn an_upgrade_is_a_101_without_framing_and_with_the_handlers_headers() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|_| {
        Response::upgrade("echo", drop)
            .with_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .with_header("Content-Type", "text/plain")
            .with_header("Content-Length", "5")
            .with_header("Transfer-Encoding", "chunked")
            .with_header("Connection", "close")
            .with_close()
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(UPGRADE);
    let head = client.head_response().head;
    let date = head.lines().find(|line| line.starts_with("Date: "));
    let want = format!(
        "HTTP/1.1 101 Switching Protocols\r\n{}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        date.unwrap()
    );
    assert_eq!(head, want);
    client.expect_end();
}

#[test]
fn an_upgraded_stream_begins_with_the_bytes_already_received() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{UPGRADE}GET / HTTP/1.1\r\n"));
    assert_eq!(client.head_response().status, 101);
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(read_exact(&mut stream, 3), b"GET", "it is not parsed");
    client.say("more");
    assert_eq!(read_exact(&mut stream, 17), b" / HTTP/1.1\r\nmore");
    stream.write_all(b"back").unwrap(); // no flush is needed
    assert_eq!(client.take(4), b"back");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "the client's end");
    stream.write_all(b"last").unwrap();
    stream.flush().unwrap(); // it does nothing
    drop(stream);
    assert_eq!(client.take(4), b"last");
    client.expect_end();
}

/// Regression: a read into an empty buffer waited for the client's next byte.
#[test]
fn an_empty_read_returns_at_once() {
    let (running, _facts, streams) = moving(Server::builder());
    let _client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    stream.set_timeouts(Some(SOON), None).unwrap();
    let began = Instant::now();
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert!(began.elapsed() < SOON);
}

#[test]
fn requests_before_an_upgrade_are_answered_first_and_in_their_order() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{GET}{GET}{UPGRADE}bytes"));
    for _ in 0..2 {
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(client.head_response().status, 101);
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(read_exact(&mut stream, 5), b"bytes");
}

#[test]
fn connections_lists_an_upgraded_connection_with_its_request() {
    let (running, facts, streams) = moving(Server::builder());
    let _other = Client::answered(running.local_addr());
    let client = upgraded(running.local_addr());
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let peer = client.stream.local_addr().unwrap();
    let open = running.connections();
    let info = open.iter().find(|info| info.peer == Some(peer)).unwrap();
    assert_eq!(info.state, ConnectionState::Upgraded);
    assert_eq!(info.requests, 1);
    assert_eq!(info.method.as_deref(), Some("GET"));
    assert_eq!(info.path.as_deref(), Some("/up there"));
    drop(stream);
    assert_eq!(facts.reason(u64::from(info.id)), CloseReason::Completed);
}

#[test]
fn an_upgrade_that_was_not_offered_gets_400_and_the_connection_persists() {
    let table = [
        ("HTTP/1.1\r\nHost: x", "it offers nothing"),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrade",
            "nothing to upgrade to",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: other",
            "another protocol",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo2, echo/1",
            "longer names",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: ,",
            "an empty list",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nUpgrade: echo",
            "no `Connection: upgrade`",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrades\r\nUpgrade: echo",
            "another option",
        ),
        (
            "HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo",
            "HTTP/1.0",
        ),
        (
            "HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 2",
            "the body is not read",
        ),
    ];
    let (hook, facts) = recorder();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let taken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&taken);
    let running = server.unwrap().spawn(move |_| {
        let flag = Arc::clone(&flag);
        Response::upgrade("echo", move |_| flag.store(true, SeqCst))
    });
    let running = running.unwrap();
    for (rest, why) in table {
        let mut client = Client::connect(running.local_addr());
        let body = if rest.contains("Length") { "ab" } else { "" };
        for _ in 0..2 {
            client.say(&format!("GET / {rest}\r\n\r\n{body}"));
            let answer = client.response();
            assert_eq!(answer.status, 400, "{why}");
            assert_eq!(answer.header("upgrade"), None, "{why}");
        }
    }
    assert!(!taken.load(SeqCst));
    let failed = |fact: &&Fact| matches!(fact, Fact::RequestFailed(..));
    until("each is reported as `RequestFailed`", || {
        facts.so_far().iter().filter(failed).count() == 2 * table.len()
    });
}

#[test]
fn an_upgrade_to_a_protocol_without_a_name_gets_400_whatever_is_offered() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|_| Response::upgrade("", drop)).unwrap();
    for offer in ["", ",", "a,,b"] {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: {offer}\r\n\r\n"
        ));
        assert_eq!(client.response().status, 400, "{offer:?}");
    }
}

#[test]
fn an_upgrade_is_found_in_header_lists_in_any_case() {
    let table = [
        "Connection: Upgrade\r\nUpgrade: ECHO",
        "connection: keep-alive, UPGRADE\r\nupgrade: other/1, Echo",
        "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: other\r\nUpgrade: ,\techo ,",
    ];
    let (running, _facts, streams) = moving(Server::builder());
    for fields in table {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n"));
        assert_eq!(client.head_response().status, 101, "{fields}");
        drop(streams.recv_timeout(SOON).unwrap());
    }
}

#[test]
fn an_upgraded_stream_begins_after_the_request_body() {
    let (sender, streams) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let sender = sender.clone();
        let _ = request.body().read_to_vec();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    for body in [
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(running.local_addr());
        let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo";
        client.say(&format!("{head}\r\n{body}def"));
        assert_eq!(client.head_response().status, 101, "{body}");
        let mut stream = streams.recv_timeout(SOON).unwrap();
        assert_eq!(read_exact(&mut stream, 3), b"def", "{body}");
    }
}

#[test]
fn an_upgrade_that_cannot_be_sent_becomes_500() {
    type Make = fn() -> Response;
    let table: [(Make, &str); 4] = [
        (
            || Response::upgrade("echo", drop).with_status(200),
            "the status code of an upgrade is 101, and cannot be set",
        ),
        (
            || Response::upgrade("echo", drop).with_status(100),
            "the status code of an upgrade is 101, and cannot be set",
        ),
        (
            || Response::upgrade("echo", drop).with_header("X", "a\r\nb: c"),
            "a field value in the response has a control byte: encode it",
        ),
        (
            || Response::upgrade("echo", drop).with_header("X y", "a"),
            "a field name in the response is not a token: use letters, digits and hyphens",
        ),
    ];
    for (make, why) in table {
        let (running, facts) = observed(Server::builder(), move |_| make());
        let mut client = Client::connect(running.local_addr());
        client.say(UPGRADE);
        let answer = client.response();
        assert_eq!(answer.status, 500, "{why}");
        assert_eq!(answer.text(), "500 Internal Server Error\n", "{why}");
        let told = [(); 3].map(|()| facts.take());
        assert_eq!(told[2], Fact::RequestFailed(1, String::from(why)));
    }
}

#[test]
fn an_upgrade_gets_503_while_the_server_drains() {
    let (gate, arrivals, open) = Gate::new();
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        gate.pass();
        Response::upgrade("echo", drop)
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(UPGRADE);
    arrivals.recv_timeout(SOON).unwrap();
    running.drain();
    drop(open);
    let answer = client.response();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn an_upgrade_is_reported_as_responded_upgraded_and_closed() {
    let (running, facts) = observed(Server::builder(), |_| {
        Response::upgrade("echo", |mut stream| {
            assert_eq!(read_exact(&mut stream, 1010).len(), 1010);
            stream.write_all(&[b'x'; 5000]).unwrap();
        })
    });
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{UPGRADE}{}", "a".repeat(10)));
    let head = client.head_response().head;
    client.say(&"b".repeat(1000));
    assert_eq!(client.take(5000).len(), 5000);
    client.expect_end();
    let (received, sent) = (UPGRADE.len() + 1010, head.len() + 5000);
    let want = [
        String::from("1 opened"),
        String::from("1 asked GET /up%20there"),
        String::from("1 responded 101, 0"),
        String::from("1 upgraded to echo"),
        format!("1 closed Completed, 1, {received}, {sent}"),
    ];
    for line in want {
        assert_eq!(facts.take().to_string(), line);
    }
    running.destroy();
    assert_ends(&running);
    assert_eq!(facts.not_taken(), []);
}
