//! Promise 9: a failure is reported. It neither ends the server, nor makes it spin, nor leaks a
//! connection. `tests/isolated/descriptors.rs` and `tests/isolated/threads.rs` show servers without
//! descriptors and without threads.

use crate::support::client::Client;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{assert_ends, bring, serve_site, site, SLEEP};
use crate::support::{until, GET};
use hardstop::{CloseReason, ConnectionInfo, ConnectionState, Event, Response, Server};
use std::io::{self, Read};
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

// Panics.

#[test]
fn a_panicking_handler_is_answered_with_500_and_the_server_goes_on() {
    let (running, facts) = serve_site(Server::builder());
    let mut client = Client::connect(running.local_addr());
    client.say("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status, 500);
    assert!(
        !answer.text().contains("on purpose"),
        "it is no business of the client's"
    );
    client.expect_end();
    facts.wait_for(|fact| *fact == Fact::HandlerPanicked(1, String::from("on purpose")));
    assert_eq!(facts.reason(1), CloseReason::HandlerPanicked);
    let _other = Client::answered(running.local_addr());
    running.destroy();
    assert_ends(&running);
}

/// A reader that panics when it is read, or when it is dropped.
struct Bomb {
    goes_off_when_read: bool,
}

impl Read for Bomb {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!self.goes_off_when_read, "read");
        buf.fill(b'x');
        Ok(buf.len())
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !self.goes_off_when_read {
            panic!("dropped");
        }
    }
}

#[test]
fn a_panic_in_a_reader_or_closure_ends_only_its_connection() {
    let running = Server::builder()
        .bind("127.0.0.1:0")
        .unwrap()
        .spawn(|request| {
            let bomb = |goes_off_when_read| Bomb { goes_off_when_read };
            match request.path() {
                "/read" => Response::reader(bomb(true), 10),
                "/drop" => Response::reader(bomb(false), 10),
                "/closure" => Response::stream(|_| panic!("closure")),
                // The drop of a panic's payload may panic as well.
                "/payload" => panic_any(bomb(false)),
                _ => Response::text("hello"),
            }
        });
    let running = running.unwrap();
    for path in ["/read", "/drop", "/closure", "/payload"] {
        for method in ["GET", "HEAD"] {
            let mut client = Client::connect(running.local_addr());
            client.say(&format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ));
            client.expect_end();
        }
    }
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(client.response().text(), "hello");
    running.destroy();
    assert_ends(&running);
}

#[test]
fn a_panicking_hook_is_reported_and_stops_nothing() {
    for always in [false, true] {
        let (record, facts) = recorder();
        let builder = Server::builder().on_event(move |event| {
            record(event);
            if always || !matches!(event, Event::HookPanicked { .. }) {
                panic!("hook");
            }
        });
        let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
        for _ in 0..2 {
            let mut client = Client::connect(running.local_addr());
            client.say(GET);
            assert_eq!(client.response().text(), "hello");
        }
        running.destroy();
        assert_ends(&running);
        let told = facts.so_far();
        let complaints = told
            .iter()
            .filter(|fact| **fact == Fact::HookPanicked(String::from("hook")));
        assert_eq!(
            complaints.count() * 2,
            told.len(),
            "one for each other event: {told:?}"
        );
    }
}

// Too many connections.

#[test]
fn the_connection_that_has_been_idle_longest_makes_room() {
    let (running, facts) = serve_site(Server::builder().max_connections(3));
    let (handle, addr) = (running.handle(), running.local_addr());
    let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut first = bring(&handle, addr, GET, ConnectionState::Idle);
    let mut second = bring(&handle, addr, GET, ConnectionState::Idle);
    first.response();
    first.say(GET); // now the second one has been idle longest
    first.response();
    until("it is idle again", || {
        let open = handle.connections();
        open.iter()
            .any(|info| info.requests == 2 && info.state == ConnectionState::Idle)
    });
    let mut new = bring(&handle, addr, GET, ConnectionState::Idle);
    assert_eq!(new.response().status, 200);
    second.expect_end();
    assert_eq!(facts.reason(3), CloseReason::Evicted);
    assert_eq!(handle.connection_count(), 3);
    first.say(GET);
    assert_eq!(first.response().status, 200);
    running.destroy();
    assert_ends(&running);
}

/// Otherwise as many slow heads as there are places would keep out every other client.
#[test]
fn a_slow_head_makes_room_when_nobody_is_idle() {
    let (running, facts) = serve_site(Server::builder().max_connections(3));
    let (handle, addr) = (running.handle(), running.local_addr());
    let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut slow = bring(&handle, addr, "GET / HT", ConnectionState::Head);
    let mut idle = bring(&handle, addr, GET, ConnectionState::Idle);
    until("the head has had its second", || {
        let is_slow = |info: &ConnectionInfo| info.since.elapsed() > Duration::from_secs(1);
        handle.connections().iter().take(2).all(is_slow)
    });
    let _first = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    idle.expect_end();
    assert_eq!(facts.reason(3), CloseReason::Evicted);
    let _second = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    slow.expect_end();
    assert_eq!(facts.reason(2), CloseReason::Evicted);
    let mut third = Client::connect(addr);
    assert_eq!(third.response().status, 503);
    running.destroy();
    assert_ends(&running);
}

/// Otherwise a few clients a second that do not close their side would keep out every other client.
#[test]
fn a_lingering_connection_makes_room() {
    for _ in 0..10 {
        let (running, facts) = serve_site(Server::builder().max_connections(1));
        let mut lingering = Client::connect(running.local_addr());
        lingering.say("\0");
        assert_eq!(lingering.response().status, 400);
        let _new = Client::answered(running.local_addr());
        if facts.reason(1) == CloseReason::Evicted {
            return;
        } // else it lingered for its second, on a busy machine
    }
    panic!("a new client has to wait for it");
}

#[test]
fn a_client_over_the_limit_gets_503_with_retry_after() {
    let (running, facts) = serve_site(Server::builder().max_connections(1));
    let (handle, addr) = (running.handle(), running.local_addr());
    let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut new = Client::connect(addr);
    new.say(GET);
    let answer = new.response();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    new.expect_end();
    drop(new);
    assert_eq!(facts.reason(2), CloseReason::Busy);
    running.destroy();
    assert_ends(&running);
}

#[test]
fn clients_beyond_eight_refusals_are_dropped_and_reported() {
    let (record, facts) = recorder();
    let is_held = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&is_held);
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        record(event);
        // Blocks every refusal, so that there are eight of them at a time.
        if matches!(Fact::of(event), Fact::Opened(id) if id > 1) {
            until("the test lets them go", || !held.load(SeqCst));
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let (handle, addr) = (running.handle(), running.local_addr());
    let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut refused: Vec<Client> = (0..8).map(|_| Client::connect(addr)).collect();
    facts.wait_for(|fact| *fact == Fact::Opened(9));
    assert!(!facts.so_far().contains(&Fact::Rejected));
    let mut ninth = Client::connect(addr);
    ninth.expect_end();
    facts.wait_for(|fact| *fact == Fact::Rejected);
    is_held.store(false, SeqCst);
    for client in &mut refused {
        assert_eq!(client.response().status, 503);
    }
    running.destroy();
    assert_ends(&running);
}

// No thread.

#[test]
fn a_connection_without_a_thread_is_reported_and_gets_503() {
    // A quarter of the address space could be had on a 32-bit system. Three quarters are nowhere.
    let builder = Server::builder().stack_size(usize::MAX / 4 * 3);
    let (running, facts) = serve_site(builder);
    let addr = running.local_addr();
    for _ in 0..3 {
        let mut client = Client::connect(addr);
        assert_eq!(client.response().status, 503);
        client.expect_end();
    }
    until("all three are reported", || {
        let told = facts.so_far();
        told.iter()
            .filter(|fact| **fact == Fact::SpawnFailed)
            .count()
            == 3
    });
    assert_eq!(facts.so_far().len(), 3, "never opened, so never closed");
    running.destroy();
    assert_ends(&running);
    assert!(Client::try_connect(addr).is_err());
}
