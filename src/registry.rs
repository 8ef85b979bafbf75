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

use super::life::{waits, Life};
use super::{Builder, CloseReason, ConnectionId, ConnectionState, Event, Handle};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How many clients at a time are told with a 503 that no place is free.
const MAX_REFUSALS: usize = 8;

/// How many threads may have ended and not been joined while clients come without a pause.
const MAX_ENDED: usize = 64;

pub(crate) struct Registry {
    pub(crate) config: Builder,
    pub(crate) local_addr: SocketAddr,
    /// Copies of the stage, written under the lock, for those who must not take it.
    pub(crate) stopped: AtomicBool,
    pub(crate) destroyed: AtomicBool,
    inner: Mutex<Inner>,
    /// Rung when there is something to do for the accept loop.
    bell: Condvar,
    /// Rung when those who wait for the end should look again.
    news: Condvar,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) stage: Stage,
    pub(crate) streams: HashMap<u64, TcpStream>,
    /// What is known beside the streams, by id. An entry goes when its `Closed` hook has returned.
    pub(crate) lives: Vec<Entry>,
    /// Accepted and registered, but without a thread; so many threads are on their way to it.
    pub(crate) queue: VecDeque<(Arc<Life>, TcpStream)>,
    starting: usize,
    pub(crate) reports: VecDeque<Event>,
    last_id: u64,
    /// How many connections a destroy has cut, if it found any.
    pub(crate) cut: Option<usize>,
    /// When a `shutdown` ends in a destroy, and when a drain ends those that have not spoken.
    pub(crate) deadline: Option<Instant>,
    pub(crate) silence_ends: Option<Instant>,
    /// Whether somebody has the handler, and the thread of its accept loop.
    pub(crate) serving: bool,
    pub(crate) acceptor: Option<ThreadId>,
}

pub(crate) struct Entry {
    id: u64,
    pub(crate) life: Arc<Life>,
    thread: Option<ThreadId>,
}

#[derive(Default)]
pub(crate) enum Stage {
    Accepting(TcpListener),
    Draining,
    #[default]
    Destroyed,
}

/// What the accept loop has to do next.
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
    pub(crate) fn new(listener: TcpListener, addr: SocketAddr, config: Builder) -> Registry {
        Registry {
            config,
            local_addr: addr,
            stopped: AtomicBool::new(false),
            destroyed: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                stage: Stage::Accepting(listener),
                ..Inner::default()
            }),
            bell: Condvar::new(),
            news: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics while it holds the lock, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news, at most for that time.
    pub(crate) fn wait<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        time: Duration,
    ) -> MutexGuard<'a, Inner> {
        let woken = self.news.wait_timeout(inner, time);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets the accept loop and all who wait look again.
    pub(crate) fn ring(&self) {
        self.bell.notify_all();
        self.news.notify_all();
    }

    /// Notes that somebody has a handler, and the thread of its accept loop once there is one.
    pub(crate) fn begin_service(&self, acceptor: Option<ThreadId>) {
        let mut inner = self.lock();
        inner.serving = true;
        inner.acceptor = acceptor;
    }

    /// Notes that the handler has been let go of.
    pub(crate) fn end_service(&self) {
        let mut inner = self.lock();
        inner.serving = false;
        inner.acceptor = None;
        drop(inner);
        self.ring();
    }

    /// Accepts one client if one waits; or says how long to wait, which a stop interrupts.
    fn poll(&self, inner: &mut Inner, nap: &mut Duration) -> Option<Duration> {
        let error = match self.accept(inner) {
            Ok(()) => {
                *nap = SHORTEST_NAP;
                return None;
            }
            Err(error) if is_passing(&error) => return None,
            Err(error) => error,
        };
        if inner.is_stopped() {
            return Some(left(earliest(inner.deadline, inner.silence_ends)));
        }
        let pause = *nap;
        *nap = nap.saturating_mul(2).min(LONGEST_NAP.max(pause));
        if error.kind() != ErrorKind::WouldBlock {
            inner.reports.push_back(Event::AcceptFailed { error }); // told after the pause
            *nap = pause.saturating_mul(2).clamp(LONGEST_NAP, LONGEST_BACKOFF);
        }
        Some(pause)
    }

    /// The connection for a thread that was started for one; `None` if a stop came first.
    pub(crate) fn take_job(&self) -> Option<(Arc<Life>, TcpStream)> {
        let mut inner = self.lock();
        inner.starting = inner.starting.saturating_sub(1);
        let (life, stream) = inner.queue.pop_front()?;
        let at = inner.find(life.id.0)?;
        inner.lives.get_mut(at)?.thread = Some(thread::current().id());
        Some((life, stream))
    }

    /// Takes one client out of the backlog, into the map and the queue.
    pub(crate) fn accept(&self, inner: &mut Inner) -> io::Result<()> {
        let (stream, peer) = match &inner.stage {
            Stage::Accepting(listener) => listener.accept()?,
            Stage::Draining | Stage::Destroyed => return Err(ErrorKind::WouldBlock.into()),
        };
        let refused = !inner.make_room(self.config.max_connections);
        if refused && inner.lives.iter().filter(|e| e.life.refused).count() >= MAX_REFUSALS {
            inner.reports.push_back(Event::TurnedAway { peer });
            return Ok(());
        }
        let clone = stream.try_clone()?; // without descriptors the client is dropped, and told of
        inner.last_id = inner.last_id.saturating_add(1);
        let id = inner.last_id;
        let life = Arc::new(Life::new(ConnectionId(id), peer, refused));
        inner.streams.insert(id, clone);
        let (thread, entry_life) = (None, Arc::clone(&life));
        inner.lives.push(Entry {
            id,
            life: entry_life,
            thread,
        });
        inner.queue.push_back((life, stream));
        Ok(())
    }
}

impl Handle {
    /// Accepts, naps, keeps the clock, and says what the accept loop has to do. `threads`: started and not joined.
    pub(crate) fn next_step(&self, nap: &mut Duration, threads: usize) -> Step {
        let registry = &self.registry;
        let mut inner = registry.lock();
        loop {
            if threads > inner.lives.len().saturating_add(MAX_ENDED) {
                return Step::Reap;
            } else if let Some(event) = inner.reports.pop_front() {
                drop(inner);
                registry.config.tell(|| event);
                inner = registry.lock();
            } else if inner.queue.len() > inner.starting {
                inner.starting = inner.starting.saturating_add(1);
                return Step::Start;
            } else if inner.is_stopped() && inner.lives.is_empty() {
                return Step::End;
            } else if is_over(inner.deadline) {
                drop(inner);
                self.destroy();
                inner = registry.lock();
            } else if is_over(inner.silence_ends) {
                inner.silence_ends = None;
                inner.end_reading(ConnectionState::New);
            } else if let Some(pause) = registry.poll(&mut inner, nap) {
                let woken = registry.bell.wait_timeout(inner, pause);
                inner = woken.unwrap_or_else(PoisonError::into_inner).0;
                if threads > inner.lives.len() {
                    return Step::Reap;
                }
            }
        }
    }
}

impl Inner {
    pub(crate) fn is_stopped(&self) -> bool {
        !matches!(self.stage, Stage::Accepting(_))
    }

    /// Whether the stop is complete: no connection, and the handler has been let go of.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_stopped() && self.lives.is_empty() && !self.serving
    }

    pub(crate) fn is_own_thread(&self) -> bool {
        let me = thread::current().id();
        self.acceptor == Some(me) || self.lives.iter().any(|entry| entry.thread == Some(me))
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.lives.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    /// Cuts one connection if its state is such a one; `false` if not, or somebody else has.
    fn cut(&self, life: &Life, reason: CloseReason, state: fn(ConnectionState) -> bool) -> bool {
        match self.streams.get(&life.id.0) {
            Some(stream) if life.cut_if(reason, state) => {
                shut_down(stream, Shutdown::Both);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn cut_all(&self, reason: CloseReason, state: fn(ConnectionState) -> bool) -> usize {
        self.lives
            .iter()
            .filter(|entry| self.cut(&entry.life, reason, state))
            .count()
    }

    pub(crate) fn cut_one(&self, id: ConnectionId, reason: CloseReason) -> bool {
        let entry = self.find(id.0).and_then(|at| self.lives.get(at));
        entry.map_or(false, |entry| self.cut(&entry.life, reason, |_| true))
    }

    /// Ends the reading side of those in that state. On Linux, what the kernel has queued already is still read first,
    /// so that a request which had arrived is served.
    pub(crate) fn end_reading(&self, state: ConnectionState) {
        for entry in &self.lives {
            match self.streams.get(&entry.id) {
                Some(stream) if entry.life.drain(state) => shut_down(stream, Shutdown::Read),
                _ => {}
            }
        }
    }

    /// Whether one more connection may be served, if need be in place of the one that has waited longest.
    fn make_room(&self, max: usize) -> bool {
        let counts = |life: &&Life| !life.refused && !life.is_cut();
        let lives = || self.lives.iter().map(|entry| &*entry.life).filter(counts);
        if self.streams.len() < max || lives().count() < max {
            return true;
        }
        let waiting = || lives().filter_map(|life| Some((life.waiting_since()?, life)));
        while let Some((_, life)) = waiting().min_by_key(|(since, _)| *since) {
            if self.cut(life, CloseReason::Evicted, waits) {
                return true;
            } // it has just begun a request: look for another one
        }
        false
    }
}

/// Proof that a connection is in the map; its drop is the only way out.
pub(crate) struct Registration {
    pub(crate) handle: Handle,
    pub(crate) life: Arc<Life>,
    /// Why it ended, once its thread has told `Opened`. Its stream has been dropped then, so that dropping this closes
    /// the socket.
    pub(crate) reason: Option<CloseReason>,
}

impl Registration {
    pub(crate) fn new(server: &Handle, life: Arc<Life>) -> Registration {
        let handle = server.clone();
        Registration {
            handle,
            life,
            reason: None,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (id, registry) = (self.life.id, &self.handle.registry);
        let mut inner = registry.lock();
        if let Some(stream) = inner.streams.remove(&id.0) {
            shut_down(&stream, Shutdown::Both); // closing is not enough if someone has a clone
        }
        if let Some(reason) = self.reason {
            drop(inner);
            let reason = self.life.end_reason().unwrap_or(reason);
            registry.config.tell(|| Event::Closed { id, reason });
            inner = registry.lock();
        }
        if let Some(at) = inner.find(id.0) {
            inner.lives.remove(at);
        }
        let last = inner.lives.is_empty() && inner.is_stopped();
        drop(inner);
        if last {
            registry.ring();
        }
    }
}

/// Errors of one client, which say nothing about the next one.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    let kind = error.kind();
    matches!(kind, Interrupted | ConnectionAborted | ConnectionReset)
}

fn shut_down(stream: &TcpStream, how: Shutdown) {
    let _ = stream.shutdown(how); // the peer may be gone already, which is as good
}

pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// How long it is until then; for ever, if there is no such moment.
pub(crate) fn left(deadline: Option<Instant>) -> Duration {
    let left = |at: Instant| at.saturating_duration_since(Instant::now());
    deadline.map_or(Duration::MAX, left)
}

pub(crate) fn is_over(deadline: Option<Instant>) -> bool {
    left(deadline) == Duration::ZERO
}
