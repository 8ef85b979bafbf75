//! A Unix socket in the file system.
//!
//! 1. Nobody can connect to it before it has the mode that was asked for.
//! 2. No file but a stale socket is ever replaced, and none but the server's own is ever removed.
//! 3. Its clients are held as `TcpStream`s. std's safe conversions allow that, and everything that
//!    is used of them (reading, writing, timeouts, ending a direction) means the same.

use super::listener::{Accept, Accepted};
use super::sync::lock;
use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, Permissions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::io::OwnedFd;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A socket in the file system. Dropping it removes the file, unless another one has taken its
/// place.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: Option<FileId>,
    /// Held while the file is being removed: a second caller must not return before it is gone.
    is_unlinked: Mutex<bool>,
}

/// The device and the inode of a file, which tell it from another file that has taken its name.
type FileId = (u64, u64);

impl UnixSocket {
    /// Listens on a path. Replaces a stale socket there, and no other file.
    ///
    /// With a mode, the socket has it from the first moment in which anybody else can reach it.
    pub(crate) fn bind(path: &Path, mode: Option<u32>) -> io::Result<UnixSocket> {
        // The system takes only short addresses, and the path from the root may be too long for
        // one.
        let near = Path::new(".").join(path);
        // The file is removed by its path from the root: the working directory may be another one
        // by then.
        let whole = match std::env::current_dir() {
            Ok(dir) => dir.join(path),
            Err(_) => near.clone(),
        };
        let bound = match mode {
            Some(mode) => bind_with_mode(&near, mode),
            None => replacing_stale(&near, || UnixListener::bind(&near)),
        };
        let listener = match bound {
            Ok(listener) => listener,
            Err(error) => return Err(cannot_listen(&whole, &error)),
        };
        let file = socket_file(&whole);
        Ok(UnixSocket {
            listener,
            path: whole,
            file,
            is_unlinked: Mutex::new(false),
        })
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

    fn unlink(&self) {
        let mut is_unlinked = lock(&self.is_unlinked);
        if *is_unlinked {
            return;
        }
        *is_unlinked = true;
        if let Some(file) = self.file {
            remove(&self.path, file);
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn clone_as_stream(&self) -> io::Result<TcpStream> {
        Ok(TcpStream::from(OwnedFd::from(self.listener.try_clone()?)))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// Binds a socket that has this mode as soon as it has its name.
///
/// `bind` gives a new socket the permissions that the process gives new files, and std's listens at
/// once. A client that connects before the mode is set stays connected afterwards. So the socket is
/// made where nobody can reach it:
///
/// 1. A directory of mode 0700 is made beside the path.
/// 2. The socket is bound in it, and gets its mode.
/// 3. A hard link gives it its name. Unlike a rename, this fails if the name is taken, whatever has
///    taken it.
/// 4. The directory is removed, with the socket's first name.
///
/// OpenSSH names its ControlMaster's sockets by a hard link, too, on Linux, macOS and the BSDs.
/// Where there are none (some network file systems, apps on Android), this fails: the old way would
/// be a weaker one, silently.
fn bind_with_mode(path: &Path, mode: u32) -> io::Result<UnixListener> {
    // A link could have a name that is too long for an address, and then nobody could connect to
    // it.
    SocketAddr::from_pathname(path)?;
    let directory = PrivateDirectory::create_in(path.parent().unwrap_or(path))?;
    let socket = directory.socket();
    SocketAddr::from_pathname(&socket).map_err(|error| explained(&error, NO_ROOM))?;
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, Permissions::from_mode(mode))?;
    let linked = replacing_stale(path, || fs::hard_link(&socket, path));
    match linked {
        Ok(()) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(explained(&error, NO_LINK)),
    }
}

const NO_ROOM: &str =
    "socket_mode needs a temporary name beside it, which would be too long for an address: \
                       use a shorter path, or one from the working directory";
const NO_LINK: &str = "socket_mode needs a hard link, which cannot be made here: \
                       do without it, in a directory that only the clients may enter";

/// A directory that nobody else may enter, with a socket in it. Dropping it removes both.
///
/// A process that is killed in between leaves them. They are harmless, and nothing but a person
/// removes them.
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    fn create_in(parent: &Path) -> io::Result<PrivateDirectory> {
        let path = match create_directory_in(parent) {
            Ok(path) => path,
            Err(error) => {
                let why = format!(
                    "socket_mode needs a temporary directory in {}",
                    parent.display()
                );
                return Err(explained(&error, &why));
            }
        };
        let directory = PrivateDirectory(path);
        directory.give_owner_all_rights()?;
        Ok(directory)
    }

    /// Undoes what a umask has taken from the owner. The bit stays that hands the directory's group
    /// on.
    fn give_owner_all_rights(&self) -> io::Result<()> {
        let mode = fs::symlink_metadata(&self.0)?.permissions().mode();
        if mode & 0o700 == 0o700 {
            return Ok(());
        }
        fs::set_permissions(&self.0, Permissions::from_mode(mode | 0o700))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Neither is there to be removed if binding has failed; and what cannot be removed does no
        // harm.
        let _ = fs::remove_file(self.socket());
        let _ = fs::remove_dir(&self.0);
    }
}

/// Makes a directory of mode 0700, with a new name. Never uses one that is there already: it might
/// be a stranger's.
fn create_directory_in(parent: &Path) -> io::Result<PathBuf> {
    // A name is taken by chance once in 2^32 times, and eight in a row only if somebody has filled
    // the directory.
    for _ in 0..8 {
        // std seeds its maps with the system's random numbers. A short name leaves room for a long
        // path.
        let random = RandomState::new().build_hasher().finish();
        let path = parent.join(format!(".hs{:08x}", random >> 32));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Makes something at a path: once more if the first try fails and a stale socket was there, which
/// is removed.
fn replacing_stale<T>(path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let error = match make() {
        Ok(made) => return Ok(made),
        Err(error) => error,
    };
    match stale(path) {
        Some(file) => {
            remove(path, file);
            make()
        }
        None => Err(error),
    }
}

/// Adds the path to an error, and says why an address can be in use.
fn cannot_listen(path: &Path, error: &io::Error) -> io::Error {
    let mut text = format!("cannot listen on {}: {error}", path.display());
    if error.kind() == ErrorKind::AddrInUse {
        text.push_str(": it has a listener, or is no socket");
    }
    io::Error::new(error.kind(), text)
}

fn explained(error: &io::Error, why: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{why} ({error})"))
}

/// Returns the identity of the socket at a path, if there is one.
fn socket_file(path: &Path) -> Option<FileId> {
    let file = fs::symlink_metadata(path)
        .ok()
        .filter(|file| file.file_type().is_socket())?;
    Some((file.dev(), file.ino()))
}

/// Returns the identity of the socket at a path, if nobody listens there any more. A datagram
/// socket asks: to one that is in use it is of the wrong type, and it makes no connection and never
/// waits.
fn stale(path: &Path) -> Option<FileId> {
    let file = socket_file(path)?;
    let asked = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
    (asked.err()?.kind() == ErrorKind::ConnectionRefused).then_some(file)
}

fn remove(path: &Path, file: FileId) {
    if socket_file(path) == Some(file) {
        // If that fails, the file stays, as after a crash, and the next server finds it stale.
        let _ = fs::remove_file(path);
    }
}
