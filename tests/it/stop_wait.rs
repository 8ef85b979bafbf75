//! Promises 4 and 8: waiting for the end of a server, and owning it. `tests/isolated/leak.rs`
//! counts its descriptors and threads.

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::Fact;
use crate::support::server::{
    assert_ends, assert_port_is_free, bring, serve_site, site, SLEEP, STATES,
};
use crate::support::{until, OnDrop, GET, LONG, SHORT, SOON};
use hardstop::{CloseReason, ConnectionState, Outcome, Phase, Running, Server};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

// Promise 4.

#[test]
fn the_handler_is_dropped_when_wait_returns() {
    for (say, state, name) in STATES {
        let shared = Arc::new(());
        let captured = Arc::clone(&shared);
        let server = Server::bind("127.0.0.1:0").unwrap();
        let running = server.spawn(move |request| {
            let _captured = &captured;
            site(request)
        });
        let running = running.unwrap();
        let handle = running.handle();
        let _client = bring(&handle, running.local_addr(), say, state);
        handle.destroy();
        assert!(handle.wait_timeout(SOON), "{name}");
        assert!(handle.wait(), "a second time: at once");
        Arc::try_unwrap(shared).expect(name);
    }
}

#[test]
fn wait_returns_after_the_last_closed_hook() {
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let builder = Server::builder().on_event(move |event| {
        if matches!(Fact::of(event), Fact::Closed(..)) {
            thread::sleep(SHORT); // so that a wait that returns too early is seen
            counter.fetch_add(1, SeqCst);
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let (handle, addr) = (running.handle(), running.local_addr());
    let _one = bring(&handle, addr, GET, ConnectionState::Idle);
    let _other = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    handle.destroy();
    assert!(handle.wait_timeout(SOON));
    assert_eq!(told.load(SeqCst), 2);
}

#[test]
fn wait_timeout_ends_while_the_server_accepts() {
    let (running, _facts) = serve_site(Server::builder());
    assert!(!running.wait_timeout(SHORT));
    assert_eq!(
        running.phase(),
        Phase::Accepting,
        "it does not stop the server"
    );
}

#[test]
fn wait_on_a_server_thread_returns_at_once() {
    let cell = Arc::new(Mutex::new(None::<Running>));
    let (sender, answers) = mpsc::sync_channel(9);
    let ask = {
        let cell = Arc::clone(&cell);
        move |place: &'static str| {
            let running = cell.lock().unwrap();
            let running = running.as_ref().unwrap();
            let handle = running.handle();
            let waits = [handle.wait(), handle.wait_timeout(LONG), running.join()];
            let outcome = handle.shutdown(LONG);
            sender.send((place, waits, outcome)).unwrap();
        }
    };
    let (in_hook, in_drop) = (ask.clone(), ask.clone());
    let builder = Server::builder().on_event(move |event| match Fact::of(event) {
        Fact::Opened(_) => in_hook("opened"),
        Fact::Closed(..) => in_hook("closed"),
        _ => {}
    });
    let guard = OnDrop(move || in_drop("drop of the handler"));
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let running = server.spawn(move |_| {
        let _guard = &guard;
        ask("handler");
        gone.lock().unwrap().recv_timeout(LONG).unwrap();
        "hello"
    });
    let addr = handle_addr(&cell, running.unwrap());
    let mut client = Client::connect(addr);
    client.say(GET);
    for place in ["opened", "handler", "closed", "drop of the handler"] {
        let answer = answers.recv_timeout(SOON).unwrap();
        assert_eq!(answer, (place, [false; 3], Outcome::Pending));
        if place == "handler" {
            go.send(()).unwrap();
            assert_eq!(client.response().text(), "hello"); // the drain lets the handler finish
        }
    }
    assert_ends(cell.lock().unwrap().as_ref().unwrap());
}

#[test]
fn run_lets_the_handler_borrow_and_returns_after_the_last_connection() {
    let calls = AtomicUsize::new(0);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::connect(addr);
            client.say(GET);
            assert_eq!(client.response().text(), "hello");
            client.say(SLEEP);
            until("it waits", || calls.load(SeqCst) == 2);
            handle.destroy();
            client.expect_end();
        });
        server.run(|request| {
            calls.fetch_add(1, SeqCst);
            site(request)
        });
    });
    assert_eq!(calls.into_inner(), 2);
    assert_port_is_free(addr);
}

#[test]
fn a_detached_server_runs_until_a_handle_stops_it() {
    let (running, _facts) = serve_site(Server::builder());
    let addr = running.local_addr();
    let handle = running.detach();
    let mut client = Client::answered(addr);
    assert_eq!(handle.destroy(), 1);
    client.expect_end();
    assert!(handle.wait_timeout(SOON));
}

#[test]
fn dropping_the_owner_destroys_without_waiting() {
    let (gate, arrivals, open) = Gate::new();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let running = server.spawn(move |_| {
        gate.pass();
        "never sent"
    });
    let mut client = Client::connect(addr);
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    drop(running);
    client.expect_end();
    assert_port_is_free(addr);
    assert!(
        !handle.wait_timeout(Duration::ZERO),
        "the handler still runs"
    );
    drop(open);
    assert!(handle.wait_timeout(SOON));
}

#[test]
fn a_handler_can_own_its_server() {
    let cell = Arc::new(Mutex::new(None::<Running>));
    let owner = Arc::clone(&cell);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let handle = server.handle();
    let running = server.spawn(move |_| {
        owner.lock().unwrap().as_ref().map(Running::destroy);
        "hello"
    });
    let addr = handle_addr(&cell, running.unwrap());
    drop(cell); // now only the handler owns the server, and drops it with itself
    Client::connect(addr).say(GET);
    assert!(handle.wait_timeout(SOON));
}

fn handle_addr(cell: &Mutex<Option<Running>>, running: Running) -> SocketAddr {
    let addr = running.local_addr();
    *cell.lock().unwrap() = Some(running);
    addr
}

// What the owner can do.

#[test]
fn the_owner_has_every_method_of_its_handle() {
    let (running, facts) = serve_site(Server::builder());
    let handle = running.handle();
    assert_eq!(running.local_addr(), handle.local_addr());
    assert_eq!(running.phase(), Phase::Accepting);
    assert!(!running.wait_timeout(Duration::ZERO), "it serves");
    assert!(!running.wait_for_stop(Duration::ZERO), "it accepts");

    let mut idle = Client::answered(running.local_addr());
    until("it is idle", || running.close_idle() == 1);
    idle.expect_end();
    facts.take_until_closed(CloseReason::ClosedIdle);

    let mut sleeping = bring(
        &handle,
        running.local_addr(),
        SLEEP,
        ConnectionState::Handling,
    );
    assert_eq!(running.connection_count(), 1);
    let id = running.connections()[0].id;
    assert!(running.close(id));
    sleeping.expect_end();
    facts.take_until_closed(CloseReason::ClosedByHandle);

    let _sleeping = bring(
        &handle,
        running.local_addr(),
        SLEEP,
        ConnectionState::Handling,
    );
    running.drain();
    assert_eq!(running.phase(), Phase::Draining);
    let outcome = running.shutdown(SHORT);
    assert_eq!(outcome, Outcome::Destroyed { cut: 1 });
    assert_eq!(running.destroy(), 0, "the second time");
    assert_eq!(running.phase(), Phase::Destroyed);
    assert!(running.wait_for_stop(SHORT));
    assert!(running.wait());
    assert!(running.wait_timeout(SHORT));
    assert!(running.join());
}

#[test]
fn an_owner_is_shared_between_threads() {
    let (running, _facts) = serve_site(Server::builder());
    let _sleeping = bring(
        &running.handle(),
        running.local_addr(),
        SLEEP,
        ConnectionState::Handling,
    );
    thread::scope(|scope| {
        let joiners = [(); 2].map(|()| scope.spawn(|| running.join()));
        let waiter = scope.spawn(|| {
            let has_ended = running.wait();
            (has_ended, running.phase())
        });
        assert_eq!(running.connection_count(), 1, "others wait meanwhile");
        thread::sleep(SHORT); // a wait that ends by itself has ended by then
        assert_eq!(running.destroy(), 1);
        for joiner in joiners {
            assert!(joiner.join().unwrap());
        }
        assert_eq!(waiter.join().unwrap(), (true, Phase::Destroyed));
    });
}

#[test]
fn dropping_a_handle_stops_nothing() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    drop(server.handle());
    let running = server.spawn(site).unwrap();
    drop(running.handle());
    drop(Client::answered(running.local_addr()));
    assert_eq!(running.phase(), Phase::Accepting);
}
