//! The lingering close: after a last response, what the client still sends is read, so that no
//! reset destroys the response on its way.

use crate::support::client::{assert_is_last, Client};
use crate::support::recorder::{Fact, Recorder};
use crate::support::server::{assert_ends, bring, observed, SLEEP};
use crate::support::{until, OnDrop, GET, LONG};
use hardstop::{
    Builder, CloseReason, ConnectionState, Error, Outcome, Request, Response, Running, Server,
};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Changes a setting.
type Set = fn(Builder) -> Builder;

/// How often a slow client sends something.
const PAUSE: Duration = Duration::from_millis(50);

fn answer(request: &mut Request<'_>) -> Result<Response, Error> {
    match request.path() {
        "/early" => Ok(Response::text("early").with_close()),
        "/too-large" => {
            request.body().set_limit(3);
            request.body().read_to_vec()?;
            Ok(Response::text("read"))
        }
        "/sleep" => {
            request.cancel_token().wait_timeout(LONG);
            Ok(Response::text("slept"))
        }
        _ => Ok(Response::text("hello")),
    }
}

fn upload(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n")
}

/// Sends so many bytes at a time, until it is stopped or the connection is gone.
fn send_slowly(mut tcp: &TcpStream, bytes: usize, stop: &AtomicBool) {
    while !stop.load(SeqCst) && tcp.write_all(&vec![b'x'; bytes]).is_ok() {
        thread::sleep(PAUSE); // a slow client, not a wait
    }
}

/// Calls `check` while a client sends what follows a last response.
fn while_lingering(addr: SocketAddr, request: &str, bytes: usize, check: impl FnOnce(&mut Client)) {
    let mut client = Client::connect(addr);
    client.say(request);
    let sender = client.stream.try_clone().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| send_slowly(&sender, bytes, &stop));
        let _stop = OnDrop(|| stop.store(true, SeqCst));
        check(&mut client);
    });
}

/// Regression: the lingering close lasted for a second in all. A client that sent 60 KB at 20 KB/s,
/// and read only then, lost the response.
#[test]
fn a_slow_upload_gets_its_early_answer() {
    let settings: [(Set, &str); 4] = [
        (|builder| builder, "the default"),
        (|builder| builder.min_rate(None), "no rate"),
        (|builder| builder.body_timeout(None), "no timeout"),
        (|builder| builder.transport(|tcp, _| Ok(tcp)), "a transport"),
    ];
    thread::scope(|scope| {
        for (set, why) in settings {
            for (path, status) in [("/early", 200), ("/too-large", 413)] {
                scope.spawn(move || {
                    let (running, _facts) = observed(set(Server::builder()), answer);
                    let mut client = Client::connect(running.local_addr());
                    client.say(&format!(
                        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
                    ));
                    for _ in 0..60 {
                        thread::sleep(PAUSE); // a slow client, not a wait
                        client.say_bytes(&[b'x'; 1000]);
                    }
                    assert_eq!(client.response().status, status, "{path}, {why}");
                });
            }
        }
    });
}

/// Brings a client's connection to a lingering close, and has the client go on for longer than a
/// silent one might.
fn wait_until_it_lingers_long(running: &Running) {
    until("the connection has lingered for long", || {
        let open = running.connections();
        open.iter().any(|info| {
            let is_lingering = info.state == ConnectionState::Closing;
            is_lingering && info.since.elapsed() > Duration::from_millis(1500)
        })
    });
}

#[test]
fn a_connection_that_lingers_for_long_makes_room_at_any_time() {
    let (running, facts) = observed(Server::builder().max_connections(1), answer);
    let addr = running.local_addr();
    while_lingering(addr, &upload("/early"), 1000, |_| {
        wait_until_it_lingers_long(&running);
        drop(Client::answered(addr));
    });
    assert_eq!(facts.reason(1), CloseReason::Evicted);
}

#[test]
fn a_destroy_ends_a_lingering_close_at_once() {
    let (running, facts) = observed(Server::builder(), answer);
    while_lingering(running.local_addr(), &upload("/early"), 1000, |_| {
        wait_until_it_lingers_long(&running);
        assert_eq!(running.destroy(), 1);
        assert_ends(&running);
    });
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[test]
fn a_drain_ends_a_lingering_close_at_its_deadline() {
    let (running, facts) = observed(Server::builder(), answer);
    while_lingering(running.local_addr(), &upload("/early"), 1000, |_| {
        wait_until_it_lingers_long(&running);
        let outcome = running.shutdown(PAUSE);
        assert_eq!(outcome, Outcome::Destroyed { cut: 1 });
    });
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

/// The client gets its response, although the drain has begun long before it has sent its request.
#[test]
fn a_drain_waits_for_a_lingering_close_until_its_deadline() {
    let (running, facts) = observed(Server::builder(), answer);
    let mut client = Client::connect(running.local_addr());
    client.say(&upload("/early"));
    facts.wait_for(|fact| matches!(fact, Fact::Responded(..)));
    running.drain();
    for _ in 0..40 {
        thread::sleep(PAUSE); // a slow client, not a wait
        client.say_bytes(&[b'x'; 1000]);
    }
    assert_eq!(client.response().text(), "early");
    drop(client);
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Completed);
}

/// Waits for the end of the first connection, which the client does not bring about.
fn assert_ends_by_itself(facts: &Recorder, why: &str) {
    let is_end = |fact: &Fact| matches!(fact, Fact::Closed(1, ..));
    let end = facts.wait_for(is_end);
    let reason = match end {
        Fact::Closed(_, reason, _) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, CloseReason::Completed, "{why}");
}

#[test]
fn a_lingering_close_is_bounded_whatever_the_client_does() {
    let complete = "GET /early HTTP/1.1\r\nHost: x\r\n\r\n";
    let upload = &upload("/early");
    // No timeout can be made shorter there, so only `body_timeout` ends a drip.
    let drip: Set = if cfg!(any(target_os = "illumos", target_os = "solaris")) {
        |builder| builder.body_timeout(PAUSE)
    } else {
        |builder| builder
    };
    let table: [(Set, &str, usize, &str); 5] = [
        (|builder| builder, complete, 0, "silence"),
        (|builder| builder, upload, 0, "silence in a body"),
        (drip, upload, 1, "a drip"),
        (
            |builder| builder.body_timeout(PAUSE),
            upload,
            1000,
            "the body timeout is over",
        ),
        (|builder| builder, upload, 1 << 20, "a flood"),
    ];
    thread::scope(|scope| {
        for (set, request, bytes, why) in table {
            scope.spawn(move || {
                let (running, facts) = observed(set(Server::builder()), answer);
                while_lingering(running.local_addr(), request, bytes, |_| {
                    assert_ends_by_itself(&facts, why);
                });
            });
        }
    });
}

/// Few clients at a time are refused, so a slow one must not keep others from being told.
#[test]
fn a_refused_client_that_goes_on_sending_is_closed_soon() {
    let (running, facts) = observed(Server::builder().max_connections(1), answer);
    let addr = running.local_addr();
    let _busy = bring(&running.handle(), addr, SLEEP, ConnectionState::Handling);
    while_lingering(addr, &upload("/early"), 1000, |client| {
        assert_eq!(client.response().status, 503);
        assert_eq!(facts.reason(2), CloseReason::Busy);
    });
}

/// Clients in the queue of a drain take turns, and a slow one must not hold up the others.
#[test]
fn a_lingering_close_does_not_hold_up_the_queue_of_a_drain() {
    let server = Server::builder().max_connections(1);
    let server = server.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut slow = Client::connect(addr).queued();
    let mut next = Client::connect(addr).queued();
    handle.drain();
    slow.say(&upload("/early"));
    next.say(GET);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| send_slowly(&slow.stream, 1000, &stop));
        scope.spawn(move || server.run(answer));
        let _end = OnDrop(|| {
            stop.store(true, SeqCst);
            handle.destroy();
        });
        assert_is_last(next);
    });
}
