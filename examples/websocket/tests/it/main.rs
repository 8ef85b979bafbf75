//! The chat, driven by tungstenite's client, and by clients that speak literal bytes.

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod chat;
mod ends;
mod frames;
mod handshake;
mod program;

use hardstop::{Running, Server};
use hardstop_websocket::{answer, Room};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::Client;
use support::recorder::{recorder, Recorder};
use support::{LONG, SOON};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

/// A chat on a server of its own.
struct Chat {
    running: Running,
    room: Arc<Room>,
    facts: Recorder,
}

impl Chat {
    /// A chat that sends no ping while a test runs.
    fn open() -> Chat {
        Chat::with_pings(LONG)
    }

    fn with_pings(every: Duration) -> Chat {
        let (hook, facts) = recorder();
        let server = Server::builder()
            .on_event(hook)
            .bind("127.0.0.1:0")
            .unwrap();
        let room = Arc::new(Room::new(server.handle(), every));
        let running = {
            let room = Arc::clone(&room);
            server.spawn(move |req| answer(req, &room)).unwrap()
        };
        Chat {
            running,
            room,
            facts,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.running.local_addr()
    }

    /// A client, and the first that it hears: that it has joined.
    fn join(&self) -> Member {
        let mut member = Member::connect(self.addr());
        let hello = member.text();
        assert!(hello.contains(" has joined, now there are "), "{hello}");
        member
    }

    /// A client that speaks literal bytes, after its handshake.
    fn join_raw(&self) -> Client {
        let mut client = Client::connect(self.addr());
        client.say(&handshake::request(self.addr()));
        assert_eq!(client.head_response().status, 101);
        let hello = raw_text(&mut client);
        assert!(hello.contains(" has joined, now there are "), "{hello}");
        client
    }
}

/// A client of the chat. tungstenite answers pings and close frames while it reads.
struct Member(WebSocket<TcpStream>);

impl Member {
    fn connect(addr: SocketAddr) -> Member {
        let tcp = Client::connect(addr).stream; // has timeouts
        let (socket, _) = tungstenite::client(format!("ws://{addr}/chat"), tcp).unwrap();
        Member(socket)
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next text, whatever comes in between.
    fn text(&mut self) -> String {
        let began = Instant::now();
        while began.elapsed() < SOON {
            match self.0.read() {
                Ok(Message::Text(text)) => return text.to_string(),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{other:?} instead of a text"),
            }
        }
        panic!("no text came");
    }

    /// Reads the close frame, and then the end of the connection.
    fn expect_close(&mut self, code: CloseCode) {
        match self.0.read() {
            Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, code, "{frame}"),
            other => panic!("{other:?} instead of a close frame"),
        }
        match self.0.read() {
            Err(Error::ConnectionClosed) => {}
            other => panic!("{other:?} after the close frame"),
        }
    }

    /// Reads the end of a connection without a close frame. Clients are cut one after the other, so
    /// that it may still hear of others.
    fn expect_cut(&mut self) {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) if text.ends_with(" has left") => {}
                Ok(message) => panic!("{message:?} instead of the end"),
                Err(error) => {
                    assert!(!is_timeout(&error), "it is still open");
                    return;
                }
            }
        }
    }
}

fn is_timeout(error: &Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error, Error::Io(error) if [TimedOut, WouldBlock].contains(&error.kind()))
}

/// Reads an unmasked frame whole: its first byte, which has the opcode, and its payload.
fn raw_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.take(2);
    let length = match head[1] {
        126 => {
            let length = client.take(2);
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        }
        length => usize::from(length),
    };
    (head[0], client.take(length))
}

fn raw_text(client: &mut Client) -> String {
    let (opcode, payload) = raw_frame(client);
    assert_eq!(opcode, 0x81, "a text in one frame: {payload:?}");
    String::from_utf8(payload).unwrap()
}

/// Sends bytes that the server need not take. If it had closed the socket, they would be answered
/// with a reset, which can destroy a close frame that has not been read.
fn assert_still_reads(client: &mut Client) {
    for _ in 0..10 {
        client.say_bytes(&[0; 1024]);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A frame from a client. Its mask is zero, which leaves the payload as it is.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | payload.len() as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
