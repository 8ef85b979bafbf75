//! What `Builder::transport` promises, over transports that need nothing but std.
//!
//! Each of them says goodbye when it is dropped, so every orderly end can be told from a cut; and one of them changes
//! every byte, so that a plain byte would be seen.

mod clocks;
mod failures;
mod stops;
mod upgrades;

use crate::support::dialogue::statuses;
use crate::support::recorder::{Fact, Recorder};
use crate::support::server::{assert_ends, observed, site, FLOOD, HALF_BODY, SLEEP};
use crate::support::{until, LONG, SHORT, SOON};
use hardstop::{
    Builder, CancelToken, CloseReason, ConnectionId, ConnectionState, Error, Handle, Outcome,
    Request, Response, Running, Server, Upgraded,
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

const PLAIN: Odd = Odd {
    key: 0,
    handshake: Handshake::None,
    buffers: false,
    sip: None,
    records: false,
    interrupted: false,
};
const SCRAMBLED: Odd = Odd { key: 90, ..PLAIN };
const EAGER: Odd = Odd {
    handshake: Handshake::InHook,
    ..SCRAMBLED
};
const LAZY: Odd = Odd {
    handshake: Handshake::Lazy,
    ..SCRAMBLED
};
const RECORDS: Odd = Odd {
    records: true,
    ..SCRAMBLED
};
const ALL: [(Odd, &str); 8] = [
    (PLAIN, "one that only says goodbye"),
    (SCRAMBLED, "one that changes every byte"),
    (EAGER, "one with a handshake in the hook"),
    (LAZY, "one with a handshake at the first use"),
    (
        Odd {
            buffers: true,
            ..SCRAMBLED
        },
        "one that buffers",
    ),
    (
        Odd {
            sip: Some(1),
            ..SCRAMBLED
        },
        "one that gives a byte a read",
    ),
    (RECORDS, "one that reads records"),
    (
        Odd {
            interrupted: true,
            ..LAZY
        },
        "one that is interrupted",
    ),
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
        let mut wrapper = Wrapper {
            tcp,
            odd,
            shaken,
            begun: Vec::new(),
            ready: Vec::new(),
            unsent: Vec::new(),
        };
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
        self.ready
            .extend_from_slice(&record[1..=usize::from(record[0])]);
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
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
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
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
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
        "/stream" => Response::stream(|body| {
            (0..1000).try_for_each(|n| write!(body, "{n},").and_then(|()| body.flush()))
        }),
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
            assert!(
                peer.hear("hello from /").starts_with("HTTP/1.1 200 OK\r\n"),
                "{name}"
            );
        }
        peer.heard.clear();
        let body = "0123456789".repeat(10_000);
        let length = body.len();
        peer.say(&format!(
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
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
        assert!(
            heard.contains(&format!("\r\n\r\n{}HTTP/1.1", "x".repeat(300_000))),
            "{name}"
        );
        assert!(
            heard.contains("\r\n999,\r\n0\r\n\r\nHTTP/1.1"),
            "{name}: {heard}"
        );
        assert!(heard.ends_with("hello from /last<goodbye>"), "{name}");
        drop(peer); // the server would linger
        let told = events.take_connection();
        assert!(
            matches!(
                told.last(),
                Some(Fact::Closed(_, CloseReason::Completed, _))
            ),
            "{name}: {told:?}"
        );
        let opened = told.iter().filter(|fact| matches!(fact, Fact::Opened(_)));
        assert_eq!(opened.count(), 1, "{name}");
    }
}

#[test]
fn the_goodbye_of_a_transport_comes_last_at_every_orderly_end() {
    type Set = fn(Builder) -> Builder;
    type Act = fn(&mut Peer, &Running);
    let as_ever: Set = |builder| builder;
    let ends: [(Set, Act, CloseReason, &[u16]); 10] = [
        (
            as_ever,
            |peer, _| peer.say(LAST),
            CloseReason::Completed,
            &[200],
        ),
        (
            as_ever,
            |peer, _| peer.say("nonsense\r\n\r\n"),
            CloseReason::Refused(400.into()),
            &[400],
        ),
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
        (
            as_ever,
            |_, running| running.handle().drain(),
            CloseReason::Drained,
            &[],
        ),
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
        (
            |builder| builder.idle_timeout(SHORT),
            |_, _| {},
            CloseReason::IdleTimeout,
            &[],
        ),
        (
            |builder| builder.idle_timeout(SHORT * 10),
            |peer, _| peer.say(GET),
            CloseReason::IdleTimeout,
            &[200],
        ),
        (
            |builder| builder.header_timeout(SHORT * 10),
            |peer, _| peer.say("GET / HTTP/1.1\r\nHo"),
            CloseReason::HeadTimeout,
            &[408],
        ),
        (
            |builder| builder.body_timeout(SHORT),
            |peer, _| peer.say(HALF_BODY),
            CloseReason::BodyTimeout,
            &[408],
        ),
    ];
    let buffers = Odd {
        buffers: true,
        ..LAZY
    };
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
fn a_client_over_the_limit_gets_503_through_the_transport() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd).max_connections(1), site);
        let mut busy = Peer::connect(running.local_addr(), odd);
        busy.say(HALF_BODY);
        until_state(&running.handle(), ConnectionState::Handling);
        let mut refused = Peer::connect(running.local_addr(), odd);
        let heard = refused.hear_all();
        assert_eq!(statuses(heard), [503]);
        assert!(
            heard.contains("\r\nRetry-After: 1\r\n") && heard.ends_with(GOODBYE),
            "{heard}"
        );
        events.take_until_closed(CloseReason::Busy);
        busy.say("56789");
        busy.hear("123456789");
    }
}

#[test]
fn an_https_target_needs_a_transport() {
    let request = "GET https://x/there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (running, _) = observed(over(PLAIN), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert!(peer
        .hear_all()
        .ends_with("\r\n\r\nhello from /there<goodbye>"));
    let (running, _) = observed(Server::builder(), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert_eq!(statuses(peer.hear_all()), [421]);
}

#[test]
fn the_transport_hook_gets_the_connection_id() {
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let hook = move |tcp, id| {
        sender.lock().unwrap().send(id).unwrap();
        Ok(Wrapper::new(tcp, PLAIN)?)
    };
    let builder = Server::builder().transport(hook);
    let (running, _) = observed(builder, |request| {
        u64::from(request.connection_id()).to_string()
    });
    for number in 1..4 {
        let mut peer = Peer::connect(running.local_addr(), PLAIN);
        peer.say(LAST);
        assert!(peer
            .hear_all()
            .ends_with(&format!("\r\n\r\n{number}<goodbye>")));
        assert_eq!(u64::from(told.recv_timeout(SOON).unwrap()), number);
    }
}
