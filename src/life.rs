//! One connection's own state, shared by its thread and the map; and the token by which a handler learns of its end.
//!
//! 1. Requests change this state under its own lock, never taking the registry's, so they do not meet there.
//! 2. The first cut wins: it names the reason for the end and fires the cancel token, once.
//!
//! Lock order: the registry's, then this one. Nothing is called while this one is held.

use super::sync::{lock, wait_while};
use super::ConnectionState::{self, *};
use super::{handle::SILENT_GRACE, head, registry::Registration, transport::Timeout};
use super::{CloseReason, ConnectionId, ConnectionInfo, Event, Handle, Phase};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The states in which something is done with a connection.
pub(crate) type Which = fn(ConnectionState) -> bool;

/// How much longer than its timeout a call into a transport may take: then the socket's own timeout has not ended it.
const WATCH_GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Life {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Option<SocketAddr>,
    /// Whether it came above the limit of connections, and only gets a 503. Written under the registry's lock.
    refused: AtomicBool,
    /// Whether the end of a response is being written, after which it enters a state that makes room.
    ends_response: AtomicBool,
    /// Whether it has been cut: written under the lock, so that a token can be asked without it.
    cut: AtomicBool,
    now: Mutex<Now>,
    woken: Condvar,
}

struct Now {
    info: ConnectionInfo,
    /// Of the request that is being answered.
    head: Option<Arc<head::Head>>,
    /// Why a cut ends it, or a drain that has ended the reading side.
    reason: Option<CloseReason>,
    /// By when a call into its transport must have returned.
    watched: Option<Instant>,
    /// How many wait to be woken.
    sleepers: usize,
    /// Whether its thread has begun to wait for it. Before that, its silence is not its client's.
    begun: bool,
}

impl Life {
    pub(crate) fn new(id: ConnectionId, peer: Option<SocketAddr>, refused: bool) -> Life {
        let (opened, method, path) = (Instant::now(), None, None);
        let (state, since, requests, received, sent) = (New, opened, 0, 0, 0);
        let info = ConnectionInfo { id, peer, opened, state, since, requests, received, sent, method, path };
        let now = Now { info, head: None, reason: None, watched: None, sleepers: 0, begun: false };
        Life {
            id,
            peer,
            refused: AtomicBool::new(refused),
            ends_response: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            now: Mutex::new(now),
            woken: Condvar::new(),
        }
    }

    #[inline(never)]
    fn lock(&self) -> MutexGuard<'_, Now> {
        lock(&self.now)
    }

    /// Notes what the connection does now, unless it has been cut; the error says why.
    pub(crate) fn enter(&self, state: ConnectionState) -> Result<(), CloseReason> {
        self.enter_at(Instant::now(), state, None)
    }

    /// The same, since when it does so, and perhaps with the request that it is about to be done for.
    pub(crate) fn enter_at(
        &self,
        since: Instant,
        state: ConnectionState,
        head: Option<&Arc<head::Head>>,
    ) -> Result<(), CloseReason> {
        let mut now = self.lock();
        now.reason.filter(|_| self.is_cut()).map_or(Ok(()), Err)?;
        now.begun = true;
        self.ends_response.store(false, SeqCst);
        (now.info.state, now.info.since) = (state, since);
        let begun = u64::from(head.is_some());
        now.info.requests = now.info.requests.saturating_add(begun);
        if begun > 0 || makes_room(state) {
            now.head = head.cloned();
        }
        Ok(())
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(SeqCst)
    }

    /// Gives it a place after all. Called under the registry's lock.
    pub(crate) fn admit(&self) {
        self.refused.store(false, SeqCst);
    }

    /// Called before the end of a response is written. What it does next, it [enters](Life::enter_at).
    pub(crate) fn end_response(&self) {
        self.ends_response.store(true, SeqCst);
    }

    pub(crate) fn is_ending_response(&self) -> bool {
        self.ends_response.load(SeqCst)
    }

    /// Whether it counts as one of the connections that are served.
    pub(crate) fn holds_place(&self) -> bool {
        !self.is_refused() && self.end_reason().is_none()
    }

    /// Adds to the bytes that have come and gone.
    pub(crate) fn count(&self, received: usize, sent: usize) {
        let info = &mut self.lock().info;
        let add = |to: u64, n| to.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
        info.received = add(info.received, received);
        info.sent = add(info.sent, sent);
    }

    /// The event that tells of its end.
    pub(crate) fn closed(&self, reason: CloseReason) -> Event {
        let ConnectionInfo { id, opened, requests, received, sent, .. } = self.lock().info;
        Event::Closed { id, reason, requests, received, sent, duration: opened.elapsed() }
    }

    /// Has the accept loop cut the connection if what this returns is not dropped in time.
    #[inline(never)]
    pub(crate) fn watch(&self, timeout: Timeout) -> Watch<'_> {
        let time = timeout.map(|timeout| timeout.saturating_add(WATCH_GRACE));
        self.lock().watched = time.and_then(|time| Instant::now().checked_add(time));
        Watch(self)
    }

    /// Why it is to be cut, if its transport has taken too long.
    pub(crate) fn overdue(&self) -> Option<CloseReason> {
        let now = self.lock();
        now.watched.filter(|at| *at <= Instant::now())?;
        Some(match now.info.state {
            New | Idle => CloseReason::IdleTimeout,
            Handshake | Head => CloseReason::HeadTimeout,
            Handling => CloseReason::BodyTimeout,
            Responding | Closing => CloseReason::WriteTimeout,
            Upgraded => return None, // its timeouts are its user's
        })
    }

    /// Whether it has not yet had a request: `Some(true)` if it has also been silent for as long as a drain allows.
    pub(crate) fn silent(&self) -> Option<bool> {
        let now = self.lock();
        is_new(now.info.state).then(|| now.begun && now.info.since.elapsed() >= SILENT_GRACE)
    }

    /// Gives it that reason to end, if it is in such a state and has not been cut; `true` if so, for whoever calls to
    /// shut its socket down next. Every reason but `Drained` is a cut. Wakes those who sleep here in any case.
    #[inline(never)]
    pub(crate) fn end_if(&self, reason: CloseReason, state: Which) -> bool {
        let mut now = self.lock();
        let ends = !self.is_cut() && state(now.info.state);
        if ends {
            now.reason = Some(reason);
            self.cut.store(reason != CloseReason::Drained, SeqCst);
        }
        if now.sleepers > 0 {
            self.woken.notify_all();
        }
        ends
    }

    pub(crate) fn is(&self, state: ConnectionState) -> bool {
        self.lock().info.state == state
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }

    /// Why the connection was ended from outside, if it was.
    pub(crate) fn end_reason(&self) -> Option<CloseReason> {
        self.lock().reason
    }

    /// Whether it may make room for another one: in which order, and since when it waits. A new one and a head have a
    /// second first, as a request may just be on its way.
    pub(crate) fn dispensable(&self) -> Option<(u8, Instant)> {
        let now = self.lock();
        let (rank, since) = (rank(now.info.state)?, now.info.since);
        let has_time = !matches!(now.info.state, Idle | Closing) && since.elapsed() < SILENT_GRACE;
        (!self.is_cut() && !has_time).then_some((rank, since))
    }

    /// What a list of connections says of it; `None` if it is as good as gone: cut, and no handler runs.
    pub(crate) fn info(&self) -> Option<ConnectionInfo> {
        let now = self.lock();
        let mut info = now.info.clone();
        info.method = now.head.as_ref().map(|head| head.method.clone());
        info.path = now.head.as_ref().map(|head| head.path.clone());
        Some(info).filter(|info| !makes_room(info.state) || !self.is_cut())
    }

    /// Sleeps at most for that time; `true` as soon as the connection has been cut or `stop` has become true.
    fn sleep(&self, timeout: Duration, stop: &dyn Fn() -> bool) -> bool {
        let goes_on = || !self.is_cut() && !stop();
        let mut now = self.lock();
        now.sleepers += 1;
        now = wait_while(&self.woken, now, timeout, |_| goes_on());
        now.sleepers -= 1;
        !goes_on()
    }
}

/// A call into the user's transport is going on.
#[must_use = "it ends with this"]
pub(crate) struct Watch<'a>(&'a Life);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.lock().watched = None;
    }
}

/// In which order connections make room: those with nothing to lose, then slow heads, then those that linger. Else few
/// clients could keep ordinary ones out. `None`: not at all.
fn rank(state: ConnectionState) -> Option<u8> {
    match state {
        New | Idle => Some(0),
        Handshake | Head => Some(1),
        Closing => Some(2),
        Handling | Responding | Upgraded => None, // here something of the user's runs
    }
}

pub(crate) fn makes_room(state: ConnectionState) -> bool {
    rank(state).is_some()
}

/// Whether no request has begun on a connection in that state.
pub(crate) fn is_new(state: ConnectionState) -> bool {
    matches!(state, New | Handshake)
}

/// Whether a connection in that state has nothing to lose but a request that may be under way.
pub(crate) fn waits(state: ConnectionState) -> bool {
    is_new(state) || state == Idle
}

/// By which a handler learns that its connection has been cut, or that the server is about to stop.
///
/// It fires on [`Handle::destroy`], on [`Handle::close`] of its connection, at the end of a grace, and when the
/// connection has ended. While a handler runs, only reading or writing tells it that the client has gone away.
///
/// ```
/// fn slow(req: &mut hardstop::Request<'_>) -> &'static str {
///     match req.cancel_token().wait_timeout(std::time::Duration::from_secs(3)) {
///         true => "cut: nobody will read this",
///         false => "three seconds have passed",
///     }
/// }
/// ```
#[derive(Clone)]
pub struct CancelToken {
    life: Arc<Life>,
    handle: Handle,
}

impl CancelToken {
    pub(crate) fn new(registration: &Registration) -> CancelToken {
        CancelToken { life: Arc::clone(&registration.life), handle: registration.handle.clone() }
    }

    /// Whether the connection has been cut. Takes no lock and makes no system call.
    pub fn is_cancelled(&self) -> bool {
        self.life.is_cut()
    }

    /// Whether the server drains or ends, so that a long response should come to its end. Takes no lock either.
    pub fn is_draining(&self) -> bool {
        self.handle.phase() != Phase::Accepting
    }

    /// Sleeps until the connection is cut, at most for that time; `true` if it has been.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.life.sleep(timeout, &|| false)
    }

    /// Sleeps until the connection is cut or the server drains, at most for that time; `true` if either has happened.
    pub fn wait_stop_timeout(&self, timeout: Duration) -> bool {
        self.life.sleep(timeout, &|| self.is_draining())
    }
}
