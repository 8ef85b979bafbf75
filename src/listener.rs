//! What clients connect to: a TCP port, or on Unix a socket in the file system.
//!
//! 1. A Unix socket's clients are held as `TcpStream`s, too: std's safe conversions allow it, and all that is used of
//!    them (reading, writing, timeouts, ending a direction) means the same.
//! 2. On Linux the same conversion gives a listener a timeout, so that `accept` can wait in the kernel and not for long;
//!    and ends it, and with it that wait. Both would also happen to every clone of it, in whatever process.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(crate) type Accepted = (TcpStream, Option<SocketAddr>);

pub(crate) trait Accept: Send + Sync {
    fn accept(&self) -> io::Result<Accepted>;
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    /// Has new clients refused, where that can be done while those in the backlog are still accepted.
    fn hide(&self) {}
    /// The same socket as a stream, where that is of use.
    fn as_stream(&self) -> io::Result<TcpStream> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Accept for TcpListener {
    fn accept(&self) -> io::Result<Accepted> {
        self.accept().map(|(stream, peer)| (stream, Some(peer)))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.set_nonblocking(nonblocking)
    }

    #[cfg(target_os = "linux")]
    fn as_stream(&self) -> io::Result<TcpStream> {
        Ok(TcpStream::from(std::os::unix::io::OwnedFd::from(self.try_clone()?)))
    }
}

pub(crate) struct Listener {
    pub(crate) socket: Box<dyn Accept>,
    /// The same, if nobody else has a clone of it.
    stream: Option<TcpStream>,
}

impl Listener {
    /// Makes it nonblocking.
    pub(crate) fn new(socket: Box<dyn Accept>, is_shared: bool) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let stream = if is_shared { None } else { socket.as_stream().ok() };
        let stream = stream.filter(|stream| stream.set_read_timeout(Some(LONGEST_WAIT)).is_ok());
        Ok(Listener { socket, stream })
    }

    /// A clone of it, if `accept` can wait, and there is a descriptor.
    pub(crate) fn reserve(&self) -> Option<TcpStream> {
        self.stream.as_ref()?.try_clone().ok()
    }

    /// Has an `accept` that waits fail, and clients refused. Does not block.
    pub(crate) fn shut_down(&self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Both); // else a wait ends by its timeout
        }
    }

    /// Closes the port, also where a child process that is being started still has it. May block.
    pub(crate) fn close(&self) {
        // Unix: before clients are refused, or another server would find the file stale, and race for its name.
        self.socket.hide();
        self.shut_down();
    }
}

#[cfg(unix)]
pub(crate) use self::unix::UnixSocket;

#[cfg(unix)]
mod unix {
    use super::{Accept, Accepted};
    use std::fs::{self, Permissions};
    use std::io;
    use std::net::TcpStream;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::io::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    /// A socket in the file system. Dropping it takes the file away, if it is still its own.
    pub(crate) struct UnixSocket {
        listener: UnixListener,
        path: PathBuf,
        file: Option<FileId>,
        is_hidden: AtomicBool,
    }

    /// What tells a file from another one that has taken its name: its device and its inode.
    type FileId = (u64, u64);

    impl UnixSocket {
        pub(crate) fn bind(path: &Path, mode: Option<u32>) -> io::Result<UnixSocket> {
            let near = &Path::new(".").join(path); // the system takes short paths only: the whole one may be too long
            let whole = std::env::current_dir().map(|dir| dir.join(path));
            let path = whole.unwrap_or_else(|_| near.clone()); // whatever the directory is at the end
            let bound = UnixListener::bind(near).or_else(|error| {
                remove(near, stale(near).ok_or(error)?);
                UnixListener::bind(near)
            });
            let named = |e: io::Error| {
                let is_taken = e.kind() == io::ErrorKind::AddrInUse;
                let why = if is_taken { ": it has a listener, or is no socket" } else { "" };
                io::Error::new(e.kind(), format!("cannot listen on {}: {e}{why}", path.display()))
            };
            let (listener, file, is_hidden) = (bound.map_err(named)?, socket_file(&path), AtomicBool::new(false));
            let socket = UnixSocket { listener, path, file, is_hidden };
            if let Some(mode) = mode {
                socket.listener.set_nonblocking(true)?;
                fs::set_permissions(&socket.path, Permissions::from_mode(mode))?;
                while socket.listener.accept().is_ok() {} // who came before that may not have been allowed to
            }
            Ok(socket)
        }
    }

    impl Accept for UnixSocket {
        fn accept(&self) -> io::Result<Accepted> {
            let (stream, _) = self.listener.accept()?;
            Ok((TcpStream::from(OwnedFd::from(stream)), None))
        }

        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            self.listener.set_nonblocking(nonblocking)
        }

        fn hide(&self) {
            if let Some(file) = self.file.filter(|_| !self.is_hidden.swap(true, SeqCst)) {
                remove(&self.path, file);
            }
        }

        #[cfg(target_os = "linux")]
        fn as_stream(&self) -> io::Result<TcpStream> {
            Ok(TcpStream::from(OwnedFd::from(self.listener.try_clone()?)))
        }
    }

    impl Drop for UnixSocket {
        fn drop(&mut self) {
            self.hide();
        }
    }

    /// The socket at that path, if it is one.
    fn socket_file(path: &Path) -> Option<FileId> {
        let file = fs::symlink_metadata(path).ok().filter(|file| file.file_type().is_socket())?;
        Some((file.dev(), file.ino()))
    }

    /// The socket at that path, if nobody listens there any more. A datagram socket asks: to one that is in use it is of
    /// the wrong type, and it makes no connection and never waits.
    fn stale(path: &Path) -> Option<FileId> {
        let file = socket_file(path)?;
        let asked = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
        (asked.err()?.kind() == io::ErrorKind::ConnectionRefused).then_some(file)
    }

    fn remove(path: &Path, file: FileId) {
        if socket_file(path) == Some(file) {
            let _ = fs::remove_file(path); // then it stays, as after a crash, and the next one finds it stale
        }
    }
}
