//! What the library reports: events, the reasons for ends, and the list of connections.
//!
//! The library prints nothing. Everything that it reports goes through the one hook of
//! [`Builder::on_event`](super::Builder::on_event). `display` makes lines of it.

mod display;

use super::error::{BoxError, Error};
use super::{Headers, StatusCode, Version};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// A connection's number. A server counts from 1 in the order of accepting, and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// Takes a number from outside, such as that of a form, for
/// [`Handle::close`](super::Handle::close).
impl From<u64> for ConnectionId {
    fn from(id: u64) -> ConnectionId {
        ConnectionId(id)
    }
}

impl From<ConnectionId> for u64 {
    fn from(id: ConnectionId) -> u64 {
        id.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event. Each is reported once, on the thread where it occurs.
///
/// It is displayed as one line of text, for a person to read.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // of the fields, each of which means the same in every variant
pub enum Event {
    /// A connection's thread has begun. Exactly one `Closed` follows.
    #[non_exhaustive]
    Opened {
        id: ConnectionId,
        peer: Option<SocketAddr>,
    },
    /// A request head has been read. The handler is called next.
    #[non_exhaustive]
    Request {
        id: ConnectionId,
        method: String,
        target: String,
        version: Version,
        headers: Headers,
    },
    /// A response has been made. It leaves before its connection waits for the client again.
    ///
    /// `bytes` is the length of its body, and `time` is measured from the last byte of the request
    /// head.
    #[non_exhaustive]
    Responded {
        id: ConnectionId,
        status: StatusCode,
        bytes: u64,
        time: Duration,
    },
    /// A connection has left HTTP for this protocol. The [`Upgraded`](super::Upgraded) stream is
    /// handed over next.
    #[non_exhaustive]
    Upgraded { id: ConnectionId, protocol: String },
    /// The hook of [`Builder::transport`](super::Builder::transport) or its handshake failed.
    /// `Closed` follows.
    #[non_exhaustive]
    TransportFailed { id: ConnectionId, error: BoxError },
    /// A request was refused, its handler returned an [`Error`], or its response could not be sent
    /// as it was made.
    #[non_exhaustive]
    RequestFailed { id: ConnectionId, error: Error },
    /// A handler, the reader or closure of its response, or a transport panicked.
    ///
    /// The client gets a 500, or an early end if a part of the response has left. The server goes
    /// on. The message is empty if the panic had no text.
    #[non_exhaustive]
    HandlerPanicked { id: ConnectionId, message: String },
    /// A connection has ended. This is the last event about it.
    ///
    /// It carries the connection's history: the number of its requests, the bytes read and written
    /// (except through [`Upgraded::into_tcp`](super::Upgraded::into_tcp)), and its duration. If a
    /// thread drops an [`Upgraded`](super::Upgraded) stream while it panics, the accepting thread
    /// reports the end, within a second.
    #[non_exhaustive]
    Closed {
        id: ConnectionId,
        reason: CloseReason,
        requests: u64,
        received: u64,
        sent: u64,
        duration: Duration,
    },
    /// A client could not be accepted, for example because the process is out of descriptors. The
    /// server tries again within a second.
    #[non_exhaustive]
    AcceptFailed { error: io::Error },
    /// A connection got no thread. It was closed, with a 503 if that could be sent at once.
    #[non_exhaustive]
    SpawnFailed { error: io::Error },
    /// A client was closed without an answer: every place was taken, and as many others as may be
    /// refused at a time were just being refused with a 503.
    #[non_exhaustive]
    Rejected { peer: Option<SocketAddr> },
    /// The event hook panicked. If it panics on this event as well, nothing more is reported.
    #[non_exhaustive]
    HookPanicked { message: String },
}

/// The reason why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The last response said `Connection: close`, because the client or the handler wanted it or
    /// because the rest of the body was not worth reading. Or an upgraded stream was dropped.
    Completed,
    /// The client ended the connection between two requests.
    PeerClosed,
    /// The connection broke in the middle of a request or a response.
    PeerLost,
    /// No request came within `idle_timeout`.
    IdleTimeout,
    /// A request head, or a transport's handshake, took longer than `header_timeout`; or the
    /// handshake of a client that came while every place was taken took longer than a second.
    HeadTimeout,
    /// A request body made no progress for `body_timeout`, or came slower than `min_rate`.
    BodyTimeout,
    /// The client took nothing of a response for `write_timeout`, or took it slower than
    /// `min_rate`.
    WriteTimeout,
    /// A request was refused with this status code, or reading its body failed with it.
    Refused(StatusCode),
    /// The response's reader or closure failed after a part of the response had left.
    ResponseFailed,
    /// The handler, or the response's reader or closure, panicked.
    HandlerPanicked,
    /// The connection was cut by [`Handle::destroy`](super::Handle::destroy), by the end of a grace
    /// period, or by the drop of the server's owner.
    Destroyed,
    /// [`Handle::drain`](super::Handle::drain) found it waiting, or let a response be its last.
    Drained,
    /// [`Handle::close_idle`](super::Handle::close_idle) found it waiting for a request.
    ClosedIdle,
    /// [`Handle::close`](super::Handle::close) named it.
    ClosedByHandle,
    /// A new client needed its place. It had waited longest for a request, for the rest of a head,
    /// or for the client's end of the connection.
    Evicted,
    /// It came while every place was taken, and was refused with a 503.
    Busy,
    /// The system refused something that every connection needs, such as a timeout on its socket.
    SetupFailed,
    /// The hook of [`Builder::transport`](super::Builder::transport) or its handshake failed.
    TransportFailed,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// No request has begun.
    New,
    /// The transport is being made, for example by a TLS handshake.
    Handshake,
    /// A request head has begun.
    Head,
    /// The handler runs and may read the body. Or it has returned, and the rest of the body is
    /// being received.
    Handling,
    /// The response is being sent.
    Responding,
    /// The connection waits for the next request.
    Idle,
    /// The last response has been sent. What the client still sends is discarded.
    Closing,
    /// The connection has left HTTP. It belongs to the closure of
    /// [`Response::upgrade`](super::Response::upgrade).
    Upgraded,
}

impl ConnectionState {
    /// Returns whether no request has begun.
    pub(crate) fn precedes_first_request(self) -> bool {
        matches!(self, ConnectionState::New | ConnectionState::Handshake)
    }

    /// Returns whether nothing can be lost but a request that may be on its way.
    pub(crate) fn awaits_request(self) -> bool {
        self.precedes_first_request() || self == ConnectionState::Idle
    }

    /// Returns in which order connections make room: those with nothing to lose, then slow heads,
    /// then those that linger. With any other order, few clients could keep the others out.
    ///
    /// `None` means not at all, because something of the user's runs.
    pub(crate) fn eviction_rank(self) -> Option<u8> {
        match self {
            ConnectionState::New | ConnectionState::Idle => Some(0),
            ConnectionState::Handshake | ConnectionState::Head => Some(1),
            ConnectionState::Closing => Some(2),
            ConnectionState::Handling | ConnectionState::Responding | ConnectionState::Upgraded => {
                None
            }
        }
    }

    pub(crate) fn is_evictable(self) -> bool {
        self.eviction_rank().is_some()
    }
}

/// One connection, as [`Handle::connections`](super::Handle::connections) found it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection's number.
    pub id: ConnectionId,
    /// The client's address, as the system reported it on accepting; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// When the connection was accepted.
    pub opened: Instant,
    /// What the connection is doing.
    pub state: ConnectionState,
    /// When that began.
    pub since: Instant,
    /// The number of requests so far, including the present one.
    pub requests: u64,
    /// The number of bytes read, without what a transport adds.
    pub received: u64,
    /// The number of bytes written, without what a transport adds.
    pub sent: u64,
    /// The method of the request that is being answered, or has led to an upgrade.
    pub method: Option<String>,
    /// The percent-decoded path of that request.
    pub path: Option<String>,
}

/// The phase of a server's life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The port is open. Clients that connect are served once the server runs.
    Accepting,
    /// The port is closed. Each request in progress is answered as the last of its connection.
    Draining,
    /// The port is closed, and every connection has been cut or has ended by itself.
    Destroyed,
}
