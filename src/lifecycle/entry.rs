//! One connection's state, shared by its thread and the registry.
//!
//! 1. A request changes this state under the entry's own lock, and never takes the registry's
//!    unless a client waits for a place. So requests on different connections do not meet, except
//!    now and then in the count of responses that are ending.
//! 2. The first cut wins: it decides the reason for the end and fires the cancel token, once.
//!
//! Lock order: the registry's lock, then an entry's. Nothing is called while an entry's is held.

use super::super::event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event};
use super::super::proto::Head;
use super::super::sys::counter::Counter;
use super::super::sys::sync::{has_passed, lock, wait_while};
use super::endings::EndingPart;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a client has for its first request before its connection makes room, and how long a
/// drain waits for that request to begin: it may be on its way.
pub(crate) const SILENT_GRACE: Duration = Duration::from_secs(1);

/// How much longer than its timeout a call into a transport may take. By then, the socket's own
/// timeout should have ended the call.
const WATCHDOG_GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Entry {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Option<SocketAddr>,
    /// Whether the client came while every place was taken, and only gets a 503. Written under the
    /// registry's lock.
    is_refused: AtomicBool,
    /// Whether the connection counts as one that is served. Written under the registry's lock.
    has_place: AtomicBool,
    /// Whether the end of a response is being written, so that the connection may make room soon.
    ends_response: AtomicBool,
    /// The count to which `ends_response` adds.
    endings: Arc<EndingPart>,
    /// Whether the connection has been cut. Written under the entry's lock, so that a token can be
    /// asked without it.
    is_cut: AtomicBool,
    /// The bytes that have been read and written. They are counted without the lock.
    received: Counter,
    sent: Counter,
    state: Mutex<EntryState>,
    /// Notified when the connection is cut or the server stops, for those who sleep on a token.
    ended: Condvar,
}

struct EntryState {
    opened: Instant,
    /// What the connection is doing, and since when.
    state: ConnectionState,
    since: Instant,
    /// The number of requests so far, including the present one.
    requests: u64,
    /// The head of the request that is being answered.
    head: Option<Arc<Head>>,
    /// Why a stop ends the connection. A drain's reason is no cut: it ends the reading side only.
    end_reason: Option<CloseReason>,
    /// By when a call into the connection's transport must have returned.
    watchdog_deadline: Option<Instant>,
    /// How many threads sleep on a token.
    sleepers: usize,
    /// Whether the connection's thread has begun. Until then, the silence is not the client's.
    thread_started: bool,
    /// Since when the client could have sent its first request.
    grace_began: Instant,
}

/// When a connection may be cut to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// Not before it changes its state.
    Never,
    /// In this time, unless it changes its state before.
    In(Duration),
    /// Now. Of several connections, the one with the least rank goes first, and among those the one
    /// that has been in its state longest.
    Now { rank: u8, since: Instant },
}

/// Whether the client has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// A request has begun.
    Spoken,
    /// None has begun, and one may still come.
    Waiting,
    /// None has begun for as long as a drain waits.
    Expired,
}

impl Entry {
    pub(crate) fn new(
        id: ConnectionId,
        peer: Option<SocketAddr>,
        is_refused: bool,
        endings: Arc<EndingPart>,
    ) -> Entry {
        let opened = Instant::now();
        let state = EntryState {
            opened,
            state: ConnectionState::New,
            since: opened,
            requests: 0,
            head: None,
            end_reason: None,
            watchdog_deadline: None,
            sleepers: 0,
            thread_started: false,
            grace_began: opened,
        };
        Entry {
            id,
            peer,
            is_refused: AtomicBool::new(is_refused),
            has_place: AtomicBool::new(!is_refused),
            ends_response: AtomicBool::new(false),
            endings,
            is_cut: AtomicBool::new(false),
            received: Counter::default(),
            sent: Counter::default(),
            state: Mutex::new(state),
            ended: Condvar::new(),
        }
    }

    // One copy of this is enough, as of `end_if` and `watch`: a lock is taken in many places.
    #[inline(never)]
    fn lock(&self) -> MutexGuard<'_, EntryState> {
        lock(&self.state)
    }

    /// Locks the state of a connection that has not been cut. Fails with the reason if it has.
    fn lock_uncut(&self) -> Result<MutexGuard<'_, EntryState>, CloseReason> {
        let entry = self.lock();
        match entry.end_reason {
            Some(reason) if self.is_cut() => Err(reason),
            Some(_) | None => Ok(entry),
        }
    }

    /// Records what the connection does from now on. Fails with the reason if it has been cut.
    pub(crate) fn enter(&self, state: ConnectionState) -> Result<(), CloseReason> {
        self.enter_at(Instant::now(), state)
    }

    /// Records what the connection does since `since`. Fails with the reason if it has been cut.
    pub(crate) fn enter_at(
        &self,
        since: Instant,
        state: ConnectionState,
    ) -> Result<(), CloseReason> {
        let mut entry = self.lock_uncut()?;
        entry.enter_at(since, state);
        if state.is_evictable() {
            // The end of a response lasts until the place has been offered.
            entry.head = None;
        } else {
            self.stop_ending();
        }
        Ok(())
    }

    /// Records that the connection handles a request. Fails with the reason if it has been cut.
    pub(crate) fn begin_request(
        &self,
        since: Instant,
        head: &Arc<Head>,
    ) -> Result<(), CloseReason> {
        let mut entry = self.lock_uncut()?;
        entry.enter_at(since, ConnectionState::Handling);
        entry.requests += 1;
        entry.head = Some(Arc::clone(head));
        self.stop_ending();
        Ok(())
    }

    /// Adds to the bytes that have been read.
    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.add(to_u64(bytes));
    }

    /// Adds to the bytes that have been written.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.add(to_u64(bytes));
    }

    /// Makes the event that reports the connection's end.
    pub(crate) fn closed_event(&self, reason: CloseReason) -> Event {
        let entry = self.lock();
        Event::Closed {
            id: self.id,
            reason,
            requests: entry.requests,
            received: self.received.get(),
            sent: self.sent.get(),
            duration: entry.opened.elapsed(),
        }
    }

    /// Has the accept loop cut the connection if the result is not dropped in time.
    #[inline(never)]
    pub(crate) fn watch(&self, timeout: Option<Duration>) -> Watchdog<'_> {
        let time = timeout.map(|timeout| timeout.saturating_add(WATCHDOG_GRACE));
        self.lock().watchdog_deadline = time.and_then(|time| Instant::now().checked_add(time));
        Watchdog(self)
    }

    /// Returns the reason to cut the connection, if a call into its transport has taken too long.
    pub(crate) fn overdue(&self) -> Option<CloseReason> {
        let entry = self.lock();
        if !has_passed(entry.watchdog_deadline) {
            return None;
        }
        match entry.state {
            ConnectionState::New | ConnectionState::Idle => Some(CloseReason::IdleTimeout),
            ConnectionState::Handshake | ConnectionState::Head => Some(CloseReason::HeadTimeout),
            ConnectionState::Handling => Some(CloseReason::BodyTimeout),
            ConnectionState::Responding | ConnectionState::Closing => {
                Some(CloseReason::WriteTimeout)
            }
            // The timeouts of an upgraded stream are its user's.
            ConnectionState::Upgraded => None,
        }
    }

    pub(crate) fn silence(&self) -> Silence {
        let entry = self.lock();
        if !entry.state.precedes_first_request() {
            Silence::Spoken
        } else if entry.thread_started && entry.since.elapsed() >= SILENT_GRACE {
            Silence::Expired
        } else {
            Silence::Waiting
        }
    }

    /// Gives the connection a reason to end, unless it has been cut or is in another state than
    /// `in_state` says. Returns whether it did: then the caller shuts the socket down next.
    ///
    /// Every reason but `Drained` is a cut. Wakes those who sleep on a token in any case.
    #[inline(never)]
    pub(crate) fn end_if(
        &self,
        reason: CloseReason,
        in_state: fn(ConnectionState) -> bool,
    ) -> bool {
        let mut entry = self.lock();
        let ends = !self.is_cut() && in_state(entry.state);
        if ends {
            entry.end_reason = Some(reason);
            self.is_cut.store(reason != CloseReason::Drained, SeqCst);
        }
        if entry.sleepers > 0 {
            self.ended.notify_all();
        }
        ends
    }

    pub(crate) fn is(&self, state: ConnectionState) -> bool {
        self.lock().state == state
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(SeqCst)
    }

    /// Returns why a stop ends the connection, if one does.
    pub(crate) fn end_reason(&self) -> Option<CloseReason> {
        self.lock().end_reason
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.load(SeqCst)
    }

    /// Gives a refused connection a place after all. Called under the registry's lock.
    pub(super) fn admit(&self) {
        self.is_refused.store(false, SeqCst);
        self.has_place.store(true, SeqCst);
        // It has waited for the place, and not read what its client has sent.
        self.lock().grace_began = Instant::now();
    }

    /// Takes the connection's place away. Returns whether it had one. Called under the registry's
    /// lock.
    pub(super) fn give_up_place(&self) -> bool {
        let had_place = self.has_place.swap(false, SeqCst);
        self.stop_ending();
        had_place
    }

    /// Returns whether the connection counts as one that is served.
    pub(super) fn has_place(&self) -> bool {
        self.has_place.load(SeqCst)
    }

    /// Returns whether the connection has been cut while no handler runs, so that its thread ends.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_cut() && self.lock().state.is_evictable()
    }

    /// Records that the end of a response is about to be written, until the connection offers its
    /// place, goes on, or ends. Called on the connection's thread.
    pub(crate) fn begin_end_of_response(&self) {
        // A client that is being refused has no place to give up.
        if self.ends_response.load(SeqCst) || !self.has_place() {
            return;
        }
        // Counted first: a thread that finds the flag set takes one away again.
        self.endings.add();
        self.ends_response.store(true, SeqCst);
    }

    pub(super) fn stop_ending(&self) {
        if self.ends_response.swap(false, SeqCst) {
            self.endings.remove();
        }
    }

    /// Returns when the connection may be cut to make room.
    ///
    /// A client has one second for its first request, whatever it does in that time: a handshake,
    /// silence and a part of a head share it. Later heads have none. Otherwise a client could renew
    /// it with a byte a second.
    pub(super) fn eviction(&self, now: Instant) -> Eviction {
        let entry = self.lock();
        let rank = match entry.state.eviction_rank() {
            Some(rank) if !self.is_cut() => rank,
            Some(_) | None => return Eviction::Never,
        };
        let awaits_first = entry.requests == 0;
        if awaits_first && entry.state != ConnectionState::Closing {
            let waited = now.saturating_duration_since(entry.grace_began);
            if waited < SILENT_GRACE {
                return Eviction::In(SILENT_GRACE - waited);
            }
        }
        Eviction::Now {
            rank,
            since: entry.since,
        }
    }

    /// Returns what a list of connections says of this one. `None` if it is as good as gone: it was
    /// cut, and no handler runs.
    pub(super) fn info(&self) -> Option<ConnectionInfo> {
        let entry = self.lock();
        if self.is_cut() && entry.state.is_evictable() {
            return None;
        }
        let head = entry.head.as_ref();
        Some(ConnectionInfo {
            id: self.id,
            peer: self.peer,
            opened: entry.opened,
            state: entry.state,
            since: entry.since,
            requests: entry.requests,
            received: self.received.get(),
            sent: self.sent.get(),
            method: head.map(|head| head.method.clone()),
            path: head.map(|head| head.path.clone()),
        })
    }

    /// Sleeps for at most `timeout`. Returns whether the connection has been cut or `is_stopped`
    /// holds.
    pub(super) fn sleep(&self, timeout: Duration, is_stopped: impl Fn() -> bool) -> bool {
        let goes_on = || !self.is_cut() && !is_stopped();
        let mut entry = self.lock();
        entry.sleepers += 1;
        entry = wait_while(&self.ended, entry, timeout, |_| goes_on());
        entry.sleepers -= 1;
        !goes_on()
    }
}

impl EntryState {
    fn enter_at(&mut self, since: Instant, state: ConnectionState) {
        if !self.thread_started {
            self.thread_started = true;
            self.grace_began = since;
        }
        self.state = state;
        self.since = since;
    }
}

/// A call into a transport is in progress. Dropping this ends the watch.
#[must_use = "dropping it ends the watch"]
pub(crate) struct Watchdog<'a>(&'a Entry);

impl Drop for Watchdog<'_> {
    fn drop(&mut self) {
        self.0.lock().watchdog_deadline = None;
    }
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
