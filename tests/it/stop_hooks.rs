//! Promise 4: the hooks are dropped at the end of their server, whoever has a handle, a token or a
//! lease of it. `tests/isolated/leak.rs` measures the memory, and `tests/isolated/threads.rs` has
//! the server that could not be spawned.

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::Fact;
use crate::support::server::{assert_ends, assert_port_is_free, bring, site, STATES};
use crate::support::{OnDrop, GET, LONG, SHORT, SOON};
use hardstop::{Event, Handle, Outcome, Response, Server};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn the_hooks_are_dropped_when_wait_returns() {
    for (say, state, name) in STATES {
        let shared = Arc::new(());
        let in_events = Arc::clone(&shared);
        let in_transport = Arc::clone(&shared);
        let builder = Server::builder()
            .on_event(move |_| drop(Arc::clone(&in_events)))
            .transport(move |tcp, _| {
                let _captured = &in_transport;
                Ok(tcp)
            });
        let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
        let handle = running.handle();
        let _client = bring(&handle, running.local_addr(), say, state);
        handle.destroy();
        assert!(handle.wait_timeout(SOON), "{name}");
        Arc::try_unwrap(shared).expect(name);
    }
}

#[test]
fn a_token_does_not_keep_the_hooks() {
    let shared = Arc::new(());
    let captured = Arc::clone(&shared);
    let (sender, tokens) = mpsc::channel();
    let sender = Mutex::new(sender);
    let builder = Server::builder().on_event(move |_| drop(Arc::clone(&captured)));
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let token = request.cancel_token();
        sender.lock().unwrap().send(token).unwrap();
        "hello"
    });
    let running = running.unwrap();
    drop(Client::answered(running.local_addr()));
    let token = tokens.recv_timeout(SOON).unwrap();
    running.destroy();
    assert_ends(&running);
    Arc::try_unwrap(shared).expect("only the test has it");
    assert!(token.is_cancelled());
}

#[test]
fn a_lease_that_is_dropped_last_reports_its_end_before_the_hook_is_dropped() {
    let (sender, facts) = mpsc::channel();
    let guard = {
        let sender = sender.clone();
        OnDrop(move || sender.send(String::from("the hook is dropped")).unwrap())
    };
    let (guard, sender) = (Mutex::new(guard), Mutex::new(sender));
    let builder = Server::builder().on_event(move |event| {
        let _guard = &guard;
        if let Fact::Closed(_, reason, _) = Fact::of(event) {
            thread::sleep(SHORT); // so that a drop that comes too early is seen
            let sender = sender.lock().unwrap();
            sender.send(format!("closed: {reason:?}")).unwrap();
        }
    });
    let (give, leases) = mpsc::channel();
    let give = Arc::new(Mutex::new(give));
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        let give = Arc::clone(&give);
        Response::upgrade("echo", move |stream| {
            let (_tcp, _unread, lease) = stream.into_tcp().unwrap();
            give.lock().unwrap().send(lease).unwrap();
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    let lease = leases.recv_timeout(SOON).unwrap();
    running.destroy();
    assert!(!running.wait_timeout(SHORT), "the lease is kept");
    assert!(facts.try_recv().is_err(), "nothing has ended");
    let dropper = thread::spawn(move || drop(lease));
    assert_ends(&running);
    let facts: Vec<String> = facts.try_iter().collect();
    assert_eq!(facts, ["closed: Destroyed", "the hook is dropped"]);
    dropper.join().unwrap();
}

/// Has the handle of its server, and calls everything when it is dropped.
fn calls_all(handle: Handle, answers: Sender<(bool, bool, Outcome)>) -> OnDrop<impl FnMut()> {
    OnDrop(move || {
        handle.connections();
        handle.close_idle();
        let waits = (handle.wait(), handle.wait_timeout(LONG));
        let outcome = handle.shutdown(LONG);
        handle.drain();
        handle.destroy();
        answers.send((waits.0, waits.1, outcome)).unwrap();
    })
}

#[test]
fn a_hook_may_own_its_servers_handle() {
    let cell = Arc::new(Mutex::new(None));
    let (sender, answers) = mpsc::channel();
    let owned = Arc::clone(&cell);
    let builder = Server::builder().on_event(move |_| drop(owned.lock().unwrap()));
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    *cell.lock().unwrap() = Some(calls_all(running.handle(), sender));
    drop(cell); // now only the hook has it
    drop(Client::answered(running.local_addr()));
    running.drain();
    assert_ends(&running);
    let own = (false, false, Outcome::Pending);
    assert_eq!(answers.try_recv(), Ok(own), "dropped before `wait` returns");
}

#[test]
fn a_server_that_never_ran_drops_its_hooks_when_it_is_dropped() {
    let cell = Arc::new(Mutex::new(None));
    let (sender, answers) = mpsc::channel();
    let in_events = Arc::clone(&cell);
    let in_transport = Arc::clone(&cell);
    let builder = Server::builder()
        .on_event(move |_| drop(in_events.lock().unwrap()))
        .transport(move |tcp, _| {
            drop(in_transport.lock().unwrap());
            Ok(tcp)
        });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    *cell.lock().unwrap() = Some(calls_all(server.handle(), sender));
    drop(cell);
    let mut client = Client::connect(addr);
    let waiter = thread::spawn({
        let handle = handle.clone();
        move || {
            assert!(handle.wait_timeout(SOON));
            answers.try_recv() // dropped before `wait` returns
        }
    });
    drop(server);
    assert_port_is_free(addr);
    client.expect_end();
    let own = (false, false, Outcome::Pending);
    assert_eq!(waiter.join().unwrap(), Ok(own));
    assert!(handle.wait(), "at once");
}

#[test]
fn a_slow_drop_of_a_hook_delays_wait_but_no_destroy() {
    let (gate, arrivals, open) = Gate::new();
    let guard = Mutex::new(OnDrop(move || gate.pass()));
    let builder = Server::builder().on_event(move |_| {
        let _guard = &guard;
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    running.destroy(); // returns
    arrivals.recv_timeout(SOON).unwrap();
    assert_port_is_free(running.local_addr());
    assert!(!running.wait_timeout(SHORT), "the hook is left");
    drop(open);
    assert_ends(&running);
}

#[test]
fn a_transport_alone_is_waited_for_as_well_when_a_server_never_ran() {
    let (gate, arrivals, open) = Gate::new();
    let guard = Mutex::new(OnDrop(move || gate.pass()));
    let builder = Server::builder().transport(move |tcp, _| {
        let _guard = &guard;
        Ok(tcp)
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let dropper = thread::spawn(move || drop(server));
    arrivals.recv_timeout(SOON).unwrap();
    assert_port_is_free(addr);
    assert!(!handle.wait_timeout(SHORT), "the hook is left");
    drop(open);
    assert!(handle.wait_timeout(SOON));
    dropper.join().unwrap();
}

#[test]
fn panics_in_the_drops_of_hooks_and_handler_stop_nothing() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = || {
        let dropped = Arc::clone(&dropped);
        Mutex::new(OnDrop(move || {
            dropped.fetch_add(1, SeqCst);
            panic!("on purpose");
        }))
    };
    let (in_events, in_transport, in_handler) = (guard(), guard(), guard());
    let builder = Server::builder()
        .on_event(move |_| {
            let _guard = &in_events;
        })
        .transport(move |tcp, _| {
            let _guard = &in_transport;
            Ok(tcp)
        });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let _guard = &in_handler;
        site(request)
    });
    let running = running.unwrap();
    drop(Client::answered(running.local_addr()));
    let outcome = running.shutdown(SOON);
    assert_eq!(outcome, Outcome::Drained);
    assert_eq!(dropped.load(SeqCst), 3);
    assert_ends(&running);
}

/// The hook knows of a request before its handler is called.
#[test]
fn a_connection_that_is_closed_in_its_request_hook_gets_no_handler_call() {
    let server_handle: Arc<Mutex<Option<Handle>>> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (in_hook, in_handler) = (Arc::clone(&server_handle), Arc::clone(&calls));
    let builder = Server::builder().on_event(move |event| {
        if let Event::Request { id, .. } = event {
            let handle = in_hook.lock().unwrap().clone().unwrap();
            assert!(handle.close(*id));
        }
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    *server_handle.lock().unwrap() = Some(server.handle());
    let running = server.spawn(move |_| {
        in_handler.fetch_add(1, SeqCst);
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.expect_end();
    running.destroy();
    assert_ends(&running);
    assert_eq!(calls.load(SeqCst), 0);
}
