//! A connection that has left HTTP: the raw stream, which stays registered for as long as somebody holds it.

use super::super::registry::{shut_down, Registration};
use super::super::{stream::Stream, transport::Transport, Error};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::{sync::Arc, time::Duration};

/// A connection after a `101 Switching Protocols`, made by [`Response::upgrade`](super::super::Response::upgrade).
///
/// Reading begins with what the client had sent already; writing is not buffered. None of HTTP's timeouts and rates
/// apply. It may be moved to another thread. Until it is dropped, which ends the connection, it counts as one of the
/// server's: [`destroy`](super::super::Handle::destroy) and [`close`](super::super::Handle::close) cut it, so that its reads and
/// writes fail; [`shutdown`](super::super::Handle::shutdown) gives it until the deadline; and [`wait`](super::super::Handle::wait) waits
/// for it: so the thread that holds it must not, and a handler that collects streams lets go of them at a stop. The
/// [`cancel_token`](super::super::Request::cancel_token) of its request goes on to tell of a cut, and of a drain, at which it
/// should come to its end.
pub struct Upgraded {
    transport: Box<dyn Transport>,
    /// What had been read too far.
    unread: Vec<u8>,
    lease: Lease,
}

impl Upgraded {
    pub(crate) fn new(stream: Stream, registration: Arc<Registration>) -> Upgraded {
        let unread = stream.buffered().to_vec();
        let mut upgraded = Upgraded { transport: stream.transport, unread, lease: Lease { registration } };
        let _ = upgraded.set_timeouts(None, None); // if that fails, so does the first read
        upgraded
    }

    /// How long a read, and a write, may wait; after that they fail with `WouldBlock` or `TimedOut`. `None`, as at the
    /// beginning, waits for ever.
    ///
    /// # Errors
    /// When the system refuses, or a duration is zero.
    pub fn set_timeouts(&mut self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.transport.set_read_timeout(read)?;
        self.transport.set_write_timeout(write)
    }

    /// The socket itself, what had been read of it already, and the lease that keeps it registered: for protocols that
    /// read and write on two threads, with [`TcpStream::try_clone`]. A Unix socket comes as a `TcpStream`, too.
    /// On Windows a stop does not wake what is already blocked on it: give it timeouts there, and ask the token.
    ///
    /// # Errors
    /// Over a [`transport`](super::super::Builder::transport) the bytes are not the socket's: then this comes back.
    pub fn into_tcp(self) -> Result<(TcpStream, Vec<u8>, Lease), Upgraded> {
        match self.transport.into_tcp() {
            Ok(tcp) => Ok((tcp, self.unread, self.lease)),
            Err(transport) => Err(Upgraded { transport, ..self }),
        }
    }
}

impl Read for Upgraded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() && !buf.is_empty() {
            return self.lease.check(self.transport.receive(buf)); // for nothing, a socket would wait, too
        }
        let n = self.unread.as_slice().read(buf)?;
        self.unread.drain(..n);
        self.lease.check(Ok(n))
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lease.check(self.transport.send(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // every write has been
    }
}

/// What keeps a connection registered of which somebody has the socket. Dropping it ends the connection.
#[must_use = "dropping it ends the connection"]
pub struct Lease {
    registration: Arc<Registration>,
}

impl Lease {
    fn check(&self, moved: io::Result<usize>) -> io::Result<usize> {
        match self.registration.life.is_cut() {
            true => Err(Error::Cut.into()),
            false => moved,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Its thread may still run the closure, and keeps it registered until that has returned.
        let inner = self.registration.handle.registry.lock();
        if let Some(stream) = inner.streams.get(&u64::from(self.registration.life.id)) {
            shut_down(stream, Shutdown::Both);
        }
    }
}
