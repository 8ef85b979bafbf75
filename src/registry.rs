//! Every live connection, and the one lock that decides who lives.
//!
//! 1. Accepting and registering happen under one lock, so no socket is open but unknown.
//! 2. The listener lives inside `Stage::Accepting`; leaving that stage closes the port. The stage is the stop flag: it
//!    moves under the lock only, and only forward. While the accept loop waits in the kernel it has the listener too, so
//!    a stop waits for it to come out. What it has accepted by then it registers under the lock, or drops.
//! 3. Only dropping a `Registration` takes a connection out, and it closes the socket while it holds the lock. So a
//!    stop finds every socket that is open, and an empty map means nobody is left.
//! 4. A stop first moves the stage, then cuts or tells each connection. A connection first changes its own state, then
//!    looks at the stage. So one of the two sees the other.
//! 5. Nothing of the user's is called under the lock: what is to be told is queued in `reports`.

use super::life::{is_new, makes_room, Life, Which};
use super::listener::{Accepted, Listener};
use super::{Builder, CloseReason, ConnectionId, ConnectionState, Event, Handle, Phase};
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

/// How many threads may wait for another connection after their own has ended, and how long.
const MAX_SPARE: usize = 32;
const SPARE_TIME: Duration = Duration::from_secs(3);

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
    /// Rung when threads that wait for another connection should look.
    pub(crate) work: Condvar,
    /// Held by the accept loop while it waits in the kernel. For `inner`, a stop would queue behind all that it has cut.
    /// Lock order: the loop takes either under the other, so nobody else may hold one of them and wait for the other.
    in_kernel: Mutex<()>,
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
    /// How many threads wait for a connection; and how many of them have been called for one, which are starting, too.
    spare: usize,
    called: usize,
    pub(crate) reports: VecDeque<Event>,
    last_id: u64,
    /// A descriptor to be let go of for a client which that wait has accepted, as nobody knows when it begins whether
    /// there will be a second one for it.
    reserve: Option<TcpStream>,
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
    Accepting(Arc<Listener>),
    Draining,
    #[default]
    Destroyed,
}

impl Registry {
    pub(crate) fn new(listener: Listener, local_addr: SocketAddr, config: Builder) -> Registry {
        let watch_at = config.transport.as_ref().map(|_| Instant::now());
        let (reserve, stage) = (listener.reserve(), Stage::Accepting(Arc::new(listener)));
        let inner = Mutex::new(Inner { stage, reserve, watch_at, ..Inner::default() });
        let (phase, news, work, in_kernel) = Default::default();
        Registry { config, local_addr, phase, inner, news, work, in_kernel }
    }

    #[inline(never)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics while it holds the lock, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for a thread that has been started for one, or else waits for another; `None` if it is to end.
    pub(crate) fn take_job(&self, is_new: bool) -> Option<(TcpStream, Registration)> {
        let (mut inner, max) = (self.lock(), self.config.max_connections);
        let mut is_called = is_new;
        if !is_new && !inner.has_turn(max) && !inner.is_stopped() && inner.spare < MAX_SPARE.min(max) {
            inner.spare = inner.spare.saturating_add(1);
            let waits = |inner: &mut Inner| inner.called == 0 && !inner.is_stopped();
            let woken = self.work.wait_timeout_while(inner, SPARE_TIME, waits);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
            inner.spare = inner.spare.saturating_sub(1);
            is_called = inner.called > 0;
            inner.called = inner.called.saturating_sub(1);
        }
        if is_called {
            inner.starting = inner.starting.saturating_sub(1);
        } else if !inner.has_turn(max) {
            return None;
        }
        let job = inner.queue.pop_front()?;
        inner.threads.push((job.1.life.id, thread::current().id()));
        Some(job)
    }

    /// Has all who sleep look again, and waits until the accept loop has come out of the kernel, and the port is closed.
    pub(crate) fn tell_of_stop(&self) {
        self.news.notify_all();
        self.work.notify_all();
        drop(self.in_kernel.lock());
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
            if threads.len() > inner.lives.len().saturating_add(inner.spare).saturating_add(max_ended) {
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
                if inner.called == inner.spare {
                    return true;
                }
                inner.called = inner.called.saturating_add(1);
                drop(inner); // or it would wake only to wait for the lock
                registry.work.notify_one();
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
                max_ended = 0;
                match inner.begin_wait() {
                    Some(listener) => self.wait_for_client(inner, listener),
                    None => drop(registry.news.wait_timeout(inner, pause)),
                }
            }
        }
    }

    /// Accepts in the kernel, without the lock.
    fn wait_for_client(&self, inner: MutexGuard<'_, Inner>, listener: Arc<Listener>) {
        let _in_kernel = self.registry.in_kernel.lock(); // dropped last, after a client that comes too late
        drop(inner);
        let accepted = listener.socket.accept();
        if self.phase() != Phase::Destroyed {
            let mut inner = self.registry.lock();
            let _ = listener.socket.set_nonblocking(true); // if it fails, an accept under the lock lasts for a second
            if let (Ok(client), true) = (accepted, self.phase() != Phase::Destroyed) {
                let _ = self.admit(&mut inner, Ok(client)); // it tells of its errors; one of the wait comes again
            }
        }
        drop(listener);
    }

    /// Accepts one client if one waits; or says how long to wait, which a stop interrupts.
    pub(crate) fn poll(&self, inner: &mut Inner) -> Option<Duration> {
        let accepted = match &inner.stage {
            Stage::Accepting(listener) => listener.socket.accept(),
            Stage::Draining | Stage::Destroyed => {
                return Some(left(inner.deadline).min(left(inner.silence_ends)).min(left(inner.watch_at)))
            }
        };
        self.admit(inner, accepted)
    }

    /// Registers a client that was accepted; or says how long to wait.
    fn admit(&self, inner: &mut Inner, accepted: io::Result<Accepted>) -> Option<Duration> {
        let longest = match accepted.and_then(|(stream, peer)| self.register(inner, stream, peer)) {
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

    /// Takes a client into the map and the queue.
    fn register(&self, inner: &mut Inner, stream: TcpStream, peer: Option<SocketAddr>) -> io::Result<()> {
        // In a drain nobody is: those beyond the limit wait in the queue for their turn.
        let max = self.registry.config.max_connections;
        let refused = self.phase() == Phase::Accepting && !inner.make_room(max);
        if refused && inner.lives.iter().filter(|life| life.refused).count() >= MAX_REFUSALS {
            inner.reports.push_back(Event::TurnedAway { peer });
            return Ok(());
        }
        let clone = stream.try_clone().or_else(|error| {
            drop(inner.reserve.take().ok_or(error)?);
            stream.try_clone()
        })?; // without descriptors the client is dropped, and told of
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

    /// Moves the stage on, which closes the port, also where a child process that is being started still has it, and
    /// calls the accept loop if that is in the kernel with it.
    pub(crate) fn leave(&mut self, next: Stage) {
        self.reserve = None;
        if let Stage::Accepting(listener) = std::mem::replace(&mut self.stage, next) {
            // Unix: before clients are refused, or another server would find the file stale, and race for its name.
            listener.socket.hide();
            listener.end();
        }
    }

    /// What the accept loop may wait on in the kernel, unless it has an error to tell of: then that would not wait.
    fn begin_wait(&mut self) -> Option<Arc<Listener>> {
        let listener = match &self.stage {
            Stage::Accepting(listener) => Arc::clone(listener),
            Stage::Draining | Stage::Destroyed => return None,
        };
        self.reserve = self.reserve.take().or_else(|| listener.reserve());
        let can_wait = self.reserve.is_some() && self.reports.is_empty();
        Some(listener).filter(|listener| can_wait && listener.socket.set_nonblocking(false).is_ok())
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
            if let Some(order) = life.dispensable() {
                longest = longest.filter(|(least, _)| *least <= order).or(Some((order, life.id)));
            }
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
