//! The list of connections, and the calls that cut some of them while the server goes on.

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::Fact;
use crate::support::server::{assert_ends, bring, serve_site, SLEEP};
use crate::support::{until, GET, SOON};
use hardstop::{ConnectionId, ConnectionState, Response, Running, Server};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// A server whose handler waits at the gate for requests of `/gate`.
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
fn close_idle_cuts_waiting_connections_and_the_server_goes_on() {
    let (gate, arrivals, open) = Gate::new();
    let running = gated(gate);
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut waiting = [("", ConnectionState::New), (GET, ConnectionState::Idle)]
        .map(|(say, state)| bring(&handle, addr, say, state));
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
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut one = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let mut other = bring(&handle, addr, SLEEP, ConnectionState::Handling);
    let peer = one.stream.local_addr().unwrap();
    let open = handle.connections();
    let id = open.iter().find(|info| info.peer == Some(peer)).unwrap().id;
    // As a page has it that lists the connections.
    let number = u64::from(id);
    assert!(
        !handle.close(ConnectionId::from(number + 7)),
        "there is none"
    );
    assert!(handle.close(ConnectionId::from(number)));
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
fn connections_lists_clients_and_their_states() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    assert_eq!(handle.connection_count(), 0);
    let before = Instant::now();
    let mut idle = bring(&handle, addr, GET, ConnectionState::Idle);
    idle.response();
    idle.say(GET);
    idle.response();
    let silent = bring(&handle, addr, "", ConnectionState::New);
    until("two requests are counted", || {
        handle.connections()[0].requests == 2
    });
    until("it is idle", || {
        handle.connections()[0].state == ConnectionState::Idle
    });
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
    until("the client that left is gone", || {
        handle.connection_count() == 1
    });
    running.destroy();
    assert_ends(&running);
}

#[test]
fn connections_after_destroy_lists_running_handlers() {
    let (gate, arrivals, open) = Gate::new();
    let running = gated(gate);
    let (handle, addr) = (running.handle(), running.local_addr());
    let _waiting = [("", ConnectionState::New), (GET, ConnectionState::Idle)]
        .map(|(say, state)| bring(&handle, addr, say, state));
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
fn ids_count_from_one_and_are_never_reused() {
    let (running, facts) = serve_site(Server::builder());
    for number in 1..=5 {
        drop(Client::connect(running.local_addr()));
        facts.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == number));
    }
}

#[test]
fn connections_shows_a_request_until_it_is_answered() {
    const DELETE: &str = "DELETE /a%20b?c HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut sent = 0;
    let (gate, arrivals, open) = Gate::new();
    let gate = Arc::new(gate);
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        let gate = Arc::clone(&gate);
        gate.pass();
        Response::stream(move |body| {
            body.write_all(b"hello")?;
            gate.pass();
            Ok(())
        })
    });
    let running = running.unwrap();
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = Client::connect(addr);
    let info = || handle.connections()[0].clone();
    let mut last = Instant::now();
    for number in 1..=2 {
        client.say(DELETE);
        for state in [ConnectionState::Handling, ConnectionState::Responding] {
            arrivals.recv_timeout(SOON).unwrap();
            let info = info();
            assert_eq!((info.state, info.requests), (state, number));
            assert_eq!(info.received, number * DELETE.len() as u64);
            assert_eq!(info.method.as_deref(), Some("DELETE"));
            assert_eq!(info.path.as_deref(), Some("/a b"));
            assert!(last <= info.since && info.opened <= info.since);
            last = info.since;
            open.send(()).unwrap();
        }
        let answer = client.response();
        assert_eq!(answer.text(), "hello");
        sent += answer.head.len() + "5\r\nhello\r\n0\r\n\r\n".len();
        until("it is idle", || info().state == ConnectionState::Idle);
        let info = info();
        assert_eq!(
            (info.requests, info.method, info.path),
            (number, None, None)
        );
        assert_eq!(info.sent, sent as u64);
        assert_eq!(info.peer, client.stream.local_addr().ok());
    }
    client.say("GET / HT");
    until("a head has begun", || info().state == ConnectionState::Head);
    assert_eq!((info().method, info().path), (None, None));
}
