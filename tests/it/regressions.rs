//! Bugs that were found, each with the test that showed it.

use crate::support::client::Client;
use crate::support::dialogue::{dialogue, last_words, statuses};
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{observed, serve};
use crate::support::{until, GET, SOON};
use hardstop::{
    CloseReason, ConnectionId, ConnectionState, Error, Handle, Request, Response, Server,
    StatusCode,
};
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Regression: the socket was closed while a pipelined request was still unread in the kernel. That
/// reset the connection, and the end of the last response was lost.
#[test]
fn a_last_response_arrives_whole_despite_a_pipelined_request() {
    let (gate, arrivals, open) = Gate::new();
    let (hook, facts) = recorder();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let running = server.unwrap().spawn(move |_| {
        gate.pass();
        Response::bytes("text/plain", vec![b'x'; 1_000_000]).with_close()
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    client.say(GET);
    open.send(()).unwrap();
    facts.wait_for(|fact| matches!(fact, Fact::Responded(1, ..)));
    until("everything has been written", || {
        let connections = running.connections();
        let state = connections.first().map(|info| info.state);
        state.map_or(true, |state| state == ConnectionState::Closing)
    });
    assert_eq!(client.response().body.len(), 1_000_000);
    client.expect_end();
}

/// Regression: a client that had just connected was evicted for the next one while its request was
/// on the way.
#[test]
fn a_client_that_just_connected_is_not_evicted() {
    for _ in 0..10 {
        let server = Server::builder().max_connections(1).bind("127.0.0.1:0");
        let running = server.unwrap().spawn(|_| "hello").unwrap();
        let began = Instant::now();
        let mut first = Client::connect(running.local_addr());
        let second = Client::connect(running.local_addr()).response();
        if began.elapsed() < Duration::from_millis(900) {
            assert_eq!(second.status, 503);
            first.say(GET);
            assert_eq!(first.response().text(), "hello");
            return;
        } // else its grace of a second was over, on a busy machine
    }
}

/// Regression: a token kept beyond its connection never fired, and a thread that waited on it was
/// never woken.
#[test]
fn a_kept_token_fires_when_its_connection_ends() {
    static TOKEN: Mutex<Option<hardstop::CancelToken>> = Mutex::new(None);
    let running = serve(|request| {
        *TOKEN.lock().unwrap() = Some(request.cancel_token());
        "hello"
    });
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(client.response().text(), "hello");
    let token = TOKEN.lock().unwrap().take().unwrap();
    assert!(!token.is_cancelled(), "the connection is idle");
    drop(client);
    assert!(token.wait_timeout(SOON));
}

/// Regression: a drain ended the body of a request that had not arrived whole. The request got a
/// 400, and a client does not repeat such a request.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", windows)),
    ignore = "a drain may lose the request there"
)]
#[test]
fn a_request_cut_short_by_a_drain_gets_503() {
    let (gate, arrivals, open) = Gate::new();
    let gate = Arc::new(gate);
    let handler = move |request: &mut Request<'_>| -> Result<Response, Error> {
        if request.method() == "POST" {
            return request.body().read_to_text().map(Response::text);
        }
        let gate = Arc::clone(&gate);
        Ok(Response::stream(move |body| {
            body.flush()?; // so its head does not announce the last response
            gate.pass();
            Ok(())
        }))
    };
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(handler).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    running.drain();
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234");
    open.send(()).unwrap(); // the connection is idle next
    assert_eq!(client.response().status, 200);
    let answer = client.response();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("Retry-After").as_deref(), Some("1"));
    drop(client);
    assert!(running.join());
}

/// Regression: `u64::MAX` stood for an unknown length inside the library. The response had no
/// framing, and the next one came within its body.
#[test]
fn a_reader_length_of_u64_max_counts_as_unknown() {
    let server = serve(|_| Response::reader(&b"abc"[..], u64::MAX));
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    client.say(GET);
    assert_eq!(client.response().text(), "abc");
    assert_eq!(client.response().text(), "abc");
}

/// Regression: RFC 9110 §9.3.2 allows no body in a response to HEAD, and a 505 had one.
#[test]
fn a_head_request_of_an_unsupported_version_gets_no_body() {
    let server = serve(|_| "hello");
    let said = dialogue(server.local_addr(), "HEAD / HTTP/2.0\r\nHost: x\r\n\r\n");
    assert_eq!(statuses(&said), [505]);
    assert!(said.ends_with("\r\n\r\n"), "{said}");
}

#[derive(Debug)]
struct Bomb;

impl Read for Bomb {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(usize::MAX) // which no reader may return
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// Regression: a panic in the drop of a reader lost the response before it, which had been reported
/// as sent.
#[test]
fn a_reader_that_panics_on_drop_loses_no_earlier_response() {
    let server = serve(|request| match request.path() {
        "/bomb" => Response::reader(Bomb, 5),
        _ => Response::text("hello"),
    });
    let requests = format!("{GET}HEAD /bomb HTTP/1.1\r\nHost: x\r\n\r\n");
    let said = last_words(server.local_addr(), &[requests.as_bytes()]);
    assert!(said.contains("\r\n\r\nhello"), "{said}");
}

/// Regression: a panic in the drop of a replaced reader lost the 500 that replaced its response.
#[test]
fn a_reader_that_panics_when_replaced_leaves_the_500_whole() {
    let (server, events) = observed(Server::builder(), |_| {
        Response::reader(Bomb, 5).with_header("a", "b\r\nc: d")
    });
    let said = dialogue(server.local_addr(), GET);
    assert_eq!(statuses(&said), [500]);
    assert!(
        said.ends_with("\r\n\r\n500 Internal Server Error\n"),
        "{said}"
    );
    assert_eq!(events.take_panic(), "on purpose");
    events.take_until_closed(CloseReason::HandlerPanicked);
}

/// Regression: a panic in the drop of an upgrade's closure lost the response that was to replace the
/// 101, and the response before it, which had been reported as sent.
#[test]
fn a_closure_that_panics_when_its_upgrade_is_refused_leaves_a_500() {
    let (server, events) = observed(Server::builder(), |request| {
        if request.path() == "/" {
            return Response::text("hello");
        }
        let bomb = Bomb;
        let upgrade = Response::upgrade("a", move |_| drop(bomb));
        match request.path() {
            "/no-101" => upgrade.with_status(200),
            "/bad-header" => upgrade.with_header("a", "b\r\nc: d"),
            _ => upgrade, // the client has not offered it
        }
    });
    for path in ["/not-offered", "/no-101", "/bad-header"] {
        let requests = format!("{GET}GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let said = dialogue(server.local_addr(), requests);
        assert_eq!(statuses(&said), [200, 500], "{path}");
        assert!(
            said.ends_with("\r\n\r\n500 Internal Server Error\n"),
            "{path}: {said}"
        );
        assert_eq!(events.take_panic(), "on purpose", "{path}");
        events.take_until_closed(CloseReason::HandlerPanicked);
    }
}

#[derive(Debug)]
struct BombError(Bomb);

impl Display for BombError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }
}

impl std::error::Error for BombError {}

/// Regression: without a hook, the drop of an error was outside of what catches panics. The
/// response before it, which had been reported as sent, was lost.
#[test]
fn an_error_that_panics_on_drop_loses_no_earlier_response() {
    fn error() -> io::Error {
        io::Error::new(ErrorKind::Other, BombError(Bomb))
    }
    let server = serve(|request| match request.path() {
        "/error" => Err(Error::Io(error())),
        "/stream" => Ok(Response::stream(|_| Err(error()))),
        _ => Ok(Response::text("hello")),
    });
    for path in ["/error", "/stream"] {
        let requests = format!("{GET}GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let said = dialogue(server.local_addr(), requests);
        assert_eq!(statuses(&said), [200, 500], "{path}");
    }
}

struct CutOnDrop(Option<(Handle, ConnectionId)>);

impl Read for CutOnDrop {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(b'x');
        Ok(buf.len())
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some((handle, id)) = &self.0 {
            assert!(handle.close(*id));
        }
    }
}

/// Regression: a connection that was cut after the last byte of a response had been made, and
/// before any had left, was taken for one whose reader has more than was announced.
#[test]
fn a_response_that_a_cut_has_lost_is_not_reported() {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);
    let (server, events) = observed(Server::builder(), |request| {
        let handle = HANDLE.lock().unwrap().clone();
        let cut = handle.map(|handle| (handle, request.connection_id()));
        Response::reader(CutOnDrop(cut), 100)
    });
    *HANDLE.lock().unwrap() = Some(server.handle());
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    client.expect_end();
    assert_eq!(events.reason(1), CloseReason::ClosedByHandle);
    let is_response = |fact: &Fact| matches!(fact, Fact::Responded(..));
    assert!(!events.so_far().iter().any(is_response));
}

/// Regression: a reader that returned more than the size of its buffer was read for ever, even
/// after a destroy.
#[test]
fn a_reader_with_an_impossible_count_fails() {
    let (server, events) = observed(Server::builder(), |_| Response::reader(Bomb, None));
    let said = dialogue(server.local_addr(), GET);
    assert_eq!(statuses(&said), [500]);
    events.take_reason();
}

/// Regression: whether to call the handler was decided before the hook was called, so its destroy
/// came too late.
#[test]
fn destroy_in_the_request_hook_keeps_the_handler_from_running() {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);
    let builder = Server::builder().on_event(|event| {
        if matches!(event, hardstop::Event::Request { .. }) {
            HANDLE.lock().unwrap().as_ref().unwrap().destroy();
        }
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    *HANDLE.lock().unwrap() = Some(server.handle());
    let (called, calls) = channel();
    let called = Mutex::new(called);
    let running = server.spawn(move |_| {
        called.lock().unwrap().send(()).unwrap();
        StatusCode::OK
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.expect_end();
    assert!(running.join());
    assert!(calls.try_recv().is_err(), "the handler has been called");
}

/// Regression: the size of a file in `/proc` is 0, and that was sent as its length.
#[cfg(target_os = "linux")]
#[test]
fn a_file_without_a_size_is_sent_whole() {
    let server = serve(|_| {
        let file = std::fs::File::open("/proc/self/stat")?;
        Ok::<_, Error>(Response::file(file)?)
    });
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    assert!(client.response().text().len() > 50);
}

/// Regression: a path with bytes that browsers do not encode was refused, so pages of such names
/// could not be opened.
#[test]
fn a_path_with_bytes_that_browsers_leave_raw_is_served() {
    let server = serve(|request| String::from(request.path()));
    let mut client = Client::connect(server.local_addr());
    client.say("GET /[a]|b^ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "/[a]|b^");
}

/// Regression: a panic after a destroy was not reported.
#[test]
fn a_panic_caused_by_a_cut_is_reported() {
    let (called, calls) = channel();
    let called = Mutex::new(called);
    let (hook, facts) = recorder();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let running = server.unwrap().spawn(move |request| {
        called.lock().unwrap().send(()).unwrap();
        request.body().read_to_text().expect("the whole body")
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234");
    calls.recv_timeout(SOON).unwrap();
    running.destroy();
    facts.wait_for(|fact| matches!(fact, Fact::HandlerPanicked(1, _)));
}

/// Regression: a small body was refused as too slow after it had arrived whole, because of a pause
/// before it. The tests of `src/conn/rate.rs` have longer pauses, of a clock that they move.
#[test]
fn a_complete_body_is_not_too_slow() {
    let server = Server::builder().body_timeout(SOON).bind("127.0.0.1:0");
    let running = server
        .unwrap()
        .spawn(|request| request.body().read_to_text());
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    std::thread::sleep(SOON / 10); // a pause of a sixth of the timeout was too long
    client.say("hello");
    assert_eq!(client.response().text(), "hello");
}
