//! One client: a thread that reads from it, and a thread that writes to it.
//!
//! A thread that waits for the client's next message cannot send at the same time. So there are
//! two, and each has a `WebSocket` of its own over the same socket. All that is sent goes through
//! one queue to the thread that writes: no message gets into the middle of another one, and nothing
//! follows the close frame.

use crate::room::Room;
use hardstop::{CancelToken, ConnectionId, Upgraded};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// The longest message that a client may send, in bytes, whether in one frame or in several.
const MAX_MESSAGE: usize = 16 * 1024;

/// How many messages may wait for a client. A client that is further behind is cut.
const QUEUE: usize = 256;

/// The pause after each message of a client: it may send 200 messages a second. Without it, one
/// client could fill the queues of all others, which would then be cut. A client that is faster is
/// slowed down by TCP.
const PAUSE: Duration = Duration::from_millis(5);

/// The time that a client may let pass without taking a byte of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a client has to close its side after the last frame.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a client until either side ends it. A stop of the server cuts the socket, which ends both
/// threads.
pub(crate) fn serve(stream: Upgraded, id: ConnectionId, token: &CancelToken, room: &Room) {
    // Two threads need the socket itself. A server with a transport (https) has none to give:
    // there, one thread has to read from `stream` with a short timeout, and look into the queue in
    // between.
    if let Ok((tcp, unread, lease)) = stream.into_tcp() {
        // If that fails, the client is gone, or the system has no thread or descriptor.
        let _ = serve_socket(&tcp, unread, id, token, room);
        // Until now, the lease has kept the connection registered, so that every stop reaches it.
        drop(lease);
    }
}

fn serve_socket(
    tcp: &TcpStream,
    unread: Vec<u8>,
    id: ConnectionId,
    token: &CancelToken,
    room: &Room,
) -> io::Result<()> {
    tcp.set_read_timeout(Some(room.ping_every))?;
    tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let config = Some(config());
    let incoming = Incoming(tcp.try_clone()?);
    let incoming = WebSocket::from_partially_read(incoming, unread, Role::Server, config);
    let outgoing = WebSocket::from_raw_socket(tcp.try_clone()?, Role::Server, config);
    let (queue, queued) = mpsc::sync_channel(QUEUE);
    let writer = thread::Builder::new().spawn(move || write(outgoing, queued))?;

    let membership = room.join(id, queue.clone());
    let last = read(incoming, id, &queue, token, room);
    drop(membership);
    if let Some(last) = last {
        let _ = queue.try_send(last); // a client with a full queue gets no good-bye
    }
    drop(queue); // it was the last sender, so the writer ends after the last message
    let _ = writer.join();
    finish(tcp)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(4096)
        .write_buffer_size(0) // each message leaves at once
}

/// The half of a connection that is read.
///
/// tungstenite answers pings and close frames by itself, on the thread that reads. They would get
/// into the middle of what the other thread writes. So they are dropped here, and [`read`] puts its
/// own answers into the queue.
struct Incoming(TcpStream);

impl Read for Incoming {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Incoming {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads messages until the client says good-bye, breaks the rules, falls silent or is gone.
/// Returns the close frame to send, if any.
fn read(
    mut incoming: WebSocket<Incoming>,
    id: ConnectionId,
    queue: &SyncSender<Message>,
    token: &CancelToken,
    room: &Room,
) -> Option<Message> {
    let mut awaits_pong = false;
    loop {
        let answer = match incoming.read() {
            Ok(Message::Text(text)) => {
                room.say(id, &text);
                None
            }
            Ok(Message::Ping(data)) => Some(Message::Pong(data)),
            Ok(Message::Close(frame)) => return Some(Message::Close(frame)),
            Ok(Message::Binary(_)) => return close(CloseCode::Unsupported, "only text, please"),
            Ok(Message::Pong(_) | Message::Frame(_)) => None,
            Err(Error::Io(error)) if is_timeout(&error) => {
                // On Windows, a stop does not wake a read, so that the token has to be asked.
                if awaits_pong || token.is_cancelled() {
                    return None;
                }
                awaits_pong = true;
                queue.try_send(Message::Ping(Bytes::new())).ok()?;
                continue;
            }
            // Linux interrupts a read that has a timeout when the process is stopped and goes on.
            Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return reason(&error),
        };
        awaits_pong = false; // any message shows that the client is there
        if let Some(answer) = answer {
            queue.try_send(answer).ok()?;
        }
        thread::sleep(PAUSE);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Returns the close frame that tells the client what it did wrong, unless it is gone.
fn reason(error: &Error) -> Option<Message> {
    match error {
        Error::Capacity(_) => close(CloseCode::Size, "a message is longer than 16 KiB"),
        Error::Utf8(_) => close(CloseCode::Invalid, "a text is not UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => close(CloseCode::Protocol, "a frame is not valid"),
        _ => None,
    }
}

fn close(code: CloseCode, reason: &'static str) -> Option<Message> {
    Some(Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    })))
}

/// Sends what is in the queue, up to a close frame.
fn write(mut outgoing: WebSocket<TcpStream>, queued: Receiver<Message>) {
    for message in queued {
        let is_last = message.is_close();
        if outgoing.send(message).is_err() {
            // The client is gone, or takes nothing. Wake the thread that reads.
            let _ = outgoing.get_ref().shutdown(Shutdown::Both);
            return;
        }
        if is_last {
            return;
        }
    }
}

/// Ends the connection so that the close frame arrives (RFC 6455 §7.1.1): reads on until the
/// client has closed its side. If bytes were left unread, the system would reset the connection.
fn finish(mut tcp: &TcpStream) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    tcp.set_read_timeout(Some(LINGER))?;
    let began = Instant::now();
    let mut piece = [0; 4096];
    while began.elapsed() < LINGER && tcp.read(&mut piece)? > 0 {}
    Ok(())
}
