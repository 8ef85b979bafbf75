//! The registry: every open connection, and the one lock that decides who lives.
//!
//! # Invariants
//!
//! 1. A client is accepted and registered under the same lock, so no socket is ever open and
//!    unknown.
//! 2. The listener is owned by `Stage::Accepting`. Leaving that stage closes the port. The stage is
//!    the stop flag: it moves under the lock only, and only forward. An accept loop that waits in
//!    the kernel holds the listener as well, so a stop waits until it has come out. What it has
//!    accepted by then, it registers under the lock or shuts down.
//! 3. Only dropping a `Registration` removes an entry. It shuts the socket down under the lock. So
//!    a stop finds every socket that still carries bytes, and an empty map means that no connection
//!    is left.
//! 4. A stop first moves the stage, then looks at each connection. A connection first changes its
//!    own state, then looks at the stage. So one of the two sees the other.
//! 5. Nothing of the user's is called under the lock. Events that arise there are queued in
//!    `reports`.
//! 6. Nothing that may block is called under the lock. Shutting a socket down does not block, but
//!    closing one may: with `SO_LINGER`, which a socket inherits from its listener, until the
//!    client has taken everything. So sockets are closed, and the files of Unix sockets removed,
//!    after the lock has been released.
//! 7. Nothing of the user's is kept in here. The server's owner has the handler and the hooks,
//!    which may own a handle, and with it this registry.
//!
//! # Lock order
//!
//! The registry's lock comes first. After it, either an entry's lock or that of `ListenerUsers` may
//! be taken, but not both. While one of those two is held, no other lock is taken.

use super::super::config::{Config, EventHook};
use super::super::event::{CloseReason, ConnectionId, ConnectionInfo, Event, Phase};
use super::super::sys::listener::Listener;
use super::super::sys::panic::{self, current_thread_id};
use super::super::sys::socket::shut_down;
use super::super::sys::sync::{lock, time_until};
use super::endings::EndingCount;
use super::entry::Entry;
use super::listener_users::ListenerUsers;
use super::place_count::PlaceCount;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

pub(crate) struct Registry {
    pub(crate) config: Config,
    pub(crate) local_addr: SocketAddr,
    pub(super) phase: AtomicPhase,
    state: Mutex<State>,
    /// Notified when the accept loop, or those who wait for the end, should look again.
    pub(super) changed: Condvar,
    /// Notified when a parked thread should look for a connection.
    pub(super) job_ready: Condvar,
    /// Notified when a place may be free for one of the `place_seekers`.
    pub(super) place_freed: Condvar,
    /// The number of `seekers`, for those who must not take the lock. Written under it.
    pub(super) place_seekers: AtomicUsize,
    /// The number of open connections, for those who must not take the lock. Written under it.
    open_count: AtomicUsize,
    /// How many of those who have a place are at the end of a response.
    pub(super) endings: EndingCount,
    /// Whether the last search for a connection to evict still holds, as far as states go. Set
    /// before each search, and cleared by a connection that becomes evictable.
    pub(super) search_holds: AtomicBool,
    pub(super) listener_users: ListenerUsers,
}

pub(super) struct State {
    pub(super) stage: Stage,
    pub(super) streams: HashMap<u64, TcpStream>,
    /// What is known beside the streams, in the order of the ids. An entry stays until its `Closed`
    /// hook has returned.
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) last_id: u64,
    /// The clients that look for a place before they are refused, in the order in which they began.
    pub(super) seekers: Vec<ConnectionId>,
    pub(super) places: PlaceCount,
    /// Until when time alone makes no connection evictable, if the last search has found none.
    pub(super) full_until: Option<Instant>,
    /// Who runs what.
    pub(super) pool: Pool,
    /// Who accepts.
    pub(super) acceptor: Acceptor,
    /// Who waits for what when the server stops.
    pub(super) stop: Stop,
    /// Who has the handler and the hooks.
    pub(super) runner: Runner,
    /// The threads that serve connections, and users' threads in a `Closed` hook.
    own_threads: Vec<(ConnectionId, ThreadId)>,
    /// Events that the accept loop reports.
    pub(super) reports: VecDeque<Event>,
    /// Sockets of clients that were not registered, to be closed without the lock.
    pub(super) discarded: Vec<TcpStream>,
    /// When to look for calls into transports that take too long.
    pub(super) watch_at: Option<Instant>,
}

pub(super) enum Stage {
    Accepting(Arc<Listener>),
    Draining,
    Destroyed,
}

/// Who has the handler and the hooks.
#[derive(PartialEq)]
pub(super) enum Runner {
    /// The server does not run yet, or it has ended and they have been dropped.
    Nobody,
    /// A thread that is about to begin.
    Starting,
    /// The accept loop, on this thread.
    Running(Option<ThreadId>),
    /// The server's owner, which drops the hooks of a server that has not run, on this thread.
    Leaving(Option<ThreadId>),
}

/// An accepted connection that waits for a thread.
pub(crate) struct Job {
    pub(crate) stream: TcpStream,
    pub(crate) registration: Registration,
}

#[derive(Default)]
pub(super) struct Pool {
    /// Registered connections without a thread.
    pub(super) queue: VecDeque<Job>,
    /// How many threads are on their way to the queue.
    pub(super) spawning: usize,
    /// How many threads wait for another connection, and how many of them have been claimed.
    pub(super) parked: usize,
    pub(super) claimed: usize,
    /// How many threads serve a connection or look for one.
    pub(super) serving: usize,
}

/// What the accept loop keeps between two looks at its listener.
pub(super) struct Acceptor {
    /// How long it has slept last.
    pub(super) nap: Duration,
    /// A descriptor to give up for a client that is accepted in the kernel: when that wait begins,
    /// nobody knows whether there will be another one for the client's clone.
    pub(super) spare_descriptor: Option<TcpStream>,
    /// Whether it waits for a `Closed` hook to return.
    pub(super) waits_for_hook: bool,
    /// Whether it joins all threads that have ended, as it does after each pause.
    pub(super) joins_all_next: bool,
}

/// Who waits for what when the server stops.
#[derive(Default)]
pub(super) struct Stop {
    /// How many connections a destroy has cut, if it found any.
    pub(super) cut: Option<usize>,
    /// When a shutdown ends in a destroy.
    pub(super) deadline: Option<Instant>,
    /// When a drain ends connections that have not spoken.
    pub(super) silence_ends: Option<Instant>,
    /// The thread that keeps the deadline of a shutdown that cannot wait.
    pub(super) clock: Option<JoinHandle<()>>,
    /// Whether that thread has been started. It is started without the lock.
    pub(super) has_clock: bool,
}

/// A copy of the stage for those who must not take the lock.
pub(super) struct AtomicPhase(AtomicU8);

impl AtomicPhase {
    pub(super) fn store(&self, phase: Phase) {
        let number = match phase {
            Phase::Accepting => 0,
            Phase::Draining => 1,
            Phase::Destroyed => 2,
        };
        self.0.store(number, SeqCst);
    }

    fn load(&self) -> Phase {
        match self.0.load(SeqCst) {
            0 => Phase::Accepting,
            1 => Phase::Draining,
            _ => Phase::Destroyed,
        }
    }
}

impl Registry {
    pub(crate) fn new(listener: Listener, local_addr: SocketAddr, config: Config) -> Registry {
        let mut watch_at = None;
        if config.has_transport {
            watch_at = Some(Instant::now());
        }
        let state = State {
            acceptor: Acceptor {
                nap: Duration::ZERO,
                spare_descriptor: listener.spare_descriptor(),
                waits_for_hook: false,
                joins_all_next: false,
            },
            stage: Stage::Accepting(Arc::new(listener)),
            streams: HashMap::new(),
            entries: Vec::new(),
            last_id: 0,
            seekers: Vec::new(),
            places: PlaceCount::default(),
            full_until: None,
            pool: Pool::default(),
            stop: Stop::default(),
            runner: Runner::Nobody,
            own_threads: Vec::new(),
            reports: VecDeque::new(),
            discarded: Vec::new(),
            watch_at,
        };
        Registry {
            config,
            local_addr,
            phase: AtomicPhase(AtomicU8::new(0)),
            state: Mutex::new(state),
            changed: Condvar::new(),
            job_ready: Condvar::new(),
            place_freed: Condvar::new(),
            place_seekers: AtomicUsize::new(0),
            open_count: AtomicUsize::new(0),
            endings: EndingCount::new(),
            search_holds: AtomicBool::new(false),
            listener_users: ListenerUsers::default(),
        }
    }

    #[inline(never)]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns the phase without taking the lock.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.load()
    }

    pub(crate) fn is_draining_or_destroyed(&self) -> bool {
        self.phase() != Phase::Accepting
    }

    /// Records how many connections are open. Called under the lock, after a change of the map.
    pub(super) fn count_open(&self, state: &State) {
        self.open_count.store(state.streams.len(), SeqCst);
    }

    /// Returns whether more than one connection is open.
    pub(crate) fn has_several_connections(&self) -> bool {
        self.open_count.load(SeqCst) > 1
    }

    /// Wakes the clients that wait for a place. Called under the lock.
    fn notify_place_seekers(&self) {
        if self.place_seekers.load(SeqCst) > 0 {
            self.place_freed.notify_all();
        }
    }

    /// Records that a thread is about to run the server.
    pub(crate) fn runner_starts(&self) {
        self.lock().runner = Runner::Starting;
    }

    /// Records that this thread runs the server.
    pub(crate) fn runner_runs(&self) {
        let thread = current_thread_id();
        self.lock().runner = Runner::Running(thread);
    }

    /// Records that the server will never run, and that this thread is about to drop its hooks.
    pub(crate) fn runner_leaves(&self) {
        let thread = current_thread_id();
        self.lock().runner = Runner::Leaving(thread);
    }

    /// Records that the handler and the hooks have been dropped.
    pub(crate) fn runner_is_gone(&self) {
        self.lock().runner = Runner::Nobody;
        self.changed.notify_all();
    }

    /// Returns whether this is a thread of the server, which cannot wait for the server's end.
    pub(crate) fn is_own_thread(&self) -> bool {
        // Looked up first: it may panic inside, and must not do so under the lock.
        let thread = current_thread_id();
        self.lock().is_own_thread(thread)
    }

    /// Returns the open connections, and after a destroy those whose handlers still run.
    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let state = self.lock();
        let mut connections = Vec::new();
        for (entry, _) in state.open() {
            connections.extend(entry.info());
        }
        connections
    }
}

impl State {
    pub(super) fn is_stopped(&self) -> bool {
        !matches!(self.stage, Stage::Accepting(_))
    }

    pub(super) fn is_destroyed(&self) -> bool {
        matches!(self.stage, Stage::Destroyed)
    }

    /// Returns whether the stop is complete: no connection is left, and the handler and the hooks
    /// have been dropped.
    pub(super) fn has_ended(&self) -> bool {
        self.is_stopped() && self.entries.is_empty() && self.runner == Runner::Nobody
    }

    pub(super) fn is_own_thread(&self, thread: Option<ThreadId>) -> bool {
        let me = match thread {
            Some(me) => me,
            None => return false,
        };
        let is_runner = match self.runner {
            Runner::Running(it) | Runner::Leaving(it) => it == thread,
            Runner::Nobody | Runner::Starting => false,
        };
        is_runner || self.own_threads.iter().any(|(_, it)| *it == me)
    }

    pub(super) fn add_own_thread(&mut self, id: ConnectionId, thread: Option<ThreadId>) {
        if let Some(thread) = thread {
            self.own_threads.push((id, thread));
        }
    }

    /// Returns how long the accept loop may sleep if nothing happens.
    pub(super) fn time_until_due(&self) -> Duration {
        let deadline_in = time_until(self.stop.deadline);
        let silence_ends_in = time_until(self.stop.silence_ends);
        let watch_in = time_until(self.watch_at);
        deadline_in.min(silence_ends_in).min(watch_in)
    }

    /// Returns the socket of a connection, if that is open.
    #[inline(never)] // the hashing is not small, and this is called in many places
    fn stream(&self, id: ConnectionId) -> Option<&TcpStream> {
        self.streams.get(&id.0)
    }

    /// Returns the connections whose sockets are open.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Entry, &TcpStream)> {
        self.entries.iter().filter_map(move |entry| {
            let stream = self.stream(entry.id)?;
            Some((&**entry, stream))
        })
    }

    /// Returns where the connection stands in the list.
    pub(super) fn position(&self, id: ConnectionId) -> Option<usize> {
        // Ids grow, so the entries stand in their order.
        self.entries
            .binary_search_by_key(&id, |entry| entry.id)
            .ok()
    }
}

/// Keeps a connection in the registry. Dropping it is the only way out.
pub(crate) struct Registration {
    pub(crate) registry: Arc<Registry>,
    pub(crate) entry: Arc<Entry>,
    /// The event hook, once a thread serves the connection. It is dropped before the entry is
    /// removed: so the owner's own one is the last.
    pub(crate) events: EventHook,
    pub(crate) reported: Reported,
}

/// What has been reported of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reported {
    Nothing,
    /// `Opened`, so `Closed` must follow, with this reason unless a stop has given another.
    Opened(CloseReason),
}

impl Registration {
    /// Shuts the socket down, unless the connection has ended.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        let state = self.registry.lock();
        if let Some(stream) = state.stream(self.entry.id) {
            shut_down(stream, how);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let thread = current_thread_id();
        let id = self.entry.id;
        let mut state = self.registry.lock();
        let stream = state.streams.remove(&id.0);
        self.registry.count_open(&state);
        if let Some(stream) = &stream {
            // Closing is not enough if somebody else holds a clone.
            shut_down(stream, Shutdown::Both);
            // Once more if the connection was cut: it may have come to the end of a response since.
            state.places.release(&self.entry);
        }
        let mut closed = None;
        if let Reported::Opened(reason) = self.reported {
            let reason = self.entry.end_reason().unwrap_or(reason);
            closed = Some(self.entry.closed_event(reason));
        }
        // Wakes those who have kept the cancel token.
        self.entry.end_if(CloseReason::Completed, |_| true);
        if thread::panicking() {
            // A thread of the user's drops an upgraded stream while it panics. If the hook panicked
            // as well, the process would end.
            state.reports.extend(closed.take());
            self.registry.changed.notify_all();
        } else if closed.is_some() {
            // The hook may run on a thread of the user's, which must not wait for the server there.
            state.add_own_thread(id, thread);
        }
        self.registry.notify_place_seekers();
        drop(state);

        drop(stream); // may block
        let events = mem::take(&mut self.events);
        if let Some(event) = closed {
            events.emit(|| event);
        }
        // This may be the last one, as after `Builder::answer`, and its drop is the user's code.
        let _ = panic::catch(move || drop(events));

        let mut state = self.registry.lock();
        if let Some(at) = state.position(id) {
            state.entries.remove(at);
            state.places.remove(&self.entry);
        }
        state.own_threads.retain(|(each, _)| *each != id);
        self.registry.notify_place_seekers();
        // In a drain, a connection in the queue gets a thread once there is a place for it.
        let is_job_queued = !state.pool.queue.is_empty();
        let ends_a_wait = state.is_stopped() && (state.entries.is_empty() || is_job_queued);
        if ends_a_wait || state.acceptor.waits_for_hook {
            self.registry.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
