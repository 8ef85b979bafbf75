//! Every live connection, and the one lock that decides who lives.
//!
//! 1. Accepting and registering happen under one lock, so no socket is open but unknown.
//! 2. The listener lives inside `Stage::Accepting`; leaving that stage closes the port. The stage is the
//!    stop flag: it moves under the lock only, and only forward.
//! 3. Only dropping a `Registration` takes a connection out, and it closes the socket while it holds the
//!    lock. So a stop finds every socket that is open, and an empty map means nobody is left.
//! 4. A stop first moves the stage, then cuts or tells each connection. A connection first changes its own
//!    state, then looks at the stage. So one of the two sees the other.
//! 5. Nothing of the user's is called under the lock: what is to be told is queued in `reports`.

use super::event::{CloseReason, ConnectionInfo, ConnectionState, Event};
use super::handle::{ConnectionId, Outcome, Phase};
use super::life::{waits, Life};
use super::server::Config;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long a connection that has not spoken may still begin after a drain: its request may be on its way.
const SILENT_GRACE: Duration = Duration::from_secs(1);

/// How many clients at a time are told with a 503 that no place is free.
const MAX_REFUSALS: usize = 8;

/// How many clients a drain takes out of the backlog at most: as many as systems queue by default.
const MAX_BACKLOG: usize = 4096;

#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) config: Config,
    pub(crate) local_addr: SocketAddr,
    /// Copies of the stage, written under the lock, for those who must not take it.
    stopped: AtomicBool,
    destroyed: AtomicBool,
    inner: Mutex<Inner>,
    /// Rung when there is something to do for the accept loop.
    bell: Condvar,
    /// Rung when those who wait for the end should look again.
    news: Condvar,
}

#[derive(Debug)]
struct Inner {
    stage: Stage,
    streams: HashMap<u64, TcpStream>,
    /// What is known beside the streams. A life goes when its `Closed` hook has returned.
    lives: HashMap<u64, Arc<Life>>,
    /// Accepted and registered, but without a thread; so many threads are on their way to it.
    queue: VecDeque<(Arc<Life>, TcpStream)>,
    starting: usize,
    reports: VecDeque<Event>,
    last_id: u64,
    /// How many connections a destroy has cut.
    cut: usize,
    /// When a `shutdown` ends in a destroy, and when a drain ends those that have not spoken.
    deadline: Option<Instant>,
    silence_ends: Option<Instant>,
    /// Whether somebody has the handler, and the thread of its accept loop.
    serving: bool,
    acceptor: Option<ThreadId>,
}

#[derive(Debug)]
enum Stage {
    Accepting(TcpListener),
    Draining,
    Destroyed,
}

/// What the accept loop has to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Start a thread, which calls [`Registry::take_job`].
    Start,
    /// Join the threads that have ended.
    Reap,
    /// The server has stopped and every connection is gone.
    End,
}

/// How long the accept loop sleeps when nobody waits to be accepted, and after an error.
pub(crate) const SHORTEST_NAP: Duration = Duration::from_micros(500);
const LONGEST_NAP: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

impl Registry {
    /// Takes the listener over. It must be nonblocking already.
    pub(crate) fn new(listener: TcpListener, addr: SocketAddr, config: Config) -> Registry {
        let inner = Inner {
            stage: Stage::Accepting(listener),
            streams: HashMap::new(),
            lives: HashMap::new(),
            queue: VecDeque::new(),
            starting: 0,
            reports: VecDeque::new(),
            last_id: 0,
            cut: 0,
            deadline: None,
            silence_ends: None,
            serving: false,
            acceptor: None,
        };
        Registry {
            config,
            local_addr: addr,
            stopped: AtomicBool::new(false),
            destroyed: AtomicBool::new(false),
            inner: Mutex::new(inner),
            bell: Condvar::new(),
            news: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics while it holds the lock, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.bell.notify_all();
        self.news.notify_all();
    }

    pub(crate) fn phase(&self) -> Phase {
        match (
            self.destroyed.load(Ordering::SeqCst),
            self.stopped.load(Ordering::SeqCst),
        ) {
            (true, _) => Phase::Destroyed,
            (false, true) => Phase::Draining,
            (false, false) => Phase::Accepting,
        }
    }

    pub(crate) fn destroy(self: &Arc<Registry>) -> usize {
        let mut inner = self.lock();
        if matches!(inner.stage, Stage::Destroyed) {
            return 0;
        }
        self.destroyed.store(true, Ordering::SeqCst); // from here on no handler's call is decided
        self.stopped.store(true, Ordering::SeqCst);
        inner.stage = Stage::Destroyed; // drops the listener
        inner.cut = inner.cut_all(CloseReason::Destroyed, |_| true);
        let (cut, queue) = (inner.cut, std::mem::take(&mut inner.queue));
        drop(inner);
        self.ring();
        for (life, stream) in queue {
            drop((stream, self.registration(life))); // no thread will come for it
        }
        cut
    }

    /// Takes no new connection and tells the present ones. Of several deadlines the tightest counts.
    pub(crate) fn drain(&self, deadline: Option<Instant>) {
        let mut inner = self.lock();
        if matches!(inner.stage, Stage::Accepting(_)) {
            for _ in 0..MAX_BACKLOG {
                match self.accept(&mut inner) {
                    Err(error) if is_passing(&error) => {}
                    Err(_) => break, // above all, that nobody waits
                    Ok(()) => {}
                }
            }
            self.stopped.store(true, Ordering::SeqCst);
            inner.stage = Stage::Draining; // drops the listener
            inner.silence_ends = Instant::now().checked_add(SILENT_GRACE);
            inner.end_reading(ConnectionState::Idle);
        }
        inner.deadline = earliest(inner.deadline, deadline);
        drop(inner);
        self.ring();
    }

    pub(crate) fn shutdown(self: &Arc<Registry>, grace: Duration) -> Outcome {
        self.drain(Instant::now().checked_add(grace)); // `None`: later than the clock goes
        let mut inner = self.lock();
        if inner.is_own_thread() {
            return Outcome::Pending; // the accept loop keeps the clock
        }
        while !inner.has_ended() && !matches!(inner.stage, Stage::Destroyed) {
            let left = left(inner.deadline);
            if left == Some(Duration::ZERO) {
                drop(inner);
                self.destroy();
                inner = self.lock();
            } else {
                inner = wait(&self.news, inner, left);
            }
        }
        match inner.cut {
            0 => Outcome::Drained,
            cut => Outcome::Destroyed { cut },
        }
    }

    pub(crate) fn close_idle(&self) -> usize {
        self.lock().cut_all(CloseReason::IdleClosed, waits)
    }

    pub(crate) fn close(&self, id: ConnectionId) -> bool {
        self.lock()
            .cut(u64::from(id), CloseReason::HandleClosed, |_| true)
    }

    /// Waits until nobody is left; `false` at the deadline, and at once on a thread of the server.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut inner = self.lock();
        if inner.is_own_thread() {
            return false;
        }
        while !inner.has_ended() && left(deadline) != Some(Duration::ZERO) {
            inner = wait(&self.news, inner, left(deadline));
        }
        inner.has_ended()
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        self.lock().is_own_thread()
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let inner = self.lock();
        let open = inner.streams.keys().filter_map(|id| inner.lives.get(id));
        let mut list: Vec<ConnectionInfo> = open.filter_map(|life| life.info()).collect();
        drop(inner);
        list.sort_unstable_by_key(|info| info.id);
        list
    }

    /// Notes that somebody has a handler. Dropping the result notes that it has been let go of.
    pub(crate) fn begin_service(self: &Arc<Registry>) -> Service {
        self.lock().serving = true;
        Service {
            registry: Arc::clone(self),
        }
    }

    /// Accepts, naps, keeps the clock, and says what is to be done. `threads`: started and not joined.
    pub(crate) fn next_step(self: &Arc<Registry>, nap: &mut Duration, threads: usize) -> Step {
        let mut inner = self.lock();
        loop {
            if let Some(event) = inner.reports.pop_front() {
                drop(inner);
                self.config.tell(|| event);
                inner = self.lock();
                continue;
            }
            if inner.queue.len() > inner.starting {
                inner.starting = inner.starting.saturating_add(1);
                return Step::Start;
            }
            let mut pause = None;
            if matches!(inner.stage, Stage::Accepting(_)) {
                match self.accept(&mut inner) {
                    Ok(()) => {
                        *nap = SHORTEST_NAP;
                        continue;
                    }
                    Err(error) if is_passing(&error) => continue,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        pause = Some(*nap);
                        *nap = nap.saturating_mul(2).min(LONGEST_NAP);
                    }
                    Err(error) => {
                        *nap = nap.saturating_mul(2).clamp(LONGEST_NAP, LONGEST_BACKOFF);
                        pause = Some(*nap);
                        drop(inner);
                        self.config.tell(|| Event::AcceptFailed { error });
                        inner = self.lock();
                        if !matches!(inner.stage, Stage::Accepting(_)) {
                            continue; // the bell has rung meanwhile
                        }
                    }
                }
            } else if inner.lives.is_empty() {
                return Step::End;
            } else if matches!(inner.stage, Stage::Draining) {
                if left(inner.silence_ends) == Some(Duration::ZERO) {
                    inner.silence_ends = None;
                    inner.end_reading(ConnectionState::New);
                }
                pause = left(earliest(inner.deadline, inner.silence_ends));
                if pause == Some(Duration::ZERO) {
                    drop(inner);
                    self.destroy();
                    inner = self.lock();
                    continue;
                }
            }
            inner = wait(&self.bell, inner, pause);
            if threads > inner.lives.len() {
                return Step::Reap;
            }
        }
    }

    /// The connection for a thread that was started for one; `None` if a stop came first.
    pub(crate) fn take_job(self: &Arc<Registry>) -> Option<(Registration, TcpStream)> {
        let mut inner = self.lock();
        inner.starting = inner.starting.saturating_sub(1);
        let (life, stream) = inner.queue.pop_front()?;
        drop(inner);
        life.set_thread(thread::current().id());
        Some((self.registration(life), stream))
    }

    fn registration(self: &Arc<Registry>, life: Arc<Life>) -> Registration {
        Registration {
            registry: Arc::clone(self),
            life,
            reason: None,
        }
    }

    /// Takes one client out of the backlog, into the map and the queue.
    fn accept(&self, inner: &mut Inner) -> io::Result<()> {
        let (stream, peer) = match &inner.stage {
            Stage::Accepting(listener) => listener.accept()?,
            Stage::Draining | Stage::Destroyed => return Err(ErrorKind::WouldBlock.into()),
        };
        let refused = !inner.make_room(self.config.max_connections);
        if refused && inner.lives.values().filter(|life| life.refused).count() >= MAX_REFUSALS {
            inner.reports.push_back(Event::TurnedAway { peer });
            return Ok(());
        }
        let clone = stream.try_clone()?; // without descriptors the client is dropped, and told of
        inner.last_id = inner.last_id.saturating_add(1);
        let id = inner.last_id;
        let life = Arc::new(Life::new(ConnectionId::new(id), peer, refused));
        inner.streams.insert(id, clone);
        inner.lives.insert(id, Arc::clone(&life));
        inner.queue.push_back((life, stream));
        Ok(())
    }
}

impl Inner {
    /// Whether the stop is complete: no connection, and the handler has been let go of.
    fn has_ended(&self) -> bool {
        !matches!(self.stage, Stage::Accepting(_)) && self.lives.is_empty() && !self.serving
    }

    fn is_own_thread(&self) -> bool {
        let me = thread::current().id();
        self.acceptor == Some(me) || self.lives.values().any(|life| life.is_on_thread(me))
    }

    /// Cuts one connection if its state is such a one; `false` if not, or somebody else has.
    fn cut(&self, id: u64, reason: CloseReason, state: fn(ConnectionState) -> bool) -> bool {
        match (self.streams.get(&id), self.lives.get(&id)) {
            (Some(stream), Some(life)) if life.cut_if(reason, state) => {
                shut_down(stream, Shutdown::Both);
                true
            }
            _ => false,
        }
    }

    fn cut_all(&self, reason: CloseReason, state: fn(ConnectionState) -> bool) -> usize {
        self.streams
            .keys()
            .filter(|id| self.cut(**id, reason, state))
            .count()
    }

    /// Ends the reading side of those in that state. On Linux, what the kernel has queued already is still
    /// read first, so that a request which had arrived is served.
    fn end_reading(&self, state: ConnectionState) {
        for (id, stream) in &self.streams {
            if self.lives.get(id).map_or(false, |life| life.drain(state)) {
                shut_down(stream, Shutdown::Read);
            }
        }
    }

    /// Whether one more connection may be served, if need be in place of the one that has waited longest.
    fn make_room(&self, max: usize) -> bool {
        let lives = || {
            self.lives
                .values()
                .filter(|life| !life.refused && !life.is_cut())
        };
        if self.streams.len() < max || lives().count() < max {
            return true;
        }
        loop {
            let waiting = lives().filter_map(|life| Some((life.waiting_since()?, life.id)));
            match waiting.min() {
                Some((_, id)) if self.cut(u64::from(id), CloseReason::Evicted, waits) => {
                    return true
                }
                Some(_) => {} // it has just begun a request: look for another one
                None => return false,
            }
        }
    }
}

/// Proof that a connection is in the map; its drop is the only way out.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) registry: Arc<Registry>,
    pub(crate) life: Arc<Life>,
    /// Why it ended, once its thread has told `Opened`.
    reason: Option<CloseReason>,
}

impl Registration {
    /// Takes the connection out. Its stream has been dropped before, so that this closes the socket.
    pub(crate) fn end(mut self, reason: CloseReason) {
        self.reason = Some(reason);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let id = u64::from(self.life.id);
        let mut inner = self.registry.lock();
        if let Some(stream) = inner.streams.remove(&id) {
            shut_down(&stream, Shutdown::Both); // closing is not enough if someone has a clone
        }
        if let Some(reason) = self.reason {
            drop(inner);
            let reason = self.life.end_reason().unwrap_or(reason);
            self.registry.config.tell(|| Event::Closed {
                id: self.life.id,
                reason,
            });
            inner = self.registry.lock();
        }
        inner.lives.remove(&id);
        let last = inner.lives.is_empty() && !matches!(inner.stage, Stage::Accepting(_));
        drop(inner);
        if last {
            self.registry.ring();
        }
    }
}

/// Proof that somebody has the handler.
#[derive(Debug)]
pub(crate) struct Service {
    registry: Arc<Registry>,
}

impl Service {
    /// Notes that this thread runs the accept loop.
    pub(crate) fn on_this_thread(&self) -> &Arc<Registry> {
        self.registry.lock().acceptor = Some(thread::current().id());
        &self.registry
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.serving = false;
        inner.acceptor = None;
        drop(inner);
        self.registry.ring();
    }
}

/// Errors of one client, which say nothing about the next one.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        Interrupted | ConnectionAborted | ConnectionReset
    )
}

fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = stream.shutdown(how); // the peer may be gone already, which is as good
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// How long it is until then; `None` is never.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}

fn wait<'a>(
    bell: &Condvar,
    inner: MutexGuard<'a, Inner>,
    time: Option<Duration>,
) -> MutexGuard<'a, Inner> {
    let woken = bell.wait_timeout(inner, time.unwrap_or(Duration::MAX));
    woken.unwrap_or_else(PoisonError::into_inner).0
}
