//! The public handle of a server: it stops the server, and says what the server is doing.

use super::super::event::{CloseReason, ConnectionId, ConnectionInfo, Phase};
use super::registry::Registry;
use super::stop::Outcome;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A handle that can stop the server from any thread, and says what the server is doing.
///
/// It is cheap to clone, and every clone stands for the same server. A handle does not keep the
/// server alive, and dropping it does nothing. What destroys the server when it is dropped is its
/// owner: a [`Server`](super::super::Server) that has not run, or a
/// [`Running`](super::super::Running).
///
/// Every method can be called from any thread at any time, including from handlers and from the
/// event hook. Methods that wait for the end ([`wait`](Handle::wait),
/// [`wait_timeout`](Handle::wait_timeout) and [`shutdown`](Handle::shutdown)) return at once on the
/// server's own threads.
#[derive(Clone)]
pub struct Handle {
    pub(crate) registry: Arc<Registry>,
}

impl Handle {
    /// Stops the server now: closes the port and cuts every connection. Returns the number of
    /// connections that it cut.
    ///
    /// When this returns:
    /// - no client can connect, and the port can be bound again;
    /// - no further handler call is started;
    /// - every read or write that was blocked on a client has been woken, and the
    ///   [`CancelToken`](super::CancelToken) of every running handler has fired.
    ///
    /// Calling it again does nothing and returns 0.
    ///
    /// A handler that calls it cuts its own connection as well, so that its response is lost. Have
    /// another thread call it, once the response has left, as `examples/dashboard.rs` does.
    ///
    /// It does not wait for running handlers, which cannot be killed: use [`wait`](Handle::wait)
    /// for that. Their responses go nowhere. Bytes that the system has already taken may still
    /// reach their clients.
    #[doc(alias("stop", "kill", "abort"))]
    pub fn destroy(&self) -> usize {
        self.registry.destroy()
    }

    /// Stops accepting, lets every request that has come be answered, and returns at once.
    ///
    /// When this returns, the port is closed. Clients that have connected are served, including
    /// those in the system's accept queue. Each response says `Connection: close`. Connections that
    /// wait for a next request end at once. Those that have never spoken have one second to begin,
    /// or to complete their handshake. If there are more than `max_connections`, they are served in
    /// turns.
    ///
    /// It does not bound the time that all of this takes: [`shutdown`](Handle::shutdown) does.
    pub fn drain(&self) {
        self.registry.drain(None);
    }

    /// Drains, waits for at most `grace`, then destroys what is left.
    ///
    /// Returns as soon as nothing is left: every connection has ended, and the handler and the
    /// hooks have been dropped. If it is called several times, from any threads, the earliest
    /// deadline counts, and every caller gets the same outcome. On one of the server's own threads
    /// it returns [`Outcome::Pending`] at once.
    ///
    /// ```
    /// let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
    /// let outcome = server.shutdown(std::time::Duration::from_secs(5));
    /// assert_eq!(outcome, hardstop::Outcome::Drained); // there was nobody to wait for
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("graceful", "stop"))]
    pub fn shutdown(&self, grace: Duration) -> Outcome {
        // `None` lies beyond what the clock can express.
        self.registry.drain(Instant::now().checked_add(grace));
        self.registry.await_drained()
    }

    /// Cuts the connections that wait for a request, including new ones, and keeps serving. Returns
    /// their number.
    ///
    /// A request that is on its way to one of them is lost, as whenever a server ends a connection.
    /// Clients send it again.
    pub fn close_idle(&self) -> usize {
        self.registry.cut_idle()
    }

    /// Cuts one connection, whatever it is doing. Returns whether it was open.
    pub fn close(&self, id: ConnectionId) -> bool {
        self.registry.cut_one(id, CloseReason::ClosedByHandle)
    }

    /// Waits until the server stops accepting, because of any stop, for at most `timeout`. Returns
    /// whether it has.
    ///
    /// It does not stop the server, and does not wait for its end, or until the port is closed. So
    /// it waits on the server's own threads as well. It is for a thread that must wake others at a
    /// stop: see [event streams](super::super::guide::recipes#event-streams). A handler asks the
    /// [`CancelToken`](super::CancelToken) of its request, which knows of the end of its own
    /// connection, too.
    pub fn wait_for_stop(&self, timeout: Duration) -> bool {
        self.registry.await_stop(timeout)
    }

    /// Waits until the server has been stopped and has ended: the last `Closed` event has been
    /// delivered, and the handler and the hooks have been dropped. It does not stop the server.
    ///
    /// Returns `true` then, also if that was long ago. Returns `false` at once on one of the
    /// server's own threads, because a handler or a hook would wait for itself.
    ///
    /// It does not wait for the threads themselves, which may take another moment to be gone from
    /// the system. [`Running::join`](super::super::Running::join) does, and so does
    /// [`Server::run`](super::super::Server::run). A [`Server`](super::super::Server) that has not
    /// run keeps its hooks until it is dropped, which this does not wait for.
    pub fn wait(&self) -> bool {
        self.wait_timeout(Duration::MAX)
    }

    /// Does the same as [`wait`](Handle::wait), for at most `timeout`. Returns `false` if the
    /// server has not ended by then.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.registry.await_end(timeout)
    }

    /// Returns the address that the server listens on, or did, with the port that the system chose
    /// if it was asked for port 0. It is `0.0.0.0:0` for a Unix socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.registry.local_addr
    }

    /// Returns the phase of the server's life. Takes no lock.
    pub fn phase(&self) -> Phase {
        self.registry.phase()
    }

    /// Returns the open connections in the order of their ids. After a destroy, these are the ones
    /// whose handlers still run.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.registry.connections()
    }

    /// Returns the number of [`connections`](Handle::connections).
    pub fn connection_count(&self) -> usize {
        self.connections().len()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local_addr", &self.registry.local_addr)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
