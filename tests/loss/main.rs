//! Promises 1, 6 and 7 under load: what a stop loses, counted. `cargo test --test loss --
//! --nocapture` shows the tables.
//!
//! Everything about a request follows from its number, so a response shows which request it belongs
//! to and whether it is complete. The order of events is decided by stamps, counted from 0 in each
//! round, and not by clocks.
//!
//! The tests need a process of their own: they load the machine and measure times.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod messages;
mod notes;
mod random;
mod table;

use clients::{is_timeout, kept_alive, pipelining, reconnecting, Clients};
use hardstop::{Outcome, Response, Server};
use notes::{locked, End};
use random::Random;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::{GET, SOON};
use table::{unanswered, Table};

const CLIENTS: usize = 32;

/// The tests run one after the other, as they load the machine and measure times.
static ALONE: Mutex<()> = Mutex::new(());

const GRACE: Duration = Duration::from_secs(5);

#[test]
fn shutdown_under_load_loses_no_request() {
    let _alone = locked(&ALONE);
    let (clients, mut table) = (Clients::new(&[reconnecting]), Table::default());
    for n in 0..200 {
        let (round, running) = clients.begin(n * 100_000, 1 + n * 7 % 193);
        let (called, began) = (round.stamp(), Instant::now());
        assert_eq!(running.shutdown(GRACE), Outcome::Drained, "in round {n}");
        table.time("shutdown", began.elapsed());
        clients.end();
        assert!(running.join());
        table.count(&round, called, |note| note.connected);
        let lost = unanswered(&round);
        assert!(
            lost.is_empty(),
            "opened, and not answered, in round {n}: {lost:?}"
        );
    }
    assert_eq!((table.truncated, table.sent_away), (0, 0));
    // None of these was opened. `connect` may return before the listener has seen the last packet
    // of the handshake. Such a connection is rare, and is reset when the port closes. A drain that
    // ignored the accept queue would lose some in every round.
    assert!(
        table.nothing_before * 50 <= table.rounds,
        "{}",
        table.nothing_before
    );
    table.print("shutdown under load");
}

#[test]
fn destroy_under_load_truncates_nothing_that_looks_whole() {
    let _alone = locked(&ALONE);
    let (clients, mut table) = (
        Clients::new(&[reconnecting, reconnecting, reconnecting, pipelining]),
        Table::default(),
    );
    let mut random = Random::new();
    for n in 0..200 {
        let (round, running) = clients.begin(n * 100_000, 1 + random.below(200));
        for _ in 0..random.below(8) {
            thread::yield_now();
        }
        round.is_over.store(true, SeqCst);
        let (called, began) = (round.stamp(), Instant::now());
        running.destroy();
        let returned = round.stamp();
        table.time("destroy", began.elapsed());
        assert!(
            running.wait_timeout(SOON),
            "a connection is left in round {n}"
        );
        table.time("wait returns after", began.elapsed());
        let last_end = clients.end();
        table.time("the last client has seen its end after", last_end - began);
        assert!(running.join());
        table.count(&round, called, |note| note.sent);
        for call in locked(&round.calls)
            .iter()
            .filter(|call| call.stamp > returned)
        {
            assert!(
                call.is_told,
                "decided after the destroy in round {n}: {call:?}"
            );
            table.late_calls += 1;
        }
    }
    // A thread is rarely preempted between the decision to call a handler and the handler's first
    // line.
    assert!(
        table.late_calls * 50 <= table.rounds,
        "{}",
        table.late_calls
    );
    table.assert_times();
    table.print("destroy under load");
}

/// A drain shuts down the reading side of idle connections. Only on Linux can bytes in the kernel's
/// queue be read after that.
#[cfg(target_os = "linux")]
#[test]
fn drain_answers_requests_already_sent_on_keep_alive_connections() {
    let _alone = locked(&ALONE);
    let (clients, mut table) = (Clients::new(&[kept_alive]), Table::default());
    for n in 0..100 {
        let (round, running) = clients.begin(n * 100_000, 32 + n * 7 % 193);
        let (called, began) = (round.stamp(), Instant::now());
        assert_eq!(running.shutdown(GRACE), Outcome::Drained, "in round {n}");
        table.time("shutdown", began.elapsed());
        clients.end();
        assert!(running.join());
        table.count(&round, called, |note| note.sent);
        for note in locked(&round.notes)
            .iter()
            .filter(|note| note.sent < called)
        {
            assert!(
                matches!(note.end, End::Whole { .. }),
                "in round {n}: {note:?}"
            );
        }
    }
    assert_eq!(table.truncated, 0);
    table.print("shutdown under load, kept alive");
}

#[test]
fn an_event_stream_ends_soon_after_destroy() {
    let _alone = locked(&ALONE);
    let mut table = Table::default();
    for n in 0..200 {
        let (sender, ended) = mpsc::channel();
        let server = Server::bind("127.0.0.1:0").unwrap();
        let running = server.spawn(move |request| {
            let (token, sender) = (request.cancel_token(), sender.clone());
            let pause = Duration::from_secs(if n % 2 == 0 { 60 } else { 0 });
            let events = Response::stream(move |body| {
                let mut tick = || {
                    body.write_all(b"data: tick\n\n")
                        .and_then(|()| body.flush())
                };
                while tick().is_ok() && !token.wait_timeout(pause) {}
                sender.send(Instant::now()).unwrap();
                Ok(())
            });
            events.with_header("Content-Type", "text/event-stream")
        });
        let running = running.unwrap();
        let mut client = TcpStream::connect(running.local_addr()).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        let mut events = BufReader::new(client).lines();
        let is_event = |line: io::Result<String>| line.unwrap().starts_with("data: ");
        assert!(events.any(is_event));
        let began = Instant::now();
        assert_eq!(running.destroy(), 1);
        let end = ended.recv_timeout(SOON).unwrap();
        table.time(
            "its handler ends after",
            end.saturating_duration_since(began),
        );
        let stuck = events.find_map(|line| line.err().filter(is_timeout));
        assert!(stuck.is_none(), "its client has not seen the end");
        table.time("its client has seen the end after", began.elapsed());
        assert!(running.join());
        table.time("join returns after", began.elapsed());
    }
    println!("a stream of events and a destroy: 200 rounds");
    table.print_times();
    table.assert_times();
}
