//! What clients connect to: a TCP port, or on Unix a socket in the file system.
//!
//! A Unix socket's clients are held as `TcpStream`s, too: std's safe conversions allow it, and all that is used of them
//! (reading, writing, timeouts, ending a direction) means the same.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    pub(crate) fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(tcp) => tcp.accept().map(|(stream, peer)| (stream, Some(peer))),
            #[cfg(unix)]
            Listener::Unix(unix) => unix.accept(),
        }
    }

    /// Has new clients refused, where that can be done while those in the backlog are still accepted.
    pub(crate) fn hide(&mut self) {
        match self {
            Listener::Tcp(_) => {}
            #[cfg(unix)]
            Listener::Unix(unix) => unix.hide(),
        }
    }
}

#[cfg(unix)]
pub(crate) use self::unix::UnixSocket;

#[cfg(unix)]
mod unix {
    use std::fs::{self, Permissions};
    use std::io;
    use std::net::{SocketAddr, TcpStream};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::io::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};

    /// A socket in the file system. Dropping it takes the file away, if it is still its own.
    pub(crate) struct UnixSocket {
        listener: UnixListener,
        path: PathBuf,
        file: Option<FileId>,
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
            let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {}: {e}", path.display()));
            let socket = UnixSocket { listener: bound.map_err(named)?, file: socket_file(&path), path };
            socket.listener.set_nonblocking(true)?;
            if let Some(mode) = mode {
                fs::set_permissions(&socket.path, Permissions::from_mode(mode))?;
                while socket.listener.accept().is_ok() {} // who came before that may not have been allowed to
            }
            Ok(socket)
        }

        pub(crate) fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
            let (stream, _) = self.listener.accept()?;
            Ok((TcpStream::from(OwnedFd::from(stream)), None))
        }

        pub(crate) fn hide(&mut self) {
            if let Some(file) = self.file.take() {
                remove(&self.path, file);
            }
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
