//! What was wrong once, each with the test that showed it.

use crate::support::client::Client;
use crate::support::dialogue::{dialogue, last_words, statuses};
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{observed, serve};
use crate::support::{until, GET, SOON};
use hardstop::{CloseReason, ConnectionState, Error, Request, Response, Server, StatusCode};
use std::io::{self, Read, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the client had sent meanwhile lay in the kernel; closing over it reset the connection, and the end of the
/// last response was lost.
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
    until("nothing more is written", || {
        let connections = running.handle().connections();
        let state = connections.first().map(|info| info.state);
        state.map_or(true, |state| state == ConnectionState::Closing)
    });
    assert_eq!(client.response().body.len(), 1_000_000);
    client.expect_end();
}

/// A client that had connected a moment before was thrown out for the next one, its request on the way.
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
        } // else it had its second, on a machine that is busy
    }
}

/// It never fired, and whoever slept on it slept on.
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

/// The rest of a body that had not arrived when a drain came was taken for its end, and the request called malformed,
/// which a client does not send again.
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
            body.flush()?; // its head does not say that it is the last
            gate.pass();
            Ok(())
        }))
    };
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(handler).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    running.handle().drain();
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234");
    open.send(()).unwrap(); // the connection is idle next
    assert_eq!(client.response().status, 200);
    let answer = client.response();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("Retry-After").as_deref(), Some("1"));
    drop(client);
    assert!(running.join());
}

/// The largest length stood for none, and the next response came within this one.
#[test]
fn a_reader_length_of_u64_max_counts_as_unknown() {
    let server = serve(|_| Response::reader(&b"abc"[..], u64::MAX));
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    client.say(GET);
    assert_eq!(client.response().text(), "abc");
    assert_eq!(client.response().text(), "abc");
}

/// RFC 9110 §9.3.2: no answer to HEAD has a body, not even one to a version that is not served.
#[test]
fn a_head_request_of_an_unsupported_version_gets_no_body() {
    let server = serve(|_| "hello");
    let said = dialogue(server.local_addr(), "HEAD / HTTP/2.0\r\nHost: x\r\n\r\n");
    assert_eq!(statuses(&said), [505]);
    assert!(said.ends_with("\r\n\r\n"), "{said}");
}

struct Bomb;

impl Read for Bomb {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(usize::MAX) // no reader may
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// It took the response before it along, which had been told as sent.
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

/// It took along the 500 that stood in for its response.
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

/// It was read for ever, destroy or not.
#[test]
fn a_reader_with_an_impossible_count_fails() {
    let (server, events) = observed(Server::builder(), |_| Response::reader(Bomb, None));
    let said = dialogue(server.local_addr(), GET);
    assert_eq!(statuses(&said), [200]);
    events.take_reason();
}

/// The decision was made before the hook was called, and stood.
#[test]
fn destroy_in_the_request_hook_keeps_the_handler_from_running() {
    static HANDLE: Mutex<Option<hardstop::Handle>> = Mutex::new(None);
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

/// Its length was said to be 0, as that of a file.
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

/// Browsers leave these bytes as they are, so pages of such names could not be opened.
#[test]
fn a_path_with_bytes_that_browsers_leave_raw_is_served() {
    let server = serve(|request| String::from(request.path()));
    let mut client = Client::connect(server.local_addr());
    client.say("GET /[a]|b^ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "/[a]|b^");
}

/// The panic came after the destroy, on which the connection ended without a word about it.
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

/// A small body that had come whole was refused for a pause before it.
#[test]
fn a_complete_body_is_not_too_slow() {
    let running = serve(|request| request.body().read_to_text());
    let mut client = Client::connect(running.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    std::thread::sleep(Duration::from_millis(6500)); // longer than the rate is left alone
    client.say("hello");
    assert_eq!(client.response().text(), "hello");
}
