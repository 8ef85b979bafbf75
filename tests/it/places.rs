//! Who makes room when every place is taken, and who is refused.

use crate::client::{recorder, until, Client, Fact, Facts, GET, SOON};
use crate::lifecycle::{assert_ends, Gate};
use hardstop::{Builder, CloseReason, ConnectionId, ConnectionState, Event, Request, Response, Running, Server};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// When a write of the first connection stops at the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stops {
    /// Before its bytes have left.
    Before,
    /// When its client has them, and the server does not know it yet.
    After,
}

/// A transport whose n-th write stops at a gate.
struct Gated {
    tcp: TcpStream,
    gate: Arc<Gate>,
    stops: Stops,
    /// How many writes there are before that one.
    free: Option<usize>,
}

impl Read for Gated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buf)
    }
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_due = self.free == Some(0);
        self.free = self.free.and_then(|free| free.checked_sub(1));
        if is_due && self.stops == Stops::Before {
            self.gate.pass();
        }
        let written = self.tcp.write(bytes)?;
        if is_due && self.stops == Stops::After {
            self.gate.pass();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

const SMALL: &str = "small";
const LARGE: usize = 20_000;

fn answer(request: &mut Request<'_>) -> Result<Response, hardstop::Error> {
    Ok(match request.path() {
        "/read" => Response::text(request.body().read_to_text()?),
        "/stream" => Response::stream(|body| body.write_all(SMALL.as_bytes())).closing(),
        "/large" => Response::stream(|body| {
            body.write_all(&[b'x'; LARGE / 2])?;
            body.write_all(&[b'x'; LARGE / 2])
        })
        .closing(),
        "/bytes" => Response::bytes("text/plain", vec![b'x'; 5 * LARGE]),
        "/reader" => Response::reader(io::repeat(b'x').take(5 * LARGE as u64), 5 * LARGE as u64),
        _ => Response::text(SMALL),
    })
}

/// A server with one place, what it tells, when its first connection stops, and what lets that go on.
struct OnePlace {
    running: Running,
    facts: Facts,
    arrivals: Receiver<()>,
    open: Sender<()>,
}

impl OnePlace {
    fn new(stops: Stops, free: usize) -> OnePlace {
        let (gate, arrivals, open) = Gate::new();
        let gate = Arc::new(gate);
        let (hook, facts) = recorder();
        let builder = Server::builder().max_connections(1).on_event(hook);
        let transport = move |tcp, id: ConnectionId| {
            let gate = Arc::clone(&gate);
            let free = if u64::from(id) == 1 { Some(free) } else { None };
            Ok(Gated { tcp, gate, stops, free })
        };
        let server = builder.transport(transport).bind("127.0.0.1:0").unwrap();
        OnePlace { running: server.spawn(answer).unwrap(), facts, arrivals, open }
    }

    fn addr(&self) -> SocketAddr {
        self.running.local_addr()
    }
}

fn connection_closes(text: &str) -> String {
    format!("{text} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Regression: a connection entered `Closing`, which makes room, before its output had been written. The next client
/// had it cut, and the end of a response that had been reported as sent was lost.
#[test]
fn a_response_that_has_not_left_is_not_lost_to_an_eviction() {
    // What the client says, the write that holds the last bytes, and how the response ends.
    let unread = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n";
    let too_large = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
    let table = [
        (connection_closes("GET /"), 0, SMALL, "a short last response"),
        (connection_closes("GET /stream"), 0, "0\r\n\r\n", "a stream that is the last response"),
        (connection_closes("GET /large"), 1, "0\r\n\r\n", "the last write of a long one"),
        (connection_closes("HEAD /"), 0, "\r\n\r\n", "a head alone"),
        (String::from(unread), 0, SMALL, "an early answer"),
        (String::from(too_large), 0, "bytes\n", "a 413"),
        (String::from("GET / HTTP/9.9\r\n\r\n"), 0, "served\n", "a refusal"),
        (format!("{GET}GET / HTTP/1.1\r\n\r\n"), 0, "`host[:port]`\n", "a refusal behind a response"),
    ];
    for (say, free, end, why) in table {
        let one = OnePlace::new(Stops::Before, free);
        let mut client = Client::connect(one.addr());
        client.say(&say);
        one.arrivals.recv_timeout(SOON).expect(why);
        let state = one.running.handle().connections()[0].state;
        assert_eq!(state, ConnectionState::Responding, "{why}");
        let mut other = Client::connect(one.addr());
        assert_eq!(other.response().status, 503, "{why}");
        one.open.send(()).unwrap();
        let mut said = String::new();
        client.stream.read_to_string(&mut said).unwrap();
        assert!(said.ends_with(end), "{why}: {said:?}");
        assert_ne!(one.facts.reason(1), CloseReason::Evicted, "{why}");
        one.running.destroy();
        assert_ends(&one.running);
    }
}

/// The same of a response that waits for a part of the next request to come, which has had the second of slow heads.
#[test]
fn a_response_in_front_of_a_slow_head_is_not_lost_to_an_eviction() {
    let one = OnePlace::new(Stops::Before, 0);
    let mut client = Client::connect(one.addr());
    client.say(&format!("{GET}GET / HT"));
    one.arrivals.recv_timeout(SOON).unwrap();
    let began = one.running.handle().connections()[0].since;
    until("a head would have had its second", || began.elapsed() > Duration::from_millis(1100));
    let mut other = Client::connect(one.addr());
    assert_eq!(other.response().status, 503);
    one.open.send(()).unwrap();
    assert_eq!(client.response().text(), SMALL);
    one.running.destroy();
    assert_ends(&one.running);
}

#[test]
fn the_last_response_of_a_drain_is_not_lost_to_a_client_that_waits_for_its_turn() {
    let one = OnePlace::new(Stops::Before, 0);
    let mut client = Client::connect(one.addr());
    client.say(GET);
    one.arrivals.recv_timeout(SOON).unwrap();
    let mut next = Client::connect(one.addr());
    next.say(GET);
    one.facts.wait_for(|fact| *fact == Fact::Opened(2));
    one.running.handle().drain();
    one.open.send(()).unwrap();
    assert_eq!(client.response().text(), SMALL);
    client.expect_end();
    drop(client);
    assert_eq!(next.response().status, 503, "it came while the place was taken");
    assert!(one.running.join());
    assert_ne!(one.facts.reason(1), CloseReason::Evicted);
}

/// Regression: a client that had its response, and came again at once, got a 503 from a server that served nobody else.
#[test]
fn a_client_that_has_had_its_last_response_finds_its_place_free() {
    for say in [connection_closes("GET /"), connection_closes("GET /large"), String::from(GET)] {
        let is_served = (0..20).any(|_| {
            let one = OnePlace::new(Stops::After, usize::from(say.contains("large")));
            let mut client = Client::connect(one.addr());
            client.say(&say);
            assert_eq!(client.response().status, 200);
            one.arrivals.recv_timeout(SOON).unwrap();
            let mut again = Client::connect(one.addr());
            again.say(GET);
            one.facts.wait_for(|fact| *fact == Fact::Opened(2));
            one.open.send(()).unwrap();
            let status = again.response().status;
            one.running.destroy();
            assert_ends(&one.running);
            status == 200 // else the machine was too busy to let it go on within a second
        });
        assert!(is_served, "{say:?}");
    }
}

fn serve_one_place_with<R: Into<Response>>(handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static) -> Running {
    let server = Server::builder().max_connections(1).bind("127.0.0.1:0").unwrap();
    server.spawn(handler).unwrap()
}

fn serve_one_place(builder: Builder) -> Running {
    let server = builder.max_connections(1).bind("127.0.0.1:0").unwrap();
    server.spawn(answer).unwrap()
}

#[test]
fn a_sequential_client_is_never_refused() {
    type Hook = fn(&Event);
    let hooks: [(Option<Hook>, &str); 3] = [
        (None, "no hook"),
        (Some(|_| thread::sleep(Duration::from_micros(500))), "a slow hook"),
        (
            Some(|event| {
                if let Event::Closed { .. } = event {
                    thread::sleep(Duration::from_millis(4));
                }
            }),
            "a hook that takes its time for each end",
        ),
    ];
    let mut table = vec![String::from(GET)];
    for path in ["/", "/large", "/bytes", "/reader"] {
        table.push(connection_closes(&format!("GET {path}")));
    }
    table.push(GET.replace("/ ", "/bytes "));
    for (hook, why) in hooks {
        let builder = match hook {
            Some(hook) => Server::builder().on_event(hook),
            None => Server::builder(),
        };
        let running = serve_one_place(builder);
        for say in &table {
            for n in 0..100 {
                let mut client = Client::connect(running.local_addr());
                client.say(say);
                assert_eq!(client.response().status, 200, "{why}: {say:?}, the {n}th");
            }
        }
        running.destroy();
        assert_ends(&running);
    }
}

/// Clients that come faster than a slow `Closed` hook returns wait for it, on no more threads than there may be.
#[test]
fn a_slow_closed_hook_does_not_make_more_threads_than_there_may_be() {
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let builder = {
        let most = Arc::clone(&most);
        Server::builder().on_event(move |event| {
            if let Event::Closed { .. } = event {
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(20));
                inside.fetch_sub(1, SeqCst);
            }
        })
    };
    let running = serve_one_place(builder);
    for _ in 0..100 {
        let mut client = Client::connect(running.local_addr());
        client.say(&connection_closes("GET /"));
        assert_eq!(client.response().status, 200);
    }
    running.destroy();
    assert_ends(&running);
    let most = most.load(SeqCst);
    assert!((2..=10).contains(&most), "{most} at a time");
}

/// Regression: its socket was closed after the hook had returned, and until then it stayed connected.
#[test]
fn a_rejected_client_is_cut_by_a_destroy_while_the_hook_runs() {
    let (gate, arrivals, open) = Gate::new();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        if let Event::TurnedAway { .. } = event {
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
    until("it is handled", || running.handle().connections().iter().any(|info| info.requests == 1));
    let mut others: Vec<Client> = (0..9).map(|_| Client::connect(running.local_addr())).collect();
    arrivals.recv_timeout(SOON).unwrap();
    running.destroy();
    for client in &mut others {
        client.expect_end();
    }
    open.send(()).unwrap();
    assert_ends(&running);
}

/// A transport whose goodbye takes until the test ends.
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

/// Regression: a client that was refused because there were as many threads as there may be found a place all the same.
#[test]
fn connections_that_are_slow_to_go_do_not_make_more_threads_than_there_may_be() {
    let (gate, arrivals, open) = Gate::new();
    let gate = Arc::new(gate);
    let builder = Server::builder().max_connections(1);
    let builder = builder.transport(move |tcp, _| Ok(Lasting { tcp, gate: Arc::clone(&gate) }));
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(answer).unwrap();
    let mut clients = Vec::new();
    // Each that is served makes room for the next one, and stays.
    for _ in 0..60 {
        let mut client = Client::connect(running.local_addr());
        let _ = client.stream.write_all(GET.as_bytes()); // it may have been dropped
        let mut first = [0; 12];
        if client.stream.read_exact(&mut first).is_ok() && &first == b"HTTP/1.1 200" {
            until("it is idle", || {
                let open = running.handle().connections();
                open.iter().any(|info| info.state == ConnectionState::Idle)
            });
        }
        clients.push(client);
    }
    let going = arrivals.try_iter().count();
    drop(open);
    drop(clients);
    running.destroy();
    assert_ends(&running);
    assert!((5..=18).contains(&going), "{going} were going at a time");
}

/// Regression: eight of those who came waited until they were refused, and the others were dropped without an answer.
#[test]
fn a_long_response_does_not_hold_up_those_who_are_refused() {
    let (gate, arrivals, _open) = Gate::new();
    let gate = Arc::new(gate);
    let running = serve_one_place_with(move |_| {
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
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let mut client = Client::connect(running.local_addr());
        assert_eq!(client.response().status, 503);
    }
    // Each would wait for a second.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_connection_whose_rest_of_a_body_does_not_come_makes_room() {
    let running = serve_one_place_with(|_| Response::text(SMALL));
    let mut silent = Client::connect(running.local_addr());
    silent.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    until("its handler has returned", || running.handle().connections().iter().any(|info| info.requests == 1));
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
