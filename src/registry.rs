//! Every live connection, and the one lock that decides who lives.
//!
//! 1. Accepting and registering happen under one lock, so no socket is open but unknown.
//! 2. The listener lives inside `Stage::Accepting`; leaving that stage closes the port. The stage is the stop flag: it
//!    moves under the lock only, and only forward.
//! 3. Only dropping a `Registration` takes a connection out, and it closes the socket while it holds the lock. So a
//!    stop finds every socket that is open, and an empty map means nobody is left.
//! 4. A stop first moves the stage, then cuts or tells each connection. A connection first changes its own state, then
//!    looks at the stage. So one of the two sees the other.
//! 5. Nothing of the user's is called under the lock: what is to be told is queued in `reports`.

use super::life::{is_new, makes_room, Life, Which};
use super::{listener::Listener, Builder, CloseReason, ConnectionId, ConnectionState, Event, Handle, Phase};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// How many clients at a time are told with a 503 that no place is free.
const MAX_REFUSALS: usize = 8;

/// How many threads may have ended and not been joined while clients come without a pause.
const MAX_ENDED: usize = 64;

/// How long the accept loop sleeps when nobody waits to be accepted, and after an error.
const SHORTEST_NAP: Duration = Duration::from_micros(500);
const LONGEST_NAP: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// The errors of accepting that say nothing about the next client.
const PASSING: [ErrorKind; 3] = [ErrorKind::Interrupted, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];

/// How often transports are looked at that may take too long; and in a drain, connections that have not spoken.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const SILENCE_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct Registry {
    pub(crate) config: Builder,
    pub(crate) local_addr: SocketAddr,
    /// A copy of the stage, counted from 0, written under the lock, for those who must not take it.
    pub(crate) phase: AtomicU8,
    inner: Mutex<Inner>,
    /// Rung when the accept loop, or those who wait for the end, should look again.
    pub(crate) news: Condvar,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) stage: Stage,
    pub(crate) streams: HashMap<u64, TcpStream>,
    /// What is known beside the streams, by id. They go when its `Closed` hook has returned.
    pub(crate) lives: Vec<Arc<Life>>,
    threads: Vec<(ConnectionId, ThreadId)>,
    /// Accepted and registered, but without a thread; and how many threads are on their way.
    pub(crate) queue: VecDeque<(TcpStream, Registration)>,
    starting: usize,
    pub(crate) reports: VecDeque<Event>,
    last_id: u64,
    nap: Duration,
    /// How many connections a destroy has cut, if it found any.
    pub(crate) cut: Option<usize>,
    /// When a `shutdown` ends in a destroy, and when a drain ends those that have not spoken.
    pub(crate) deadline: Option<Instant>,
    pub(crate) silence_ends: Option<Instant>,
    /// When to look next for transports that take too long.
    watch_at: Option<Instant>,
    /// Whether somebody has the handler, and once its accept loop has begun, on which thread.
    pub(crate) serving: Option<Option<ThreadId>>,
}

#[derive(Default)]
pub(crate) enum Stage {
    Accepting(Listener),
    Draining,
    #[default]
    Destroyed,
}

impl Registry {
    /// Takes the listener over. It must be nonblocking already.
    pub(crate) fn new(listener: Listener, local_addr: SocketAddr, config: Builder) -> Registry {
        let watch_at = config.transport.as_ref().map(|_| Instant::now());
        let inner = Inner { stage: Stage::Accepting(listener), watch_at, ..Inner::default() };
        Registry { config, local_addr, phase: AtomicU8::default(), inner: Mutex::new(inner), news: Condvar::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics while it holds the lock, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for a thread that was started for one; `None` if a stop came first.
    pub(crate) fn take_job(&self) -> Option<(TcpStream, Registration)> {
        let mut inner = self.lock();
        inner.starting = inner.starting.saturating_sub(1);
        let job = inner.queue.pop_front()?;
        inner.threads.push((job.1.life.id, thread::current().id()));
        Some(job)
    }
}

impl Handle {
    /// Accepts, naps, joins the threads that have ended, tells reports, and keeps the clock. `true`: start a thread,
    /// which calls [`Registry::take_job`]; `false`: the server has stopped and every connection is gone.
    pub(crate) fn next_job(&self, threads: &mut Vec<ScopedJoinHandle<'_, ()>>) -> bool {
        let registry = &self.registry;
        let mut max_ended = MAX_ENDED;
        loop {
            let mut inner = registry.lock();
            if threads.len() > inner.lives.len().saturating_add(max_ended) {
                drop(inner);
                join_ended(threads);
                max_ended = MAX_ENDED;
            } else if left(inner.deadline) == Duration::ZERO {
                drop(inner);
                self.destroy(); // before a hook can take its time
            } else if let Some(event) = inner.reports.pop_front() {
                drop(inner);
                registry.config.tell(|| event);
            } else if inner.has_turn(registry.config.max_connections) {
                inner.starting = inner.starting.saturating_add(1);
                return true;
            } else if inner.is_stopped() && inner.lives.is_empty() {
                return false;
            } else if left(inner.silence_ends) == Duration::ZERO {
                inner.end_each(&|life| life.silent()?.then_some(CloseReason::Drained), is_new);
                // Who still waits for a thread has that second later.
                let again = inner.lives.iter().find_map(|life| life.silent()).map(|_| SILENCE_INTERVAL);
                inner.silence_ends = again.and_then(|again| Instant::now().checked_add(again));
            } else if left(inner.watch_at) == Duration::ZERO {
                inner.watch_at = Instant::now().checked_add(WATCH_INTERVAL);
                inner.end_each(&Life::overdue, |_| true);
            } else if let Some(pause) = self.poll(&mut inner) {
                drop(registry.news.wait_timeout(inner, pause));
                max_ended = 0;
            }
        }
    }

    /// Accepts one client if one waits; or says how long to wait, which a stop interrupts.
    pub(crate) fn poll(&self, inner: &mut Inner) -> Option<Duration> {
        if inner.is_stopped() {
            return Some(left(inner.deadline).min(left(inner.silence_ends)).min(left(inner.watch_at)));
        }
        let longest = match self.accept(inner) {
            Ok(()) => return None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => LONGEST_NAP,
            Err(error) if PASSING.contains(&error.kind()) => return None,
            Err(error) => {
                inner.reports.push_back(Event::AcceptFailed { error }); // told after the pause
                LONGEST_BACKOFF
            }
        };
        let pause = inner.nap.clamp(SHORTEST_NAP, longest);
        inner.nap = pause.saturating_mul(2);
        Some(pause)
    }

    /// Takes one client out of the backlog, into the map and the queue, unless it has gone already.
    fn accept(&self, inner: &mut Inner) -> io::Result<()> {
        let (stream, peer) = match &inner.stage {
            Stage::Accepting(listener) => listener.accept()?,
            Stage::Draining | Stage::Destroyed => return Err(ErrorKind::WouldBlock.into()),
        };
        // In a drain nobody is: those beyond the limit wait in the queue for their turn.
        let max = self.registry.config.max_connections;
        let refused = self.phase() == Phase::Accepting && !inner.make_room(max);
        if refused && inner.lives.iter().filter(|life| life.refused).count() >= MAX_REFUSALS {
            inner.reports.push_back(Event::TurnedAway { peer });
            return Ok(());
        }
        let clone = stream.try_clone()?; // without descriptors the client is dropped, and told of
        inner.nap = Duration::ZERO;
        inner.last_id = inner.last_id.saturating_add(1);
        let life = Arc::new(Life::new(ConnectionId(inner.last_id), peer, refused));
        inner.streams.insert(life.id.0, clone);
        inner.lives.push(Arc::clone(&life));
        inner.queue.push_back((stream, Registration { handle: self.clone(), life, why: None }));
        Ok(())
    }
}

impl Inner {
    pub(crate) fn is_stopped(&self) -> bool {
        !matches!(self.stage, Stage::Accepting(_))
    }

    /// Whether the stop is complete: no connection, and the handler has been let go of.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_stopped() && self.lives.is_empty() && self.serving.is_none()
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        let me = thread::current().id();
        self.serving == Some(Some(me)) || self.threads.iter().any(|(_, thread)| *thread == me)
    }

    /// Whether to start a thread for one in the queue: at once, but in a drain only when there is a place for it.
    fn has_turn(&self, max: usize) -> bool {
        let waiting = self.queue.len().saturating_sub(self.starting);
        let places = || self.lives.iter().filter(|life| !life.is(ConnectionState::Upgraded)).count();
        waiting > 0 && (!self.is_stopped() || places().saturating_sub(waiting) < max)
    }

    /// The connections whose sockets are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&Life, &TcpStream)> {
        self.lives.iter().filter_map(move |life| Some((&**life, self.streams.get(&life.id.0)?)))
    }

    /// Ends the connections that are in such a state, or only one of them, and says how many.
    pub(crate) fn end(&self, why: CloseReason, only: Option<ConnectionId>, state: Which) -> usize {
        self.end_each(&|life| Some(why).filter(|_| only.map_or(true, |id| id == life.id)), state)
    }

    /// Ends those that are in such a state and have a reason to. A drain ends the reading side: Linux still gives what
    /// it has queued already, so that a request which had arrived is served. A handshake may wait to write, too.
    fn end_each(&self, why: &dyn Fn(&Life) -> Option<CloseReason>, state: Which) -> usize {
        let mut ended: usize = 0;
        for (life, stream) in self.open() {
            if let Some(why) = why(life).filter(|why| life.end_if(*why, state)) {
                let reads_on = why == CloseReason::Drained && !life.is(ConnectionState::Handshake);
                shut_down(stream, if reads_on { Shutdown::Read } else { Shutdown::Both });
                ended = ended.saturating_add(1);
            }
        }
        ended
    }

    /// Whether one more connection may be served, if need be in place of the one that has waited longest.
    fn make_room(&self, max: usize) -> bool {
        if self.lives.len() < max {
            return true;
        } else if self.lives.len() >= max.saturating_mul(2).saturating_add(MAX_REFUSALS) {
            return false; // those that make room are slow to go, and their threads count too
        }
        let (mut served, mut longest) = (0, None);
        let counts = |life: &Life| !life.refused && life.end_reason().is_none();
        for (life, _) in self.open().filter(|open| counts(open.0)) {
            let found = life.dispensable().map(|order| (order, life.id));
            longest = longest.into_iter().chain(found).min();
            served = usize::saturating_add(served, 1);
        }
        let evict = |(_, id)| self.end(CloseReason::Evicted, Some(id), makes_room) > 0;
        served < max || longest.map_or(false, |life| evict(life) || self.make_room(max))
    }
}

/// Proof that a connection is in the map. Its drop is the only way out.
pub(crate) struct Registration {
    pub(crate) handle: Handle,
    pub(crate) life: Arc<Life>,
    /// Why it ended, once its thread has told `Opened` and dropped its stream: then dropping this closes the socket.
    pub(crate) why: Option<CloseReason>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (id, registry) = (self.life.id, &self.handle.registry);
        let mut inner = registry.lock();
        if let Some(stream) = inner.streams.remove(&id.0) {
            shut_down(&stream, Shutdown::Both); // closing is not enough if someone has a clone
        }
        let reason = self.life.end_reason().or(self.why);
        self.life.end_if(CloseReason::Completed, |_| true); // whoever kept its token learns of it
        match reason.filter(|_| self.why.is_some()) {
            // Of an upgraded connection, on a thread of the user's: a hook that panicked now would end the process.
            Some(reason) if thread::panicking() => {
                inner.reports.push_back(self.life.closed(reason));
                registry.news.notify_all();
            }
            Some(reason) => {
                // Whoever has an upgraded connection must not wait for the server in the hook, either.
                inner.threads.push((id, thread::current().id()));
                drop(inner);
                registry.config.tell(|| self.life.closed(reason));
                inner = registry.lock();
            }
            None => {}
        }
        if let Ok(at) = inner.lives.binary_search_by_key(&id, |life| life.id) {
            inner.lives.remove(at); // ids grow, so they stand in order
        }
        inner.threads.retain(|(each, _)| *each != id);
        if inner.is_stopped() && (inner.lives.is_empty() || !inner.queue.is_empty()) {
            registry.news.notify_all();
        }
    }
}

/// Gives the threads that have ended back to the system, with their stacks.
pub(crate) fn join_ended(threads: &mut Vec<ScopedJoinHandle<'_, ()>>) {
    while let Some(at) = threads.iter().position(ScopedJoinHandle::is_finished) {
        let _ = threads.swap_remove(at).join(); // it has caught every panic
    }
}

/// Ends one direction, or both. Of what would be read, Linux still gives what it holds already; Windows would reset the
/// connection: there, the read that waits learns of a drain by its tick.
pub(crate) fn shut_down(stream: &TcpStream, how: Shutdown) {
    if cfg!(windows) && how == Shutdown::Read {
        return;
    }
    let _ = stream.shutdown(how); // the peer may be gone already, which is as good
}

/// How long it is until then; for ever, if there is no such moment.
pub(crate) fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
}
