//! A server's owner: binding, running, and the end of its life.

use super::config::{Builder, Hooks};
use super::event::{ConnectionId, ConnectionInfo, Phase};
use super::lifecycle::{Handle, Outcome, Registry};
use super::sys::listener::Listener;
use super::sys::sync::lock;
use super::{accept, conn, Request, Response};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

impl Builder {
    /// Opens the port, without serving yet: clients that connect wait.
    ///
    /// If the address stands for several, the first one that can be bound is used, and no other:
    ///
    /// - `localhost:8080` is one of `127.0.0.1:8080` and `[::1]:8080`, whichever the system names
    ///   first. Clients of the other one are refused. Bind to `127.0.0.1`, or to both with two
    ///   servers: see [recipes](super::guide::recipes).
    /// - `[::]:8080` takes clients of IPv4 as well on Linux and macOS, and there each of them has a
    ///   mapped address, such as `::ffff:192.0.2.1`: see
    ///   [`peer_addr`](super::Request::peer_addr).
    ///
    /// # Errors
    /// Fails if a setting is invalid or the address cannot be resolved or bound. The message names
    /// the setting or the address.
    #[doc(alias("listen", "http"))]
    pub fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        let addrs = match addr.to_socket_addrs() {
            Ok(addrs) => addrs,
            Err(error) => return Err(no_address(error.kind(), &error.to_string())),
        };
        let mut failed = no_address(io::ErrorKind::AddrNotAvailable, "none was given");
        for addr in addrs {
            match TcpListener::bind(addr) {
                Ok(listener) => return self.serve_port(listener, false),
                Err(error) => {
                    let reason = error.kind();
                    let text = format!("cannot listen on {addr}: {reason}");
                    failed = io::Error::new(reason, text);
                }
            }
        }
        Err(failed)
    }

    /// Serves an existing listener, and makes it nonblocking.
    ///
    /// A stop closes this listener. It does not close a clone of it, nor the copy that a child
    /// process holds until it runs its program.
    ///
    /// Each connection inherits the listener's options. With `SO_LINGER`, closing a connection
    /// blocks its own thread until the client has taken everything, for at most the time that was
    /// set. Only [`Handle::wait`], [`Handle::shutdown`] and [`Running::join`] wait for that; and
    /// accepting, once it happens in twice `max_connections` and eight connections at a time.
    ///
    /// As others may share the listener, the server does not wait for clients in the kernel. It
    /// looks for them every 0.5 to 10 ms.
    ///
    /// # Errors
    /// Fails if a setting is invalid or the listener cannot be made nonblocking.
    #[doc(alias = "from_listener")]
    pub fn bind_listener(self, listener: TcpListener) -> io::Result<Server> {
        self.serve_port(listener, true)
    }

    /// Listens on a Unix socket at this path. [`Server::local_addr`] is then `0.0.0.0:0`, as there
    /// is no other.
    ///
    /// A request may have an empty `Host` here, which RFC 9112 §3.2 has clients send if their URI
    /// names no host. Over TCP, it is refused with 400.
    ///
    /// A socket that is already there is replaced if nobody listens on it any more, as after a
    /// crash. Any other file is never replaced. (Of two servers that replace it at the same moment,
    /// one may be left without a file.) When the server stops accepting, the file is removed,
    /// unless another one has taken its place.
    ///
    /// ```no_run
    /// let builder = hardstop::Server::builder().socket_mode(0o600);
    /// let server = builder.bind_unix("/run/me/admin.sock")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails if a setting is invalid or the path cannot be listened on. The message names it.
    #[cfg(unix)]
    pub fn bind_unix(self, path: impl AsRef<std::path::Path>) -> io::Result<Server> {
        use super::sys::unix_socket::UnixSocket;

        self.config.check()?;
        let socket = UnixSocket::bind(path.as_ref(), self.config.socket_mode)?;
        let listener = Listener::new(Box::new(socket), false)?;
        Ok(self.serve(listener, SocketAddr::from(([0, 0, 0, 0], 0))))
    }

    fn serve_port(self, listener: TcpListener, is_shared: bool) -> io::Result<Server> {
        self.config.check_port()?;
        self.config.check()?;
        let local_addr = listener.local_addr()?;
        let listener = Listener::new(Box::new(listener), is_shared)?;
        Ok(self.serve(listener, local_addr))
    }

    pub(super) fn serve(self, listener: Listener, local_addr: SocketAddr) -> Server {
        let registry = Arc::new(Registry::new(listener, local_addr, self.config));
        Server {
            handle: Handle { registry },
            hooks: self.hooks,
        }
    }
}

fn no_address(kind: io::ErrorKind, reason: &str) -> io::Error {
    let text = format!("no address to listen on, such as `127.0.0.1:8080`: {reason}");
    io::Error::new(kind, text)
}

/// A server whose port is open. It serves once it [runs](Server::run).
///
/// Dropping it closes the port and ends the clients that have connected, as
/// [`destroy`](Handle::destroy) does. Then it drops the hooks.
#[must_use = "dropping a server closes its port"]
pub struct Server {
    handle: Handle,
    /// Dropped at the end of a run, or with a server that has not run.
    hooks: Hooks,
}

impl Server {
    /// Opens the port with the default settings, as [`Builder::bind`] does: at one address, even if
    /// the name stands for several, as `localhost` may.
    ///
    /// # Errors
    /// Fails if the address cannot be resolved or bound. The message names it.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        Server::builder().bind(addr)
    }

    /// Returns the default settings, to be changed before the port is opened.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the address that the server listens on, with the port that the system chose if it
    /// was asked for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    /// Returns a handle, which can stop the server from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves on this thread, until the server has been stopped and every connection is gone.
    ///
    /// Each connection has a thread. The handler is called there for one request after the other,
    /// and the thread may serve another connection afterwards. The handler may borrow from the
    /// caller. If it panics, the client gets a 500 and the server goes on, unless panics abort the
    /// process.
    ///
    /// Nothing is printed. A handler that returns an [`io::Error`] with `?` gets its client a bare
    /// 500, and the text of the error goes to the hook of
    /// [`Builder::on_event`](super::Builder::on_event), or nowhere.
    ///
    /// When this returns, the handler and the hooks have been dropped, and no thread and no
    /// descriptor of the server is left. Handlers that ignore their
    /// [`CancelToken`](super::CancelToken) hold it back.
    pub fn run<F, R>(mut self, handler: F)
    where
        F: Fn(&mut Request<'_>) -> R + Sync,
        R: Into<Response>,
    {
        self.handle.registry.runner_runs();
        accept::run(conn::Service {
            server: &self.handle,
            hooks: &self.hooks,
            handler: &|request| handler(request).into(),
        });
        // Promise 4: the hooks and the handler are dropped before the server says that it has
        // ended. The hooks go first, as the drop of the handler may panic.
        self.hooks.drop_each();
        drop(handler);
        drop(self);
    }

    /// Serves on threads of its own, and returns at once.
    ///
    /// # Errors
    /// Fails if the system has no thread for it. The port is closed then, and the handler and the
    /// hooks have been dropped.
    ///
    /// # Panics
    /// If it fails, a panic in the drop of the handler is passed on.
    pub fn spawn<F, R>(self, handler: F) -> io::Result<Running>
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
        R: Into<Response>,
    {
        let handle = self.handle();
        handle.registry.runner_starts();
        let unspawned = Unspawned {
            handle: Some(self.handle()),
        };
        // Without a thread, these are dropped here, in this order: the server says that it has
        // ended when it is dropped.
        let parts = (unspawned, handler, self);
        let thread = thread::Builder::new()
            .name(String::from("hardstop-accept"))
            .spawn(move || {
                let (mut unspawned, handler, server) = parts;
                unspawned.handle = None;
                server.run(handler);
            })?;
        Ok(Running {
            handle,
            thread: Mutex::new(Some(thread)),
        })
    }
}

/// Ends a server for which there is no thread, before its handler and its hooks are dropped: these
/// are the user's code, and may ask the server for anything.
struct Unspawned {
    /// `None` once there is a thread.
    handle: Option<Handle>,
}

impl Drop for Unspawned {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.registry.runner_leaves();
            handle.destroy();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let registry = &self.handle.registry;
        if self.hooks.are_left() {
            // The server has not run. Its port is closed first, as a hook's drop may take its time.
            registry.runner_leaves();
            self.handle.destroy();
            self.hooks.drop_each();
        }
        registry.join_clock();
        registry.runner_is_gone();
        self.handle.destroy();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// The owner of a server that runs on threads of its own. Dropping it destroys the server, without
/// waiting.
///
/// It has every method of [`Handle`], and can be shared between threads. Only the owner can
/// [`join`](Running::join) and [`detach`](Running::detach). Dropping a [`Handle`] does nothing.
///
/// ```
/// use std::time::Duration;
///
/// let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
/// assert_eq!(server.phase(), hardstop::Phase::Accepting);
/// assert_eq!(server.connection_count(), 0);
/// server.shutdown(Duration::from_secs(5));
/// assert!(server.join());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping it destroys the server"]
pub struct Running {
    handle: Handle,
    /// Taken when the server is joined or detached: then there is nothing to destroy.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    /// Returns a handle, which can stop the server from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the server has been stopped and has no thread and no descriptor left. It does
    /// not stop the server.
    ///
    /// Returns `false` at once on one of the server's own threads, and `true` otherwise. Several
    /// threads may join, and all of them wait.
    pub fn join(&self) -> bool {
        if self.handle.registry.is_own_thread() {
            return false;
        }
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            let _ = thread.join(); // only a panic in the drop of the handler could be in there
        }
        true
    }

    /// Lets the server run without an owner, until a [`Handle`] stops it.
    pub fn detach(self) -> Handle {
        lock(&self.thread).take();
        self.handle()
    }
}

/// The methods of [`Handle`], so that an owner needs none.
impl Running {
    /// Stops the server now: closes the port and cuts every connection. Does the same as
    /// [`Handle::destroy`].
    #[doc(alias("stop", "kill", "abort"))]
    pub fn destroy(&self) -> usize {
        self.handle.destroy()
    }

    /// Stops accepting, lets every request that has come be answered, and returns at once. Does the
    /// same as [`Handle::drain`].
    pub fn drain(&self) {
        self.handle.drain();
    }

    /// Drains, waits for at most `grace`, then destroys what is left. Does the same as
    /// [`Handle::shutdown`].
    #[doc(alias("graceful", "stop"))]
    pub fn shutdown(&self, grace: Duration) -> Outcome {
        self.handle.shutdown(grace)
    }

    /// Cuts the connections that wait for a request, and keeps serving. Does the same as
    /// [`Handle::close_idle`].
    pub fn close_idle(&self) -> usize {
        self.handle.close_idle()
    }

    /// Cuts one connection, whatever it is doing. Does the same as [`Handle::close`].
    pub fn close(&self, id: ConnectionId) -> bool {
        self.handle.close(id)
    }

    /// Waits until the server stops accepting, because of any stop, for at most `timeout`. Does the
    /// same as [`Handle::wait_for_stop`].
    pub fn wait_for_stop(&self, timeout: Duration) -> bool {
        self.handle.wait_for_stop(timeout)
    }

    /// Waits until the server has been stopped and has ended, but not for its threads, as
    /// [`join`](Running::join) does. Does the same as [`Handle::wait`].
    pub fn wait(&self) -> bool {
        self.handle.wait()
    }

    /// Waits as [`wait`](Running::wait) does, for at most `timeout`. Does the same as
    /// [`Handle::wait_timeout`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.handle.wait_timeout(timeout)
    }

    /// Returns the phase of the server's life. Does the same as [`Handle::phase`].
    pub fn phase(&self) -> Phase {
        self.handle.phase()
    }

    /// Returns the open connections. Does the same as [`Handle::connections`].
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.handle.connections()
    }

    /// Returns the number of open connections. Does the same as [`Handle::connection_count`].
    pub fn connection_count(&self) -> usize {
        self.handle.connection_count()
    }

    /// Returns the address that the server listens on, or did. Does the same as
    /// [`Handle::local_addr`].
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.local_addr()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if lock(&self.thread).is_some() {
            self.handle.destroy();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}
