//! A client that speaks literal bytes.

use super::{until, GET, SOON};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

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

    /// A client over an existing socket of any family.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        let unread = Vec::new();
        Ok(Client { stream, unread })
    }

    /// A client with a kept-alive connection, which has had one response.
    pub(crate) fn answered(addr: SocketAddr) -> Client {
        let mut client = Client::connect(addr);
        client.say(GET);
        assert_eq!(client.response().status, 200);
        client
    }

    /// Waits until the connection is in the listener's queue: see [`until_queued`].
    pub(crate) fn queued(self) -> Client {
        until_queued(std::slice::from_ref(&self));
        self
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server listens");
    }

    /// Reads the head of a response, with the empty line after it.
    pub(crate) fn head_response(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head += &(self.line() + "\r\n");
        }
        let (status, body) = (head[9..12].parse().unwrap(), Vec::new());
        Answer { status, head, body }
    }

    /// Reads one response: by its length, by its chunks, or up to the end of the connection. Not
    /// for a response to `HEAD`, which has a length and no body.
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

    /// Reads to the end, which may be a reset. Panics if the connection stays open.
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

    /// Reads a line, and returns it without its end.
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
        loop {
            match self.stream.read(&mut piece) {
                Ok(n) => {
                    self.unread.extend_from_slice(&piece[..n]);
                    return n;
                }
                // Linux interrupts a read that has a timeout when the process is stopped and goes
                // on, as a debugger or a suspended machine does it.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the server answers: {error}"),
            }
        }
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

/// Waits until these connections are in the listener's queue. `connect` returns before the listener
/// has seen the last packet of the handshake, and a port that closes in between resets the
/// connection.
pub(crate) fn until_queued(clients: &[Client]) {
    // The kernel's byte order. With qemu, it may be another one than that of this program.
    let sockets: Vec<[String; 2]> = clients
        .iter()
        .map(|client| {
            [
                server_socket(client, u32::from_le_bytes),
                server_socket(client, u32::from_be_bytes),
            ]
        })
        .collect();
    until("the connections are in the queue", || {
        let table = match std::fs::read_to_string("/proc/net/tcp") {
            Ok(table) => table,
            Err(_) => return true, // not known on other systems than Linux
        };
        let is_listed = |socket: &[String; 2]| socket.iter().any(|line| table.contains(line));
        sockets.iter().all(is_listed)
    });
}

/// The server's socket of an established connection, as Linux lists it.
fn server_socket(of: &Client, number: fn([u8; 4]) -> u32) -> String {
    let hex = |addr: SocketAddr| match addr {
        SocketAddr::V4(addr) => {
            let ip = number(addr.ip().octets());
            format!("{ip:08X}:{:04X}", addr.port())
        }
        SocketAddr::V6(_) => panic!("these are in another table"),
    };
    let here = hex(of.stream.peer_addr().unwrap());
    let there = hex(of.stream.local_addr().unwrap());
    format!("{here} {there} 01 ") // 01: established
}

/// Reads a response with `Connection: close`, and the end of the connection. Then closes it, or the
/// server would linger.
pub(crate) fn assert_is_last(mut client: Client) {
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    client.expect_end();
}
