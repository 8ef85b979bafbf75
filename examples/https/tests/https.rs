//! What the library promises, over TLS. `cargo test -- --nocapture` prints how long a destroy
//! takes.

#[path = "../../../tests/support/mod.rs"]
mod support;

use hardstop::{Builder, CloseReason, ConnectionState, Error, Event, Outcome, Phase};
use hardstop::{Request, Response, Running, Server, StatusCode};
use hardstop_https::{provider, SelfSigned, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::client::Client;
use support::recorder::{recorder, Fact, Recorder};
use support::{until, GET, SOON};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A wait that only a stop ends in time.
const LONG: Duration = Duration::from_secs(60);
const LARGE: usize = 64 * 1024 * 1024;
const SLEEP: &str = "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n";
const FLOOD: &str = "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_BODY: &str = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234";

/// The byte at that place of the large response.
fn large(at: usize) -> u8 {
    (at / 7 + at / 65_537) as u8
}

fn answer(request: &mut Request<'_>) -> Result<Response, Error> {
    Ok(match request.path() {
        "/id" => Response::text(request.connection_id().to_string()),
        "/body" => Response::text(request.body().read_to_text()?),
        "/sleep" => {
            request.cancel_token().wait_timeout(LONG);
            Response::text("slept")
        }
        "/flood" => Response::stream(|body| loop {
            body.write_all(&[b'x'; 65536])?;
        }),
        "/large" => Response::stream(|body| {
            let bytes: Vec<u8> = (0..LARGE).map(large).collect();
            body.write_all(&bytes)
        }),
        _ => Response::text("hello"),
    })
}

/// A server over TLS, what it tells, and what its clients need.
struct Site {
    running: Running,
    facts: Recorder,
    failures: Receiver<String>,
    pem: String,
    client: Arc<ClientConfig>,
}

fn serve(builder: Builder) -> Site {
    serve_with(builder, answer)
}

fn serve_with<R: Into<Response>>(
    builder: Builder,
    handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
) -> Site {
    let SelfSigned { config, pem, .. } = SelfSigned::new().unwrap();
    let ((hook, facts), (failed, failures)) = (recorder(), mpsc::channel());
    let hook = move |event: &Event| {
        if let Event::TransportFailed { error, .. } = event {
            let _ = failed.send(error.to_string()); // the test may have ended
        }
        hook(event);
    };
    let builder = builder.on_event(hook);
    let builder = builder.transport(move |tcp, _id| Ok(Tls::new(&config, tcp)?));
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(handler).unwrap();

    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Site {
        running,
        facts,
        failures,
        pem,
        client: Arc::new(client),
    }
}

impl Site {
    fn addr(&self) -> SocketAddr {
        self.running.local_addr()
    }

    /// Bytes of a connection whose handshake has not begun.
    fn tcp(&self) -> TcpStream {
        Client::connect(self.addr()).stream
    }

    fn hello(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(self.client.clone(), name).unwrap()
    }

    /// What a client says first.
    fn client_hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.hello().write_tls(&mut bytes).unwrap();
        bytes
    }

    /// A client whose handshake is done.
    fn connect(&self) -> TlsClient {
        let mut client = TlsClient(StreamOwned::new(self.hello(), self.tcp()));
        client.0.flush().unwrap();
        client
    }

    /// An agent that trusts the certificate, and nothing else.
    fn agent(&self) -> ureq::Agent {
        let certificate = Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[certificate]))
            .unversioned_rustls_crypto_provider(provider());
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(LONG))
            .http_status_as_error(false);
        config.build().new_agent()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr().port())
    }

    fn until_all(&self, count: usize, state: ConnectionState) {
        until(&format!("{count} connections are {state:?}"), || {
            let open = self.running.connections();
            open.iter().filter(|info| info.state == state).count() == count
        });
    }

    /// Waits for the end, and checks that every connection has had its own, for this reason.
    fn assert_ends(&self, connections: usize, why: CloseReason) {
        assert!(self.running.wait_timeout(SOON), "a connection is left");
        assert!(self.running.join());
        let facts = self.facts.so_far();
        for id in 1..=connections as u64 {
            let opened = facts.iter().filter(|fact| **fact == Fact::Opened(id));
            assert_eq!(opened.count(), 1, "{id} in {facts:?}");
            let closed = |fact: &&Fact| matches!(fact, Fact::Closed(other, reason, _) if (*other, *reason) == (id, why));
            assert_eq!(facts.iter().filter(closed).count(), 1, "{id} in {facts:?}");
        }
        let is_end = |fact: &&Fact| matches!(fact, Fact::Opened(_) | Fact::Closed(..));
        let ends = facts.iter().filter(is_end).count();
        assert_eq!(ends, 2 * connections, "{facts:?}");
    }
}

/// A client that has made its handshake, and speaks literal bytes inside of it.
struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
        self.0.flush().unwrap();
    }

    /// A response that has a length: its head, and its body.
    fn response(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split_once("Content-Length: ").unwrap().1;
        let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// The end that cannot be an attack: `Ok(0)` comes from close_notify alone, without it this is
    /// `UnexpectedEof`.
    fn expect_goodbye(mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("close_notify");
        assert!(rest.is_empty(), "{rest:?}");
        self.expect_end(); // and then the socket's
    }

    fn expect_end(&mut self) {
        expect_end(&self.0.sock);
    }

    /// The socket, to be kept open.
    fn raw(self) -> TcpStream {
        self.0.sock
    }
}

/// Reads the socket to its end, which may be a reset.
fn expect_end(mut tcp: &TcpStream) {
    let (began, mut piece) = (Instant::now(), vec![0; 65536]);
    while began.elapsed() < SOON {
        match tcp.read(&mut piece) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => break,
                _ => return,
            },
        }
    }
    panic!("the connection is still open");
}

/// A gate where a handler waits for the test, whatever its token says.
struct Gate {
    arrived: Mutex<Sender<()>>,
    opened: Mutex<Receiver<()>>,
}

impl Gate {
    fn new() -> (Gate, Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (open, opened)) = (mpsc::channel(), mpsc::channel());
        let (arrived, opened) = (Mutex::new(arrived), Mutex::new(opened));
        (Gate { arrived, opened }, arrivals, open)
    }

    fn pass(&self) {
        let _ = self.arrived.lock().unwrap().send(()); // the test may not wait for arrivals
        let _ = self.opened.lock().unwrap().recv_timeout(LONG); // a dropped sender opens the gate for all
    }
}

// Requests

#[test]
fn ureq_is_answered_over_one_connection() {
    let site = serve(Server::builder());
    let agent = site.agent();
    for _ in 0..3 {
        let mut response = agent.get(site.url("/id")).call().unwrap();
        assert_eq!(response.body_mut().read_to_string().unwrap(), "1");
    }
    let sent = "x".repeat(100_000);
    let mut response = agent.post(site.url("/body")).send(&sent).unwrap();
    assert!(response.body_mut().read_to_string().unwrap() == sent);
    drop(agent); // with the connection
    until("it is gone", || site.running.connection_count() == 0);
    site.running.destroy();
    site.assert_ends(1, CloseReason::PeerClosed);
}

#[test]
fn a_client_that_does_not_trust_the_certificate_ends_in_the_handshake() {
    let (site, other) = (serve(Server::builder()), serve(Server::builder()));
    let mut stranger = StreamOwned::new(other.hello(), site.tcp());
    let failed = stranger.flush().unwrap_err().to_string();
    assert!(failed.contains("invalid peer certificate"), "{failed}");
    assert_eq!(site.facts.reason(1), CloseReason::TransportFailed);
    let told = site.failures.recv_timeout(SOON).unwrap();
    assert!(told.contains("alert"), "{told}");
}

#[test]
fn a_large_response_arrives_whole() {
    let site = serve(Server::builder());
    let mut response = site.agent().get(site.url("/large")).call().unwrap();
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let (mut at, mut piece) = (0, vec![0; 65536]);
    loop {
        let n = body.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        let is_right = piece[..n]
            .iter()
            .zip(at..)
            .all(|(byte, at)| *byte == large(at));
        assert!(is_right, "behind byte {at}");
        at += n;
    }
    assert_eq!(at, LARGE);
}

#[test]
fn a_413_for_an_unread_upload_reaches_its_client() {
    let site = serve(Server::builder());
    let upload = vec![b'x'; 8_000_000];
    let mut response = site.agent().post(site.url("/body")).send(&upload).unwrap();
    assert_eq!(response.status(), 413);
    response.body_mut().read_to_string().unwrap();
    let reason = CloseReason::Refused(StatusCode::from(413));
    assert_eq!(site.facts.reason(1), reason);
}

// The handshake

#[test]
fn a_dripping_handshake_ends_at_the_deadline() {
    let builder = Server::builder().header_timeout(Duration::from_millis(500));
    let site = serve(builder);
    let (mut tcp, began) = (site.tcp(), Instant::now());
    let dripping = tcp.try_clone().unwrap();
    let hello = site.client_hello();
    let drip = thread::spawn(move || {
        for byte in hello.chunks(1) {
            if (&dripping).write_all(byte).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100)); // it is a slow client
        }
    });
    let end = tcp.read(&mut [0; 100]);
    assert!(began.elapsed() < Duration::from_secs(5), "{end:?}");
    assert!(began.elapsed() > Duration::from_millis(400), "{end:?}");
    drop(tcp);
    assert_eq!(site.facts.reason(1), CloseReason::HeadTimeout);
    let _ = drip.join();
}

#[test]
fn a_stalled_handshake_ends_at_the_deadline() {
    for sent in [0, 50] {
        let builder = Server::builder().header_timeout(Duration::from_millis(500));
        let site = serve(builder);
        let mut tcp = site.tcp();
        tcp.write_all(&site.client_hello()[..sent]).unwrap();
        let began = Instant::now();
        expect_end(&tcp);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "after {sent} bytes"
        );
        assert_eq!(site.facts.reason(1), CloseReason::HeadTimeout);
    }
}

#[test]
fn a_plain_client_is_cut_and_reported() {
    let site = serve(Server::builder());
    let mut plain = Client::connect(site.addr());
    plain.say(GET);
    plain.expect_end();
    assert_eq!(site.facts.reason(1), CloseReason::TransportFailed);
    assert_ne!(site.failures.recv_timeout(SOON).unwrap(), "");
    site.running.destroy();
    site.assert_ends(1, CloseReason::TransportFailed);
}

#[test]
fn a_client_that_leaves_in_its_handshake_does_no_harm() {
    let site = serve(Server::builder());
    let mut tcp = site.tcp();
    tcp.write_all(&site.client_hello()[..50]).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    expect_end(&tcp);
    assert_eq!(site.facts.reason(1), CloseReason::TransportFailed);
    assert_eq!(
        site.agent().get(site.url("/id")).call().unwrap().status(),
        200
    );
}

#[test]
fn unfinished_handshakes_make_room() {
    let site = serve(Server::builder().max_connections(2));
    let silent = [site.tcp(), site.tcp()];
    site.until_all(2, ConnectionState::Handshake);
    let agent = site.agent();
    until("an ordinary client is served", || {
        let response = agent.get(site.url("/")).call();
        response.is_ok_and(|response| response.status() == 200)
    });
    let is_evicted = |fact: &Fact| matches!(fact, Fact::Closed(1 | 2, CloseReason::Evicted, _));
    site.facts.wait_for(is_evicted);
    drop(silent);
}

// Orderly ends

#[test]
fn an_idle_connection_ends_with_close_notify() {
    let builder = Server::builder().idle_timeout(Duration::from_millis(300));
    let site = serve(builder);
    let (mut idle, fresh) = (site.connect(), site.connect());
    idle.say(GET);
    idle.response();
    idle.expect_goodbye();
    fresh.expect_goodbye();
    site.running.destroy();
    site.assert_ends(2, CloseReason::IdleTimeout);
}

#[test]
fn a_last_response_is_followed_by_close_notify() {
    let site = serve(Server::builder());
    let mut client = site.connect();
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().1, "hello");
    client.expect_goodbye();
    assert_eq!(site.facts.reason(1), CloseReason::Completed);
}

#[test]
fn a_refused_request_is_followed_by_close_notify() {
    let site = serve(Server::builder());
    let mut client = site.connect();
    client.say("GET / HTTP/1.1\r\n\r\n");
    assert!(client.response().0.starts_with("HTTP/1.1 400 "));
    client.expect_goodbye();
    let reason = CloseReason::Refused(StatusCode::BAD_REQUEST);
    assert_eq!(site.facts.reason(1), reason);
}

#[test]
fn close_notify_from_the_client_ends_its_connection() {
    let site = serve(Server::builder());
    let mut client = site.connect();
    client.say(GET);
    client.response();
    client.0.conn.send_close_notify();
    client.0.flush().unwrap();
    client.expect_goodbye();
    assert_eq!(site.facts.reason(1), CloseReason::PeerClosed);
}

#[test]
fn a_request_followed_by_close_notify_is_answered() {
    let site = serve(Server::builder());
    let mut client = site.connect();
    client.0.write_all(GET.as_bytes()).unwrap();
    client.0.conn.send_close_notify();
    client.0.flush().unwrap();
    assert_eq!(client.response().1, "hello");
    client.expect_goodbye();
    assert_eq!(site.facts.reason(1), CloseReason::PeerClosed);
}

#[test]
fn a_stalled_body_gets_408_and_close_notify() {
    let site = serve(Server::builder().body_timeout(Duration::from_millis(300)));
    let mut client = site.connect();
    client.say(HALF_BODY);
    assert!(client.response().0.starts_with("HTTP/1.1 408 "));
    client.expect_goodbye();
    assert_eq!(site.facts.reason(1), CloseReason::BodyTimeout);
}

#[test]
fn a_client_that_reads_nothing_is_awaited_only_once() {
    let site = serve(Server::builder().write_timeout(Duration::from_millis(300)));
    let mut client = site.connect();
    client.say(FLOOD);
    let began = Instant::now();
    assert_eq!(site.facts.reason(1), CloseReason::WriteTimeout);
    assert!(began.elapsed() < SOON / 2);
}

/// The kernel's queue is read to its end after `shutdown(Read)` on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn drain_serves_a_request_queued_in_the_kernel() {
    for round in 0..20 {
        let site = serve(Server::builder());
        let mut client = site.connect();
        client.say(GET);
        client.response();
        site.until_all(1, ConnectionState::Idle);
        client.say(GET);
        site.running.drain();
        assert_eq!(client.response().1, "hello", "in round {round}");
        client.expect_goodbye();
        site.assert_ends(1, CloseReason::Drained);
    }
}

#[test]
fn a_client_without_a_handshake_does_not_delay_a_drain() {
    let site = serve(Server::builder());
    let tcp = site.tcp();
    site.until_all(1, ConnectionState::Handshake);
    let began = Instant::now();
    assert_eq!(site.running.shutdown(LONG), Outcome::Drained);
    assert!(began.elapsed() < SOON, "it had a second to begin");
    expect_end(&tcp);
    site.assert_ends(1, CloseReason::Drained);
}

#[test]
fn shutdown_drains_with_whole_responses_and_close_notify() {
    let (gate, arrivals, open) = Gate::new();
    let site = serve_with(Server::builder(), move |request: &mut Request<'_>| {
        if request.path() == "/gate" {
            gate.pass();
        }
        "x".repeat(5_000_000)
    });
    let mut idle: Vec<TlsClient> = (0..5).map(|_| site.connect()).collect();
    for client in &mut idle {
        client.say(GET);
        client.response();
    }
    let mut busy = site.connect();
    busy.say("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(SOON).unwrap();
    site.until_all(5, ConnectionState::Idle);

    let handle = site.running.handle();
    let shutdown = thread::spawn(move || handle.shutdown(LONG));
    idle.into_iter().for_each(TlsClient::expect_goodbye); // while the other one is still in its handler
    assert_eq!(site.running.phase(), Phase::Draining);
    open.send(()).unwrap();
    let (head, body) = busy.response();
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!(body.len(), 5_000_000);
    busy.expect_goodbye();
    assert_eq!(shutdown.join().unwrap(), Outcome::Drained);
    site.assert_ends(6, CloseReason::Drained);
}

#[test]
fn drain_completes_a_handshake_that_has_begun() {
    let site = serve(Server::builder());
    let (mut tls, mut tcp) = (site.hello(), site.tcp());
    tls.write_tls(&mut tcp).unwrap();
    site.until_all(1, ConnectionState::Handshake);
    site.running.drain();
    let mut client = TlsClient(StreamOwned::new(tls, tcp));
    client.say(GET);
    let (head, body) = client.response();
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!(body, "hello");
    client.expect_goodbye();
    site.assert_ends(1, CloseReason::Drained);
}

#[test]
fn an_upgraded_stream_works_inside_tls_and_destroy_reaches_it() {
    let site = serve_with(Server::builder(), |_: &mut Request<'_>| {
        Response::upgrade("echo", |mut stream| {
            let mut piece = [0; 100];
            while let Ok(n @ 1..) = stream.read(&mut piece) {
                stream.write_all(&piece[..n]).unwrap();
            }
        })
    });
    let mut client = site.connect();
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nfirst") {
        let mut byte = [0];
        client.0.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    client.say("again");
    let mut again = [0; 5];
    client.0.read_exact(&mut again).unwrap();
    assert_eq!(&again, b"again");
    site.until_all(1, ConnectionState::Upgraded);
    assert_eq!(site.running.destroy(), 1);
    client.expect_end();
    site.assert_ends(1, CloseReason::Destroyed);
}

// Destroy

/// How a connection comes into each state, and how that is called in the list.
type Bring = fn(&Site) -> TcpStream;
const STATES: [(&str, ConnectionState, Bring); 9] = [
    ("silent", ConnectionState::Handshake, |site| site.tcp()),
    ("half a ClientHello", ConnectionState::Handshake, |site| {
        let (mut tcp, hello) = (site.tcp(), site.client_hello());
        tcp.write_all(&hello[..hello.len() / 2]).unwrap();
        tcp
    }),
    (
        "ClientHello, no Finished",
        ConnectionState::Handshake,
        |site| {
            let mut tcp = site.tcp();
            tcp.write_all(&site.client_hello()).unwrap();
            assert_eq!(tcp.peek(&mut [0]).unwrap(), 1, "the server has answered");
            tcp
        },
    ),
    ("handshake done, silent", ConnectionState::New, |site| {
        site.connect().raw()
    }),
    ("half a head", ConnectionState::Head, |site| {
        said(site, "GET / HT")
    }),
    ("idle", ConnectionState::Idle, |site| said(site, GET)),
    ("in its handler", ConnectionState::Handling, |site| {
        said(site, SLEEP)
    }),
    ("half a body", ConnectionState::Handling, |site| {
        said(site, HALF_BODY)
    }),
    (
        "a response is not read",
        ConnectionState::Responding,
        |site| said(site, FLOOD),
    ),
];

fn said(site: &Site, text: &str) -> TcpStream {
    let mut client = site.connect();
    client.say(text);
    client.raw()
}

#[test]
fn destroy_cuts_at_once_in_every_state() {
    const EACH: usize = 20;
    println!("{EACH} connections each, in ms: destroy returned, clients saw the end, all gone");
    for (what, state, bring) in STATES {
        let site = serve(Server::builder());
        let clients: Vec<TcpStream> = (0..EACH).map(|_| bring(&site)).collect();
        site.until_all(EACH, state);
        if state == ConnectionState::Responding {
            thread::sleep(Duration::from_millis(200)); // until it blocks, which nobody tells
        }
        let began = Instant::now();
        let ms = || began.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(site.running.destroy(), EACH, "{what}");
        let returned = ms();
        clients.iter().for_each(expect_end);
        let ended = ms();
        assert!(site.running.wait_timeout(SOON), "{what}");
        println!("{what:<26} {returned:>7.2} {ended:>7.2} {:>7.2}", ms());
        assert!(began.elapsed() < SOON / 2, "{what}");
        site.assert_ends(EACH, CloseReason::Destroyed);
        let gone = io::Error::from(ErrorKind::ConnectionRefused).kind();
        let refused = TcpStream::connect(site.addr()).unwrap_err().kind();
        assert_eq!(refused, gone, "{what}");
    }
}
