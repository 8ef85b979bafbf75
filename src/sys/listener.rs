//! The listening socket: a TCP port, or on Unix a socket in the file system.
//!
//! On Linux and Android, a listener can be given a receive timeout through the conversion to a
//! `TcpStream`, so that `accept` can wait in the kernel for a bounded time. A shutdown through the
//! same conversion ends that wait at once. Both act on every clone of the socket, in whatever
//! process. So a listener that others may share is only polled.
//!
//! Android's `accept4` is Linux's: what its libc adds happens after it (netd's NetdClient.cpp).

use super::panic;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long one `accept` waits in the kernel.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// An accepted client and its address, which a Unix socket's clients do not have.
pub(crate) type Accepted = (TcpStream, Option<SocketAddr>);

pub(crate) trait Accept: Send + Sync {
    fn accept(&self) -> io::Result<Accepted>;

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Removes the socket's file, so that nobody else connects. Clients that are already in the
    /// accept queue stay there. A port has no such step.
    fn unlink(&self) {}

    /// Clones the socket as a stream, on systems where that is of use.
    fn clone_as_stream(&self) -> io::Result<TcpStream> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Accept for TcpListener {
    fn accept(&self) -> io::Result<Accepted> {
        let (stream, peer) = TcpListener::accept(self)?;
        Ok((stream, Some(peer)))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        TcpListener::set_nonblocking(self, nonblocking)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn clone_as_stream(&self) -> io::Result<TcpStream> {
        Ok(TcpStream::from(std::os::unix::io::OwnedFd::from(
            self.try_clone()?,
        )))
    }
}

/// The error of illumos and Solaris for a client that "has already been released"
/// (accept(3SOCKET)). It is in the list of Linux's accept(2) as well, and has the same number there.
const EPROTO: i32 = 71;

/// Returns whether an error of `accept` is that of one client, which is gone. The next one may be
/// accepted at once.
///
/// Other errors are expected to last until something changes: no descriptor or memory is left, or
/// the network is down. `EINVAL` is one of them: it means that the socket does not listen.
pub(crate) fn is_of_one_client(error: &io::Error) -> bool {
    match error.kind() {
        // A signal has interrupted the call, and no client is lost.
        ErrorKind::Interrupted => true,
        // The client has reset its connection: Windows says the second, all others the first.
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => true,
        // The connection was given up before it was accepted (QNX, older kernels of Linux).
        ErrorKind::TimedOut => true,
        // std's own error, for a client without an address.
        ErrorKind::InvalidInput => error.raw_os_error().is_none(),
        _ => {
            let has_eproto = cfg!(any(
                target_os = "linux",
                target_os = "android",
                target_os = "illumos",
                target_os = "solaris"
            ));
            has_eproto && error.raw_os_error() == Some(EPROTO)
        }
    }
}

pub(crate) struct Listener {
    socket: Box<dyn Accept>,
    /// The same socket as a stream, where `accept` may wait in the kernel.
    stream: Option<TcpStream>,
}

impl Listener {
    /// Makes the socket nonblocking. One that is shared is never waited on in the kernel.
    pub(crate) fn new(socket: Box<dyn Accept>, is_shared: bool) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let mut stream = None;
        if !is_shared {
            stream = stream_with_timeout(&*socket).ok();
        }
        Ok(Listener { socket, stream })
    }

    /// Accepts a client.
    ///
    /// On Apple's systems, a client that reset its connection over IPv6 before it was accepted
    /// comes without an address. std closes its socket, and then either fails with `InvalidInput`
    /// (1.63) or may panic, as it looks for the address in memory that was never written (1.95).
    /// The user's panic hook then runs under the registry's lock.
    pub(crate) fn accept(&self) -> io::Result<Accepted> {
        match panic::catch(|| self.socket.accept()) {
            Ok(accepted) => accepted,
            Err(_) => Err(ErrorKind::InvalidInput.into()),
        }
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    /// Clones the socket to hold a descriptor in reserve, if `accept` may wait in the kernel.
    pub(crate) fn spare_descriptor(&self) -> Option<TcpStream> {
        self.stream.as_ref()?.try_clone().ok()
    }

    /// Removes a Unix socket's file. May block.
    pub(crate) fn unlink(&self) {
        self.socket.unlink();
    }

    /// Ends an `accept` that waits, and has clients refused, also while a child process that is
    /// being started still holds a copy of the socket. Does not block.
    pub(crate) fn shut_down(&self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Both); // if it fails, the wait ends by its timeout
        }
    }
}

fn stream_with_timeout(socket: &dyn Accept) -> io::Result<TcpStream> {
    let stream = socket.clone_as_stream()?;
    stream.set_read_timeout(Some(LONGEST_WAIT))?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
