//! Promise 7: a drain takes no new requests, and answers those that were sent before.

use crate::support::client::{assert_is_last, until_queued, Client};
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{assert_ends, bring, serve_site, site};
use crate::support::{until, GET, SOON};
use hardstop::{ConnectionState, Event, Phase, Request, Response, Running, Server};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn drain_closes_the_port_and_idle_connections_at_once() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, GET, ConnectionState::Idle);
    handle.drain();
    assert!(Client::try_connect(addr).is_err());
    assert_ne!(handle.phase(), Phase::Accepting); // the drain may have ended already
    client.response();
    client.expect_end();
    assert_ends(&running);
}

#[test]
fn drain_sends_the_whole_response_of_a_running_handler() {
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
    running.drain();
    drop(open);
    let answer = client.response();
    assert_eq!(answer.body.len(), 5_000_000);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    client.expect_end();
    drop(client); // or the server would linger
    assert_ends(&running);
}

#[test]
fn drain_receives_the_rest_of_a_head() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, "GET / HT", ConnectionState::Head);
    handle.drain();
    client.say("TP/1.1\r\nHost: x\r\n\r\n");
    assert_is_last(client);
    assert_ends(&running);
}

#[test]
fn drain_receives_the_rest_of_a_body() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let say = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12";
    let mut client = bring(&handle, addr, say, ConnectionState::Handling);
    handle.drain();
    client.say("34");
    assert_is_last(client);
    assert_ends(&running);
}

#[test]
fn a_silent_connection_gets_one_second_during_drain() {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut silent = bring(&handle, addr, "", ConnectionState::New);
    let mut late = bring(&handle, addr, "", ConnectionState::New);
    let began = Instant::now();
    handle.drain();
    late.say(GET);
    assert_is_last(late);
    silent.expect_end();
    assert!(
        began.elapsed() > Duration::from_millis(100),
        "it had no time to begin"
    );
    assert_ends(&running);
}

#[test]
fn drain_serves_clients_that_connected_before_run() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(addr)).collect();
    until_queued(&clients);
    clients.iter_mut().for_each(|client| client.say(GET));
    handle.drain();
    assert!(Client::try_connect(addr).is_err());
    server.run(site); // returns when all of them have been served
    clients.into_iter().for_each(assert_is_last);
}

/// Regression: all but eight of these clients got a 503, and all but sixteen a reset.
#[test]
fn drain_serves_an_accept_queue_larger_than_max_connections() {
    let server = Server::builder().max_connections(8);
    let server = server.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(addr)).collect();
    until_queued(&clients);
    // On other systems than Linux, a client that waits behind silent ones for a second may lose its
    // request.
    let speaking = clients.split_off(if cfg!(target_os = "linux") { 8 } else { 0 });
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for mut client in speaking {
            client.say(GET);
            scope.spawn(move || assert_is_last(client)); // and closes, which makes room
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

/// A transport that reports which connection is about to be read from.
struct SaysReads {
    tcp: TcpStream,
    id: u64,
    reads: mpsc::SyncSender<u64>,
}

impl Read for SaysReads {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let _ = self.reads.try_send(self.id); // the test may have ended, and needs the first reads only
        self.tcp.read(buf)
    }
}

impl Write for SaysReads {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Regression: the grace of queued connections ended before they had a thread, and a request sent
/// after that was lost.
#[test]
fn queued_connections_get_their_grace_when_a_place_frees_up() {
    let (sender, reads) = mpsc::sync_channel(99);
    let transport = move |tcp, id| {
        Ok(SaysReads {
            tcp,
            id: u64::from(id),
            reads: sender.clone(),
        })
    };
    let server = Server::builder()
        .max_connections(1)
        .transport(transport)
        .bind("127.0.0.1:0")
        .unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let [mut first, mut second] = [(); 2].map(|()| Client::connect(addr).queued());
    handle.drain();
    thread::scope(|scope| {
        let handler = |req: &mut Request<'_>| {
            if req.path() == "/slow" {
                req.cancel_token().wait_timeout(Duration::from_millis(1200)); // longer than the grace of a second
            }
            "hello"
        };
        scope.spawn(move || server.run(handler));
        first.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_is_last(first);
        while reads.recv_timeout(SOON).unwrap() != 2 {} // the server reads before the request is sent
        second.say(GET);
        assert_is_last(second);
    });
}

/// Regression: the upgraded connection held the only place, and kept out the others for as long as
/// it lived.
#[test]
fn drain_serves_the_accept_queue_despite_an_upgraded_connection() {
    let (gate, arrivals, open) = Gate::new();
    let busy = move |event: &Event| {
        if matches!(event, Event::Rejected { .. }) {
            gate.pass(); // blocks the accept loop's thread, so that no client is accepted
        }
    };
    let (keep, kept) = mpsc::sync_channel(9);
    let server = Server::builder()
        .max_connections(1)
        .on_event(busy)
        .bind("127.0.0.1:0")
        .unwrap();
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
    until("no client is accepted", || {
        refused.push(connect());
        arrivals.try_recv().is_ok()
    });
    let mut clients: Vec<Client> = (0..5).map(|_| connect()).collect();
    until_queued(&clients);
    clients.iter_mut().for_each(|client| client.say(GET));
    running.drain();
    open.send(()).unwrap();
    drop((refused, open)); // the gate is open for every other client that is dropped
    clients.into_iter().for_each(assert_is_last); // each closes, which makes room
    drop(stream);
    assert_ends(&running);
}

/// RFC 9112 §9.6: a client may repeat the requests after a `Connection: close`, as they have not
/// been handled.
#[test]
fn drain_answers_no_pipelined_request_after_the_running_one() {
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
    running.drain();
    drop(open);
    assert_is_last(client);
    assert_ends(&running);
    let requests = |fact: &&Fact| matches!(fact, Fact::Request(1, _));
    assert_eq!(facts.so_far().iter().filter(requests).count(), 1);
}

/// Drains a server just after an idle client has sent a request.
fn drain_behind_a_request() -> (Running, Client) {
    let (running, _facts) = serve_site(Server::builder());
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut client = bring(&handle, addr, GET, ConnectionState::Idle);
    client.response();
    client.say(GET);
    handle.drain();
    (running, client)
}

/// Only on Linux can the kernel's queue be read after `shutdown(Read)`. On Windows the server polls
/// instead.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", windows)),
    ignore = "a drain may lose the request there"
)]
#[test]
fn drain_serves_a_request_queued_in_the_kernel() {
    for round in 0..100 {
        let (running, mut client) = drain_behind_a_request();
        let answer = client.response();
        assert_eq!(answer.status, 200, "in round {round}");
        client.expect_end();
        assert_ends(&running);
    }
}

/// A system that discards what an idle connection's queue holds may lose the request. Its client
/// may send it again, as it gets no part of a response.
#[test]
fn a_request_in_the_moment_of_a_drain_gets_a_whole_response_or_none() {
    for round in 0..50 {
        let (running, mut client) = drain_behind_a_request();
        let mut said = Vec::new();
        let _ = client.stream.read_to_end(&mut said); // it may be reset
        let is_whole = said.ends_with(b"\r\n\r\nhello");
        assert!(said.is_empty() || is_whole, "{said:?} in round {round}");
        assert_ends(&running);
    }
}

/// The drain begins before the connection is idle.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", windows)),
    ignore = "a drain may lose the request there"
)]
#[test]
fn drain_serves_a_request_sent_before_its_connection_is_idle() {
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
    running.drain();
    drop(open);
    assert_eq!(client.response().status, 200);
    assert_is_last(client);
    assert_ends(&running);
}
