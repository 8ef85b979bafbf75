//! What `Builder::transport` promises, over transports that need nothing but std.
//!
//! Each of them says goodbye when it is dropped, so every orderly end can be told from a cut; and one of them changes
//! every byte, so that a plain byte would be seen.

use crate::support::dialogue::statuses;
use crate::support::recorder::{Fact, Recorder};
use crate::support::server::{assert_ends, observed, site, FLOOD, HALF_BODY, SLEEP};
use crate::support::{until, LONG, SHORT, SOON};
use hardstop::{
    Builder, CancelToken, CloseReason, ConnectionId, ConnectionState, Error, Handle, Outcome, Request, Response,
    Running, Server, Upgraded,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const GOODBYE: &str = "<goodbye>";
const HELLO: [u8; 1] = [22];
const RECORD: usize = 100;

/// How a transport differs from a plain socket.
#[derive(Debug, Clone, Copy, Default)]
struct Odd {
    /// What every byte is changed by, both ways.
    key: u8,
    handshake: Handshake,
    /// Whether nothing leaves before a flush.
    buffers: bool,
    /// How much a read gives at most, if so little.
    sip: Option<usize>,
    /// Whether what comes is in records of [`RECORD`] bytes, the first of which is how much of the rest counts.
    records: bool,
    /// Whether the first flush is interrupted.
    interrupted: bool,
}

/// A byte each way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Handshake {
    #[default]
    None,
    InHook,
    Lazy,
}

const PLAIN: Odd =
    Odd { key: 0, handshake: Handshake::None, buffers: false, sip: None, records: false, interrupted: false };
const SCRAMBLED: Odd = Odd { key: 90, ..PLAIN };
const EAGER: Odd = Odd { handshake: Handshake::InHook, ..SCRAMBLED };
const LAZY: Odd = Odd { handshake: Handshake::Lazy, ..SCRAMBLED };
const RECORDS: Odd = Odd { records: true, ..SCRAMBLED };
const ALL: [(Odd, &str); 8] = [
    (PLAIN, "one that only says goodbye"),
    (SCRAMBLED, "one that changes every byte"),
    (EAGER, "one with a handshake in the hook"),
    (LAZY, "one with a handshake at the first use"),
    (Odd { buffers: true, ..SCRAMBLED }, "one that buffers"),
    (Odd { sip: Some(1), ..SCRAMBLED }, "one that gives a byte a read"),
    (RECORDS, "one that reads records"),
    (Odd { interrupted: true, ..LAZY }, "one that is interrupted"),
];

struct Wrapper {
    tcp: TcpStream,
    odd: Odd,
    shaken: bool,
    /// Read and not given out: of a record that is not whole, and of one that is.
    begun: Vec<u8>,
    ready: Vec<u8>,
    unsent: Vec<u8>,
}

impl Wrapper {
    fn new(tcp: TcpStream, odd: Odd) -> io::Result<Wrapper> {
        let shaken = odd.handshake == Handshake::None;
        let mut wrapper = Wrapper { tcp, odd, shaken, begun: Vec::new(), ready: Vec::new(), unsent: Vec::new() };
        if odd.handshake == Handshake::InHook {
            wrapper.shake()?;
        }
        Ok(wrapper)
    }

    fn shake(&mut self) -> io::Result<()> {
        if !self.shaken {
            let mut hello = [0];
            self.tcp.read_exact(&mut hello)?;
            if hello != HELLO {
                return Err(io::Error::new(ErrorKind::InvalidData, "no hello"));
            }
            self.tcp.write_all(&HELLO)?;
            self.shaken = true;
        }
        Ok(())
    }

    fn read_record(&mut self) -> io::Result<()> {
        while self.begun.len() < RECORD {
            let mut piece = vec![0; RECORD - self.begun.len()];
            let n = self.tcp.read(&mut piece)?;
            if n == 0 {
                return Ok(());
            }
            self.begun.extend_from_slice(&piece[..n]);
        }
        let record: Vec<u8> = self.begun.drain(..).map(|b| b ^ self.odd.key).collect();
        self.ready.extend_from_slice(&record[1..=usize::from(record[0])]);
        Ok(())
    }
}

impl Read for Wrapper {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.shake()?;
        let most = self.odd.sip.unwrap_or(buf.len()).min(buf.len());
        if self.odd.records {
            if self.ready.is_empty() {
                self.read_record()?;
            }
            let n = most.min(self.ready.len());
            buf[..n].copy_from_slice(&self.ready[..n]);
            self.ready.drain(..n);
            return Ok(n);
        }
        let n = self.tcp.read(&mut buf[..most])?;
        buf[..n].iter_mut().for_each(|byte| *byte ^= self.odd.key);
        Ok(n)
    }
}

impl Write for Wrapper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shake()?;
        let changed = bytes.iter().map(|byte| byte ^ self.odd.key);
        if self.odd.buffers {
            self.unsent.extend(changed);
        } else {
            self.tcp.write_all(&changed.collect::<Vec<u8>>())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.odd.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        self.shake()?;
        self.tcp.write_all(&std::mem::take(&mut self.unsent))
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        if self.shaken {
            let _ = self.write(GOODBYE.as_bytes()).and_then(|_| self.flush());
        }
    }
}

fn over(odd: Odd) -> Builder {
    Server::builder().transport(move |tcp, _id| Ok(Wrapper::new(tcp, odd)?))
}

/// The other end of such a transport.
struct Peer {
    tcp: TcpStream,
    odd: Odd,
    /// All that has come, as it was meant.
    heard: String,
}

impl Peer {
    /// One that has said nothing at all.
    fn silent(addr: SocketAddr, odd: Odd) -> Peer {
        let tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.set_write_timeout(Some(SOON)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let heard = String::new();
        Peer { tcp, odd, heard }
    }

    fn connect(addr: SocketAddr, odd: Odd) -> Peer {
        let mut peer = Peer::silent(addr, odd);
        if odd.handshake != Handshake::None {
            peer.shake();
        }
        peer
    }

    fn shake(&mut self) {
        self.tcp.write_all(&HELLO).unwrap();
        let mut hello = [0];
        self.tcp.read_exact(&mut hello).unwrap();
        assert_eq!(hello, HELLO);
    }

    /// What it would put on the wire to say that.
    fn encoded(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.odd.records {
            for piece in text.as_bytes().chunks(RECORD - 1) {
                bytes.push(u8::try_from(piece.len()).unwrap());
                bytes.extend_from_slice(piece);
                bytes.resize(bytes.len().next_multiple_of(RECORD), 0);
            }
        } else {
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.iter_mut().for_each(|byte| *byte ^= self.odd.key);
        bytes
    }

    fn say(&mut self, text: &str) {
        self.tcp.write_all(&self.encoded(text)).unwrap();
    }

    /// Sends a byte at a time until it cannot, or for too long; says how long that took.
    fn drip(&mut self, bytes: &[u8]) -> Duration {
        let began = Instant::now();
        for byte in bytes {
            if self.tcp.write_all(&[*byte]).is_err() {
                break;
            }
            self.tcp.set_read_timeout(Some(SHORT)).unwrap();
            match self.tcp.read(&mut [0; 64]) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Ok(n) if n > 0 => panic!("an answer has come"),
                _ => break,
            }
        }
        began.elapsed()
    }

    /// Reads until what was heard ends like this.
    fn hear(&mut self, ending: &str) -> &str {
        while !self.heard.ends_with(ending) {
            assert!(self.read() > 0, "ended after {:?}", self.heard);
        }
        &self.heard
    }

    /// Reads to the end, which is no reset.
    fn hear_all(&mut self) -> &str {
        while self.read() > 0 {}
        &self.heard
    }

    fn read(&mut self) -> usize {
        let mut piece = [0; 65536];
        let n = self.tcp.read(&mut piece).unwrap();
        let text = piece[..n].iter().map(|byte| byte ^ self.odd.key);
        self.heard += &String::from_utf8(text.collect()).unwrap();
        n
    }

    /// Waits until it has been cut, which may be seen as a reset.
    fn expect_cut(&mut self) {
        self.tcp.set_read_timeout(Some(SOON)).unwrap();
        let mut piece = [0; 65536];
        loop {
            match self.tcp.read(&mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("still open")
                }
                Err(_) => return,
            }
        }
    }
}

fn echo(request: &mut Request<'_>) -> Result<Response, Error> {
    Ok(match request.path() {
        "/large" => Response::text("x".repeat(300_000)),
        "/stream" => {
            Response::stream(|body| (0..1000).try_for_each(|n| write!(body, "{n},").and_then(|()| body.flush())))
        }
        "/body" => Response::text(request.body().read_to_text()?),
        path => Response::text(format!("hello from {path}")),
    })
}

/// Waits until the only connection of that server is in that state.
fn until_state(handle: &Handle, state: ConnectionState) {
    until(&format!("the connection is {state:?}"), || {
        let open = handle.connections();
        matches!(&open[..], [info] if info.state == state)
    });
}

#[test]
fn every_kind_of_request_and_response_goes_through_every_transport() {
    for (odd, name) in ALL {
        let (running, events) = observed(over(odd), echo);
        let mut peer = Peer::connect(running.local_addr(), odd);
        for _ in 0..3 {
            peer.heard.clear();
            peer.say(GET);
            assert!(peer.hear("hello from /").starts_with("HTTP/1.1 200 OK\r\n"), "{name}");
        }
        peer.heard.clear();
        let body = "0123456789".repeat(10_000);
        let length = body.len();
        peer.say(&format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert!(peer.hear("0123456789").len() > 10, "{name}");
        peer.say("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.say("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        peer.hear("hello world");
        peer.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        peer.say(&GET.repeat(100));
        peer.say(LAST);
        let heard = peer.hear_all();
        assert_eq!(statuses(heard), [200; 105], "{name}");
        assert!(heard.contains(&format!("\r\n\r\n{body}HTTP/1.1")), "{name}");
        assert!(heard.contains(&format!("\r\n\r\n{}HTTP/1.1", "x".repeat(300_000))), "{name}");
        assert!(heard.contains("\r\n999,\r\n0\r\n\r\nHTTP/1.1"), "{name}: {heard}");
        assert!(heard.ends_with("hello from /last<goodbye>"), "{name}");
        drop(peer); // the server would linger
        let told = events.take_connection();
        assert!(matches!(told.last(), Some(Fact::Closed(_, CloseReason::Completed, _))), "{name}: {told:?}");
        let opened = told.iter().filter(|fact| matches!(fact, Fact::Opened(_)));
        assert_eq!(opened.count(), 1, "{name}");
    }
}

#[test]
fn the_goodbye_is_the_last_that_comes_at_every_orderly_end() {
    type Set = fn(Builder) -> Builder;
    type Act = fn(&mut Peer, &Running);
    let as_ever: Set = |builder| builder;
    let ends: [(Set, Act, CloseReason, &[u16]); 10] = [
        (as_ever, |peer, _| peer.say(LAST), CloseReason::Completed, &[200]),
        (as_ever, |peer, _| peer.say("nonsense\r\n\r\n"), CloseReason::Refused(400.into()), &[400]),
        (
            as_ever,
            |peer, _| {
                peer.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
                peer.say(&"x".repeat(2_000_000));
            },
            CloseReason::Refused(413.into()),
            &[413],
        ),
        (
            as_ever,
            |peer, running| {
                peer.say(GET);
                until_state(&running.handle(), ConnectionState::Idle);
                running.handle().drain();
            },
            CloseReason::Drained,
            &[200],
        ),
        (as_ever, |_, running| running.handle().drain(), CloseReason::Drained, &[]),
        (
            as_ever,
            |peer, _| {
                peer.say(GET);
                peer.hear("hello from /");
                peer.tcp.shutdown(Shutdown::Write).unwrap();
            },
            CloseReason::PeerClosed,
            &[200],
        ),
        (|builder| builder.idle_timeout(SHORT), |_, _| {}, CloseReason::IdleTimeout, &[]),
        (|builder| builder.idle_timeout(SHORT * 10), |peer, _| peer.say(GET), CloseReason::IdleTimeout, &[200]),
        (
            |builder| builder.header_timeout(SHORT * 10),
            |peer, _| peer.say("GET / HTTP/1.1\r\nHo"),
            CloseReason::HeadTimeout,
            &[408],
        ),
        (|builder| builder.body_timeout(SHORT), |peer, _| peer.say(HALF_BODY), CloseReason::BodyTimeout, &[408]),
    ];
    let buffers = Odd { buffers: true, ..LAZY };
    for odd in [EAGER, buffers] {
        for (set, act, reason, answers) in ends {
            let (running, events) = observed(set(over(odd)), echo);
            let mut peer = Peer::connect(running.local_addr(), odd);
            act(&mut peer, &running);
            let heard = peer.hear_all();
            assert_eq!(statuses(heard), answers, "{reason:?}");
            assert!(heard.ends_with(GOODBYE), "{reason:?}: {heard}");
            assert_eq!(heard.matches(GOODBYE).count(), 1, "{reason:?}: {heard}");
            drop(peer); // the server would linger
            assert_eq!(events.take_reason(), reason);
        }
    }
}

#[test]
fn a_hook_that_fails_ends_its_connection_with_its_error() {
    let hook = |_, id: ConnectionId| match u64::from(id) {
        1 => Err("no certificate for that".into()),
        _ => Err::<TcpStream, _>(io::Error::new(ErrorKind::Other, "or that").into()),
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    for (number, why) in [(1, "no certificate for that"), (2, "or that")] {
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET);
        peer.expect_cut();
        let told = events.take_connection();
        assert_eq!(told[..2], [Fact::Opened(number), Fact::TransportFailed(number, String::from(why))]);
        assert!(matches!(told[2..], [Fact::Closed(_, CloseReason::TransportFailed, _)]), "{told:?}");
    }
}

#[test]
fn a_handshake_that_fails_ends_its_connection() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd), echo);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET); // plain, to a server that speaks otherwise
        peer.expect_cut();
        assert_eq!(peer.heard, "");
        let told = events.take_connection();
        assert_eq!(told[1], Fact::TransportFailed(1, String::from("no hello")));
        assert!(matches!(told[2..], [Fact::Closed(_, CloseReason::TransportFailed, _)]), "{told:?}");
        drop(Peer::silent(running.local_addr(), PLAIN)); // gone before it
        events.take_until(|fact| matches!(fact, Fact::TransportFailed(..)));
        events.take_until_closed(CloseReason::TransportFailed);
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(LAST);
        assert_eq!(statuses(peer.hear_all()), [200]);
    }
}

#[test]
fn a_hook_that_panics_ends_its_connection_and_not_the_server() {
    let hook = |tcp: TcpStream, id: ConnectionId| {
        assert_ne!(u64::from(id), 1, "on purpose");
        Ok(Wrapper::new(tcp, SCRAMBLED)?)
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    Peer::silent(running.local_addr(), SCRAMBLED).expect_cut();
    let told = events.take_connection();
    let message = matches!(&told[1], Fact::HandlerPanicked(1, message) if message.contains("on purpose"));
    assert!(message, "{told:?}");
    assert!(matches!(told[2..], [Fact::Closed(_, CloseReason::HandlerPanicked, _)]), "{told:?}");
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(LAST);
    assert_eq!(statuses(peer.hear_all()), [200]);
}

// Clocks.

#[test]
fn a_handshake_that_stands_still_ends_after_the_header_timeout() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd).header_timeout(SHORT), echo);
        Peer::silent(running.local_addr(), odd).expect_cut();
        let told = events.take_connection();
        let wanted = matches!(told[1..], [Fact::Closed(_, CloseReason::HeadTimeout, _)]);
        assert!(wanted, "no failure of the transport: {told:?}");
    }
}

/// Each byte comes within the socket's timeout, so only the watch over the whole call sees it.
#[test]
fn a_client_that_drips_a_record_does_not_hold_a_connection() {
    const LIMIT: Duration = Duration::from_millis(300);
    type Set = fn(Builder) -> Builder;
    let begin = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n";
    let head = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    let head = &format!("{head}{}", "x".repeat(RECORD - 1 - head.len()));
    let drips: [(Set, &str, CloseReason); 3] = [
        (|builder| builder.idle_timeout(LIMIT), "", CloseReason::IdleTimeout),
        (|builder| builder.header_timeout(LIMIT), head, CloseReason::HeadTimeout),
        (|builder| builder.body_timeout(LIMIT), begin, CloseReason::BodyTimeout),
    ];
    for (set, before, reason) in drips {
        let (running, events) = observed(set(over(RECORDS)), echo);
        let mut peer = Peer::connect(running.local_addr(), RECORDS);
        peer.say(before);
        let took = peer.drip(&peer.encoded(&"x".repeat(RECORD * 2)));
        println!("{reason:?} after {took:?}");
        assert!(took < SOON, "{took:?}");
        events.take_until_closed(reason);
    }
}

#[test]
fn a_client_that_drips_a_handshake_does_not_hold_a_connection() {
    let hook = |mut tcp: TcpStream, _| {
        tcp.read_exact(&mut [0; 1000])?;
        Ok(tcp)
    };
    let builder = Server::builder().transport(hook);
    let (running, events) = observed(builder.header_timeout(Duration::from_millis(300)), echo);
    let took = Peer::silent(running.local_addr(), PLAIN).drip(&[0; 1000]);
    println!("{took:?}");
    assert!(took < SOON, "{took:?}");
    events.take_until_closed(CloseReason::HeadTimeout);
}

#[test]
fn a_client_that_takes_a_response_in_drips_does_not_hold_a_connection() {
    let (sender, ended) = mpsc::channel();
    let sender = Mutex::new(sender);
    let builder = over(SCRAMBLED).write_timeout(Duration::from_millis(300));
    let (running, events) = observed(builder.min_rate(None), move |_| {
        let sender = sender.lock().unwrap().clone();
        Response::stream(move |body| loop {
            if let Err(error) = body.write_all(&[b'x'; 65536]) {
                let _ = sender.send(());
                return Err(error);
            }
        })
    });
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(GET);
    let began = Instant::now();
    while ended.try_recv().is_err() {
        assert!(began.elapsed() < SOON, "it still writes");
        let _ = peer.tcp.read(&mut [0; 100]).unwrap();
        thread::sleep(SHORT);
    }
    println!("{:?}", began.elapsed());
    events.take_until_closed(CloseReason::WriteTimeout);
}

/// A goodbye is not waited for longer than any other write, whatever the end has been.
#[test]
fn a_client_that_takes_a_long_goodbye_in_drips_does_not_hold_a_connection() {
    struct Talkative(TcpStream);
    impl Read for Talkative {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Write for Talkative {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Talkative {
        fn drop(&mut self) {
            while self.0.write_all(&[b'x'; 65536]).is_ok() {}
        }
    }
    for say in ["", LAST] {
        let builder = Server::builder().transport(|tcp, _| Ok(Talkative(tcp)));
        let builder = builder.idle_timeout(SHORT).write_timeout(SHORT * 6);
        let (running, events) = observed(builder, echo);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(say);
        let mut piece = vec![0; 1 << 20];
        let began = Instant::now();
        while peer.tcp.read(&mut piece).map_or(false, |n| n > 0) {
            assert!(began.elapsed() < SOON, "it still says goodbye after {say:?}");
            thread::sleep(SHORT);
        }
        events.take_reason();
    }
}

// Stops.

type Stop = fn(&Handle) -> usize;

/// A server whose handshake never ends: it reads, or writes, more than the client ever gives or takes.
fn never_ready(reads: bool) -> (Running, Recorder) {
    let hook = move |mut tcp: TcpStream, _| {
        loop {
            match reads {
                true => tcp.read_exact(&mut [0; 65536])?,
                false => tcp.write_all(&[0; 65536])?,
            }
        }
        #[allow(unreachable_code, reason = "it says of which type the hook would be")]
        Ok(tcp)
    };
    observed(Server::builder().transport(hook), echo)
}

#[test]
fn destroy_cuts_a_handshake() {
    for reads in [true, false] {
        let (running, events) = never_ready(reads);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        if !reads {
            thread::sleep(SHORT); // so that its write may be blocked
        }
        let began = Instant::now();
        assert_eq!(running.destroy(), 1);
        peer.expect_cut();
        assert_ends(&running);
        println!("{:?}", began.elapsed());
        let told = events.take_connection();
        let wanted = matches!(told[1..], [Fact::Closed(_, CloseReason::Destroyed, _)]);
        assert!(wanted, "no failure of the transport: {told:?}");
    }
}

/// One that waited to write was not woken by the end of its reading side, and had all of its `header_timeout`.
#[test]
fn a_drain_ends_a_handshake_that_waits_to_write_too() {
    let (running, events) = never_ready(false);
    let mut peer = Peer::silent(running.local_addr(), PLAIN);
    until_state(&running.handle(), ConnectionState::Handshake);
    thread::sleep(SHORT); // so that its write may be blocked
    running.handle().drain();
    peer.expect_cut();
    assert_ends(&running);
    let told = events.take_connection();
    assert!(matches!(told[1..], [Fact::Closed(_, CloseReason::Drained, _)]), "{told:?}");
}

#[test]
fn close_idle_and_close_cut_a_handshake() {
    let stops: [(Stop, CloseReason); 2] = [
        (Handle::close_idle, CloseReason::ClosedIdle),
        (|handle| usize::from(handle.close(handle.connections()[0].id)), CloseReason::ClosedByHandle),
    ];
    for (stop, reason) in stops {
        let (running, events) = never_ready(true);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        assert_eq!(stop(&running.handle()), 1);
        peer.expect_cut();
        let told = events.take_connection();
        assert!(matches!(told[1..], [Fact::Closed(_, why, _)] if why == reason), "{reason:?}: {told:?}");
    }
}

#[test]
fn close_idle_and_close_cut_a_kept_connection_over_a_transport() {
    let stops: [(Stop, CloseReason); 2] = [
        (Handle::close_idle, CloseReason::ClosedIdle),
        (|handle| usize::from(handle.close(handle.connections()[0].id)), CloseReason::ClosedByHandle),
    ];
    for (stop, reason) in stops {
        let (running, events) = observed(over(EAGER), echo);
        let mut peer = Peer::connect(running.local_addr(), EAGER);
        peer.say(GET);
        peer.hear("hello from /");
        until_state(&running.handle(), ConnectionState::Idle);
        assert_eq!(stop(&running.handle()), 1);
        peer.expect_cut();
        events.take_until_closed(reason);
    }
}

#[test]
fn destroy_cuts_a_connection_over_a_transport_whatever_it_does() {
    let states = [
        ("", ConnectionState::New),
        ("GET / HT", ConnectionState::Head),
        (HALF_BODY, ConnectionState::Handling),
        (SLEEP, ConnectionState::Handling),
        (FLOOD, ConnectionState::Responding),
        (GET, ConnectionState::Idle),
    ];
    for odd in [EAGER, RECORDS] {
        for (say, state) in states {
            let (running, events) = observed(over(odd), site);
            let mut peer = Peer::connect(running.local_addr(), odd);
            peer.say(say);
            events.take_until(|fact| matches!(fact, Fact::Opened(_))); // one without a thread ends without events
            until_state(&running.handle(), state);
            assert_eq!(running.destroy(), 1, "{state:?}");
            peer.expect_cut();
            assert_ends(&running);
            events.take_until_closed(CloseReason::Destroyed);
        }
    }
}

#[test]
fn a_drain_gives_a_handshake_a_second_and_serves_what_comes_in_it() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd), echo);
        let mut silent = Peer::silent(running.local_addr(), odd);
        until_state(&running.handle(), ConnectionState::Handshake);
        let mut late = Peer::silent(running.local_addr(), odd);
        until("both are in the handshake", || {
            let open = running.handle().connections();
            let shakes = |info: &&_| matches!(info, hardstop::ConnectionInfo { state: ConnectionState::Handshake, .. });
            open.iter().filter(shakes).count() == 2
        });
        running.handle().drain();
        late.shake();
        late.say(GET);
        let heard = late.hear_all();
        assert_eq!(statuses(heard), [200]);
        assert!(heard.contains("\r\nConnection: close\r\n") && heard.ends_with(GOODBYE), "{heard}");
        silent.expect_cut();
        assert_ends(&running);
        events.take_until_closed(CloseReason::Drained);
    }
}

#[test]
fn a_shutdown_cuts_a_handshake_at_its_deadline() {
    for reads in [true, false] {
        let (running, events) = never_ready(reads);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        assert_eq!(running.shutdown(SHORT), Outcome::Destroyed { cut: 1 });
        peer.expect_cut();
        assert_ends(&running);
        events.take_until_closed(CloseReason::Destroyed);
    }
}

#[test]
fn a_server_without_an_owner_cuts_its_handshakes() {
    let (running, events) = never_ready(true);
    let handle = running.handle();
    let mut peer = Peer::silent(running.local_addr(), PLAIN);
    until_state(&handle, ConnectionState::Handshake);
    drop(running);
    peer.expect_cut();
    assert!(handle.wait_timeout(SOON));
    events.take_until_closed(CloseReason::Destroyed);
}

// What else goes through it.

#[test]
fn a_client_for_whom_there_is_no_place_is_told_so_through_the_transport() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd).max_connections(1), site);
        let mut busy = Peer::connect(running.local_addr(), odd);
        busy.say(HALF_BODY);
        until_state(&running.handle(), ConnectionState::Handling);
        let mut refused = Peer::connect(running.local_addr(), odd);
        let heard = refused.hear_all();
        assert_eq!(statuses(heard), [503]);
        assert!(heard.contains("\r\nRetry-After: 1\r\n") && heard.ends_with(GOODBYE), "{heard}");
        events.take_until_closed(CloseReason::Busy);
        busy.say("56789");
        busy.hear("123456789");
    }
}

#[test]
fn a_target_may_be_https_if_there_is_a_transport() {
    let request = "GET https://x/there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (running, _) = observed(over(PLAIN), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert!(peer.hear_all().ends_with("\r\n\r\nhello from /there<goodbye>"));
    let (running, _) = observed(Server::builder(), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert_eq!(statuses(peer.hear_all()), [421]);
}

#[test]
fn the_hook_is_told_the_number_of_its_connection() {
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let hook = move |tcp, id| {
        sender.lock().unwrap().send(id).unwrap();
        Ok(Wrapper::new(tcp, PLAIN)?)
    };
    let builder = Server::builder().transport(hook);
    let (running, _) = observed(builder, |request| u64::from(request.connection_id()).to_string());
    for number in 1..4 {
        let mut peer = Peer::connect(running.local_addr(), PLAIN);
        peer.say(LAST);
        assert!(peer.hear_all().ends_with(&format!("\r\n\r\n{number}<goodbye>")));
        assert_eq!(u64::from(told.recv_timeout(SOON).unwrap()), number);
    }
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server that leaves HTTP for what that does, and hands on its token.
fn upgrades(odd: Odd, with: fn(Upgraded)) -> (Running, Recorder, Receiver<CancelToken>) {
    let (sender, tokens) = mpsc::channel();
    let sender = Mutex::new(sender);
    let (running, events) = observed(over(odd), move |request| {
        sender.lock().unwrap().send(request.cancel_token()).unwrap();
        Response::upgrade("echo", with)
    });
    (running, events, tokens)
}

/// Gives back what comes, until the end or an error.
fn echo_raw(mut upgraded: Upgraded) {
    let mut piece = [0; 1000];
    while let Ok(n @ 1..) = upgraded.read(&mut piece) {
        let _ = upgraded.write_all(&piece[..n]);
    }
}

#[test]
fn an_upgrade_goes_through_every_transport() {
    for (odd, name) in ALL {
        let (running, events, _tokens) = upgrades(odd, echo_raw);
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(&format!("{UPGRADE}early")); // read too far, along with the head
        assert!(peer.hear("early").starts_with("HTTP/1.1 101 "), "{name}");
        peer.say("later");
        peer.hear("later");
        peer.tcp.shutdown(Shutdown::Write).unwrap();
        assert!(peer.hear_all().ends_with("\r\n\r\nearlylater<goodbye>"), "{name}");
        assert_eq!(events.take_reason(), CloseReason::Completed, "{name}");
    }
}

#[test]
fn an_upgraded_connection_over_a_transport_is_cut() {
    let (running, events, tokens) = upgrades(EAGER, echo_raw);
    let mut peer = Peer::connect(running.local_addr(), EAGER);
    peer.say(UPGRADE);
    let token = tokens.recv_timeout(SOON).unwrap();
    until_state(&running.handle(), ConnectionState::Upgraded);
    assert_eq!(running.destroy(), 1);
    assert!(token.wait_timeout(LONG));
    peer.expect_cut();
    assert_ends(&running);
    events.take_until_closed(CloseReason::Destroyed);
}

#[test]
fn an_upgraded_connection_over_a_transport_has_no_socket_to_give() {
    let (running, _events, _tokens) = upgrades(SCRAMBLED, |upgraded| {
        let Err(mut upgraded) = upgraded.into_tcp() else {
            panic!("its bytes are not the socket's");
        };
        let mut begun = [0; 5];
        upgraded.read_exact(&mut begun).unwrap();
        upgraded.write_all(&begun).unwrap();
    });
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(&format!("{UPGRADE}early"));
    assert!(peer.hear_all().ends_with("\r\n\r\nearly<goodbye>"));
}

/// None of HTTP's clocks run then: a short timeout is only how often whoever reads wants to look up.
#[test]
fn an_upgraded_connection_may_take_its_time_over_a_record() {
    let (running, _events, _tokens) = upgrades(RECORDS, |mut upgraded| {
        upgraded.set_timeouts(Some(SHORT * 2), Some(SHORT * 2)).unwrap();
        let mut piece = [0; RECORD];
        let n = loop {
            match upgraded.read(&mut piece) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                read => break read.unwrap(),
            }
        };
        upgraded.write_all(&piece[..n]).unwrap();
    });
    let mut peer = Peer::connect(running.local_addr(), RECORDS);
    peer.say(UPGRADE);
    peer.hear("\r\n\r\n");
    for byte in peer.encoded(&"x".repeat(RECORD - 1)) {
        peer.tcp.write_all(&[byte]).unwrap();
        thread::sleep(SHORT / 2);
    }
    assert!(peer.hear_all().ends_with("x<goodbye>"));
}
