//! What stops a server and tells what it is doing, from any thread.

use super::registry::{current_thread_id, Polled, Registry, Stage};
use super::sync::{time_until, wait, wait_while};
use super::{life::waits, CloseReason, ConnectionId, ConnectionInfo, ConnectionState};
use std::collections::VecDeque;
use std::sync::{atomic::Ordering, Arc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection that has not spoken may still begin after a drain: its request may be on its way.
pub(crate) const SILENT_GRACE: Duration = Duration::from_secs(1);

/// The stack of the thread that keeps a deadline, on which nothing of the user's runs.
const CLOCK_STACK_SIZE: usize = 64 * 1024;

/// How many clients a drain takes out of the backlog at most: as many as systems queue by default.
const MAX_BACKLOG: usize = 4096;

/// How far a server's life has come. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The port is open. Clients that connect are served once the server runs.
    Accepting,
    /// The port is closed. Requests under way are answered, each as the last of its connection.
    Draining,
    /// The port is closed, and every connection has been cut, or has ended by itself.
    Destroyed,
}

/// What a [`Handle::shutdown`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every connection ended by itself, and the handler has been let go of.
    Drained,
    /// The grace was over, or somebody called [`Handle::destroy`].
    Destroyed {
        /// How many connections were cut. Their handlers may still be running.
        cut: usize,
    },
    /// Called on one of the server's own threads, which cannot wait. The drain has begun, and a thread of its own keeps the
    /// deadline. (If the system has no thread for that, the accepting one keeps it, unless the event hook holds that up.)
    Pending,
}

/// Stops a server, and tells what it is doing. Cheap to clone; every clone means the same server.
///
/// All methods can be called from any thread, at any time, also from handlers and from the event hook, except that
/// those which wait ([`wait`](Handle::wait), [`wait_timeout`](Handle::wait_timeout), [`shutdown`](Handle::shutdown))
/// return at once on the server's own threads. A handle does not keep the server alive.
#[derive(Clone)]
pub struct Handle {
    pub(crate) registry: Arc<Registry>,
}

impl Handle {
    /// Ends the server now: closes the port and cuts every connection. Returns how many it cut.
    ///
    /// When this returns, no client can connect, the port can be bound again, no handler's call is decided any more, and
    /// every read or write that was blocked on a client has been woken. Handlers that are running see their
    /// [`CancelToken`](super::CancelToken) fire; their responses go nowhere. Calling it again does nothing and returns 0.
    ///
    /// It does not wait for handlers, which cannot be killed: use [`wait`](Handle::wait) for that. Bytes that the
    /// system had already taken may still reach their clients.
    pub fn destroy(&self) -> usize {
        let mut inner = self.registry.lock();
        let mut cut = 0;
        let mut closing = None;
        if !matches!(inner.stage, Stage::Destroyed) {
            self.registry.phase.store(2, Ordering::SeqCst); // from here on no handler's call is decided
            closing = self.registry.leave_accepting(&mut inner, Stage::Destroyed);
            inner.deadline = None;
            inner.silence_ends = None;
            cut = inner.end(CloseReason::Destroyed, None, |_| true);
            if !inner.has_ended() {
                inner.cut = Some(cut);
            }
        }
        // Connections that no thread will come for. Dropping them takes the lock, and may block: where there is an accept
        // loop, that does it.
        let mut unserved = VecDeque::new();
        if inner.serving.is_none() {
            unserved = std::mem::take(&mut inner.queue);
        }
        drop(inner);
        if let Some(closing) = closing {
            closing.listener.close();
        }
        self.registry.announce_stop();
        drop(unserved);
        cut
    }

    /// Stops accepting, lets every request that has come be answered, and returns at once.
    ///
    /// When this returns, the port is closed. Clients that had connected are served, those that the system had queued
    /// included; each response says `Connection: close`. Connections that wait for a next request end at once; those
    /// that have never spoken have one second to begin, or to end their handshake. More than `max_connections` have their
    /// turns one after the other. [`shutdown`](Handle::shutdown) bounds the time that all take.
    pub fn drain(&self) {
        self.drain_until(None);
    }

    /// Drains, waits for at most `grace`, then destroys what is left.
    ///
    /// Returns as soon as nothing is left: every connection has ended, and the handler has been dropped. Called again,
    /// by whomever, the earliest deadline of all calls counts, and every caller is told the same outcome. On one of the
    /// server's own threads it returns [`Outcome::Pending`] at once.
    ///
    /// ```
    /// let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
    /// let outcome = server.handle().shutdown(std::time::Duration::from_secs(5));
    /// assert_eq!(outcome, hardstop::Outcome::Drained); // there was nobody to wait for
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, grace: Duration) -> Outcome {
        self.drain_until(Instant::now().checked_add(grace)); // `None`: later than the clock goes
        let thread = current_thread_id();
        loop {
            let inner = self.registry.lock();
            let time = time_until(inner.deadline);
            if inner.is_own_thread(thread) {
                drop(inner);
                self.start_clock();
                return Outcome::Pending;
            } else if inner.has_ended() || matches!(inner.stage, Stage::Destroyed) {
                return inner.cut.map_or(Outcome::Drained, |cut| Outcome::Destroyed { cut });
            } else if time == Duration::ZERO {
                drop(inner);
                self.destroy();
            } else {
                drop(wait(&self.registry.news, inner, time));
            }
        }
    }

    /// Starts a thread that keeps the deadline, unless there is one. The accept loop looks at the deadline as well, but the
    /// event hook, or a thread-local's destructor on a thread that it joins, may hold it up.
    fn start_clock(&self) {
        let mut inner = self.registry.lock();
        if inner.has_clock || inner.deadline.is_none() {
            return;
        }
        inner.has_clock = true;
        drop(inner);
        let handle = self.clone();
        let clock = thread::Builder::new().name(String::from("hardstop-deadline"));
        let clock = clock.stack_size(CLOCK_STACK_SIZE).spawn(move || handle.keep_deadline());
        let mut inner = self.registry.lock();
        match clock {
            Ok(clock) => inner.clock = Some(clock),
            Err(_) => inner.has_clock = false, // the accept loop keeps it
        }
    }

    /// Destroys the server at the deadline, unless every connection ends before.
    fn keep_deadline(&self) {
        let mut inner = self.registry.lock();
        while !inner.lives.is_empty() && !matches!(inner.stage, Stage::Destroyed) {
            let time = time_until(inner.deadline);
            if time.is_zero() {
                drop(inner);
                self.destroy();
                return;
            }
            inner = wait(&self.registry.news, inner, time);
        }
    }

    fn drain_until(&self, deadline: Option<Instant>) {
        let registry = &self.registry;
        let mut inner = registry.lock();
        // A Unix socket's file goes first, so that nobody else comes while those are accepted who have come.
        let hiding = registry.listener(&inner);
        drop(inner);
        if let Some(hiding) = hiding {
            hiding.listener.socket.hide();
        }
        let mut closing = None;
        inner = registry.lock();
        if !inner.is_stopped() {
            registry.phase.store(1, Ordering::SeqCst);
            let is_idle = |state| state == ConnectionState::Idle;
            inner.end(CloseReason::Drained, None, is_idle); // first, as they leave places for the backlog
            if let Stage::Accepting(listener) = &mut inner.stage {
                let _ = listener.socket.set_nonblocking(true); // the accept loop may be waiting
            }
            for _ in 0..MAX_BACKLOG {
                if let Polled::Wait(_) = self.poll(&mut inner) {
                    break;
                }
            }
            closing = registry.leave_accepting(&mut inner, Stage::Draining);
            if let Some(closing) = &closing {
                closing.listener.shut_down();
            }
            inner.silence_ends = Instant::now().checked_add(SILENT_GRACE);
        }
        if !matches!(inner.stage, Stage::Destroyed) {
            inner.deadline = inner.deadline.into_iter().chain(deadline).min();
        }
        let discarded = std::mem::take(&mut inner.discarded);
        drop(inner);
        drop(closing);
        registry.announce_stop();
        drop(discarded);
    }

    /// Cuts the connections that wait for a request, new ones included, and goes on serving. Returns how many it cut.
    ///
    /// A request on its way to one of them is lost, as whenever a server ends a connection; clients send it again.
    pub fn close_idle(&self) -> usize {
        self.registry.lock().end(CloseReason::IdleClosed, None, waits)
    }

    /// Cuts one connection, whatever it is doing; `false` if it is not open any more.
    pub fn close(&self, id: ConnectionId) -> bool {
        self.registry.lock().end(CloseReason::HandleClosed, Some(id), |_| true) > 0
    }

    /// Waits until the server has been stopped and nobody is left: every connection's thread has let go of the handler,
    /// the handler has been dropped, and the last `Closed` event has been told.
    ///
    /// Returns `true` then, also if that was long ago; and `false`, at once, on one of the server's own threads: a
    /// handler or a hook would wait for itself. It does not stop the server.
    pub fn wait(&self) -> bool {
        self.wait_timeout(Duration::MAX)
    }

    /// As [`wait`](Handle::wait), for a limited time; `false` if that was not enough.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let thread = current_thread_id();
        let inner = self.registry.lock();
        if inner.is_own_thread(thread) {
            return false;
        }
        wait_while(&self.registry.news, inner, timeout, |inner| !inner.has_ended()).has_ended()
    }

    /// How far the server's life has come.
    pub fn phase(&self) -> Phase {
        match self.registry.phase.load(Ordering::SeqCst) {
            0 => Phase::Accepting,
            1 => Phase::Draining,
            _ => Phase::Destroyed,
        }
    }

    /// The connections that are open, by their ids; after a destroy, those whose handlers still run.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let inner = self.registry.lock();
        inner.open().filter_map(|(life, _)| life.info()).collect()
    }

    /// How many there are in [`connections`](Handle::connections).
    pub fn connection_count(&self) -> usize {
        self.connections().len()
    }
}
