//! A connection that has left HTTP: the raw stream. It stays registered for as long as it is kept.

use super::super::error::Error;
use super::super::lifecycle::Registration;
use super::stream::Stream;
use super::transport::Transport;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A connection after a `101 Switching Protocols`, made by
/// [`Response::upgrade`](super::Response::upgrade).
///
/// Reading begins with what the client has already sent. Writes are not buffered. None of HTTP's
/// timeouts and rates apply. The stream may be moved to another thread.
///
/// Dropping it ends the connection at once. If the client is still sending, that may destroy the
/// last bytes that were written: read until the client has ended its side, where they matter.
///
/// Until then, it counts as one of the server's connections:
/// - [`destroy`](super::super::Handle::destroy) and [`close`](super::super::Handle::close) cut it,
///   so that its reads and writes fail.
/// - [`shutdown`](super::super::Handle::shutdown) gives it until the deadline.
/// - [`wait`](super::super::Handle::wait) waits for it. So the thread that holds it must not wait,
///   and a handler that collects streams must drop them at a stop.
///
/// The [`cancel_token`](super::Request::cancel_token) of its request keeps reporting a cut, and a
/// drain, at which the stream should come to its end.
#[doc(alias = "websocket")]
pub struct Upgraded {
    transport: Box<dyn Transport>,
    /// What has been read too far.
    unread: Vec<u8>,
    lease: Lease,
}

impl Upgraded {
    /// Takes over a stream that has no timeouts.
    pub(super) fn new(stream: Stream, registration: Arc<Registration>) -> Upgraded {
        Upgraded {
            unread: stream.buffered().to_vec(),
            transport: stream.transport,
            lease: Lease { registration },
        }
    }

    /// Sets the read and write timeouts. `None`, the initial value, waits for ever.
    ///
    /// A read or write beyond its timeout fails with `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// Fails if the system refuses, or if a duration is zero.
    pub fn set_timeouts(
        &mut self,
        read: Option<Duration>,
        write: Option<Duration>,
    ) -> io::Result<()> {
        self.transport.set_read_timeout(read)?;
        self.transport.set_write_timeout(write)
    }

    /// Returns the socket itself, what has already been read from it, and the lease that keeps it
    /// registered.
    ///
    /// This is for protocols that read and write on two threads, with [`TcpStream::try_clone`]. A
    /// Unix socket comes as a `TcpStream` as well. On Windows, a stop does not wake a call that is
    /// already blocked on the socket: give it timeouts there, and ask the token.
    ///
    /// # Errors
    /// Returns the stream over a [`transport`](super::super::Builder::transport), where the bytes
    /// are not those of the socket.
    pub fn into_tcp(self) -> Result<(TcpStream, Vec<u8>, Lease), Upgraded> {
        match self.transport.into_tcp() {
            Ok(tcp) => Ok((tcp, self.unread, self.lease)),
            Err(transport) => Err(Upgraded { transport, ..self }),
        }
    }
}

impl Read for Upgraded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // For an empty `buf`, a socket would wait as well.
        if self.unread.is_empty() && !buf.is_empty() {
            let read = self.transport.receive(buf);
            return self.lease.unless_cut(read);
        }
        let n = self.unread.as_slice().read(buf)?;
        self.unread.drain(..n);
        self.lease.unless_cut(Ok(n))
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.transport.send(bytes);
        self.lease.unless_cut(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // every write has been flushed
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("id", &self.lease.registration.entry.id)
            .field("unread", &self.unread.len())
            .finish_non_exhaustive()
    }
}

/// Keeps a connection registered while its raw socket is used elsewhere. Dropping it ends the
/// connection.
#[must_use = "dropping it ends the connection"]
pub struct Lease {
    registration: Arc<Registration>,
}

impl Lease {
    fn unless_cut(&self, moved: io::Result<usize>) -> io::Result<usize> {
        if self.registration.entry.is_cut() {
            return Err(Error::Cut.into());
        }
        moved
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The connection's thread may still run the closure of the upgrade, and keeps the
        // connection registered until that has returned. The socket ends now.
        // Its client sees that, and may come again before the place is free: it waits for that.
        self.registration.entry.begin_end_of_response();
        self.registration.shut_down(Shutdown::Both);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.registration.entry.id)
            .finish_non_exhaustive()
    }
}
