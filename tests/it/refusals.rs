//! Which client is refused when every place is taken, and how many threads that takes.

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::recorder;
use crate::support::server::{assert_ends, bring, site, SLEEP};
use crate::support::{until, GET, SOON};
use hardstop::{CloseReason, ConnectionState, Event, Request, Response, Running, Server};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SMALL: &str = "small";

fn serve_one_place<R: Into<Response>>(
    handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
) -> Running {
    let server = Server::builder()
        .max_connections(1)
        .bind("127.0.0.1:0")
        .unwrap();
    server.spawn(handler).unwrap()
}

/// Regression: the socket of a rejected client was closed only after the hook had returned.
#[test]
fn destroy_cuts_a_rejected_client_while_its_hook_runs() {
    let (gate, arrivals, open) = Gate::new();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        if let Event::Rejected { .. } = event {
            gate.pass();
        }
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request: &mut Request<'_>| {
        request.cancel_token().wait_timeout(SOON);
        "late"
    });
    let running = running.unwrap();
    let mut first = Client::connect(running.local_addr());
    first.say(GET);
    until("it is handled", || {
        running
            .handle()
            .connections()
            .iter()
            .any(|info| info.requests == 1)
    });
    let mut others: Vec<Client> = (0..9)
        .map(|_| Client::connect(running.local_addr()))
        .collect();
    arrivals.recv_timeout(SOON).unwrap();
    running.destroy();
    for client in &mut others {
        client.expect_end();
    }
    open.send(()).unwrap();
    assert_ends(&running);
}

/// A transport whose drop waits at a gate.
struct Lasting {
    tcp: TcpStream,
    gate: Arc<Gate>,
}

impl Read for Lasting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buf)
    }
}

impl Write for Lasting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.gate.pass();
    }
}

/// A server with one place whose connections are slow to close, and clients up to the first one
/// that is not answered in time, which is the last of them.
fn fill_with_slowly_closing(gate: Gate) -> (Running, Vec<Client>) {
    let gate = Arc::new(gate);
    let builder = Server::builder().max_connections(1);
    let builder = builder.transport(move |tcp, _| {
        let gate = Arc::clone(&gate);
        Ok(Lasting { tcp, gate })
    });
    let running = builder.bind("127.0.0.1:0").unwrap();
    let running = running.spawn(|_: &mut Request<'_>| SMALL).unwrap();
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = Client::connect(running.local_addr());
        client.say(GET);
        let patience = Some(Duration::from_millis(400));
        client.stream.set_read_timeout(patience).unwrap();
        let is_answered = client.stream.peek(&mut [0]).is_ok();
        client.stream.set_read_timeout(Some(SOON)).unwrap();
        clients.push(client);
        if !is_answered {
            return (running, clients);
        }
        // It makes room for the next one, and takes its time to close.
        until("it is idle", || {
            let open = running.connections();
            open.iter().all(|info| info.state == ConnectionState::Idle)
        });
    }
    panic!("there are more threads than there may be");
}

/// Regression: a client that was refused because of the limit on threads found a place all the
/// same.
#[test]
fn slowly_closing_connections_do_not_exceed_the_thread_limit() {
    let (gate, _arrivals, open) = Gate::new();
    let (running, mut clients) = fill_with_slowly_closing(gate);
    assert!(
        (10..=12).contains(&clients.len()),
        "{} clients",
        clients.len()
    );
    let mut last = clients.pop().unwrap();
    assert_eq!(last.response().status, 503, "it has waited for a second");
    drop(open);
    drop(clients);
    running.destroy();
    assert_ends(&running);
}

/// Regression: the client was refused at once, although the threads it needed were about to end.
#[test]
fn a_client_waits_for_the_thread_of_a_connection_that_closes() {
    let is_served = (0..20).any(|_| {
        let (gate, _arrivals, open) = Gate::new();
        let (running, mut clients) = fill_with_slowly_closing(gate);
        let mut last = clients.pop().unwrap();
        drop(open); // all of them close
        let status = last.response().status;
        running.destroy();
        assert_ends(&running);
        status == 200 // else the machine was too busy for all of it within a second
    });
    assert!(is_served);
}

/// Regression: eight clients waited for their refusal, and the others were dropped without a
/// response.
#[test]
fn a_long_response_does_not_delay_refusals() {
    let (gate, arrivals, _open) = Gate::new();
    let gate = Arc::new(gate);
    let running = serve_one_place(move |_| {
        let gate = Arc::clone(&gate);
        Response::stream(move |body| {
            body.write_all(b"begins")?;
            body.flush()?;
            gate.pass();
            Ok(())
        })
    });
    let mut first = Client::connect(running.local_addr());
    first.say(GET);
    arrivals.recv_timeout(SOON).unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        let mut client = Client::connect(running.local_addr());
        assert_eq!(client.response().status, 503);
    }
    // With the bug, each refusal took a second.
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_connection_that_awaits_the_rest_of_a_body_makes_room() {
    let running = serve_one_place(|_| Response::text(SMALL));
    let mut silent = Client::connect(running.local_addr());
    silent.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    until("its handler has returned", || {
        running
            .handle()
            .connections()
            .iter()
            .any(|info| info.requests == 1)
    });
    let is_served = (0..20).any(|_| {
        let mut other = Client::connect(running.local_addr());
        other.say(GET);
        other.response().status == 200
    });
    assert!(is_served);
    let response = silent.response();
    assert_eq!(response.text(), SMALL);
    assert_eq!(response.header("connection").as_deref(), Some("close"));
}

/// Regression: a handshake that did not come held one of the eight refusals for `header_timeout`,
/// here without end.
#[test]
fn a_silent_handshake_does_not_hold_a_refusal() {
    let (hook, facts) = recorder();
    let builder = Server::builder().max_connections(1).header_timeout(None);
    let builder = builder.on_event(hook).transport(|mut tcp: TcpStream, _| {
        tcp.read_exact(&mut [0])?;
        Ok(tcp)
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let addr = running.local_addr();
    let shake = |say: &str| format!("h{say}");
    let _busy = bring(
        &running.handle(),
        addr,
        &shake(SLEEP),
        ConnectionState::Handling,
    );
    let mut silent: Vec<Client> = (0..8).map(|_| Client::connect(addr)).collect();
    for client in &mut silent {
        client.expect_end();
    }
    for number in 2..10 {
        assert_eq!(facts.reason(number), CloseReason::HeadTimeout);
    }
    let mut other = Client::connect(addr);
    other.say(&shake(GET));
    assert_eq!(other.response().status, 503);
    running.destroy();
    assert_ends(&running);
}
