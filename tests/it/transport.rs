//! The promises of `Builder::transport`, with transports that need nothing but std.
//!
//! Each of them sends a goodbye when it is dropped, so an orderly end differs from a cut. One of
//! them changes every byte, so that a plain byte would be noticed.

mod clocks;
mod disconnects;
mod exchanges;
mod failures;
mod stops;
mod upgrades;

use crate::support::client::Client;
use crate::support::dialogue::statuses;
use crate::support::recorder::{Fact, Recorder};
use crate::support::server::{assert_ends, observed, site, FLOOD, HALF_BODY, SLEEP};
use crate::support::{check_at_once, until, LONG, SHORT, SOON};
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

/// The ways in which a transport differs from a plain socket.
#[derive(Debug, Clone, Copy, Default)]
struct Odd {
    /// Every byte is combined with this one, both ways.
    key: u8,
    handshake: Handshake,
    /// Nothing is sent before a flush.
    buffers: bool,
    /// The most bytes that a read returns, if there is a limit.
    sip: Option<usize>,
    /// What the client sends is in records of [`RECORD`] bytes. The first byte is the number of
    /// those that count.
    records: bool,
    /// The first flush is interrupted.
    interrupted: bool,
}

/// One byte each way.
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
    (PLAIN, "a goodbye only"),
    (SCRAMBLED, "every byte changed"),
    (EAGER, "a handshake in the hook"),
    (LAZY, "a handshake at the first use"),
    (
        Odd {
            buffers: true,
            ..SCRAMBLED
        },
        "buffered",
    ),
    (
        Odd {
            sip: Some(1),
            ..SCRAMBLED
        },
        "one byte a read",
    ),
    (RECORDS, "records"),
    (
        Odd {
            interrupted: true,
            ..LAZY
        },
        "an interrupted flush",
    ),
];

struct Wrapper {
    tcp: TcpStream,
    odd: Odd,
    shaken: bool,
    /// The bytes of an incomplete record, and those of complete ones that have not been returned.
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
    /// Everything received, decoded.
    heard: String,
}

impl Peer {
    /// Connects, and sends nothing.
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

    /// The bytes to send for this text.
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

    /// Sends a byte at a time until the server ends the connection. Returns how long that took.
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

    /// Reads until everything heard ends like this.
    fn hear(&mut self, ending: &str) -> &str {
        while !self.heard.ends_with(ending) {
            assert!(self.read() > 0, "ended after {:?}", self.heard);
        }
        &self.heard
    }

    /// Reads to the end, which may not be a reset.
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

    /// Waits until the connection is cut, which may be a reset.
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

/// Waits until the only connection of the server is in that state.
fn until_state(handle: &Handle, state: ConnectionState) {
    until(&format!("the connection is {state:?}"), || {
        let open = handle.connections();
        matches!(&open[..], [info] if info.state == state)
    });
}
