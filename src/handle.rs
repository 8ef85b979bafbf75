//! What stops a server and what can be known of it, from any thread; and the token by which a handler
//! learns that its connection has been cut.

use super::event::ConnectionInfo;
use super::life::Life;
use super::registry::{Registration, Registry};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection's number: counted from 1 as they are accepted, and never used again by the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn new(number: u64) -> ConnectionId {
        ConnectionId(number)
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

/// How far a server's life has come. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The port is open. Clients that connect are served once the server runs.
    Accepting,
    /// The port is closed. Requests under way are answered, each as the last of its connection.
    Draining,
    /// The port is closed and every connection has been cut.
    Destroyed,
}

/// What a [`Handle::shutdown`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every connection ended by itself, and the handler has been let go of.
    Drained,
    /// The grace was over, or somebody called [`Handle::destroy`].
    #[non_exhaustive]
    Destroyed {
        /// How many connections were cut. Their handlers may still be running.
        cut: usize,
    },
    /// Called from one of the server's own threads, which cannot wait for itself. The drain has begun, and
    /// the server destroys what is left when the grace is over.
    Pending,
}

/// Stops a server, and tells what it is doing. Cheap to clone; every clone means the same server.
///
/// All methods can be called from any thread, at any time, also from handlers and from the event hook,
/// except that those which wait ([`wait`](Handle::wait), [`wait_timeout`](Handle::wait_timeout),
/// [`shutdown`](Handle::shutdown)) return at once on the server's own threads. A handle does not keep the
/// server alive.
///
/// # Examples
/// A handler that stops its own server:
/// ```
/// # fn main() -> std::io::Result<()> {
/// let server = hardstop::Server::bind("127.0.0.1:0")?;
/// let handle = server.handle();
/// let running = server.spawn(move |_| {
///     handle.drain(); // this response is the last one
///     "goodbye"
/// })?;
/// # use std::io::{Read, Write};
/// # let mut client = std::net::TcpStream::connect(running.local_addr())?;
/// # client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
/// # let mut response = String::new();
/// # client.read_to_string(&mut response)?;
/// # assert!(response.ends_with("goodbye"));
/// running.join();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    registry: Arc<Registry>,
}

impl Handle {
    pub(crate) fn new(registry: &Arc<Registry>) -> Handle {
        Handle {
            registry: Arc::clone(registry),
        }
    }

    /// Ends the server now: closes the port and cuts every connection. Returns how many it cut.
    ///
    /// When this returns, no client can connect, the port can be bound again, no handler will be called
    /// any more, and every read or write that was blocked on a client has been woken. Handlers that are
    /// running see their [`CancelToken`] fire; their responses go nowhere. Calling it again does nothing
    /// and returns 0.
    ///
    /// It does not wait for handlers, which cannot be killed: use [`wait`](Handle::wait) for that. Bytes
    /// that the system had already taken may still reach their clients.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let running = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "hello")?;
    /// let _silent = std::net::TcpStream::connect(running.local_addr())?;
    /// running.handle().destroy();
    /// assert!(std::net::TcpStream::connect(running.local_addr()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn destroy(&self) -> usize {
        self.registry.destroy()
    }

    /// Stops accepting, lets every request that has come be answered, and returns at once.
    ///
    /// When this returns, the port is closed. Clients that had connected are served, those that the system
    /// had queued included; each response says `Connection: close`. Connections that wait for a next request
    /// end at once; those that have never spoken have one second to begin. Nothing bounds the time that
    /// handlers and clients take: see [`shutdown`](Handle::shutdown).
    pub fn drain(&self) {
        self.registry.drain(None);
    }

    /// Drains, waits for at most `grace`, then destroys what is left.
    ///
    /// Returns as soon as nothing is left: every connection has ended, and the handler has been dropped.
    /// Called again, by whomever, the earliest deadline of all calls counts, and every caller is told the
    /// same outcome. On one of the server's own threads it returns [`Outcome::Pending`] at once.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use hardstop::Outcome;
    /// use std::time::Duration;
    /// let running = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "hello")?;
    /// assert_eq!(running.handle().shutdown(Duration::from_secs(5)), Outcome::Drained);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, grace: Duration) -> Outcome {
        self.registry.shutdown(grace)
    }

    /// Cuts the connections that wait for a request, new ones included, and goes on serving. Returns how
    /// many it cut.
    ///
    /// A request that is on its way to one of them is lost, as it is whenever a server ends an idle
    /// connection; clients send such a request again.
    pub fn close_idle(&self) -> usize {
        self.registry.close_idle()
    }

    /// Cuts one connection, whatever it is doing; `false` if it is not open any more.
    pub fn close(&self, id: ConnectionId) -> bool {
        self.registry.close(id)
    }

    /// Waits until the server has been stopped and nobody is left: every connection's thread has let go of
    /// the handler, the handler has been dropped, and the last `Closed` event has been told.
    ///
    /// Returns `true` then, also if that was long ago; and `false`, at once, on one of the server's own
    /// threads: a handler or a hook would wait for itself. It does not stop the server.
    pub fn wait(&self) -> bool {
        self.registry.wait(None)
    }

    /// As [`wait`](Handle::wait), for a limited time; `false` if that was not enough.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.registry.wait(Instant::now().checked_add(timeout)) // `None`: later than the clock goes
    }

    /// How far the server's life has come.
    pub fn phase(&self) -> Phase {
        self.registry.phase()
    }

    /// The connections that are open, by their ids; after a destroy, those whose handlers still run.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.registry.connections()
    }

    /// How many there are in [`connections`](Handle::connections).
    pub fn connection_count(&self) -> usize {
        self.registry.connections().len()
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.registry.local_addr
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        self.registry.is_own_thread()
    }
}

/// By which a handler learns that its connection has been cut, or that the server is about to stop.
///
/// It fires on [`Handle::destroy`], on [`Handle::close`] of its connection, and at the end of a grace. It
/// does not fire when the client goes away: only reading or writing tells that.
///
/// # Examples
/// A stream that ends when it should:
/// ```
/// use hardstop::{Request, Response};
/// use std::{io::Write, time::Duration};
///
/// fn ticks(request: &mut Request<'_>) -> Response {
///     let token = request.cancel_token();
///     let stream = Response::stream(move |body| {
///         while !token.wait_stop_timeout(Duration::from_secs(1)) {
///             writeln!(body, "data: tick\n")?;
///             body.flush()?;
///         }
///         Ok(())
///     });
///     stream.with_header("Content-Type", "text/event-stream")
/// }
/// ```
#[derive(Debug, Clone)]
pub struct CancelToken {
    life: Arc<Life>,
    registry: Arc<Registry>,
}

impl CancelToken {
    pub(crate) fn new(registration: &Registration) -> CancelToken {
        CancelToken {
            life: Arc::clone(&registration.life),
            registry: Arc::clone(&registration.registry),
        }
    }

    /// Whether the connection has been cut. Takes no lock and makes no system call.
    pub fn is_cancelled(&self) -> bool {
        self.life.is_cut()
    }

    /// Whether the server has been told to drain or to end, so that a long response should come to its
    /// end by itself. Takes no lock and makes no system call.
    pub fn is_draining(&self) -> bool {
        self.registry.phase() != Phase::Accepting
    }

    /// Sleeps until the connection is cut, at most for that time; `true` if it has been.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.life.sleep(timeout, || false)
    }

    /// Sleeps until the connection is cut or the server drains, at most for that time; `true` if either
    /// has happened.
    pub fn wait_stop_timeout(&self, timeout: Duration) -> bool {
        self.life.sleep(timeout, || self.is_draining())
    }
}
