//! Promise 6: a shutdown drains the server, and destroys the rest at its deadline.

use crate::support::client::{assert_is_last, Client};
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{assert_ends, assert_port_is_free, bring, serve_site, site, SLEEP};
use crate::support::{until, GET, LONG, SHORT, SOON};
use hardstop::{CloseReason, ConnectionState, Event, Handle, Outcome, Phase, Running, Server};
use std::sync::mpsc::{self};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn shutdown_returns_after_the_last_connection() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut idle = bring(&handle, addr, GET, ConnectionState::Idle);
    let say = "GET /until-stop HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut busy = bring(&handle, addr, say, ConnectionState::Handling);
    let began = Instant::now();
    assert_eq!(handle.shutdown(LONG), Outcome::Drained);
    assert!(began.elapsed() < SOON);
    assert_eq!(busy.response().text(), "told: true");
    idle.expect_end();
    assert_eq!(
        handle.shutdown(Duration::ZERO),
        Outcome::Drained,
        "asked again"
    );
    assert_ends(&running);
}

#[test]
fn shutdown_cuts_the_rest_at_its_deadline() {
    for grace in [Duration::ZERO, SHORT] {
        let (running, facts) = serve_site(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let began = Instant::now();
        let outcome = running.shutdown(grace);
        assert!(
            matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
            "{outcome:?}"
        );
        assert!(began.elapsed() >= grace && began.elapsed() < SOON);
        client.expect_end();
        assert_port_is_free(addr);
        assert_ends(&running);
        assert_eq!(facts.reason(1), CloseReason::Destroyed);
    }
}

#[test]
fn the_tightest_deadline_wins_and_all_callers_get_the_same_outcome() {
    let second_calls: [fn(&Running) -> Duration; 3] = [
        |running| {
            let outcome = running.shutdown(SHORT);
            assert!(
                matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
                "{outcome:?}"
            );
            LONG // of the first call
        },
        |running| {
            let outcome = running.shutdown(LONG); // must not restart the first call's clock
            assert!(
                matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
                "{outcome:?}"
            );
            SHORT * 4
        },
        |running| {
            assert_eq!(running.destroy(), 1);
            LONG
        },
    ];
    for (second_call, first_grace) in second_calls.into_iter().zip([LONG, SHORT * 4, LONG]) {
        let (running, _facts) = serve_site(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let began = Instant::now();
        thread::scope(|scope| {
            let first = scope.spawn(|| handle.shutdown(first_grace));
            until("the drain has begun", || handle.phase() != Phase::Accepting);
            second_call(&running);
            let outcome = first.join().unwrap();
            assert!(
                matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
                "{outcome:?}"
            );
        });
        assert!(began.elapsed() < SOON);
        client.expect_end();
        assert_ends(&running);
    }
}

#[test]
fn an_unbounded_shutdown_is_a_drain() {
    let (running, _facts) = serve_site(Server::builder());
    let _idle = bring(
        &running.handle(),
        running.local_addr(),
        GET,
        ConnectionState::Idle,
    );
    assert_eq!(running.shutdown(Duration::MAX), Outcome::Drained);
    assert_ends(&running);
}

/// Regression: the outcome was `Drained` if `close` had cut all connections that were left at the
/// deadline.
#[test]
fn shutdown_is_not_drained_while_a_handler_runs() {
    let (gate, arrivals, open) = Gate::new();
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        gate.pass();
        "never sent"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    assert!(running.close(running.connections()[0].id));
    let outcome = running.shutdown(SHORT);
    drop(open);
    assert!(matches!(outcome, Outcome::Destroyed { .. }), "{outcome:?}");
    assert_ends(&running);
}

#[test]
fn shutdown_from_a_handler_keeps_its_deadline() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, (sender, answers)) = (server.handle(), mpsc::sync_channel(9));
    let running = server.spawn(move |request| {
        let outcome = handle.shutdown(SHORT);
        let fired = request.cancel_token().wait_timeout(LONG);
        sender.send((outcome, fired)).unwrap();
        "never sent"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(
        answers.recv_timeout(SOON).unwrap(),
        (Outcome::Pending, true)
    );
    client.expect_end();
    assert_ends(&running);
    let outcome = running.shutdown(LONG);
    assert!(
        matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
        "{outcome:?}"
    );
}

#[test]
fn shutdown_before_run_waits_for_connected_clients() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut client = Client::connect(addr).queued();
    client.say(GET);
    thread::scope(|scope| {
        let outcome = scope.spawn(|| handle.shutdown(LONG));
        until("the drain has begun", || handle.phase() != Phase::Accepting);
        server.run(site);
        assert_eq!(outcome.join().unwrap(), Outcome::Drained);
    });
    assert_is_last(client);

    let server = Server::bind("127.0.0.1:0").unwrap();
    let mut client = Client::connect(server.local_addr()).queued();
    let outcome = server.handle().shutdown(SHORT); // it never runs
    assert_eq!(outcome, Outcome::Destroyed { cut: 1 });
    client.expect_end();

    let server = Server::bind("127.0.0.1:0").unwrap();
    assert_eq!(server.handle().shutdown(LONG), Outcome::Drained);
    server.run(site); // returns at once
}

#[test]
fn shutdown_after_a_drain_sets_a_deadline() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    handle.drain();
    assert_eq!(handle.shutdown(SHORT), Outcome::Destroyed { cut: 1 });
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn concurrent_shutdowns_all_return_the_number_cut() {
    for destroys in [false, true] {
        let (running, _facts) = serve_site(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let sleep = |_| bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let mut clients: Vec<Client> = (0..3).map(sleep).collect();
        let began = Instant::now();
        let graces = [LONG, if destroys { LONG } else { SHORT }, LONG, LONG];
        thread::scope(|scope| {
            let handle = &handle;
            let outcomes = graces.map(|grace| scope.spawn(move || handle.shutdown(grace)));
            if destroys {
                until("the drain has begun", || {
                    running.phase() != Phase::Accepting
                });
                assert_eq!(running.destroy(), 3);
            }
            for outcome in outcomes {
                assert_eq!(outcome.join().unwrap(), Outcome::Destroyed { cut: 3 });
            }
        });
        assert!(began.elapsed() < SOON);
        clients.iter_mut().for_each(Client::expect_end);
        assert_ends(&running);
    }
}

#[test]
fn the_phase_only_moves_forward() {
    let (running, _facts) = serve_site(Server::builder());
    let handle = running.handle();
    let _client = bring(
        &handle,
        running.local_addr(),
        SLEEP,
        ConnectionState::Handling,
    );
    assert_eq!(handle.phase(), Phase::Accepting);
    handle.drain();
    handle.drain();
    assert_eq!(handle.phase(), Phase::Draining);
    assert_eq!(handle.destroy(), 1);
    handle.drain();
    assert_eq!(handle.phase(), Phase::Destroyed);
    assert!(matches!(
        handle.shutdown(LONG),
        Outcome::Destroyed { cut: 1, .. }
    ));
    assert_ends(&running);
}

/// Regression: only the accept loop kept the deadline of a `shutdown` that cannot wait, and a hook
/// can block that loop.
#[test]
fn a_pending_shutdown_keeps_its_deadline_while_a_hook_blocks_the_accept_thread() {
    let (record, facts) = recorder();
    let (hook_gate, arrivals, open) = Gate::new();
    let (handler_gate, handlers, release) = Gate::new();
    let handle = Arc::new(Mutex::new(None::<Handle>));
    let cell = Arc::clone(&handle);
    let outcome = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&outcome);
    // Eight refusals are blocked in their hook, so the next client is dropped, on the accept
    // thread.
    let (held, _, hold) = Gate::new();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        record(event);
        match event {
            Event::Opened { id, .. } if u64::from(*id) > 1 => held.pass(),
            Event::Rejected { .. } => {
                let handle = cell.lock().unwrap().clone().unwrap();
                let shutdown = handle.shutdown(Duration::from_millis(200));
                *seen.lock().unwrap() = Some(shutdown);
                hook_gate.pass();
            }
            _ => {}
        }
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    *handle.lock().unwrap() = Some(server.handle());
    let running = server.spawn(move |_| {
        handler_gate.pass();
        "hello"
    });
    let running = running.unwrap();
    let mut busy = Client::connect(running.local_addr());
    busy.say(GET);
    handlers.recv_timeout(SOON).unwrap();
    let refused: Vec<Client> = (0..8)
        .map(|_| Client::connect(running.local_addr()))
        .collect();
    facts.wait_for(|fact| *fact == Fact::Opened(9));
    let _turned_away = Client::connect(running.local_addr());
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(*outcome.lock().unwrap(), Some(Outcome::Pending));
    busy.expect_end(); // though the handler has not returned, and the accept thread is in the hook
    assert_eq!(running.phase(), Phase::Destroyed);
    drop((release, hold, refused));
    open.send(()).unwrap();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}
