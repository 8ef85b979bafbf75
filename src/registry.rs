//! Every live connection, and the one lock that decides who lives.
//!
//! 1. Accepting and registering happen under one lock, so no socket is open but unknown.
//! 2. The listener lives inside `Stage::Accepting`; leaving that stage closes the port. The stage is the stop flag: it
//!    moves under the lock only, and only forward. While the accept loop waits in the kernel it has the listener too, so
//!    a stop waits for it to come out. What it has accepted by then it registers under the lock, or shuts down.
//! 3. Only dropping a `Registration` takes a connection out, and it shuts the socket down while it holds the lock. So a
//!    stop finds every socket that still carries bytes, and an empty map means nobody is left.
//! 4. A stop first moves the stage, then cuts or tells each connection. A connection first changes its own state, then
//!    looks at the stage. So one of the two sees the other.
//! 5. Nothing of the user's is called under the lock: what is to be told is queued in `reports`.
//! 6. Nothing that may block is called under the lock. Shutting a socket down does not block, but closing one may: with
//!    `SO_LINGER`, which a socket inherits from its listener, until the client has taken everything. So sockets are
//!    closed, and the files of Unix sockets removed, after the lock has been released.
//!
//! Lock order: the registry's lock first, then either a connection's own or that of `ListenerUsers`, never both. While
//! one of those two is held, no other lock is taken.

use super::life::{is_new, makes_room, Life, Which};
use super::listener::{Accepted, Listener};
use super::sync::{lock, time_until, wait, wait_while};
use super::{Builder, CloseReason, ConnectionId, ConnectionState, Event, Handle, Phase};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, ScopedJoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// How many clients at a time are told with a 503 that no place is free.
const MAX_REFUSALS: usize = 8;

/// How many threads may have ended and not been joined while clients come without a pause.
const MAX_ENDED: usize = 64;

/// How many threads may wait for another connection after their own has ended, and how long.
const MAX_SPARE: usize = 32;
const SPARE_TIME: Duration = Duration::from_secs(3);

/// How long a client that came while every place was taken waits for one while the end of a response is being written.
const PLACE_WAIT: Duration = Duration::from_secs(1);

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
    /// Notified when the accept loop, or those who wait for the end, should look again.
    pub(crate) news: Condvar,
    /// Notified when threads that wait for another connection should look.
    pub(crate) work: Condvar,
    /// Notified when a place may be free for one of the `place_seekers`.
    place_freed: Condvar,
    /// How many clients that came while every place was taken wait for one, before they are refused.
    place_seekers: AtomicUsize,
    listener_users: ListenerUsers,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) stage: Stage,
    pub(crate) streams: HashMap<u64, TcpStream>,
    /// What is known beside the streams, by id. They go when its `Closed` hook has returned.
    pub(crate) lives: Vec<Arc<Life>>,
    own_threads: Vec<(ConnectionId, ThreadId)>,
    /// Accepted and registered, but without a thread; and how many threads are on their way.
    pub(crate) queue: VecDeque<(TcpStream, Registration)>,
    starting: usize,
    /// How many threads serve connections or wait for one: all that the accept loop has started and that have not
    /// been told to end.
    serving_threads: usize,
    /// How many threads wait for a connection; and how many of them have been called for one, which are starting, too.
    spare: usize,
    called: usize,
    pub(crate) reports: VecDeque<Event>,
    /// Sockets of clients that were not registered, to be closed once the lock has been released.
    pub(crate) discarded: Vec<TcpStream>,
    /// Whether the accept loop waits until a `Closed` hook has returned.
    is_crowded: bool,
    last_id: u64,
    /// A descriptor to be given up for a client which that wait has accepted, as nobody knows when it begins whether
    /// there will be a second one for it.
    reserve: Option<TcpStream>,
    nap: Duration,
    /// How many connections a destroy has cut, if it found any.
    pub(crate) cut: Option<usize>,
    /// When a `shutdown` ends in a destroy, and when a drain ends those that have not spoken.
    pub(crate) deadline: Option<Instant>,
    pub(crate) silence_ends: Option<Instant>,
    /// The thread that keeps the deadline of a `shutdown` on one of the server's own threads; and whether it has been
    /// started, which it is without the lock.
    pub(crate) clock: Option<JoinHandle<()>>,
    pub(crate) has_clock: bool,
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

/// What came of looking for a client.
pub(crate) enum Polled {
    /// One was accepted, or there may be another one right away.
    Accepted,
    /// There is none: look again after that time.
    Wait(Duration),
}

impl Registry {
    pub(crate) fn new(listener: Listener, local_addr: SocketAddr, config: Builder) -> Registry {
        let inner = Inner {
            reserve: listener.reserve(),
            watch_at: config.transport.as_ref().map(|_| Instant::now()),
            stage: Stage::Accepting(Arc::new(listener)),
            ..Inner::default()
        };
        Registry {
            config,
            local_addr,
            phase: AtomicU8::new(0),
            inner: Mutex::new(inner),
            news: Condvar::new(),
            work: Condvar::new(),
            place_freed: Condvar::new(),
            place_seekers: AtomicUsize::new(0),
            listener_users: ListenerUsers::default(),
        }
    }

    #[inline(never)]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// The connection for a thread that has been started for one, or else waits for another; `None` if it is to end.
    pub(crate) fn take_job(&self, is_new: bool) -> Option<(TcpStream, Registration)> {
        let thread = current_thread_id();
        let max = self.config.max_connections;
        let mut inner = self.lock();
        let mut is_called = is_new;
        if !is_new && !inner.has_turn(max) && !inner.is_stopped() && inner.spare < MAX_SPARE.min(max) {
            inner.spare += 1;
            let waits = |inner: &mut Inner| inner.called == 0 && !inner.is_stopped();
            inner = wait_while(&self.work, inner, SPARE_TIME, waits);
            inner.spare -= 1;
            if inner.called > 0 {
                inner.called -= 1;
                is_called = true;
            }
        }
        if is_called {
            inner.starting -= 1;
        }
        let is_due = is_called || inner.has_turn(max);
        if is_due && !matches!(inner.stage, Stage::Destroyed) {
            if let Some(job) = inner.queue.pop_front() {
                inner.add_own_thread(job.1.life.id, thread);
                return Some(job);
            }
        }
        inner.serving_threads -= 1;
        None
    }

    /// The connection for a thread that could not be started.
    pub(crate) fn take_job_without_thread(&self) -> Option<(TcpStream, Registration)> {
        let mut inner = self.lock();
        inner.starting -= 1;
        inner.serving_threads -= 1;
        inner.queue.pop_front()
    }

    /// Wakes everyone who waits, and waits until nobody uses the listener any more: then the port is closed.
    pub(crate) fn announce_stop(&self) {
        self.news.notify_all();
        self.work.notify_all();
        self.place_freed.notify_all();
        self.listener_users.wait_until_none();
    }

    /// Takes the listener out of the stage, which moves on. The port closes when the result is closed or dropped.
    pub(crate) fn leave_accepting(&self, inner: &mut Inner, next: Stage) -> Option<ListenerUse<'_>> {
        inner.reserve = None;
        match std::mem::replace(&mut inner.stage, next) {
            Stage::Accepting(listener) => Some(self.listener_users.enter(listener)),
            Stage::Draining | Stage::Destroyed => None,
        }
    }

    /// The listener, to be used without the lock.
    pub(crate) fn listener(&self, inner: &Inner) -> Option<ListenerUse<'_>> {
        match &inner.stage {
            Stage::Accepting(listener) => Some(self.listener_users.enter(Arc::clone(listener))),
            Stage::Draining | Stage::Destroyed => None,
        }
    }

    /// Whether a client waits for a place.
    pub(crate) fn is_place_sought(&self) -> bool {
        self.place_seekers.load(SeqCst) > 0
    }

    /// Called when a connection may have begun to be dispensable.
    pub(crate) fn offer_place(&self) {
        // The connection has changed its state before this, and those who look for a place are counted before they look
        // at the states. So one of the two sees the other. They wait under the lock, and so are not missed.
        if self.place_seekers.load(SeqCst) > 0 {
            let _inner = self.lock();
            self.place_freed.notify_all();
        }
    }

    /// Gives a place to a client that came while every one was taken, if there is one by now.
    ///
    /// Waits for at most `PLACE_WAIT` while the end of a response is being written for each client that waits so. Its
    /// client may have it already, and be the one that comes: then it would be refused by a server that serves nobody else.
    pub(crate) fn find_place(&self, life: &Life) -> bool {
        self.place_seekers.fetch_add(1, SeqCst);
        let max = self.config.max_connections;
        let mut has_place = false;
        let inner = wait_while(&self.place_freed, self.lock(), PLACE_WAIT, |inner| {
            if inner.is_stopped() || life.is_cut() {
                return false;
            }
            // Counted first: a connection that comes to its end in between makes room by then.
            let endings = inner.endings(max);
            has_place = inner.has_thread_left(max) && inner.make_place(max);
            !has_place && self.place_seekers.load(SeqCst) <= endings
        });
        if has_place {
            life.admit(); // under the lock, as the next one to be accepted counts it
        }
        drop(inner);
        self.place_seekers.fetch_sub(1, SeqCst);
        has_place
    }
}

/// Counts those who use the listener without the registry's lock: an accept loop that waits in the kernel, and a stop
/// that closes the port. So a stop can wait until the port is closed without the registry's lock, for which it would
/// queue behind the threads of all the connections that it has cut.
#[derive(Default)]
struct ListenerUsers {
    count: Mutex<usize>,
    left: Condvar,
}

impl ListenerUsers {
    /// Called under the registry's lock, while the stage still has the listener or has just lost it.
    fn enter(&self, listener: Arc<Listener>) -> ListenerUse<'_> {
        *lock(&self.count) += 1;
        ListenerUse { listener, _counted: Counted(self) }
    }

    fn wait_until_none(&self) {
        drop(wait_while(&self.left, lock(&self.count), Duration::MAX, |count| *count > 0));
    }
}

/// The listener in use without the registry's lock.
pub(crate) struct ListenerUse<'a> {
    pub(crate) listener: Arc<Listener>,
    /// Dropped after the listener, which the last one to drop it closes.
    _counted: Counted<'a>,
}

struct Counted<'a>(&'a ListenerUsers);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *lock(&self.0.count) -= 1;
        self.0.left.notify_all();
    }
}

impl Handle {
    /// Accepts, naps, joins the threads that have ended, tells reports, and keeps the clock. `true`: start a thread,
    /// which calls [`Registry::take_job`]; `false`: the server has stopped and every connection is gone.
    pub(crate) fn next_job(&self, threads: &mut Vec<ScopedJoinHandle<'_, ()>>) -> bool {
        let registry = &self.registry;
        let max = registry.config.max_connections;
        let mut max_ended = MAX_ENDED;
        loop {
            let mut inner = registry.lock();
            inner.is_crowded = false;
            if threads.len() > inner.serving_threads + max_ended {
                drop(inner);
                join_ended(threads);
                max_ended = MAX_ENDED;
            } else if time_until(inner.deadline) == Duration::ZERO {
                drop(inner);
                self.destroy(); // before a hook can take its time
            } else if let Some(event) = inner.reports.pop_front() {
                drop(inner);
                registry.config.tell(|| event);
            } else if !inner.discarded.is_empty() {
                let discarded = std::mem::take(&mut inner.discarded);
                drop(inner);
                drop(discarded);
            } else if let Some(unserved) = inner.take_unserved() {
                drop(inner);
                drop(unserved);
            } else if inner.has_turn(max) {
                inner.starting += 1;
                if inner.called == inner.spare {
                    inner.serving_threads += 1;
                    return true;
                }
                inner.called += 1;
                drop(inner); // or it would wake only to wait for the lock
                registry.work.notify_one();
            } else if inner.is_stopped() && inner.lives.is_empty() {
                return false;
            } else if time_until(inner.silence_ends) == Duration::ZERO {
                inner.end_each(&|life| life.silent()?.then_some(CloseReason::Drained), is_new);
                // Who still waits for a thread has that second later.
                let again = inner.lives.iter().find_map(|life| life.silent()).map(|_| SILENCE_INTERVAL);
                inner.silence_ends = again.and_then(|again| Instant::now().checked_add(again));
            } else if time_until(inner.watch_at) == Duration::ZERO {
                inner.watch_at = Instant::now().checked_add(WATCH_INTERVAL);
                inner.end_each(&Life::overdue, |_| true);
            } else if inner.waits_for_hooks(max) {
                max_ended = 0;
                inner.is_crowded = true;
                let pause = inner.time_until_due();
                drop(wait(&registry.news, inner, pause));
            } else if let Polled::Wait(pause) = self.poll(&mut inner) {
                max_ended = 0;
                let discarded = std::mem::take(&mut inner.discarded);
                if !discarded.is_empty() {
                    drop(inner);
                    drop(discarded);
                    inner = registry.lock();
                    if inner.is_stopped() {
                        continue; // whoever has stopped it has notified nobody, as nobody waited
                    }
                }
                match registry.begin_wait(&mut inner) {
                    Some(listening) => self.wait_for_client(inner, listening),
                    None => drop(wait(&registry.news, inner, pause)),
                }
            }
        }
    }

    /// Accepts in the kernel, without the lock.
    fn wait_for_client(&self, inner: MutexGuard<'_, Inner>, listening: ListenerUse<'_>) {
        drop(inner);
        let accepted = listening.listener.socket.accept();
        let mut late = None;
        // Looked at before the lock is taken, for which a destroy would wait behind all that it has cut.
        if self.phase() != Phase::Destroyed {
            let mut inner = self.registry.lock();
            let _ = listening.listener.socket.set_nonblocking(true); // if it fails, the next accept lasts for a second
                                                                     // What it failed with comes again.
            if let Ok(client) = accepted {
                if matches!(inner.stage, Stage::Destroyed) {
                    late = Some(client);
                } else {
                    self.admit(&mut inner, Ok(client)); // it tells of its errors
                }
            }
        } else if let Ok(client) = accepted {
            late = Some(client);
        }
        if let Some((stream, _)) = &late {
            shut_down(stream, Shutdown::Both); // before the stop returns, which waits for the use of the listener to end
        }
        drop(listening);
        drop(late); // closing it may block
    }

    /// Accepts one client if one waits; or says how long to wait, which a stop interrupts.
    pub(crate) fn poll(&self, inner: &mut Inner) -> Polled {
        let accepted = match &inner.stage {
            Stage::Accepting(listener) => listener.socket.accept(),
            Stage::Draining | Stage::Destroyed => return Polled::Wait(inner.time_until_due()),
        };
        self.admit(inner, accepted)
    }

    /// Registers a client that was accepted; or says how long to wait.
    fn admit(&self, inner: &mut Inner, accepted: io::Result<Accepted>) -> Polled {
        let longest = match accepted.and_then(|(stream, peer)| self.register(inner, stream, peer)) {
            Ok(()) => return Polled::Accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => LONGEST_NAP,
            Err(error) if PASSING.contains(&error.kind()) => return Polled::Accepted,
            Err(error) => {
                inner.reports.push_back(Event::AcceptFailed { error }); // told after the pause
                LONGEST_BACKOFF
            }
        };
        let pause = inner.nap.clamp(SHORTEST_NAP, longest);
        inner.nap = pause.saturating_mul(2);
        Polled::Wait(pause)
    }

    /// Takes a client into the map and the queue.
    fn register(&self, inner: &mut Inner, stream: TcpStream, peer: Option<SocketAddr>) -> io::Result<()> {
        // In a drain nobody is: those beyond the limit wait in the queue for their turn.
        let max = self.registry.config.max_connections;
        let refused = self.phase() == Phase::Accepting && !inner.make_room(max);
        if refused && inner.lives.iter().filter(|life| life.is_refused()).count() >= MAX_REFUSALS {
            inner.reports.push_back(Event::TurnedAway { peer });
            inner.discard(stream);
            return Ok(());
        }
        let clone = match inner.clone_with_reserve(&stream) {
            Ok(clone) => clone,
            Err(error) => {
                inner.discard(stream); // without descriptors the client is dropped, and told of
                return Err(error);
            }
        };
        inner.nap = Duration::ZERO;
        inner.last_id += 1;
        let life = Arc::new(Life::new(ConnectionId(inner.last_id), peer, refused));
        inner.streams.insert(life.id.0, clone);
        inner.lives.push(Arc::clone(&life));
        inner.queue.push_back((stream, Registration { handle: self.clone(), life, why: None }));
        Ok(())
    }
}

impl Registry {
    /// What the accept loop may wait on in the kernel, unless it has something else to do first.
    fn begin_wait(&self, inner: &mut Inner) -> Option<ListenerUse<'_>> {
        // An event that is to be told would wait as well.
        if !inner.reports.is_empty() {
            return None;
        }
        let listening = self.listener(inner)?;
        if inner.reserve.is_none() {
            inner.reserve = listening.listener.reserve();
        }
        let can_wait = inner.reserve.is_some() && listening.listener.socket.set_nonblocking(false).is_ok();
        can_wait.then_some(listening)
    }
}

impl Inner {
    pub(crate) fn is_stopped(&self) -> bool {
        !matches!(self.stage, Stage::Accepting(_))
    }

    /// A connection that no thread has begun when a destroy has cut it. Dropping it may block.
    fn take_unserved(&mut self) -> Option<(TcpStream, Registration)> {
        match self.stage {
            Stage::Destroyed => self.queue.pop_front(),
            Stage::Accepting(_) | Stage::Draining => None,
        }
    }

    /// Clones it with the descriptor in reserve, if there is no other one.
    fn clone_with_reserve(&mut self, stream: &TcpStream) -> io::Result<TcpStream> {
        match stream.try_clone() {
            Ok(clone) => Ok(clone),
            Err(error) => {
                let reserve = self.reserve.take().ok_or(error)?;
                drop(reserve); // a clone of the listener, which is open: closing it does not block
                stream.try_clone()
            }
        }
    }

    /// How long the accept loop may sleep if nothing happens.
    fn time_until_due(&self) -> Duration {
        let deadline_in = time_until(self.deadline);
        let silence_ends_in = time_until(self.silence_ends);
        deadline_in.min(silence_ends_in).min(time_until(self.watch_at))
    }

    /// Whether there is no thread for one more client because of connections that have ended and whose `Closed` hook
    /// runs. They hold nobody's place, so the next client is accepted when one of them is gone, instead of refused now.
    fn waits_for_hooks(&self, max: usize) -> bool {
        !self.is_stopped() && self.lives.len() >= most_threads(max) && self.lives.len() > self.streams.len()
    }

    /// Ends a client that is not registered. Its socket is closed later, as that may block.
    fn discard(&mut self, stream: TcpStream) {
        shut_down(&stream, Shutdown::Both);
        self.discarded.push(stream);
    }

    /// How many places may be free in a moment: of those whose responses are ending, and of those that lack a thread.
    fn endings(&self, max: usize) -> usize {
        if !self.has_thread_left(max) {
            return self.lives.len().saturating_sub(self.streams.len());
        }
        let ends = |life: &Life| life.holds_place() && life.is_ending_response();
        self.open().filter(|(life, _)| ends(life)).count()
    }

    /// Whether there are no more connections than there may be threads, one that looks for a place included.
    fn has_thread_left(&self, max: usize) -> bool {
        self.lives.len() <= most_threads(max)
    }

    /// Whether the stop is complete: no connection, and the handler has been let go of.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_stopped() && self.lives.is_empty() && self.serving.is_none()
    }

    /// Whether that is a thread of the server, which cannot wait for its end.
    pub(crate) fn is_own_thread(&self, thread: Option<ThreadId>) -> bool {
        match thread {
            Some(me) => self.serving == Some(thread) || self.own_threads.iter().any(|(_, each)| *each == me),
            None => false,
        }
    }

    fn add_own_thread(&mut self, id: ConnectionId, thread: Option<ThreadId>) {
        if let Some(thread) = thread {
            self.own_threads.push((id, thread));
        }
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
    fn make_room(&mut self, max: usize) -> bool {
        // Those that make room are slow to go, and their threads count too.
        self.lives.len() < max || (self.lives.len() < most_threads(max) && self.make_place(max))
    }

    /// The same, whatever the number of threads.
    fn make_place(&mut self, max: usize) -> bool {
        loop {
            let mut served = 0;
            let mut longest = None;
            for (life, _) in self.open().filter(|(life, _)| life.holds_place()) {
                served += 1;
                if let Some(order) = life.dispensable() {
                    if longest.map_or(true, |(least, _)| order < least) {
                        longest = Some((order, life.id));
                    }
                }
            }
            if served < max {
                return true;
            }
            match longest {
                // If it has just got a request, it stays: look for another one.
                Some((_, id)) if self.end(CloseReason::Evicted, Some(id), makes_room) == 0 => {}
                Some(_) => return true,
                None => return false,
            }
        }
    }
}

/// How many connections there may be, each with its thread, those included that are being refused or slow to go.
fn most_threads(max_connections: usize) -> usize {
    max_connections.saturating_mul(2).saturating_add(MAX_REFUSALS)
}

/// Proof that a connection is in the map. Its drop is the only way out.
pub(crate) struct Registration {
    pub(crate) handle: Handle,
    pub(crate) life: Arc<Life>,
    /// Why it ended, once its thread has told `Opened` and dropped its stream: then dropping this ends the connection.
    pub(crate) why: Option<CloseReason>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let thread = current_thread_id();
        let id = self.life.id;
        let registry = &self.handle.registry;
        let mut inner = registry.lock();
        let stream = inner.streams.remove(&id.0);
        if let Some(stream) = &stream {
            shut_down(stream, Shutdown::Both); // closing is not enough if someone has a clone
        }
        let reason = self.life.end_reason().or(self.why);
        self.life.end_if(CloseReason::Completed, |_| true); // whoever kept its token learns of it
        let mut closed = None;
        if self.why.is_some() {
            closed = reason.map(|reason| self.life.closed(reason));
        }
        if thread::panicking() {
            // Of an upgraded connection, on a thread of the user's: a hook that panicked now would end the process.
            inner.reports.extend(closed.take());
            registry.news.notify_all();
        } else if closed.is_some() {
            // Whoever has an upgraded connection must not wait for the server in the hook, either.
            inner.add_own_thread(id, thread);
        }
        if registry.place_seekers.load(SeqCst) > 0 {
            registry.place_freed.notify_all();
        }
        drop(inner);
        drop(stream); // may block
        if let Some(event) = closed {
            registry.config.tell(|| event);
        }
        let mut inner = registry.lock();
        if let Ok(at) = inner.lives.binary_search_by_key(&id, |life| life.id) {
            inner.lives.remove(at); // ids grow, so they stand in order
        }
        inner.own_threads.retain(|(each, _)| *each != id);
        if registry.place_seekers.load(SeqCst) > 0 {
            registry.place_freed.notify_all();
        }
        let ends_a_wait = inner.is_stopped() && (inner.lives.is_empty() || !inner.queue.is_empty());
        if ends_a_wait || inner.is_crowded {
            registry.news.notify_all();
        }
    }
}

/// This thread's id. Old compilers panic where it is asked for in the destructor of a thread-local, once what the
/// library needs of the thread is gone: then nobody can find out that it is one of the server's.
pub(crate) fn current_thread_id() -> Option<ThreadId> {
    catch_unwind(|| thread::current().id()).ok()
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
