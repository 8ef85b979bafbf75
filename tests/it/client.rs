//! A client that speaks the wire in literal bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The upper bound of every wait.
pub const SOON: Duration = Duration::from_secs(10);

pub struct Client {
    tcp: TcpStream,
    /// What has been read and belongs to the next response.
    rest: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<String> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_string())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.set_write_timeout(Some(SOON)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let rest = Vec::new();
        Client { tcp, rest }
    }

    pub fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.tcp.write_all(bytes).unwrap();
    }

    /// Reads one response, whatever its framing.
    pub fn response(&mut self) -> Answer {
        let mut answer = self.head_response();
        if matches!(answer.status, 100..=199 | 204 | 304) {
            return answer;
        }
        if answer.header("Transfer-Encoding").is_some() {
            loop {
                let line = self.until(b"\r\n");
                let size = usize::from_str_radix(line.trim(), 16).unwrap();
                let chunk = self.exactly(size + 2);
                assert!(chunk.ends_with(b"\r\n"), "a chunk without its end");
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return answer;
                }
            }
        }
        answer.body = match answer.header("Content-Length") {
            Some(length) => self.exactly(length.parse().unwrap()),
            None => {
                while self.more() {}
                std::mem::take(&mut self.rest)
            }
        };
        answer
    }

    /// Reads a response that has no body.
    pub fn head_response(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = Vec::new();
        Answer { status, head, body }
    }

    /// Waits until the server has ended the connection.
    pub fn expect_end(&mut self) {
        while self.more() {}
    }

    fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|each| each == end) {
                return String::from_utf8_lossy(&self.exactly(at + end.len())).into_owned();
            }
            assert!(self.more(), "ended within {:?}", self.rest);
        }
    }

    fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.rest.len() < n {
            assert!(self.more(), "ended within {:?}", self.rest);
        }
        self.rest.drain(..n).collect()
    }

    /// Reads what has come; `false` at the end, however it came.
    fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.tcp.read(&mut piece) {
            Ok(n) => {
                self.rest.extend_from_slice(&piece[..n]);
                n > 0
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("still open after {SOON:?}: {error}"),
        }
    }
}
