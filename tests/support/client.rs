//! A client that speaks literal bytes, and a recorder of what a server's event hook is told.

use hardstop::{Builder, CloseReason, Event, Server};
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The smallest whole request.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The bound of every wait. It passes only when a promise is broken.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Opens a port: so that the server waits for its clients in the kernel, where that can be done, or so that it naps.
pub(crate) fn open(builder: Builder, naps: bool) -> Server {
    let server = match naps {
        false => builder.bind("127.0.0.1:0"),
        true => builder.bind_listener(TcpListener::bind("127.0.0.1:0").unwrap()),
    };
    server.unwrap()
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Client {
        Client::try_connect(addr).expect("the port is open")
    }

    pub(crate) fn try_connect(addr: SocketAddr) -> io::Result<Client> {
        Client::over(TcpStream::connect_timeout(&addr, SOON)?)
    }

    /// A client that has such a socket already, of whichever family.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        let unread = Vec::new();
        Ok(Client { stream, unread })
    }

    /// A client that has been answered, and is kept alive.
    pub(crate) fn answered(addr: SocketAddr) -> Client {
        let mut client = Client::connect(addr);
        client.say(GET);
        assert_eq!(client.response().status, 200);
        client
    }

    /// Waits until the system has put it into the listener's queue: `connect` returns before the last packet of the
    /// handshake has been seen there, and a port that closes in between resets the connection.
    pub(crate) fn queued(self) -> Client {
        let hex = |addr: SocketAddr| format!(":{:04X} ", addr.port());
        let here = hex(self.stream.peer_addr().unwrap());
        let there = hex(self.stream.local_addr().unwrap());
        until("the connection is in the queue", || {
            let sockets = std::fs::read_to_string("/proc/net/tcp");
            let is_it = |line: &str| match line.split_once(&here) {
                Some((_, rest)) => rest.contains(&format!("{there}01 ")), // 01: established
                None => false,
            };
            sockets.map_or(true, |sockets| sockets.lines().any(is_it)) // not Linux: hope
        });
        self
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server listens");
    }

    /// Reads a response's head, with the empty line after it.
    pub(crate) fn head_response(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head += &(self.line() + "\r\n");
        }
        let (status, body) = (head[9..12].parse().unwrap(), Vec::new());
        Answer { status, head, body }
    }

    /// Reads one response: by its length, by its chunks, or up to the end of the connection. Not for an answer
    /// to `HEAD`, which has a length and no body.
    pub(crate) fn response(&mut self) -> Answer {
        let mut answer = self.head_response();
        if answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                answer.body.extend(self.take(size));
                assert_eq!(self.line(), "", "a chunk ends with its line");
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length") {
            answer.body = self.take(length.parse().unwrap());
        } else {
            while self.fill() > 0 {}
            answer.body = std::mem::take(&mut self.unread);
        }
        answer
    }

    /// Reads to the end, which may be a reset. Panics if it does not come.
    pub(crate) fn expect_end(&mut self) {
        let began = Instant::now();
        let mut piece = [0; 65536];
        while began.elapsed() < SOON {
            match self.stream.read(&mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => break,
                    _ => return,
                },
            }
        }
        panic!("the connection is still open");
    }

    /// Reads a line, and leaves out its end.
    pub(crate) fn line(&mut self) -> String {
        loop {
            let end = self.unread.windows(2).position(|two| two == b"\r\n");
            if let Some(end) = end {
                let line = self.take(end + 2);
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert_ne!(self.fill(), 0, "ended after {:?}", self.unread);
        }
    }

    pub(crate) fn take(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            assert_ne!(self.fill(), 0, "ended {} bytes early", n);
        }
        self.unread.drain(..n).collect()
    }

    fn fill(&mut self) -> usize {
        let mut piece = [0; 4096];
        let n = self.stream.read(&mut piece).expect("the server answers");
        self.unread.extend_from_slice(&piece[..n]);
        n
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let field = fields.find(|(each, _)| each.eq_ignore_ascii_case(name));
        field.map(|(_, value)| String::from(value))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// What an event said, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Opened(u64),
    Request(u64),
    Responded(u64),
    HandlerPanicked(u64, String),
    Closed(u64, CloseReason),
    HookPanicked(String),
    AcceptFailed,
    SpawnFailed,
    Rejected,
    Other,
}

impl Fact {
    pub(crate) fn of(event: &Event) -> Fact {
        match event {
            Event::Opened { id, .. } => Fact::Opened(u64::from(*id)),
            Event::Request { id, .. } => Fact::Request(u64::from(*id)),
            Event::Responded { id, .. } => Fact::Responded(u64::from(*id)),
            Event::HandlerPanicked { id, message, .. } => Fact::HandlerPanicked(u64::from(*id), message.clone()),
            Event::Closed { id, reason, .. } => Fact::Closed(u64::from(*id), *reason),
            Event::HookPanicked { message, .. } => Fact::HookPanicked(message.clone()),
            Event::AcceptFailed { .. } => Fact::AcceptFailed,
            Event::SpawnFailed { .. } => Fact::SpawnFailed,
            Event::Rejected { .. } => Fact::Rejected,
            _ => Fact::Other,
        }
    }
}

/// All that a server has told, in its order.
#[derive(Debug)]
pub(crate) struct Facts {
    incoming: Receiver<Fact>,
    seen: RefCell<Vec<Fact>>,
}

/// A hook for `Builder::on_event`, and what it records.
pub(crate) fn recorder() -> (impl Fn(&Event) + Send + Sync + 'static, Facts) {
    let (sender, incoming) = mpsc::channel();
    let sender = Mutex::new(sender);
    let seen = RefCell::default();
    let hook = move |event: &Event| {
        let _ = sender.lock().unwrap().send(Fact::of(event)); // the test may have ended
    };
    (hook, Facts { incoming, seen })
}

impl Facts {
    /// What has been told so far.
    pub(crate) fn so_far(&self) -> Vec<Fact> {
        self.seen.borrow_mut().extend(self.incoming.try_iter());
        self.seen.borrow().clone()
    }

    /// The first such fact, whether it is told already or comes soon.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Fact) -> bool) -> Fact {
        let mut found = None;
        until("a fact is told", || {
            found = self.so_far().into_iter().find(&wanted);
            found.is_some()
        });
        found.unwrap()
    }

    /// Why the connection with that number ended.
    pub(crate) fn reason(&self, number: u64) -> CloseReason {
        match self.wait_for(|fact| matches!(fact, Fact::Closed(id, _) if *id == number)) {
            Fact::Closed(_, reason) => reason,
            other => panic!("only `Closed` was asked for, not {other:?}"),
        }
    }
}

/// Polls a fact that nobody tells, with a bound.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < SOON, "it has never come true that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
