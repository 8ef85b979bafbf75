//! The stops that are gentler than a destroy, what a handle tells, and the storm.

use crate::client::{open, recorder, until, Client, Fact, GET, SOON};
use crate::lifecycle::{assert_ends, bring, serve, site, Gate, LONG, SHORT, SLEEP};
use hardstop::{CloseReason, ConnectionState, Event, Handle, Outcome, Phase, Request, Response, Running, Server};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn assert_is_last(client: &mut Client) {
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    client.expect_end();
}

// drain

#[test]
fn a_drain_ends_idle_connections_at_once_and_closes_the_port() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, GET, ConnectionState::Idle);
    handle.drain();
    assert!(Client::try_connect(addr).is_err());
    assert_ne!(handle.phase(), Phase::Accepting); // it may have ended already
    client.response();
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn a_request_in_its_handler_gets_its_whole_response_from_a_drain() {
    let (gate, arrivals, open) = Gate::new();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        gate.pass();
        "x".repeat(5_000_000)
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    running.handle().drain();
    drop(open);
    let answer = client.response();
    assert_eq!(answer.body.len(), 5_000_000);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn a_head_that_has_begun_may_end_during_a_drain() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, "GET / HT", ConnectionState::Head);
    handle.drain();
    client.say("TP/1.1\r\nHost: x\r\n\r\n");
    assert_is_last(&mut client);
    assert_ends(&running);
}

#[test]
fn a_body_that_has_begun_may_end_during_a_drain() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let say = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12";
    let mut client = bring(&handle, addr, say, ConnectionState::Handling);
    handle.drain();
    client.say("34");
    assert_is_last(&mut client);
    assert_ends(&running);
}

#[test]
fn one_that_has_never_spoken_has_a_second_to_begin_during_a_drain() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut silent = bring(&handle, addr, "", ConnectionState::New);
    let mut late = bring(&handle, addr, "", ConnectionState::New);
    let began = Instant::now();
    handle.drain();
    late.say(GET);
    assert_is_last(&mut late);
    silent.expect_end();
    assert!(began.elapsed() > Duration::from_millis(100), "it had no time to begin");
    assert_ends(&running);
}

#[test]
fn a_drain_has_those_served_that_connected_before_the_server_ran() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let connect = |_| Client::connect(addr).queued();
    let mut clients: Vec<Client> = (0..10).map(connect).collect();
    clients.iter_mut().for_each(|client| client.say(GET));
    handle.drain();
    assert!(Client::try_connect(addr).is_err());
    server.run(site); // returns when they all have been served
    clients.iter_mut().for_each(assert_is_last);
}

/// All but eight of them were sent away with a 503 before, and all but sixteen reset.
#[test]
fn a_drain_serves_a_backlog_that_is_larger_than_its_places() {
    let server = Server::builder().max_connections(8);
    let server = server.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let connect = |_| Client::connect(addr).queued();
    let mut clients: Vec<Client> = (0..50).map(connect).collect();
    // Elsewhere than on Linux, those who wait behind silent ones for a second may lose what they have said.
    let speaking = clients.split_off(if cfg!(target_os = "linux") { 8 } else { 0 });
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for mut client in speaking {
            client.say(GET);
            scope.spawn(move || assert_is_last(&mut client)); // and leaves, which makes room
        }
        handle.drain();
        server.run(|_| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::yield_now();
            running.fetch_sub(1, SeqCst);
            "hello"
        });
    });
    clients.iter_mut().for_each(Client::expect_end);
    assert!(most.into_inner() <= 8, "more handlers than places");
}

/// Their second was over before they had a thread, and what they sent after that was lost.
#[test]
fn in_a_drain_those_whose_turn_comes_later_have_their_second_then() {
    let (hook, facts) = recorder();
    let server = Server::builder().max_connections(1).on_event(hook).bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let [mut first, mut second] = [(); 2].map(|()| Client::connect(addr).queued());
    handle.drain();
    thread::scope(|scope| {
        let handler = |req: &mut Request<'_>| {
            if req.path() == "/slow" {
                req.cancel_token().wait_timeout(Duration::from_millis(1200)); // longer than that second
            }
            "hello"
        };
        scope.spawn(move || server.run(handler));
        first.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_is_last(&mut first);
        drop(first);
        facts.wait_for(|fact| *fact == Fact::Opened(2));
        thread::sleep(SHORT); // so that it is read from before there is anything
        second.say(GET);
        assert_is_last(&mut second);
    });
}

/// It counted in the only place, and kept the others out for as long as it lived.
#[test]
fn an_upgraded_connection_does_not_hold_up_a_backlog_in_a_drain() {
    let (gate, arrivals, open) = Gate::new();
    let busy = move |event: &Event| {
        if matches!(event, Event::TurnedAway { .. }) {
            gate.pass(); // on the accept loop's thread, so that it accepts nobody
        }
    };
    let (keep, kept) = mpsc::sync_channel(9);
    let server = Server::builder().max_connections(1).on_event(busy).bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |req| {
        let keep = keep.clone();
        match req.path() {
            "/up" => Response::upgrade("echo", move |stream| keep.send(stream).unwrap()),
            _ => Response::text("hello"),
        }
    });
    let running = running.unwrap();
    let connect = || Client::connect(running.local_addr());
    let mut upgraded = connect();
    upgraded.say("GET /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    let stream = kept.recv_timeout(SOON).unwrap();
    let mut refused = Vec::new();
    until("nobody is accepted", || {
        refused.push(connect());
        arrivals.try_recv().is_ok()
    });
    let mut clients: Vec<Client> = (0..5).map(|_| connect().queued()).collect();
    clients.iter_mut().for_each(|client| client.say(GET));
    running.handle().drain();
    open.send(()).unwrap();
    drop((refused, open)); // whoever else is turned away is not waited for
    clients.iter_mut().for_each(assert_is_last);
    drop(stream);
    assert_ends(&running);
}

#[test]
fn a_shutdown_before_the_server_runs_waits_for_it_if_somebody_has_connected() {
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
    assert_is_last(&mut client);

    let server = Server::bind("127.0.0.1:0").unwrap();
    let mut client = Client::connect(server.local_addr()).queued();
    let outcome = server.handle().shutdown(SHORT); // nobody runs it
    assert_eq!(outcome, Outcome::Destroyed { cut: 1 });
    client.expect_end();

    let server = Server::bind("127.0.0.1:0").unwrap();
    assert_eq!(server.handle().shutdown(LONG), Outcome::Drained);
    server.run(site); // returns at once
}

/// RFC 9112 §9.6: a client knows that nothing behind a `Connection: close` has been handled, and may send it again.
#[test]
fn a_drain_makes_the_request_in_its_handler_the_last_of_those_that_are_pipelined() {
    let (gate, arrivals, open) = Gate::new();
    let (running, facts) = {
        let (hook, facts) = recorder();
        let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
        let handler = move |_: &mut Request<'_>| {
            gate.pass();
            "hello"
        };
        (server.unwrap().spawn(handler).unwrap(), facts)
    };
    let mut client = Client::connect(running.local_addr());
    client.say(&GET.repeat(3));
    arrivals.recv_timeout(SOON).unwrap();
    running.handle().drain();
    drop(open);
    assert_is_last(&mut client);
    drop(client); // it lingers for more
    assert_ends(&running);
    let requests = |fact: &&Fact| **fact == Fact::Request(1);
    assert_eq!(facts.so_far().iter().filter(requests).count(), 1);
}

#[test]
fn a_long_stream_that_asks_whether_the_server_drains_ends_by_itself() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request| {
        let token = request.cancel_token();
        Response::stream(move |body| {
            while !token.is_draining() {
                body.write_all(b"more\n")?;
                body.flush()?;
            }
            body.write_all(b"bye\n")
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    let (handle, (sender, outcome)) = (running.handle(), mpsc::sync_channel(9));
    client.head_response();
    thread::spawn(move || sender.send(handle.shutdown(LONG)).unwrap());
    let mut read = Vec::new();
    client.stream.read_to_end(&mut read).unwrap();
    assert!(read.ends_with(b"bye\n\r\n0\r\n\r\n"), "it is whole");
    assert_eq!(outcome.recv_timeout(SOON).unwrap(), Outcome::Drained);
    assert_ends(&running);
}

/// The kernel's queue is read to its end after `shutdown(Read)` on Linux only; Windows has a tick instead.
#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_request_that_was_queued_in_the_kernel_is_served_by_a_drain() {
    for round in 0..100 {
        let (running, _facts) = serve(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut client = bring(&handle, addr, GET, ConnectionState::Idle);
        client.response();
        client.say(GET);
        handle.drain();
        let answer = client.response();
        assert_eq!(answer.status, 200, "in round {round}");
        client.expect_end();
        assert_ends(&running);
    }
}

/// As above, with a drain that comes while the connection is not idle yet.
#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_request_that_comes_before_its_connection_is_idle_is_served_by_a_drain() {
    let (gate, arrivals, open) = Gate::new();
    let builder = Server::builder().on_event(move |event| {
        if matches!(event, Event::Responded { .. }) {
            gate.pass();
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    client.say(GET);
    running.handle().drain();
    drop(open);
    assert_eq!(client.response().status, 200);
    assert_is_last(&mut client);
    assert_ends(&running);
}

#[test]
fn a_drain_does_not_fire_the_token_but_ends_its_wait_for_a_stop() {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let token = request.cancel_token();
        let early = (token.is_draining(), token.wait_stop_timeout(SHORT));
        sender.send(early).unwrap();
        let told = (token.is_draining(), token.wait_stop_timeout(LONG));
        sender.send(told).unwrap();
        sender.send((token.is_cancelled(), token.wait_timeout(SHORT))).unwrap();
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(seen.recv_timeout(SOON).unwrap(), (false, false), "before");
    running.handle().drain();
    let (_, told) = seen.recv_timeout(SOON).unwrap();
    assert!(told, "the wait for a stop ends");
    assert_eq!(seen.recv_timeout(SOON).unwrap(), (false, false), "not cut");
    assert_is_last(&mut client);
    assert_ends(&running);
}

#[test]
fn a_shutdown_after_a_drain_sets_a_deadline() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    handle.drain();
    assert_eq!(handle.shutdown(SHORT), Outcome::Destroyed { cut: 1 });
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn all_who_shut_down_at_once_are_told_how_many_were_cut() {
    for destroys in [false, true] {
        let (running, _facts) = serve(Server::builder());
        let (handle, addr) = (running.handle(), running.local_addr());
        let sleep = |_| bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let mut clients: Vec<Client> = (0..3).map(sleep).collect();
        let began = Instant::now();
        let graces = [LONG, if destroys { LONG } else { SHORT }, LONG, LONG];
        thread::scope(|scope| {
            let handle = &handle;
            let outcomes = graces.map(|grace| scope.spawn(move || handle.shutdown(grace)));
            if destroys {
                until("the drain has begun", || running.handle().phase() != Phase::Accepting);
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
fn the_phase_goes_only_forward() {
    let (running, _facts) = serve(Server::builder());
    let handle = running.handle();
    let _client = bring(&handle, running.local_addr(), SLEEP, ConnectionState::Handling);
    assert_eq!(handle.phase(), Phase::Accepting);
    handle.drain();
    handle.drain();
    assert_eq!(handle.phase(), Phase::Draining);
    assert_eq!(handle.destroy(), 1);
    handle.drain();
    assert_eq!(handle.phase(), Phase::Destroyed);
    assert!(matches!(handle.shutdown(LONG), Outcome::Destroyed { cut: 1, .. }));
    assert_ends(&running);
}

// close_idle, close, connections

/// A server whose handler stops at the gate if it is asked for `/gate`.
fn gated(gate: Gate) -> Running {
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |request| {
        if request.path() == "/gate" {
            gate.pass();
        }
        "hello"
    });
    running.unwrap()
}

#[test]
fn close_idle_cuts_those_that_wait_and_the_server_goes_on() {
    let (gate, arrivals, open) = Gate::new();
    let running = gated(gate);
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut waiting =
        [("", ConnectionState::New), (GET, ConnectionState::Idle)].map(|(say, state)| bring(&handle, addr, say, state));
    let mut head = bring(&handle, addr, "GET / HT", ConnectionState::Head);
    let mut busy = Client::connect(addr);
    busy.say("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(handle.close_idle(), 2);
    assert_eq!(handle.close_idle(), 0);
    waiting.iter_mut().for_each(Client::expect_end);
    drop(open);
    head.say("TP/1.1\r\nHost: x\r\n\r\n");
    let mut new = Client::connect(addr);
    new.say(GET);
    for client in [&mut head, &mut busy, &mut new] {
        let answer = client.response();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    running.destroy();
    assert_ends(&running);
}

#[test]
fn close_cuts_one_connection_once() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut one = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut other = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let peer = one.stream.local_addr().unwrap();
    let open = handle.connections();
    let id = open.iter().find(|info| info.peer == Some(peer)).unwrap().id;
    assert!(handle.close(id));
    one.expect_end();
    assert!(!handle.close(id), "it is cut already");
    until("its entry is gone", || handle.connection_count() == 1);
    assert!(!handle.close(id), "it is gone");
    assert_ne!(handle.connections()[0].id, id);
    assert_eq!(handle.destroy(), 1);
    other.expect_end();
    assert_ends(&running);
}

#[test]
fn connections_tells_who_is_there_and_what_they_do() {
    let (running, _facts) = serve(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    assert_eq!(handle.connection_count(), 0);
    let before = Instant::now();
    let mut idle = bring(&handle, addr, GET, ConnectionState::Idle);
    idle.response();
    idle.say(GET);
    idle.response();
    let silent = bring(&handle, addr, "", ConnectionState::New);
    until("two requests are counted", || handle.connections()[0].requests == 2);
    until("it is idle", || handle.connections()[0].state == ConnectionState::Idle);
    let open = handle.connections();
    let peers = [&idle, &silent].map(|client| client.stream.local_addr().unwrap());
    assert_eq!(open.len(), 2);
    for ((info, peer), number) in open.iter().zip(peers).zip(1..) {
        assert_eq!((u64::from(info.id), info.peer), (number, Some(peer)));
        assert!(info.opened >= before && info.opened <= Instant::now());
        assert!(info.since >= before);
    }
    assert_eq!((open[1].requests, open[1].state), (0, ConnectionState::New));
    drop(silent);
    until("the one that left is gone", || handle.connection_count() == 1);
    running.destroy();
    assert_ends(&running);
}

#[test]
fn connections_after_a_destroy_are_those_whose_handlers_run() {
    let (gate, arrivals, open) = Gate::new();
    let running = gated(gate);
    let (handle, addr) = (running.handle(), running.local_addr());
    let _waiting =
        [("", ConnectionState::New), (GET, ConnectionState::Idle)].map(|(say, state)| bring(&handle, addr, say, state));
    let mut busy = Client::connect(addr);
    busy.say("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(handle.destroy(), 3);
    let left = handle.connections();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].peer, busy.stream.local_addr().ok());
    assert_eq!(left[0].state, ConnectionState::Handling);
    drop(open);
    assert_ends(&running);
    assert_eq!(handle.connection_count(), 0);
}

#[test]
fn ids_count_from_one_and_are_never_used_again() {
    let (running, facts) = serve(Server::builder());
    for number in 1..=5 {
        drop(Client::connect(running.local_addr()));
        facts.wait_for(|fact| matches!(fact, Fact::Closed(id, _) if *id == number));
    }
}

// The storm.

/// With a stop flag beside the listener, a connection that was accepted at the moment of a destroy survived
/// it in one round of forty, and clients could connect after it had returned in most rounds.
#[test]
fn no_connection_survives_a_destroy_and_none_is_made_after_it() {
    for round in 0..200 {
        let running = open(Server::builder(), round % 2 == 1).spawn(|_| "hello").unwrap();
        let (addr, over) = (running.local_addr(), AtomicBool::new(false));
        let (connected, clients) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    // Bounded, so that they cannot fill the kernel's queue while nothing is destroyed.
                    for n in 0..40 {
                        let is_over = over.load(SeqCst);
                        let client = Client::try_connect(addr);
                        if let Ok(mut client) = client {
                            assert!(!is_over, "a client could connect, round {round}");
                            connected.fetch_add(1, SeqCst);
                            if n % 2 == 0 {
                                // The end may have come.
                                let _ = client.stream.write_all(GET.as_bytes());
                            }
                            clients.lock().unwrap().push(client);
                        } else if is_over {
                            break;
                        }
                    }
                });
            }
            let began = Instant::now();
            while connected.load(SeqCst) < round / 2 % 40 && began.elapsed() < SOON {
                thread::yield_now(); // a nap would miss the storm
            }
            running.destroy();
            over.store(true, SeqCst);
        });
        assert_ends(&running); // without help from the clients
        for mut client in clients.into_inner().unwrap() {
            // Linux forgets a handshake that was going on when its listener was closed, and tells the client
            // so when it next sends. One that had survived would wait for more after this byte.
            let _ = client.stream.write_all(b"G"); // it has ended already, most likely
            client.expect_end();
        }
    }
}

/// Regression: the accept loop alone kept the deadline of a `shutdown` that cannot wait, and a hook held that up.
#[test]
fn a_pending_shutdown_keeps_its_deadline_while_a_hook_holds_the_accepting_thread_up() {
    let (record, facts) = recorder();
    let (hook_gate, arrivals, open) = Gate::new();
    let (handler_gate, handlers, release) = Gate::new();
    let handle = Arc::new(Mutex::new(None::<Handle>));
    let cell = Arc::clone(&handle);
    let outcome = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&outcome);
    // Eight refusals are held in their hook, so the next client is turned away, on the accepting thread.
    let (held, _, hold) = Gate::new();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        record(event);
        match event {
            Event::Opened { id, .. } if u64::from(*id) > 1 => held.pass(),
            Event::TurnedAway { .. } => {
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
    let refused: Vec<Client> = (0..8).map(|_| Client::connect(running.local_addr())).collect();
    facts.wait_for(|fact| *fact == Fact::Opened(9));
    let _turned_away = Client::connect(running.local_addr());
    arrivals.recv_timeout(SOON).unwrap();
    assert_eq!(*outcome.lock().unwrap(), Some(Outcome::Pending));
    busy.expect_end(); // its handler has not returned, and the accepting thread is in the hook
    assert_eq!(running.handle().phase(), Phase::Destroyed);
    drop((release, hold, refused));
    open.send(()).unwrap();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}
