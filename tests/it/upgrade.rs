//! Connections that have left HTTP: what `Response::upgrade`, `Upgraded` and `Lease` promise.

use crate::client::{recorder, until, Client, Fact, Facts, GET, SOON};
use crate::history::chronicle;
use crate::lifecycle::{assert_ends, Gate, LONG, SHORT};
use hardstop::{
    Builder, CancelToken, CloseReason, ConnectionState, Event, Handle, Lease, Outcome, Request, Response, Running,
    Server, Upgraded,
};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

const UPGRADE: &str = "GET /up%20there HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server that gives whoever offers it an upgrade to that closure.
fn taking(builder: Builder, take: impl Fn(Upgraded, CancelToken) + Clone + Send + Sync + 'static) -> (Running, Facts) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| match request.header("Upgrade") {
        Some(_) => {
            let (take, token) = (take.clone(), request.cancel_token());
            Response::upgrade("echo", move |stream| take(stream, token))
        }
        None => Response::text("hello"),
    });
    (running.unwrap(), facts)
}

/// A server whose closures return at once, and move their streams to the test's thread, with their tokens.
fn moving(builder: Builder) -> (Running, Facts, Receiver<(Upgraded, CancelToken)>) {
    let (sender, streams) = mpsc::channel();
    let (running, facts) = taking(builder, move |stream, token| {
        let _ = sender.send((stream, token)); // the test may have ended
    });
    (running, facts, streams)
}

/// A client that has left HTTP, too.
fn upgraded(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.say(UPGRADE);
    assert_eq!(client.head_response().status, 101);
    client
}

fn read_exact(stream: &mut impl Read, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

// What leaves, and what comes first.

#[test]
fn an_upgrade_is_a_101_that_frames_nothing_and_keeps_the_handlers_fields() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|_| {
        Response::upgrade("echo", drop)
            .with_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .with_header("Content-Type", "text/plain")
            .with_header("Content-Length", "5")
            .with_header("Transfer-Encoding", "chunked")
            .with_header("Connection", "close")
            .closing()
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(UPGRADE);
    let head = client.head_response().head;
    let date = head.lines().find(|line| line.starts_with("Date: "));
    let want = format!(
        "HTTP/1.1 101 Switching Protocols\r\n{}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        date.unwrap()
    );
    assert_eq!(head, want);
    client.expect_end();
}

#[test]
fn the_stream_begins_with_what_the_client_had_sent_already_and_is_not_buffered() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{UPGRADE}GET / HTTP/1.1\r\n"));
    assert_eq!(client.head_response().status, 101);
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(read_exact(&mut stream, 3), b"GET", "it is not parsed");
    client.say("more");
    assert_eq!(read_exact(&mut stream, 17), b" / HTTP/1.1\r\nmore");
    stream.write_all(b"back").unwrap(); // and no flush
    assert_eq!(client.take(4), b"back");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "the client's end");
    stream.write_all(b"last").unwrap();
    drop(stream);
    assert_eq!(client.take(4), b"last");
    client.expect_end();
}

/// It waited for the client's next byte.
#[test]
fn reading_nothing_returns_at_once() {
    let (running, _facts, streams) = moving(Server::builder());
    let _client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    stream.set_timeouts(Some(SOON), None).unwrap();
    let began = Instant::now();
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert!(began.elapsed() < SOON);
}

#[test]
fn requests_before_an_upgrade_are_answered_first_and_in_their_order() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{GET}{GET}{UPGRADE}bytes"));
    for _ in 0..2 {
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(client.head_response().status, 101);
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(read_exact(&mut stream, 5), b"bytes");
}

#[test]
fn the_list_has_an_upgraded_connection_with_its_request() {
    let (running, facts, streams) = moving(Server::builder());
    let _other = Client::answered(running.local_addr());
    let client = upgraded(running.local_addr());
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let peer = client.stream.local_addr().unwrap();
    let open = running.handle().connections();
    let info = open.iter().find(|info| info.peer == Some(peer)).unwrap();
    assert_eq!(info.state, ConnectionState::Upgraded);
    assert_eq!(info.requests, 1);
    assert_eq!(info.method.as_deref(), Some("GET"));
    assert_eq!(info.path.as_deref(), Some("/up there"));
    drop(stream);
    assert_eq!(facts.reason(u64::from(info.id)), CloseReason::Completed);
}

// When it is refused.

#[test]
fn an_upgrade_that_the_client_has_not_offered_is_a_400_and_the_connection_goes_on() {
    let table = [
        ("HTTP/1.1\r\nHost: x", "it offers nothing"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrade", "nothing to upgrade to"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: other", "another protocol"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo2, echo/1", "longer names"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: ,", "an empty list"),
        ("HTTP/1.1\r\nHost: x\r\nUpgrade: echo", "no `Connection: upgrade`"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrades\r\nUpgrade: echo", "another option"),
        ("HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo", "HTTP/1.0"),
        ("HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 2", "the body is not read"),
    ];
    let (hook, facts) = recorder();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let taken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&taken);
    let running = server.unwrap().spawn(move |_| {
        let flag = Arc::clone(&flag);
        Response::upgrade("echo", move |_| flag.store(true, SeqCst))
    });
    let running = running.unwrap();
    for (rest, why) in table {
        let mut client = Client::connect(running.local_addr());
        let body = if rest.contains("Length") { "ab" } else { "" };
        for _ in 0..2 {
            client.say(&format!("GET / {rest}\r\n\r\n{body}"));
            let answer = client.response();
            assert_eq!(answer.status, 400, "{why}");
            assert_eq!(answer.header("upgrade"), None, "{why}");
        }
    }
    assert!(!taken.load(SeqCst));
    let failed = |fact: &&Fact| **fact == Fact::Other;
    until("each is told as `Failed`", || facts.so_far().iter().filter(failed).count() == 2 * table.len());
}

#[test]
fn an_upgrade_is_found_in_lists_whatever_its_case() {
    let table = [
        "Connection: Upgrade\r\nUpgrade: ECHO",
        "connection: keep-alive, UPGRADE\r\nupgrade: other/1, Echo",
        "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: other\r\nUpgrade: ,\techo ,",
    ];
    let (running, _facts, streams) = moving(Server::builder());
    for fields in table {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n"));
        assert_eq!(client.head_response().status, 101, "{fields}");
        drop(streams.recv_timeout(SOON).unwrap());
    }
}

#[test]
fn an_upgrade_whose_request_has_a_body_begins_after_it() {
    let (sender, streams) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let sender = sender.clone();
        let _ = request.body().read_to_vec();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        let mut client = Client::connect(running.local_addr());
        let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo";
        client.say(&format!("{head}\r\n{body}def"));
        assert_eq!(client.head_response().status, 101, "{body}");
        let mut stream = streams.recv_timeout(SOON).unwrap();
        assert_eq!(read_exact(&mut stream, 3), b"def", "{body}");
    }
}

#[test]
fn an_upgrade_that_cannot_be_sent_is_a_500() {
    type Make = fn() -> Response;
    let table: [(Make, &str); 4] = [
        (
            || Response::upgrade("echo", drop).with_status(200),
            "the status code of an upgrade is 101, and cannot be set",
        ),
        (
            || Response::upgrade("echo", drop).with_status(100),
            "the status code of an upgrade is 101, and cannot be set",
        ),
        (
            || Response::upgrade("echo", drop).with_header("X", "a\r\nb: c"),
            "a field value in the response has a control byte: encode it",
        ),
        (
            || Response::upgrade("echo", drop).with_header("X y", "a"),
            "a field name in the response is not a token: use letters, digits and hyphens",
        ),
    ];
    for (make, why) in table {
        let (hook, told) = chronicle();
        let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
        let running = server.unwrap().spawn(move |_| make()).unwrap();
        let mut client = Client::connect(running.local_addr());
        client.say(UPGRADE);
        let answer = client.response();
        assert_eq!(answer.status, 500, "{why}");
        assert_eq!(answer.text(), "500 Internal Server Error\n", "{why}");
        let told = [(); 3].map(|()| told.recv_timeout(SOON).unwrap());
        assert_eq!(told[2], format!("1 failed: {why}"));
    }
}

#[test]
fn an_upgrade_is_a_503_while_the_server_drains() {
    let (gate, arrivals, open) = Gate::new();
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| {
        gate.pass();
        Response::upgrade("echo", drop)
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(UPGRADE);
    arrivals.recv_timeout(SOON).unwrap();
    running.handle().drain();
    drop(open);
    let answer = client.response();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    client.expect_end();
    assert_ends(&running);
}

// What ends it from outside.

type Cut = fn(&Handle);

/// The ways to cut a connection, and what it is told to have ended with.
const CUTS: [(Cut, CloseReason); 3] = [
    (|handle| assert_eq!(handle.destroy(), 1), CloseReason::Destroyed),
    (|handle| assert!(handle.close(handle.connections()[0].id)), CloseReason::HandleClosed),
    (
        |handle| {
            let outcome = handle.shutdown(SHORT);
            assert!(matches!(outcome, Outcome::Destroyed { cut: 1, .. }), "{outcome:?}");
        },
        CloseReason::Destroyed,
    ),
];

/// Has the client send until nothing more is taken, or the server.
fn fill(mut write: impl FnMut() -> std::io::Result<usize>) -> std::io::Error {
    loop {
        match write() {
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

#[test]
fn a_cut_wakes_an_upgraded_stream_that_waits_and_fires_its_token() {
    let waits: [fn(Upgraded) -> std::io::Error; 3] = [
        |mut stream| stream.read(&mut [0]).unwrap_err(),
        |mut stream| fill(|| stream.write(&[0; 65536])),
        |mut stream| thread::spawn(move || stream.read(&mut [0]).unwrap_err()).join().unwrap(),
    ];
    let ways = CUTS.iter().flat_map(|cut| (0..waits.len()).map(move |number| (cut, number)));
    for ((cut, reason), number) in ways {
        let wait = waits[number];
        let (sender, seen) = mpsc::channel();
        let (about_to, waits) = mpsc::channel();
        let (running, facts) = taking(Server::builder(), move |stream, token| {
            about_to.send(()).unwrap();
            let error = wait(stream);
            sender.send((error.kind(), token.is_cancelled())).unwrap();
        });
        let mut client = upgraded(running.local_addr());
        waits.recv_timeout(SOON).unwrap();
        if number == 1 {
            until("the system takes no more", || {
                let so_far = || client.stream.peek(&mut vec![0; 1 << 22]).unwrap();
                let before = so_far();
                thread::sleep(SHORT);
                before == so_far()
            });
        }
        cut(&running.handle());
        let want = (ErrorKind::ConnectionAborted, true);
        assert_eq!(seen.recv_timeout(SOON).unwrap(), want, "{reason:?}, {number}");
        client.expect_end();
        assert_eq!(facts.reason(1), *reason, "{number}");
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn a_cut_reaches_a_stream_that_has_been_moved_away_and_nobody_uses() {
    for (cut, reason) in CUTS {
        let (running, facts, streams) = moving(Server::builder());
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{UPGRADE}too late"));
        assert_eq!(client.head_response().status, 101);
        let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
        cut(&running.handle());
        assert!(token.is_cancelled() && token.wait_timeout(LONG));
        client.expect_end();
        let kind = |result: std::io::Result<usize>| result.unwrap_err().kind();
        assert_eq!(kind(stream.read(&mut [0])), ErrorKind::ConnectionAborted, "{reason:?}");
        assert_eq!(kind(stream.write(&[0])), ErrorKind::ConnectionAborted, "{reason:?}");
        running.destroy();
        let handle = running.handle();
        assert!(!handle.wait_timeout(SHORT), "it is held");
        assert_eq!(handle.connection_count(), 1);
        drop(stream);
        assert_ends(&running);
        assert_eq!(facts.reason(1), reason);
    }
}

#[test]
fn close_idle_and_newcomers_leave_upgraded_connections_alone() {
    let (running, _facts, streams) = moving(Server::builder().max_connections(1));
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(running.handle().close_idle(), 0);
    thread::sleep(Duration::from_millis(1100)); // what is new has a second in any case
    let mut newcomer = Client::connect(running.local_addr());
    newcomer.say(GET);
    assert_eq!(newcomer.response().status, 503);
    assert!(!token.is_cancelled());
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    drop(stream);
    until("its place is free", || running.handle().connection_count() == 0);
    drop(Client::answered(running.local_addr()));
}

#[test]
fn a_drain_tells_an_upgraded_stream_and_leaves_it_alone() {
    let (running, facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    assert!(!token.is_draining() && !token.wait_stop_timeout(SHORT));
    thread::scope(|scope| {
        let told = scope.spawn(|| token.wait_stop_timeout(LONG));
        running.handle().drain();
        assert!(told.join().unwrap());
    });
    assert!(token.is_draining() && !token.is_cancelled());
    assert!(!running.handle().wait_timeout(SHORT * 30), "more than a silent one has");
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    stream.write_all(b"b").unwrap();
    assert_eq!(client.take(1), b"b");
    thread::scope(|scope| {
        let outcome = scope.spawn(|| running.shutdown(LONG));
        drop(stream);
        assert_eq!(outcome.join().unwrap(), Outcome::Drained);
    });
    client.expect_end();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Completed);
}

// Where it lives.

thread_local! {
    /// Dropped when its thread ends.
    static AT_THE_END: RefCell<Option<OnDrop>> = RefCell::default();
}

struct OnDrop(Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(()); // the test may have ended
    }
}

#[test]
fn wait_waits_for_a_stream_that_has_outlived_its_thread() {
    let (sender, streams) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let (running, facts) = taking(Server::builder(), move |stream, _| {
        AT_THE_END.with(|it| *it.borrow_mut() = Some(OnDrop(ended.clone())));
        sender.send(stream).unwrap();
    });
    let mut client = upgraded(running.local_addr());
    let mut stream = streams.recv_timeout(SOON).unwrap();
    end.recv_timeout(SOON).expect("its thread has ended");
    drop(Client::answered(running.local_addr())); // has others joined
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    running.handle().drain();
    assert!(!running.handle().wait_timeout(SHORT));
    thread::scope(|scope| {
        let joined = scope.spawn(|| running.join());
        assert!(!facts.so_far().iter().any(|fact| matches!(fact, Fact::Closed(1, _))));
        drop(stream);
        assert!(joined.join().unwrap());
    });
    let closed = Fact::Closed(1, CloseReason::Completed);
    assert!(facts.so_far().contains(&closed), "told before `join` returned");
}

#[test]
fn dropping_the_stream_ends_the_connection_while_its_closure_goes_on() {
    let (gate, arrivals, open) = Gate::new();
    let gate = Arc::new(gate);
    let (running, facts) = taking(Server::builder(), move |stream, _| {
        drop(stream);
        gate.pass();
    });
    let mut client = upgraded(running.local_addr());
    arrivals.recv_timeout(SOON).unwrap();
    client.expect_end();
    running.handle().drain();
    assert!(!running.handle().wait_timeout(SHORT), "the closure goes on");
    drop(open);
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Completed);
}

#[test]
fn the_timeouts_and_rates_of_http_are_over() {
    let builder = Server::builder()
        .header_timeout(SHORT * 4)
        .idle_timeout(SHORT * 4)
        .body_timeout(SHORT * 4)
        .write_timeout(SHORT * 4)
        .min_rate(u32::MAX);
    let (running, _facts, streams) = moving(builder);
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    const BYTES: usize = 20 << 20; // more than the system takes while nobody reads
    thread::scope(|scope| {
        let stream = &mut stream;
        let served = scope.spawn(move || {
            let read = read_exact(stream, 1);
            stream.write_all(&vec![b'x'; BYTES]).unwrap();
            read
        });
        thread::sleep(SHORT * 16); // a slow client
        client.say("a");
        thread::sleep(SHORT * 16);
        assert_eq!(client.take(BYTES).len(), BYTES);
        assert_eq!(served.join().unwrap(), b"a");
    });
    assert!(!token.is_cancelled());
}

#[test]
fn set_timeouts_bounds_reads_and_writes_and_the_stream_goes_on() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    stream.set_timeouts(Some(SHORT), Some(SHORT)).unwrap();
    assert!(late.contains(&stream.read(&mut [0]).unwrap_err().kind()));
    let mut sent = 0;
    let error = fill(|| {
        let n = stream.write(&[0; 65536])?;
        sent += n;
        Ok(n)
    });
    assert!(late.contains(&error.kind()), "{error}");
    assert_eq!(client.take(sent).len(), sent);
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    for zero in [(Some(Duration::ZERO), None), (None, Some(Duration::ZERO))] {
        stream.set_timeouts(zero.0, zero.1).unwrap_err();
    }
    stream.set_timeouts(None, None).unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| read_exact(&mut stream, 1));
        thread::sleep(SHORT * 4); // a slow client
        client.say("b");
        assert_eq!(read.join().unwrap(), b"b");
    });
}

// Without the stream.

/// A stream that has been taken apart, whose client had sent that with its head.
struct Parts {
    client: Client,
    tcp: TcpStream,
    unread: Vec<u8>,
    lease: Lease,
    token: CancelToken,
}

impl Parts {
    fn of(running: &Running, streams: &Receiver<(Upgraded, CancelToken)>, sent: &str) -> Parts {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{UPGRADE}{sent}"));
        assert_eq!(client.head_response().status, 101);
        let (stream, token) = streams.recv_timeout(SOON).unwrap();
        let (tcp, unread, lease) = stream.into_tcp().unwrap();
        Parts { client, tcp, unread, lease, token }
    }
}

#[test]
fn into_tcp_lets_two_threads_read_and_write_at_the_same_time() {
    let (running, facts, streams) = moving(Server::builder());
    let Parts { mut client, tcp, unread, lease, token } = Parts::of(&running, &streams, "abc");
    assert_eq!(unread, b"abc");
    const BYTES: usize = 8 << 20;
    let (mut reader, mut writer) = (tcp.try_clone().unwrap(), tcp);
    let mut sender = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        // Were one waiting for the other, none of the four would come to its end.
        scope.spawn(|| writer.write_all(&vec![b'x'; BYTES]).unwrap());
        scope.spawn(|| sender.write_all(&vec![b'y'; BYTES]).unwrap());
        let read = scope.spawn(|| read_exact(&mut reader, BYTES));
        assert!(client.take(BYTES).iter().all(|byte| *byte == b'x'));
        assert!(read.join().unwrap().iter().all(|byte| *byte == b'y'));
    });
    assert!(!token.is_cancelled());
    drop(lease);
    client.expect_end();
    until("it is gone", || running.handle().connection_count() == 0);
    assert_eq!(facts.reason(1), CloseReason::Completed);
    assert_eq!(reader.read(&mut [0]).unwrap_or(0), 0, "the sockets have ended, too");
    writer.write_all(&[0; 9]).unwrap_err();
}

#[test]
fn a_lease_keeps_its_connection_registered_and_a_destroy_wakes_its_socket() {
    let (running, facts, streams) = moving(Server::builder());
    let Parts { mut client, mut tcp, unread, lease, token } = Parts::of(&running, &streams, "");
    assert_eq!(unread, b"");
    thread::scope(|scope| {
        let read = scope.spawn(|| tcp.read(&mut [0; 9]));
        client.say("");
        assert_eq!(running.destroy(), 1);
        let read = read.join().unwrap();
        assert_eq!(read.unwrap_or(0), 0, "a socket tells of a cut as of any end");
    });
    assert!(token.is_cancelled());
    client.expect_end();
    assert!(!running.handle().wait_timeout(SHORT), "it is leased");
    drop(lease);
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[test]
fn dropping_a_lease_ends_the_connection_though_somebody_has_its_socket() {
    let (running, _facts, streams) = moving(Server::builder());
    let Parts { mut client, tcp, lease, token, .. } = Parts::of(&running, &streams, "");
    drop(lease);
    client.expect_end();
    assert!(token.wait_timeout(SOON), "its token has fired");
    running.destroy();
    assert_ends(&running); // the socket is nobody's business any more
    drop(tcp);
}

// Over a transport, and over a Unix socket.

/// A transport that says goodbye.
struct Polite(TcpStream);

impl Read for Polite {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Polite {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        let _ = self.0.write_all(b"goodbye"); // it may have been cut
    }
}

#[test]
fn over_a_transport_into_tcp_gives_the_stream_back_and_its_end_is_orderly() {
    let (running, _facts, streams) = moving(Server::builder().transport(|tcp, _| Ok(Polite(tcp))));
    let mut client = upgraded(running.local_addr());
    client.say("abc");
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let mut stream = stream.into_tcp().expect_err("its bytes are not the socket's");
    assert_eq!(read_exact(&mut stream, 3), b"abc");
    stream.write_all(b"def").unwrap();
    drop(stream);
    assert_eq!(client.take(10), b"defgoodbye");
    client.expect_end();
}

#[test]
fn a_destroy_wakes_an_upgraded_stream_over_a_transport() {
    let (running, facts, streams) = moving(Server::builder().transport(|tcp, _| Ok(Polite(tcp))));
    let mut client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    let reads = thread::spawn(move || stream.read(&mut [0]).unwrap_err().kind());
    assert_eq!(running.destroy(), 1);
    assert_eq!(reads.join().unwrap(), ErrorKind::ConnectionAborted);
    client.expect_end();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_upgraded_and_taken_apart_like_any_other() {
    let path = std::env::temp_dir().join(format!("hardstop-upgrade-{}", std::process::id()));
    let (sender, streams) = mpsc::channel();
    let server = Server::builder().bind_unix(&path).unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(format!("{UPGRADE}abc").as_bytes()).unwrap();
    let stream = streams.recv_timeout(SOON).unwrap();
    let (mut tcp, unread, lease) = stream.into_tcp().unwrap();
    assert_eq!(unread, b"abc");
    tcp.write_all(b"def").unwrap();
    drop(lease);
    let mut got = String::new();
    client.read_to_string(&mut got).unwrap();
    assert!(got.starts_with("HTTP/1.1 101 ") && got.ends_with("\r\n\r\ndef"), "{got}");
    running.destroy();
    assert_ends(&running);
}

// Panics.

#[test]
fn a_closure_that_panics_ends_its_connection_wherever_the_stream_is() {
    for moves in [false, true] {
        let (sender, streams) = mpsc::channel();
        let (running, facts) = taking(Server::builder(), move |stream, _| {
            let _kept = match moves {
                true => sender.send(stream).map_or(None, |()| None),
                false => Some(stream),
            };
            panic!("on purpose");
        });
        let mut client = upgraded(running.local_addr());
        client.expect_end();
        let panicked = Fact::HandlerPanicked(1, String::from("on purpose"));
        facts.wait_for(|fact| *fact == panicked);
        if moves {
            let mut stream = streams.recv_timeout(SOON).unwrap();
            let read = stream.read(&mut [0]);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        }
        assert_eq!(facts.reason(1), CloseReason::HandlerPanicked);
        let facts = facts.so_far();
        let at = |fact: &Fact| facts.iter().position(|each| each == fact);
        assert!(at(&panicked) < at(&Fact::Closed(1, CloseReason::HandlerPanicked)));
        drop(Client::answered(running.local_addr())); // the server goes on
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn a_thread_that_panics_with_the_stream_has_its_end_told_once_by_the_servers() {
    let (sender, told) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Closed { reason, .. } = event {
            let name = thread::current().name().map(String::from);
            let _ = sender.send((*reason, name)); // the test may have ended
            panic!("a panic while another unwinds would end the process");
        }
    });
    let (send, streams) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        let send = send.clone();
        Response::upgrade("echo", move |stream| send.send(stream).unwrap())
    });
    let running = running.unwrap();
    let mut client = upgraded(running.local_addr());
    let stream = streams.recv_timeout(SOON).unwrap();
    let panics = thread::spawn(move || {
        let _stream = stream;
        panic!("on purpose");
    });
    panics.join().unwrap_err();
    client.expect_end();
    let (reason, name) = told.recv_timeout(SOON).unwrap();
    assert_eq!(reason, CloseReason::Completed);
    assert_eq!(name.as_deref(), Some("hardstop-accept"));
    running.handle().drain();
    assert_ends(&running);
    told.try_recv().unwrap_err();
}

#[test]
fn the_closed_hook_of_a_stream_that_was_moved_away_may_ask_to_wait() {
    let handle = Arc::new(OnceLock::<Handle>::new());
    let cell = Arc::clone(&handle);
    let (sender, waited) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Closed { .. } = event {
            let handle = cell.get().unwrap();
            let waits = (handle.wait_timeout(SOON * 2), handle.shutdown(SOON * 2));
            sender.send(waits).unwrap();
        }
    });
    let (send, streams) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    handle.set(server.handle()).unwrap();
    let running = server.spawn(move |_| {
        let send = send.clone();
        Response::upgrade("echo", move |stream| send.send(stream).unwrap())
    });
    let running = running.unwrap();
    let _client = upgraded(running.local_addr());
    drop(streams.recv_timeout(SOON).unwrap()); // tells `Closed` on this thread
    let waits = waited.recv_timeout(SOON).unwrap();
    assert_eq!(waits, (false, Outcome::Pending), "it would wait for itself");
    assert_ends(&running);
}

#[test]
fn what_hooks_and_closures_do_to_the_server_dead_locks_nobody() {
    let handle = Arc::new(OnceLock::<Handle>::new());
    let cell = Arc::clone(&handle);
    let builder = Server::builder().on_event(move |event| {
        if let Event::Upgraded { .. } = event {
            cell.get().unwrap().destroy();
        }
    });
    let (sender, seen) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    handle.set(server.handle()).unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |mut stream| {
            let read = stream.read(&mut [0]).map_err(|error| error.kind());
            sender.send(read).unwrap();
        })
    });
    let running = running.unwrap();
    let mut client = upgraded(running.local_addr());
    let want = Err(ErrorKind::ConnectionAborted);
    assert_eq!(seen.recv_timeout(SOON).unwrap(), want);
    client.expect_end();
    assert_ends(&running);
}

// What is told.

#[test]
fn an_upgrade_is_told_of_as_a_response_then_a_change_then_an_end() {
    let (hook, told) = chronicle();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let running = server.unwrap().spawn(|_: &mut Request<'_>| {
        Response::upgrade("echo", |mut stream| {
            assert_eq!(read_exact(&mut stream, 1010).len(), 1010);
            stream.write_all(&[b'x'; 5000]).unwrap();
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{UPGRADE}{}", "a".repeat(10)));
    let head = client.head_response().head;
    client.say(&"b".repeat(1000));
    assert_eq!(client.take(5000).len(), 5000);
    client.expect_end();
    let (received, sent) = (UPGRADE.len() + 1010, head.len() + 5000);
    let want = [
        String::from("1 opened"),
        String::from("1 asked GET /up%20there"),
        String::from("1 responded 101, 0"),
        String::from("1 upgraded to echo"),
        format!("1 closed Completed, 1, {received}, {sent}"),
    ];
    for line in want {
        assert_eq!(told.recv_timeout(SOON).unwrap(), line);
    }
    running.destroy();
    assert_ends(&running);
    told.try_recv().unwrap_err();
}

#[test]
fn many_upgrades_at_once_end_with_one_destroy() {
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let echo = move |mut stream: Upgraded, _| {
        let mut piece = [0; 64];
        while let Ok(n) = stream.read(&mut piece) {
            if n == 0 || stream.write_all(&piece[..n]).is_err() {
                break;
            }
        }
        counter.fetch_add(1, SeqCst);
    };
    let (running, _facts) = taking(Server::builder(), echo);
    let mut clients: Vec<Client> = (0..50).map(|_| upgraded(running.local_addr())).collect();
    for client in &mut clients {
        client.say("ping");
        assert_eq!(client.take(4), b"ping");
    }
    assert_eq!(running.destroy(), 50);
    clients.iter_mut().for_each(Client::expect_end);
    assert_ends(&running);
    assert_eq!(ended.load(SeqCst), 50);
}

/// Old compilers panic where a thread-local's destructor asks for the current thread, which would end the process.
#[test]
fn a_stream_in_a_thread_local_ends_with_its_thread() {
    thread_local! {
        static KEPT: RefCell<Option<Upgraded>> = const { RefCell::new(None) };
    }
    let (running, facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let keeper = thread::spawn(move || KEPT.with(|kept| *kept.borrow_mut() = Some(stream)));
    keeper.join().unwrap();
    client.expect_end();
    assert_eq!(facts.reason(1), CloseReason::Completed);
    running.destroy();
    assert_ends(&running);
}
