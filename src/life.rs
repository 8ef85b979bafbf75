//! One connection's own state, behind its own small lock, shared between its thread and the map.
//!
//! 1. Requests change this state and never take the registry's lock, so they do not meet there.
//! 2. The first cut wins: it names the reason for the end and fires the cancel token, once.
//! 3. A handler is called only if [`Life::begin_request`] said so, which it never does after a cut.
//!
//! Lock order: the registry's, then this one. Nothing is called while this one is held.

use super::event::{CloseReason, ConnectionInfo, ConnectionState};
use super::handle::ConnectionId;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) id: ConnectionId,
    pub(crate) peer: SocketAddr,
    /// Whether it came above the limit of connections, and only gets a 503.
    pub(crate) refused: bool,
    opened: Instant,
    /// A copy of `cut.is_some()`, so that a token can be asked without the lock.
    cancelled: AtomicBool,
    now: Mutex<Now>,
    woken: Condvar,
}

#[derive(Debug)]
struct Now {
    state: ConnectionState,
    since: Instant,
    requests: u64,
    thread: Option<ThreadId>,
    cut: Option<CloseReason>,
    /// Whether a drain has ended the reading side.
    drained: bool,
    /// How many threads sleep on the condition variable: waking nobody would cost a system call.
    sleepers: usize,
}

impl Life {
    pub(crate) fn new(id: ConnectionId, peer: SocketAddr, refused: bool) -> Life {
        let opened = Instant::now();
        let now = Now {
            state: ConnectionState::New,
            since: opened,
            requests: 0,
            thread: None,
            cut: None,
            drained: false,
            sleepers: 0,
        };
        let (cancelled, woken) = (AtomicBool::new(false), Condvar::new());
        Life {
            id,
            peer,
            refused,
            opened,
            cancelled,
            now: Mutex::new(now),
            woken,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // Nothing here panics while it holds the lock, so a poisoned one is as good as any.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_thread(&self, thread: ThreadId) {
        self.lock().thread = Some(thread);
    }

    pub(crate) fn is_on_thread(&self, thread: ThreadId) -> bool {
        self.lock().thread == Some(thread)
    }

    /// Notes what the connection does now, unless it has been cut; `Err` says why.
    pub(crate) fn enter(&self, state: ConnectionState) -> Result<(), CloseReason> {
        let mut now = self.lock();
        now.state = state;
        now.since = Instant::now();
        now.cut.map_or(Ok(()), Err)
    }

    /// Decides that a handler is called, unless it must not be. `destroyed` is asked under the lock.
    pub(crate) fn begin_request(
        &self,
        destroyed: impl FnOnce() -> bool,
    ) -> Result<(), CloseReason> {
        let mut now = self.lock();
        if let Some(reason) = now
            .cut
            .or_else(|| destroyed().then_some(CloseReason::Destroyed))
        {
            return Err(reason);
        }
        now.state = ConnectionState::Handling;
        now.since = Instant::now();
        now.requests = now.requests.saturating_add(1);
        Ok(())
    }

    /// Marks the connection as cut, if it is in such a state; `true` for the first one who does, who shuts
    /// its socket down next.
    pub(crate) fn cut_if(&self, reason: CloseReason, state: fn(ConnectionState) -> bool) -> bool {
        let mut now = self.lock();
        let first = now.cut.is_none() && state(now.state);
        if first {
            now.cut = Some(reason);
            self.cancelled.store(true, Ordering::SeqCst);
            self.wake(&now);
        }
        first
    }

    /// Tells the connection of a drain; `true` if it is in that state, so that its reading side is to be
    /// ended next.
    pub(crate) fn drain(&self, state: ConnectionState) -> bool {
        let mut now = self.lock();
        self.wake(&now);
        let ends = now.state == state && now.cut.is_none();
        now.drained |= ends;
        ends
    }

    fn wake(&self, now: &Now) {
        if now.sleepers > 0 {
            self.woken.notify_all();
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Why the connection was ended from outside, if it was.
    pub(crate) fn end_reason(&self) -> Option<CloseReason> {
        let now = self.lock();
        now.cut.or(now.drained.then_some(CloseReason::Drained))
    }

    /// Since when it waits for a request, if it does and has not been cut.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let now = self.lock();
        (waits(now.state) && now.cut.is_none()).then_some(now.since)
    }

    /// What a list of connections says of it; `None` if it is as good as gone: cut, and no handler runs.
    pub(crate) fn info(&self) -> Option<ConnectionInfo> {
        let now = self.lock();
        let works = matches!(
            now.state,
            ConnectionState::Handling | ConnectionState::Responding
        );
        (works || now.cut.is_none()).then(|| ConnectionInfo {
            id: self.id,
            peer: self.peer,
            opened: self.opened,
            state: now.state,
            state_age: now.since.elapsed(),
            requests: now.requests,
        })
    }

    /// Sleeps until the connection is cut or `stop` has become true, at most for that time; `true` in the
    /// first two cases.
    pub(crate) fn sleep(&self, timeout: Duration, stop: impl Fn() -> bool) -> bool {
        let deadline = Instant::now().checked_add(timeout); // `None`: later than the clock goes
        let mut now = self.lock();
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if now.cut.is_some() || stop() {
                return true;
            } else if left == Some(Duration::ZERO) {
                return false;
            }
            now.sleepers = now.sleepers.saturating_add(1);
            let woken = self.woken.wait_timeout(now, left.unwrap_or(Duration::MAX));
            now = woken.unwrap_or_else(PoisonError::into_inner).0;
            now.sleepers = now.sleepers.saturating_sub(1);
        }
    }
}

/// Whether a connection in that state has nothing to lose but a request that may be under way.
pub(crate) fn waits(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::New | ConnectionState::Idle)
}
