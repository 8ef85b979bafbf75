//! The promises about the life of a server, each as a test. Stops that are not a destroy: `stops.rs`.

use crate::client::{recorder, until, Client, Fact, Facts, GET, SOON};
use hardstop::{
    Builder, CloseReason, ConnectionState, Error, Handle, Outcome, Phase, Request, Response, Running, Server,
    StatusCode,
};
use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A wait that only a stop ends in time.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SHORT: Duration = Duration::from_millis(50);
pub(crate) const SLEEP: &str = "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const FLOOD: &str = "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const HALF_BODY: &str = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234";

/// What the tests' servers answer.
pub(crate) fn site(request: &mut Request<'_>) -> Result<Response, Error> {
    let token = request.cancel_token();
    Ok(match request.path() {
        "/body" => Response::text(request.body().read_to_text()?),
        "/sleep" => Response::text(format!("cut: {}", token.wait_timeout(LONG))),
        "/until-stop" => Response::text(format!("told: {}", token.wait_stop_timeout(LONG))),
        "/flood" => Response::stream(|body| loop {
            body.write_all(&[b'x'; 65536])?;
        }),
        "/broken" => Response::stream(|_| Err(ErrorKind::Other.into())),
        "/panic" => panic!("on purpose"),
        _ => Response::text("hello"),
    })
}

pub(crate) fn serve(builder: Builder) -> (Running, Facts) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
    (server.spawn(site).unwrap(), facts)
}

/// A client that has said so much, whose connection is in that state.
pub(crate) fn bring(handle: &Handle, addr: SocketAddr, say: &str, state: ConnectionState) -> Client {
    let mut client = Client::connect(addr);
    client.say(say);
    let peer = client.stream.local_addr().unwrap();
    until(&format!("a connection is {state:?}"), || {
        let open = handle.connections();
        open.iter().any(|info| info.peer == Some(peer) && info.state == state)
    });
    client
}

/// Where a handler waits for the test, deaf to its token.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Mutex<Sender<()>>,
    opened: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, what tells that a handler has come to it, and what lets one pass.
    pub(crate) fn new() -> (Gate, Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (open, opened)) = (mpsc::channel(), mpsc::channel());
        let (arrived, opened) = (Mutex::new(arrived), Mutex::new(opened));
        (Gate { arrived, opened }, arrivals, open)
    }

    pub(crate) fn pass(&self) {
        let _ = self.arrived.lock().unwrap().send(()); // nobody may be interested
        let _ = self.opened.lock().unwrap().recv_timeout(LONG); // dropped: open for all
    }
}

/// What a client has said, the state that its connection is in then, and how it is called.
pub(crate) const STATES: [(&str, ConnectionState, &str); 8] = [
    ("", ConnectionState::New, "silent"),
    ("GET / HT", ConnectionState::Head, "half a head"),
    (HALF_BODY, ConnectionState::Handling, "a handler reads a body"),
    (SLEEP, ConnectionState::Handling, "a handler waits"),
    (FLOOD, ConnectionState::Responding, "a response is not read"),
    (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
        ConnectionState::Handling,
        "a handler has not read the body, and the rest is awaited",
    ),
    (GET, ConnectionState::Idle, "idle"),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n", ConnectionState::Closing, "lingering"),
];

fn assert_port_is_free(addr: SocketAddr) {
    assert!(Client::try_connect(addr).is_err(), "a client could connect");
    TcpListener::bind(addr).expect("the port can be bound again");
}

pub(crate) fn assert_ends(running: &Running) {
    assert!(running.handle().wait_timeout(SOON), "somebody is left");
    assert!(running.join());
}

// Promise 1.

#[test]
fn no_handler_is_called_once_destroy_has_begun() {
    for round in 0..50 {
        let returned = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicUsize::new(0));
        let (late, unfired) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let server = Server::bind("127.0.0.1:0").unwrap();
        let running = {
            let (returned, calls) = (Arc::clone(&returned), Arc::clone(&calls));
            let (late, unfired) = (Arc::clone(&late), Arc::clone(&unfired));
            server.spawn(move |request| {
                if returned.load(SeqCst) {
                    late.lock().unwrap().push(request.connection_id());
                    let fired = request.cancel_token().is_cancelled();
                    unfired.fetch_add(usize::from(!fired), SeqCst);
                }
                calls.fetch_add(1, SeqCst);
                "hello"
            })
        };
        let running = running.unwrap();
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(running.local_addr())).collect();
        clients.iter_mut().for_each(|client| client.say(&GET.repeat(200)));
        until("handlers are called", || calls.load(SeqCst) > round);
        running.destroy();
        returned.store(true, SeqCst);
        assert_ends(&running);
        // One that was decided just before may have been late with its first line.
        let late = late.lock().unwrap();
        let connections: HashSet<_> = late.iter().collect();
        assert_eq!(late.len(), connections.len(), "requests of one connection went on");
        assert_eq!(unfired.load(SeqCst), 0, "a late call's token had not fired");
    }
}

#[test]
fn a_pipelined_request_behind_a_destroyed_one_is_not_handled() {
    let (gate, arrivals, open) = Gate::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        counter.fetch_add(1, SeqCst);
        gate.pass();
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(&GET.repeat(20));
    arrivals.recv_timeout(SOON).unwrap();
    running.destroy();
    drop(open);
    assert_ends(&running);
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_request_that_had_come_but_was_not_read_before_destroy_is_not_handled() {
    let (gate, arrivals, open) = Gate::new();
    let builder = Server::builder().on_event(move |event| {
        if matches!(Fact::of(event), Fact::Opened(_)) {
            gate.pass();
        }
    });
    let called = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&called);
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(move |_| {
        flag.store(true, SeqCst);
        "never sent"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(running.destroy(), 1);
    drop(open);
    assert_ends(&running);
    assert!(!called.load(SeqCst));
}

// Promise 2.

#[test]
fn when_destroy_returns_the_port_is_free_and_every_connection_is_cut() {
    for (say, state, name) in STATES {
        let (running, facts) = serve(Server::builder());
        let mut client = bring(&running.handle(), running.local_addr(), say, state);
        facts.wait_for(|fact| *fact == Fact::Opened(1)); // without a thread there would be no `Closed`
        assert_eq!(running.destroy(), 1, "{name}");
        assert_port_is_free(running.local_addr());
        client.expect_end();
        assert_ends(&running);
        assert_eq!(facts.reason(1), CloseReason::Destroyed, "{name}");
    }
}

#[test]
fn one_destroy_cuts_connections_in_every_state() {
    let (running, facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut clients: Vec<Client> = STATES
        .iter()
        .filter(|(_, state, _)| *state != ConnectionState::Closing) // it lasts for a second only
        .map(|(say, state, _)| bring(&handle, addr, say, *state))
        .collect();
    facts.wait_for(|fact| *fact == Fact::Opened(1)); // the silent one's state does not tell
    assert_eq!(running.destroy(), clients.len());
    assert_port_is_free(addr);
    clients.iter_mut().for_each(Client::expect_end);
    assert_ends(&running);
    for id in 1..=clients.len() {
        assert_eq!(facts.reason(id as u64), CloseReason::Destroyed);
    }
}

#[test]
fn destroy_before_the_server_runs_cuts_those_who_have_connected() {
    for drains_first in [false, true] {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (handle, addr) = (server.handle(), server.local_addr());
        let mut client = Client::connect(addr).queued();
        client.say(GET);
        if drains_first {
            handle.drain(); // takes the client out of the kernel's queue
            assert_eq!(handle.connection_count(), 1);
        }
        assert_eq!(handle.destroy(), usize::from(drains_first));
        client.expect_end();
        assert_port_is_free(addr);
        assert!(handle.wait_timeout(SOON));
        server.run(|_| -> Response { panic!("a destroyed server calls its handler") });
    }
}

#[test]
fn dropping_a_server_that_never_ran_closes_its_port() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut client = Client::connect(addr);
    drop(server);
    client.expect_end();
    assert_port_is_free(addr);
    assert_eq!(handle.phase(), Phase::Destroyed);
}

// Promise 3.

#[test]
fn destroy_does_not_wait_for_handlers() {
    let (gate, arrivals, open) = Gate::new();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        gate.pass();
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(running.destroy(), 1);
    client.expect_end();
    assert!(!running.handle().wait_timeout(Duration::ZERO), "the handler still runs");
    assert_eq!(running.handle().connection_count(), 1);
    drop(open);
    assert_ends(&running);
    assert_eq!(running.handle().connection_count(), 0);
}

#[test]
fn destroy_does_not_wait_for_a_hook() {
    let (gate, arrivals, open) = Gate::new();
    let builder = Server::builder().on_event(move |_| gate.pass());
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let mut client = Client::connect(running.local_addr());
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(running.destroy(), 1);
    client.expect_end();
    assert!(!running.handle().wait_timeout(Duration::ZERO), "the hook still runs");
    drop(open);
    assert_ends(&running);
}

#[test]
fn destroy_can_be_called_again_and_does_nothing_then() {
    let (running, _facts) = serve(Server::builder());
    let _client = bring(&running.handle(), running.local_addr(), GET, ConnectionState::Idle);
    assert_eq!(running.destroy(), 1);
    assert_eq!(running.destroy(), 0);
    assert_ends(&running);
    assert_eq!(running.destroy(), 0);
    assert_eq!(running.handle().phase(), Phase::Destroyed);
}

#[test]
fn destroy_can_be_called_from_a_handler() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, (sender, cut)) = (server.handle(), mpsc::sync_channel(9));
    let running = server.spawn(move |request| {
        let answer = (handle.destroy(), request.cancel_token().is_cancelled());
        sender.send(answer).unwrap();
        "never sent"
    });
    let running = running.unwrap();
    let mut other = bring(&running.handle(), running.local_addr(), "", ConnectionState::New);
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(cut.recv_timeout(SOON).unwrap(), (2, true));
    client.expect_end();
    other.expect_end();
    assert_ends(&running);
}

#[test]
fn destroy_can_be_called_from_the_event_hook() {
    let moments: [fn(&Fact) -> bool; 4] = [
        |fact| matches!(fact, Fact::Opened(_)),
        |fact| matches!(fact, Fact::Request(_)),
        |fact| matches!(fact, Fact::Responded(_)),
        |fact| matches!(fact, Fact::Closed(..)),
    ];
    for moment in moments {
        let handle = Arc::new(Mutex::new(None::<Handle>));
        let cell = Arc::clone(&handle);
        let server = Server::builder().on_event(move |event| {
            if moment(&Fact::of(event)) {
                cell.lock().unwrap().as_ref().unwrap().destroy();
            }
        });
        let server = server.bind("127.0.0.1:0").unwrap();
        *handle.lock().unwrap() = Some(server.handle());
        let running = server.spawn(site).unwrap();
        let mut client = Client::connect(running.local_addr());
        client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.expect_end();
        assert_ends(&running);
        assert_port_is_free(running.local_addr());
    }
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn destroy_can_be_called_from_the_drop_of_a_response() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let handle = server.handle();
    let running = server.spawn(move |_| {
        let handle = handle.clone();
        let guard = OnDrop(move || assert!(handle.destroy() <= 1));
        Response::stream(move |body| {
            let _guard = &guard;
            body.write_all(b"hello")
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn a_handler_may_own_its_server() {
    let cell = Arc::new(Mutex::new(None::<Running>));
    let owner = Arc::clone(&cell);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let handle = server.handle();
    let running = server.spawn(move |_| {
        owner.lock().unwrap().as_ref().map(Running::destroy);
        "hello"
    });
    let addr = handle_addr(&cell, running.unwrap());
    drop(cell); // now the handler alone has it, and drops it with itself
    Client::connect(addr).say(GET);
    assert!(handle.wait_timeout(SOON));
}

fn handle_addr(cell: &Mutex<Option<Running>>, running: Running) -> SocketAddr {
    let addr = running.local_addr();
    *cell.lock().unwrap() = Some(running);
    addr
}

#[test]
fn concurrent_destroys_share_the_connections_and_all_return() {
    for _ in 0..20 {
        let (running, _facts) = serve(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let _clients: Vec<Client> = (0..20).map(|_| Client::connect(addr)).collect();
        until("all are accepted", || handle.connection_count() == 20);
        let start = Barrier::new(8);
        let cut: usize = thread::scope(|scope| {
            let stop = || {
                start.wait();
                let cut = handle.destroy();
                assert_port_is_free_to(addr);
                cut
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(stop)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(cut, 20);
        assert_ends(&running);
    }
}

fn assert_port_is_free_to(addr: SocketAddr) {
    assert!(Client::try_connect(addr).is_err(), "a client could connect");
}

// Promise 4.

#[test]
fn what_a_handler_captured_can_be_unwrapped_after_wait() {
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
fn the_last_closed_hook_has_returned_when_wait_returns() {
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let builder = Server::builder().on_event(move |event| {
        if matches!(Fact::of(event), Fact::Closed(..)) {
            thread::sleep(SHORT); // gives a wait that is too early its chance
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
fn waiting_for_an_accepting_server_ends_at_its_time() {
    let (running, _facts) = serve(Server::builder());
    assert!(!running.handle().wait_timeout(SHORT));
    assert_eq!(running.handle().phase(), Phase::Accepting, "it does not stop the server");
}

#[test]
fn waiting_on_a_thread_of_the_server_returns_at_once() {
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
            assert_eq!(client.response().text(), "hello"); // the drain lets it end
        }
    }
    assert_ends(cell.lock().unwrap().as_ref().unwrap());
}

#[test]
fn a_shutdown_from_a_handler_keeps_its_deadline() {
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
    assert_eq!(answers.recv_timeout(SOON).unwrap(), (Outcome::Pending, true));
    client.expect_end();
    assert_ends(&running);
    let outcome = running.shutdown(LONG);
    assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
}

// Promise 5.

/// What a handler that was blocked on its client or its token has seen when the connection was cut.
fn seen_by(
    say: &str,
    cut: fn(&Running),
    handler: impl Fn(&mut Request<'_>) -> String + Send + Sync + 'static,
) -> String {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let answer = handler(request);
        let _ = sender.send(format!("{answer}, {}", request.cancel_token().is_cancelled()));
        "never sent"
    });
    let running = running.unwrap();
    let handle = running.handle();
    let mut client = bring(&handle, running.local_addr(), say, ConnectionState::Handling);
    cut(&running);
    client.expect_end();
    let seen = seen.recv_timeout(SOON).unwrap();
    running.destroy();
    assert_ends(&running);
    seen
}

#[test]
fn a_handler_that_waits_for_its_client_or_its_token_learns_of_a_cut() {
    let cuts: [fn(&Running); 3] = [
        |running| assert_eq!(running.destroy(), 1),
        |running| assert!(running.handle().close(running.handle().connections()[0].id)),
        |running| {
            let outcome = running.shutdown(SHORT);
            assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
        },
    ];
    for cut in cuts {
        let read = |request: &mut Request<'_>| {
            let error = io::copy(request.body(), &mut io::sink()).unwrap_err();
            format!("{:?}", error.kind())
        };
        assert_eq!(seen_by(HALF_BODY, cut, read), "ConnectionAborted, true");
        let sleep = |request: &mut Request<'_>| format!("{}", request.cancel_token().wait_timeout(LONG));
        assert_eq!(seen_by(GET, cut, sleep), "true, true");
        let sleep = |request: &mut Request<'_>| {
            let token = request.cancel_token(); // it may be sent elsewhere
            thread::spawn(move || token.wait_timeout(LONG)).join().unwrap().to_string()
        };
        assert_eq!(seen_by(GET, cut, sleep), "true, true");
    }
}

#[test]
fn a_response_that_its_client_does_not_read_fails_on_destroy() {
    let written = Arc::new(AtomicUsize::new(0));
    let (counter, (sender, results)) = (Arc::clone(&written), mpsc::sync_channel(9));
    let server = Server::builder().write_timeout(None).bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let (counter, sender) = (Arc::clone(&counter), sender.clone());
        let token = request.cancel_token();
        Response::stream(move |body| loop {
            if let Err(error) = body.write_all(&[b'x'; 4096]) {
                sender.send(token.is_cancelled()).unwrap();
                return Err(error);
            }
            counter.fetch_add(1, SeqCst);
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    until("the kernel takes no more", || {
        let before = written.load(SeqCst);
        thread::sleep(SHORT);
        before > 0 && before == written.load(SeqCst)
    });
    assert_eq!(running.destroy(), 1);
    assert!(results.recv_timeout(SOON).unwrap(), "its token has fired");
    client.expect_end();
    assert_ends(&running);
}

// Promise 6.

#[test]
fn shutdown_returns_as_soon_as_nothing_is_left() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut idle = bring(&handle, addr, GET, ConnectionState::Idle);
    let say = "GET /until-stop HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut busy = bring(&handle, addr, say, ConnectionState::Handling);
    let began = Instant::now();
    assert_eq!(handle.shutdown(LONG), Outcome::Drained);
    assert!(began.elapsed() < SOON);
    assert_eq!(busy.response().text(), "told: true");
    idle.expect_end();
    assert_eq!(handle.shutdown(Duration::ZERO), Outcome::Drained, "asked again");
    assert_ends(&running);
}

#[test]
fn shutdown_cuts_at_its_deadline_what_is_left() {
    for grace in [Duration::ZERO, SHORT] {
        let (running, facts) = serve(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let began = Instant::now();
        let outcome = running.shutdown(grace);
        assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
        assert!(began.elapsed() >= grace && began.elapsed() < SOON);
        client.expect_end();
        assert_port_is_free(addr);
        assert_ends(&running);
        assert_eq!(facts.reason(1), CloseReason::Destroyed);
    }
}

#[test]
fn the_tightest_deadline_wins_and_all_are_told_the_same() {
    let second_calls: [fn(&Running) -> Duration; 3] = [
        |running| {
            let outcome = running.shutdown(SHORT);
            assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
            LONG // of the first call
        },
        |running| {
            let outcome = running.shutdown(LONG); // must not restart the clock
            assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
            SHORT * 4
        },
        |running| {
            assert_eq!(running.destroy(), 1);
            LONG
        },
    ];
    for (second_call, first_grace) in second_calls.into_iter().zip([LONG, SHORT * 4, LONG]) {
        let (running, _facts) = serve(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let began = Instant::now();
        thread::scope(|scope| {
            let first = scope.spawn(|| handle.shutdown(first_grace));
            until("the drain has begun", || handle.phase() != Phase::Accepting);
            second_call(&running);
            let outcome = first.join().unwrap();
            assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
        });
        assert!(began.elapsed() < SOON);
        client.expect_end();
        assert_ends(&running);
    }
}

#[test]
fn a_shutdown_for_ever_is_a_drain() {
    let (running, _facts) = serve(Server::builder());
    let _idle = bring(&running.handle(), running.local_addr(), GET, ConnectionState::Idle);
    assert_eq!(running.shutdown(Duration::MAX), Outcome::Drained);
    assert_ends(&running);
}

/// It said `Drained` when all that was left at the deadline had been cut by `close` before.
#[test]
fn shutdown_does_not_call_it_drained_while_a_handler_runs() {
    let (gate, arrivals, open) = Gate::new();
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        gate.pass();
        "never sent"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    assert!(running.handle().close(running.handle().connections()[0].id));
    let outcome = running.shutdown(SHORT);
    drop(open);
    assert!(matches!(outcome, Outcome::Destroyed { .. }), "{outcome:?}");
    assert_ends(&running);
}

// Promise 8; its descriptors and threads are counted in `tests/leak.rs`.

#[test]
fn run_lets_the_handler_borrow_and_returns_when_nobody_is_left() {
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
    let (running, _facts) = serve(Server::builder());
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
    assert!(!handle.wait_timeout(Duration::ZERO), "the handler still runs");
    drop(open);
    assert!(handle.wait_timeout(SOON));
}

// Promise 11.

#[test]
fn each_opened_is_followed_by_one_closed() {
    let (running, facts) = serve(Server::builder().max_connections(30));
    let (handle, addr) = (running.handle(), running.local_addr());
    let says = ["", "GET / HT", GET, HALF_BODY, FLOOD, SLEEP, "nonsense\r\n\r\n"];
    let panics = "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n";
    let closes = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut kept = Vec::new();
    for round in 0..8 {
        for say in says.into_iter().chain([panics, closes]) {
            if let Ok(mut client) = Client::try_connect(addr) {
                let _ = client.stream.write_all(say.as_bytes()); // it may be turned away
                if round % 2 == 0 {
                    kept.push(client);
                }
            }
        }
    }
    until("several have ended", || {
        let ends = |fact: &Fact| matches!(fact, Fact::Closed(..));
        facts.so_far().iter().filter(|fact| ends(fact)).count() > 20
    });
    handle.close_idle();
    handle.destroy();
    assert_ends(&running);
    let (mut open, mut ended) = (HashSet::new(), HashSet::new());
    for fact in facts.so_far() {
        match fact {
            Fact::Opened(id) => assert!(open.insert(id) && !ended.contains(&id), "{id} twice"),
            Fact::Closed(id, _) => assert!(open.remove(&id) && ended.insert(id), "{id} not open"),
            Fact::Request(id) | Fact::Responded(id) | Fact::HandlerPanicked(id, _) => {
                assert!(open.contains(&id), "{id} was told of while it was not open");
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// How the server is built.
type Configure = fn(Builder) -> Builder;

/// What is done to a connection, which the test keeps if it is given back.
type Act = fn(&Handle, Client) -> Option<Client>;

#[test]
fn closed_tells_why() {
    let leave: Act = |_, _| None;
    let stay: Act = |_, client| Some(client);
    let other = |builder: Builder| builder;
    let rows: [(CloseReason, Configure, &str, ConnectionState, Act); 14] = [
        (CloseReason::PeerClosed, other, "", ConnectionState::New, leave),
        (CloseReason::PeerClosed, other, GET, ConnectionState::Idle, leave),
        (CloseReason::PeerLost, other, FLOOD, ConnectionState::Responding, leave),
        (CloseReason::IdleTimeout, |builder| builder.idle_timeout(SHORT * 20), "", ConnectionState::New, stay),
        (CloseReason::IdleTimeout, |builder| builder.idle_timeout(SHORT * 20), GET, ConnectionState::Idle, stay),
        (
            CloseReason::HeadTimeout,
            |builder| builder.header_timeout(SHORT * 20),
            "GET / HT",
            ConnectionState::Head,
            leave_after_end,
        ),
        (
            CloseReason::BodyTimeout,
            |builder| builder.body_timeout(SHORT * 20),
            HALF_BODY,
            ConnectionState::Handling,
            leave_after_end,
        ),
        (
            CloseReason::WriteTimeout,
            |builder| builder.write_timeout(SHORT * 20),
            FLOOD,
            ConnectionState::Responding,
            stay,
        ),
        (CloseReason::Destroyed, other, SLEEP, ConnectionState::Handling, |handle, client| {
            assert_eq!(handle.destroy(), 1);
            Some(client)
        }),
        (CloseReason::Drained, other, GET, ConnectionState::Idle, |handle, client| {
            handle.drain();
            Some(client)
        }),
        (CloseReason::Drained, other, "GET / HT", ConnectionState::Head, |handle, mut client| {
            handle.drain();
            client.say("TP/1.1\r\nHost: x\r\n\r\n");
            Some(client)
        }),
        (CloseReason::IdleClosed, other, GET, ConnectionState::Idle, |handle, client| {
            assert_eq!(handle.close_idle(), 1);
            Some(client)
        }),
        (CloseReason::HandleClosed, other, SLEEP, ConnectionState::Handling, |handle, client| {
            assert!(handle.close(handle.connections()[0].id));
            Some(client)
        }),
        (
            CloseReason::Evicted,
            |builder| builder.max_connections(1),
            GET,
            ConnectionState::Idle,
            |handle, client| {
                let addr = client.stream.peer_addr().unwrap();
                drop(bring(handle, addr, GET, ConnectionState::Idle));
                Some(client)
            },
        ),
    ];
    for (want, configure, say, state, act) in rows {
        let (running, facts) = serve(configure(Server::builder()));
        let client = bring(&running.handle(), running.local_addr(), say, state);
        let _kept = act(&running.handle(), client);
        assert_eq!(facts.reason(1), want, "{say:?}");
    }
}

fn leave_after_end(_: &Handle, mut client: Client) -> Option<Client> {
    client.response();
    client.expect_end();
    None
}

#[test]
fn closed_tells_why_an_answer_was_the_last_one() {
    let rows = [
        (CloseReason::Completed, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        (CloseReason::Completed, "GET / HTTP/1.0\r\n\r\n"),
        (CloseReason::Refused(StatusCode::BAD_REQUEST), "nonsense\r\n\r\n"),
        (CloseReason::HandlerPanicked, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n"),
        (CloseReason::ResponseFailed, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n"),
    ];
    let (running, facts) = serve(Server::builder());
    for (id, (want, say)) in (1..).zip(rows) {
        let mut client = Client::connect(running.local_addr());
        client.say(say);
        client.expect_end();
        drop(client);
        assert_eq!(facts.reason(id), want, "{say:?}");
    }
}

#[test]
fn a_closed_event_is_the_last_word_even_when_nobody_waits() {
    let seen = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&seen);
    let builder = Server::builder().on_event(move |event| {
        if matches!(Fact::of(event), Fact::Closed(..)) {
            flag.store(true, SeqCst);
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let _client = bring(&running.handle(), running.local_addr(), GET, ConnectionState::Idle);
    drop(running);
    until("the event comes after the owner is gone", || seen.load(SeqCst));
}
