//! Which connection makes room when every place is taken, and which client is refused.

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::assert_ends;
use crate::support::{until, GET, SOON};
use hardstop::{
    Builder, CloseReason, ConnectionId, ConnectionState, Event, Request, Response, Running, Server,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// When a write of the first connection waits at the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stops {
    /// Before its bytes are sent.
    Before,
    /// When its client has them, before the write returns.
    After,
}

/// A transport whose n-th write waits at a gate.
struct Gated {
    tcp: TcpStream,
    gate: Arc<Gate>,
    stops: Stops,
    /// The number of writes before that one.
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
        "/stream" => Response::stream(|body| body.write_all(SMALL.as_bytes())).with_close(),
        "/large" => Response::stream(|body| {
            body.write_all(&[b'x'; LARGE / 2])?;
            body.write_all(&[b'x'; LARGE / 2])
        })
        .with_close(),
        "/bytes" => Response::bytes("text/plain", vec![b'x'; 5 * LARGE]),
        "/reader" => Response::reader(io::repeat(b'x').take(5 * LARGE as u64), 5 * LARGE as u64),
        _ => Response::text(SMALL),
    })
}

/// A server with one place, whose first connection waits at a gate.
struct OnePlace {
    running: Running,
    facts: Recorder,
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
            Ok(Gated {
                tcp,
                gate,
                stops,
                free,
            })
        };
        let server = builder.transport(transport).bind("127.0.0.1:0").unwrap();
        OnePlace {
            running: server.spawn(answer).unwrap(),
            facts,
            arrivals,
            open,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.running.local_addr()
    }
}

fn connection_closes(text: &str) -> String {
    format!("{text} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Regression: a connection entered `Closing`, which makes room, before its output had been
/// written. The next client had it cut, and the end of a response that had been reported as sent
/// was lost.
#[test]
fn an_unsent_response_is_not_lost_to_an_eviction() {
    // What the client sends, the write that holds the last bytes, and the end of the response.
    let unread = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n";
    let too_large = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
    let table = [
        (
            connection_closes("GET /"),
            0,
            SMALL,
            "a short last response",
        ),
        (
            connection_closes("GET /stream"),
            0,
            "0\r\n\r\n",
            "a stream that is the last response",
        ),
        (
            connection_closes("GET /large"),
            1,
            "0\r\n\r\n",
            "the last write of a long one",
        ),
        (connection_closes("HEAD /"), 0, "\r\n\r\n", "a head alone"),
        (String::from(unread), 0, SMALL, "an early answer"),
        (String::from(too_large), 0, "bytes\n", "a 413"),
        (
            String::from("GET / HTTP/9.9\r\n\r\n"),
            0,
            "served\n",
            "a refusal",
        ),
        (
            format!("{GET}GET / HTTP/1.1\r\n\r\n"),
            0,
            "`host[:port]`\n",
            "a refusal behind a response",
        ),
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

/// Regression: the same happened to a response while the head of the next request was incomplete
/// for more than a second.
#[test]
fn a_response_before_a_slow_head_is_not_lost_to_an_eviction() {
    let one = OnePlace::new(Stops::Before, 0);
    let mut client = Client::connect(one.addr());
    client.say(&format!("{GET}GET / HT"));
    one.arrivals.recv_timeout(SOON).unwrap();
    let began = one.running.handle().connections()[0].since;
    until("a head would have had its second", || {
        began.elapsed() > Duration::from_millis(1100)
    });
    let mut other = Client::connect(one.addr());
    assert_eq!(other.response().status, 503);
    one.open.send(()).unwrap();
    assert_eq!(client.response().text(), SMALL);
    one.running.destroy();
    assert_ends(&one.running);
}

#[test]
fn the_last_response_of_a_drain_is_not_lost_to_a_queued_client() {
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
    assert_eq!(
        next.response().status,
        503,
        "it came while the place was taken"
    );
    assert!(one.running.join());
    assert_ne!(one.facts.reason(1), CloseReason::Evicted);
}

/// Regression: a client that connected again right after its response got a 503 from a server
/// without other clients.
#[test]
fn a_client_finds_its_place_free_after_its_last_response() {
    for say in [
        connection_closes("GET /"),
        connection_closes("GET /large"),
        String::from(GET),
    ] {
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
            status == 200 // else the machine was too busy to continue within a second
        });
        assert!(is_served, "{say:?}");
    }
}

fn serve_one_place_with<R: Into<Response>>(
    handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
) -> Running {
    let server = Server::builder()
        .max_connections(1)
        .bind("127.0.0.1:0")
        .unwrap();
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
        (
            Some(|_| thread::sleep(Duration::from_micros(500))),
            "a slow hook",
        ),
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

/// Clients that connect faster than a slow `Closed` hook returns wait for it, and the number of
/// threads stays bounded.
#[test]
fn a_slow_closed_hook_does_not_exceed_the_thread_limit() {
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
    let running = running.spawn(answer).unwrap();
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
            let open = running.handle().connections();
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
    // With the bug, each refusal took a second.
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_connection_that_awaits_the_rest_of_a_body_makes_room() {
    let running = serve_one_place_with(|_| Response::text(SMALL));
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
