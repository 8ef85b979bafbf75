//! Clients: they send bytes, and count the whole responses that they get.

use crate::mock::net::TcpStream;
use crate::mock::thread::{user, User};
use crate::oracle::{Fact, Subject};
use std::io::{Read, Write};
use std::net::SocketAddr;

pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
pub const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// The beginning of a request whose body is longer than what a server waits for.
pub const UPLOAD: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";

/// A connection of a client.
pub struct Client {
    pub stream: TcpStream,
    pub addr: SocketAddr,
    received: Vec<u8>,
    whole: usize,
}

/// A response that has come whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub is_last: bool,
    pub body: Vec<u8>,
}

impl Client {
    /// Connects; `None` if it is refused.
    pub fn connect(to: SocketAddr) -> Option<Client> {
        let stream = TcpStream::connect(to).ok()?;
        let addr = stream.local_addr().ok()?;
        Some(Client {
            stream,
            addr,
            received: Vec::new(),
            whole: 0,
        })
    }

    /// Sends all of it; `false` if the connection breaks before that.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Waits for a whole response; `None` if the connection ends first.
    pub fn receive(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.received) {
                self.received.drain(..length);
                self.whole += 1;
                return Some(answer);
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    fn read_more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(n) if n > 0 => {
                self.received.extend_from_slice(&piece[..n]);
                true
            }
            _ => false,
        }
    }

    /// Sends a request and waits for its response.
    pub fn ask(&mut self, request: &[u8]) -> Option<Answer> {
        if !self.send(request) {
            return None;
        }
        self.receive()
    }

    /// Reads whatever comes until the end, and reports to the witness how many responses were whole.
    pub fn read_to_end(mut self, of: &Subject) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.receive() {
            answers.push(answer);
        }
        of.witness.note_received(self.addr, self.whole);
        answers
    }
}

/// One connection on which these bytes are sent, and everything is read.
pub fn talk(to: &Subject, bytes: &[u8]) -> Vec<Answer> {
    talk_and_note(to, bytes, &Fact::default())
}

/// The same, which notes when all bytes have been sent.
pub fn talk_and_note(to: &Subject, bytes: &[u8], sent: &Fact) -> Vec<Answer> {
    let Some(mut client) = Client::connect(to.addr) else {
        return Vec::new();
    };
    if client.send(bytes) {
        sent.note();
    }
    client.read_to_end(to)
}

/// Whether a talk had one response, which is a 200.
pub fn is_served(answers: &[Answer]) -> bool {
    matches!(answers, [answer] if answer.status == 200)
}

/// A client on a thread of its own, which [`talk`]s.
pub fn start_talk(to: &Subject, bytes: &'static [u8]) -> User<Vec<Answer>> {
    let to = to.clone();
    user(move || talk(&to, bytes))
}

/// The first response in these bytes, if it is whole, and its length.
fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let is_last = head.contains("\r\nConnection: close\r\n");
    let rest = &bytes[end..];
    let (body, length) = if head.contains("\r\nTransfer-Encoding: chunked\r\n") {
        parse_chunks(rest)?
    } else {
        let length = content_length(head);
        (rest.get(..length)?.to_vec(), length)
    };
    let answer = Answer {
        status,
        is_last,
        body,
    };
    Some((answer, end + length))
}

fn content_length(head: &str) -> usize {
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A body in chunks, if its last one has come, and how many bytes it took.
fn parse_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2;
        let data = bytes.get(at..at + size + 2)?;
        body.extend_from_slice(&data[..size]);
        at += size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
