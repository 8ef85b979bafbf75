//! What the library tells its host: events, the reasons of ends, the list of connections. It prints nothing: all that
//! it has to say goes through the one hook of [`Builder::on_event`](super::Builder::on_event).

use super::{transport::BoxError, Error, Headers, StatusCode, Version};
use std::time::{Duration, Instant};
use std::{fmt, io, net::SocketAddr};

/// A connection's number: counted from 1 as they are accepted, and never used again by the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

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

/// Something that happened. Each one is told once, on the thread on which it happened.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // of the fields, which have one meaning in all of them
pub enum Event {
    /// A connection's thread has begun. Exactly one `Closed` follows.
    #[non_exhaustive]
    Opened { id: ConnectionId, peer: Option<SocketAddr> },
    /// A request has been read up to its body; its handler is called next.
    #[non_exhaustive]
    Request { id: ConnectionId, method: String, target: String, version: Version, headers: Headers },
    /// A response is on its way: it leaves before its connection next waits for the client. `bytes` are those of its
    /// body, and `time` is what it took from the last byte of the request's head.
    #[non_exhaustive]
    Responded { id: ConnectionId, status: StatusCode, bytes: u64, time: Duration },
    /// A connection has left HTTP for that protocol; the [`Upgraded`](super::Upgraded) is handed over next.
    Upgraded { id: ConnectionId, protocol: String },
    /// The hook of [`Builder::transport`](super::Builder::transport) or its handshake failed. `Closed` follows.
    TransportFailed { id: ConnectionId, error: BoxError },
    /// A request was refused, its handler returned an [`Error`], or its response could not be sent as it was made.
    Failed { id: ConnectionId, error: Error },
    /// A handler panicked, or the reader or closure of its response, or a transport. The client gets a 500, or an early
    /// end if the response has begun; the server goes on. The message is empty if the panic had no text.
    HandlerPanicked { id: ConnectionId, message: String },
    /// A connection is gone. If a thread that panics drops an [`Upgraded`](super::Upgraded) stream, the accepting thread
    /// reports it, within a second. The last event about it, with its history: how many requests it made, how many bytes
    /// were read and written (but not through [`Upgraded::into_tcp`](super::Upgraded::into_tcp)), and for how long.
    #[non_exhaustive]
    Closed { id: ConnectionId, reason: CloseReason, requests: u64, received: u64, sent: u64, duration: Duration },
    /// A client could not be accepted, for example for want of descriptors. The next try is at most a second later.
    AcceptFailed { error: io::Error },
    /// A connection got no thread. It was sent away, with a 503 where that could be done at once.
    SpawnFailed { error: io::Error },
    /// A client was dropped without an answer: all connections were busy, and enough others were just being told so.
    TurnedAway { peer: Option<SocketAddr> },
    /// The event hook panicked, and is told so. If it panics again, nobody is told.
    HookPanicked { message: String },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The last response said `Connection: close`: client or handler wanted it, or reading on was not worth it. Or an
    /// upgraded connection was dropped.
    Completed,
    /// The client ended it between two requests.
    PeerClosed,
    /// It broke in the middle of a request or a response.
    PeerLost,
    /// No request came for `idle_timeout`.
    IdleTimeout,
    /// A head, or a transport's handshake, took longer than `header_timeout`.
    HeadTimeout,
    /// A request's body made no progress for `body_timeout`, or came slower than `min_rate`.
    BodyTimeout,
    /// The client took nothing of a response for `write_timeout`, or took it slower than `min_rate`.
    WriteTimeout,
    /// A request was refused with this status code, or reading its body failed with it.
    Refused(StatusCode),
    /// The response's reader or closure failed after the head had been made.
    ResponseFailed,
    /// The handler, or the response's reader or closure, panicked.
    HandlerPanicked,
    /// [`Handle::destroy`](super::Handle::destroy), the end of a grace, or the drop of the owner.
    Destroyed,
    /// [`Handle::drain`](super::Handle::drain) found it waiting, or let a response be its last.
    Drained,
    /// [`Handle::close_idle`](super::Handle::close_idle) found it waiting for a request.
    IdleClosed,
    /// [`Handle::close`](super::Handle::close) named it.
    HandleClosed,
    /// A new connection needed its place: it had waited longest, for a request, the rest of a head, or its last end.
    Evicted,
    /// It came while every place was taken, and was told so with a 503.
    Busy,
    /// The system refused what every connection needs, such as a timeout on its socket.
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
    /// The transport is being made: a TLS handshake, for example.
    Handshake,
    /// A head has begun.
    Head,
    /// A handler runs, perhaps reading the body.
    Handling,
    /// The response is being sent.
    Responding,
    /// Waiting for the next request.
    Idle,
    /// The last response has been sent; what the client still sends is thrown away.
    Closing,
    /// It has left HTTP, and belongs to the closure of [`Response::upgrade`](super::Response::upgrade).
    Upgraded,
}

/// One connection, as [`Handle::connections`](super::Handle::connections) found it.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs)] // of the fields that their names, or the lines above them, tell of
pub struct ConnectionInfo {
    pub id: ConnectionId,
    /// Its other end, as the system told it when it was accepted; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// When it was accepted.
    pub opened: Instant,
    pub state: ConnectionState,
    /// When that began.
    pub since: Instant,
    /// How many requests it has made, the present one included.
    pub requests: u64,
    /// How many bytes have been read and written, without what a transport adds.
    pub received: u64,
    pub sent: u64,
    /// The method and the percent-decoded path of the request that is being answered, or has led to an upgrade.
    pub method: Option<String>,
    pub path: Option<String>,
}
