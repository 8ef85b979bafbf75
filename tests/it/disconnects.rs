//! `Request::is_disconnected`: a handler learns that its client has gone.

use crate::support::client::{assert_is_last, Client};
use crate::support::gate::Gate;
use crate::support::server::{assert_ends, observed, serve};
use crate::support::{until, GET, LONG, SHORT, SOON};
use hardstop::{CloseReason, Event, Request, Response, Running, Server};
use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";

/// How often a handler looks before it takes a client for present.
const LOOKS: usize = 20;

/// Looks until the client is gone. Returns whether it is, after [`SOON`] at the latest.
pub(crate) fn sees_end(request: &Request<'_>) -> bool {
    let began = Instant::now();
    while !request.is_disconnected() {
        if began.elapsed() > SOON {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Looks several times. Returns whether the client was there each time.
pub(crate) fn sees_client(request: &Request<'_>) -> bool {
    (0..LOOKS).all(|_| {
        thread::sleep(Duration::from_millis(1));
        !request.is_disconnected()
    })
}

/// A server whose handler of `/wait` reports that it has begun, looks until its client is gone, and
/// reports whether it is.
fn serve_waits() -> (Running, Receiver<bool>) {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = serve(move |request| {
        if request.path() == "/wait" {
            sender.send(sees_client(request)).unwrap();
            sender.send(sees_end(request)).unwrap();
        }
        "hello"
    });
    (server, seen)
}

#[test]
fn a_handler_sees_that_its_client_has_closed_or_reset_the_connection() {
    type End = fn(Client);
    let table: [(&str, End, &str); 3] = [
        ("", drop, "it closes"),
        (GET, drop, "it closes with a response unread, which resets"),
        (
            "",
            |client| client.stream.shutdown(Shutdown::Both).unwrap(),
            "it shuts both sides down",
        ),
    ];
    let (server, seen) = serve_waits();
    for (before, end, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(before);
        if !before.is_empty() {
            client.stream.peek(&mut [0]).unwrap();
        }
        client.say(WAIT);
        assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it was there");
        end(client);
        assert!(seen.recv_timeout(LONG).unwrap(), "{why}");
    }
}

#[test]
fn a_client_that_stays_is_seen_and_gets_its_response() {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = serve(move |request| {
        sender.send(sees_client(request)).unwrap();
        Response::stream(|body| body.write_all(&[b'x'; 3_000_000]))
    });
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        client.say(GET);
        assert!(seen.recv_timeout(SOON).unwrap());
        // The client reads late, so writing has to wait. For that, the socket must block again.
        thread::sleep(SHORT);
        assert_eq!(client.response().body.len(), 3_000_000);
    }
}

#[test]
fn a_client_that_has_half_closed_counts_as_gone_and_gets_its_response() {
    let (server, seen) = serve_waits();
    let mut client = Client::connect(server.local_addr());
    client.say(WAIT);
    assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(seen.recv_timeout(LONG).unwrap());
    assert_eq!(client.response().text(), "hello");
    client.expect_end();
}

#[test]
fn an_unread_body_hides_the_end_until_it_has_been_read() {
    let (gate, arrivals, open) = Gate::new();
    let (sender, seen) = mpsc::sync_channel(9);
    let server = serve(move |request| {
        gate.pass();
        sender.send(sees_client(request)).unwrap();
        let length = request.body().read_to_vec().map(|body| body.len());
        sender.send(length.ok() == Some(50_000)).unwrap();
        sender.send(sees_end(request)).unwrap();
        "hello"
    });
    let mut client = Client::connect(server.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n");
    client.say_bytes(&[b'x'; 50_000]);
    arrivals.recv_timeout(SOON).unwrap();
    drop(client);
    open.send(()).unwrap();
    for why in ["it is hidden", "the body is whole", "it is seen"] {
        assert!(seen.recv_timeout(LONG).unwrap(), "{why}");
    }
}

#[test]
fn a_body_that_comes_after_a_look_is_awaited() {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = serve(move |request| {
        sender.send(sees_client(request)).unwrap();
        Response::from(request.body().read_to_text().map(Response::text))
    });
    let mut client = Client::connect(server.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert!(seen.recv_timeout(SOON).unwrap());
    assert_eq!(client.response().status, 100);
    thread::sleep(SHORT); // the handler waits in the read
    client.say("hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_further_request_that_has_not_been_read_hides_the_end() {
    let (gate, arrivals, open) = Gate::new();
    let (sender, seen) = mpsc::sync_channel(9);
    let server = serve(move |request| {
        if request.path() == "/wait" {
            gate.pass();
            sender.send(sees_client(request)).unwrap();
        }
        "hello"
    });
    for closes in [false, true] {
        let mut client = Client::connect(server.local_addr());
        client.say(WAIT);
        arrivals.recv_timeout(SOON).unwrap();
        client.say(GET);
        if closes {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
        open.send(()).unwrap();
        assert!(seen.recv_timeout(SOON).unwrap(), "closes: {closes}");
        assert_eq!(client.response().text(), "hello");
        assert_eq!(client.response().text(), "hello", "nothing was taken");
    }
}

#[test]
fn a_further_request_that_came_with_the_first_hides_no_end() {
    let (server, seen) = serve_waits();
    let mut client = Client::connect(server.local_addr());
    client.say(&format!("{WAIT}{GET}"));
    assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(seen.recv_timeout(LONG).unwrap());
    for _ in 0..2 {
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn a_handler_that_is_cut_sees_its_client_as_gone() {
    let cuts: [fn(&Running); 3] = [
        |running| assert_eq!(running.destroy(), 1),
        |running| {
            let handle = running.handle();
            assert!(handle.close(handle.connections()[0].id));
        },
        |running| {
            running.shutdown(SHORT);
        },
    ];
    for cut in cuts {
        let (running, seen) = serve_waits();
        let mut client = Client::connect(running.local_addr());
        client.say(WAIT);
        assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
        client.say(GET); // what has not been read hides no cut
        cut(&running);
        assert!(seen.recv_timeout(LONG).unwrap());
        client.expect_end();
        running.destroy();
        assert_ends(&running);
    }
}

/// The handlers do nothing but look, so that a destroy meets them in any of its steps.
#[test]
fn destroy_ends_handlers_that_look_all_the_time() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (sender, begun) = mpsc::sync_channel(9);
    let running = server.spawn(move |request| {
        let _ = sender.try_send(());
        while !request.is_disconnected() {}
        "never sent"
    });
    let running = running.unwrap();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(running.local_addr());
        client.say(GET);
        begun.recv_timeout(SOON).unwrap();
        clients.push(client);
    }
    assert_eq!(running.destroy(), 4);
    for mut client in clients {
        client.expect_end();
    }
    assert_ends(&running);
}

#[test]
fn a_drain_hides_no_end_of_a_request_that_it_has_found_running() {
    let (running, seen) = serve_waits();
    let mut client = Client::connect(running.local_addr());
    client.say(WAIT);
    assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
    running.drain();
    drop(client);
    assert!(seen.recv_timeout(LONG).unwrap());
    assert_ends(&running);
}

/// Drains a server before a connection is idle, so that its reading side is ended once it is, and
/// handles the request that its client has sent by then.
fn drain_before_idle(request: &str) -> (Running, Client, Receiver<bool>) {
    let (gate, arrivals, open) = Gate::new();
    let (sender, seen) = mpsc::sync_channel(9);
    let builder = Server::builder().on_event(move |event| {
        if matches!(event, Event::Responded { .. }) {
            gate.pass();
        }
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        if request.path() == "/wait" {
            sender.send(sees_client(request)).unwrap();
        }
        if request.query().is_some() {
            sender.send(sees_end(request)).unwrap();
            sender.send(!sees_client(request)).unwrap();
        }
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    client.say(request);
    running.drain();
    drop(open);
    (running, client, seen)
}

#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", windows)),
    ignore = "a drain may lose the request there"
)]
#[test]
fn a_client_is_not_taken_for_gone_because_a_drain_has_ended_the_reading_side() {
    let (running, mut client, seen) = drain_before_idle(WAIT);
    assert!(seen.recv_timeout(SOON).unwrap());
    assert_eq!(client.response().text(), "hello");
    assert_is_last(client);
    assert_ends(&running);
}

#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", windows)),
    ignore = "a drain may lose the request there"
)]
#[cfg_attr(windows, ignore = "a reset looks like an end there")]
#[test]
fn a_reset_is_seen_where_a_drain_has_ended_the_reading_side() {
    let (running, client, seen) = drain_before_idle(&WAIT.replace("wait", "wait?reset"));
    assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
    client.stream.peek(&mut [0]).unwrap();
    drop(client); // which has not read the first response
    assert!(seen.recv_timeout(LONG).unwrap());
    assert!(seen.recv_timeout(SOON).unwrap(), "it stays lost");
    assert_ends(&running);
}

/// The look takes the error that the reset has left in the socket.
#[test]
fn a_reset_that_a_look_has_seen_is_still_reported() {
    let (running, events) = observed(Server::builder(), |request: &mut Request<'_>| {
        if request.path() == "/wait" {
            assert!(sees_end(request));
        }
        "hello"
    });
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.stream.peek(&mut [0]).unwrap();
    client.say(WAIT);
    until("the handler runs", || {
        let open = running.connections();
        open.iter()
            .any(|info| info.path.as_deref() == Some("/wait"))
    });
    drop(client);
    assert_eq!(events.take_reason(), CloseReason::PeerLost);
}

/// Regression: the rest of the body was said to have ended early, with a 400.
#[cfg_attr(windows, ignore = "a reset looks like an end there")]
#[test]
fn a_body_after_a_reset_that_a_look_has_seen_is_a_lost_connection() {
    let (running, events) = observed(Server::builder(), |request: &mut Request<'_>| {
        if request.path() == "/hello" {
            return Ok(String::new());
        }
        assert!(sees_end(request));
        request.body().read_to_text()
    });
    let mut client = Client::connect(running.local_addr());
    client.say("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream.peek(&mut [0]).unwrap();
    client.say("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    until("the handler runs", || {
        let open = running.connections();
        open.iter()
            .any(|info| info.path.as_deref() == Some("/wait"))
    });
    drop(client); // with the first response unread, which resets
    assert_eq!(events.take_failure(), "connection reset");
    assert_eq!(events.take_reason(), CloseReason::PeerLost);
}

#[test]
fn the_closure_of_a_stream_sees_that_its_client_has_gone_without_writing() {
    let (sender, seen) = mpsc::sync_channel(2);
    let server = serve(move |_| {
        let sender = sender.clone();
        Response::stream(move |body| {
            body.flush()?; // the head
            let was_there = (0..LOOKS).all(|_| {
                thread::sleep(Duration::from_millis(1));
                !body.is_disconnected()
            });
            sender.send(was_there).unwrap();
            let began = Instant::now();
            while !body.is_disconnected() && began.elapsed() < SOON {
                thread::sleep(Duration::from_millis(1));
            }
            sender.send(body.is_disconnected()).unwrap();
            Ok(())
        })
    });
    let mut client = Client::connect(server.local_addr());
    client.say(GET);
    assert_eq!(client.head_response().status, 200);
    assert!(seen.recv_timeout(SOON).unwrap(), "it was there");
    drop(client);
    assert!(seen.recv_timeout(LONG).unwrap());
}
