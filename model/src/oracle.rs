//! What must hold, whatever the schedule: the witness notes what a server does and fails if it breaks
//! a promise.
//!
//! - Every `Opened` has exactly one `Closed`, and nothing about a connection follows that.
//! - No handler is called after a destroy has returned. Neither it nor the hook is called under a lock, or dropped under
//!   one.
//! - After a destroy, nobody can connect, the port can be bound, and no connection carries bytes.
//! - After `wait` and `join`, there is no connection, no thread, and no descriptor, and the handler and the hook have
//!   been dropped.
//! - What was reported as `Responded` has arrived whole, unless the connection was destroyed or lost, or
//!   reports that a call has failed.

use crate::library::hardstop::{
    Builder, CloseReason, Event, Handle, Phase, Request, Response, Running, Server,
};
use crate::mock::kernel::{check_no_lock, fail, log, quietly, switch, with};
use crate::mock::net::{TcpListener, TcpStream};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has been seen of one server.
#[derive(Default)]
pub struct Witness {
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub struct Seen {
    pub opened: BTreeMap<u64, Option<SocketAddr>>,
    pub closed: BTreeMap<u64, CloseReason>,
    /// How many responses were reported on each connection.
    responded: BTreeMap<u64, usize>,
    /// How many whole responses each client got that read to the end.
    received: BTreeMap<SocketAddr, usize>,
    /// How many handlers have been called.
    pub calls: usize,
    /// The events of each other kind, by name.
    pub others: BTreeMap<&'static str, usize>,
    is_destroyed: bool,
    is_handler_dropped: bool,
    is_hook_dropped: bool,
}

impl Witness {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The witness as the event hook has it.
    pub fn hook(self: &Arc<Witness>) -> Noting {
        Noting(Arc::clone(self))
    }

    fn note(&self, event: &Event) {
        check_no_lock("the hook");
        switch(); // a hook takes its time
        log(|| format!("{event:?}"));
        let mut seen = self.seen();
        let (id, other) = match event {
            Event::Opened { id, peer, .. } => {
                if seen.opened.insert((*id).into(), *peer).is_some() {
                    fail("a connection was opened twice");
                }
                (*id, "Opened")
            }
            Event::Closed { id, reason, .. } => {
                let id = (*id).into();
                if !seen.opened.contains_key(&id) {
                    fail("Closed without Opened");
                }
                if seen.closed.insert(id, *reason).is_some() {
                    fail("a connection was closed twice");
                }
                return;
            }
            Event::Responded { id, .. } => {
                *seen.responded.entry((*id).into()).or_default() += 1;
                (*id, "Responded")
            }
            Event::Request { id, .. } => (*id, "Request"),
            Event::Upgraded { id, .. } => (*id, "Upgraded"),
            Event::TransportFailed { id, .. } => (*id, "TransportFailed"),
            Event::RequestFailed { id, .. } => (*id, "RequestFailed"),
            Event::HandlerPanicked { id, .. } => (*id, "HandlerPanicked"),
            Event::AcceptFailed { .. } => return seen.count("AcceptFailed"),
            Event::SpawnFailed { .. } => return seen.count("SpawnFailed"),
            Event::Rejected { .. } => return seen.count("Rejected"),
            Event::HookPanicked { .. } => return seen.count("HookPanicked"),
        };
        if seen.closed.contains_key(&id.into()) {
            fail("an event follows a connection's Closed");
        }
        seen.count(other);
    }

    /// Notes that a handler has been called. The first thing that it does.
    pub fn note_call(&self) {
        check_no_lock("a handler");
        let mut seen = self.seen();
        seen.calls += 1;
        log(|| String::from("a handler is called"));
        if seen.is_destroyed {
            fail("a handler was called after a destroy had returned");
        }
    }

    /// Notes how many whole responses a client got, which has read to the end.
    pub fn note_received(&self, client: SocketAddr, whole: usize) {
        self.seen().received.insert(client, whole);
    }

    /// How many events of that kind there were.
    pub fn count(&self, event: &str) -> usize {
        self.seen().others.get(event).copied().unwrap_or(0)
    }

    /// The reasons of all ends, in the order of the connections.
    pub fn reasons(&self) -> Vec<CloseReason> {
        self.seen().closed.values().copied().collect()
    }

    pub fn check_handler_is_dropped(&self) {
        if !self.seen().is_handler_dropped {
            fail("the server has ended, and the handler has not been dropped");
        }
    }

    pub fn check_hook_is_dropped(&self) {
        if !self.seen().is_hook_dropped {
            fail("the server has ended, and the hook has not been dropped");
        }
    }

    fn check_closed(&self) {
        let seen = self.seen();
        if !seen.opened.keys().eq(seen.closed.keys()) {
            fail(&format!(
                "opened {:?}, but closed {:?}",
                seen.opened.keys(),
                seen.closed.keys()
            ));
        }
    }

    /// Checks that what was reported as sent has arrived, once all clients have ended.
    fn check_responses(&self) {
        let seen = self.seen();
        for (id, reported) in &seen.responded {
            let Some(Some(client)) = seen.opened.get(id) else {
                continue;
            };
            // A client that was late for a drain may be late for its response as well.
            let is_late = is_early() && seen.closed.get(id) == Some(&CloseReason::Drained);
            // The reason says that a call has failed, or names the refusal that was lost by that.
            let was_hit = with(|world| world.faults.have_hit(*client))
                && seen.closed.get(id) != Some(&CloseReason::Completed);
            let may_lose = is_late
                || was_hit
                || matches!(
                    seen.closed.get(id),
                    Some(
                        CloseReason::Destroyed
                            | CloseReason::ClosedByHandle
                            | CloseReason::PeerLost
                            | CloseReason::WriteTimeout
                    )
                );
            let received = seen.received.get(client).copied();
            if !may_lose && received.is_some_and(|received| received < *reported) {
                fail(&format!(
                    "connection {id} reported {reported} responses, of which {received:?} came; \
                     it ended with {:?}",
                    seen.closed.get(id)
                ));
            }
        }
    }
}

impl Seen {
    fn count(&mut self, event: &'static str) {
        *self.others.entry(event).or_default() += 1;
    }
}

/// Dropped with the handler.
struct Watched(Arc<Witness>);

impl Drop for Watched {
    fn drop(&mut self) {
        check_no_lock("the drop of the handler");
        switch();
        self.0.seen().is_handler_dropped = true;
    }
}

/// What the event hook owns.
pub struct Noting(Arc<Witness>);

impl Noting {
    /// Notes an event.
    pub fn note(&self, event: &Event) {
        if self.0.seen().is_hook_dropped {
            fail("an event follows the drop of the hook");
        }
        self.0.note(event);
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        check_no_lock("the drop of the hook");
        switch();
        self.0.seen().is_hook_dropped = true;
    }
}

/// A server in a scene, and its witness.
#[derive(Clone)]
pub struct Subject {
    pub witness: Arc<Witness>,
    pub handle: Handle,
    pub addr: SocketAddr,
}

impl Subject {
    /// Binds a server with a witness, not yet serving.
    pub fn bind(configure: impl FnOnce(Builder) -> Builder) -> (Subject, Server) {
        let witness = Arc::<Witness>::default();
        let noted = witness.hook();
        let builder = Server::builder().on_event(move |event| noted.note(event));
        let server = configure(builder).bind("127.0.0.1:0");
        Subject::of(witness, server.unwrap())
    }

    pub fn of(witness: Arc<Witness>, server: Server) -> (Subject, Server) {
        let subject = Subject {
            witness,
            handle: server.handle(),
            addr: server.local_addr(),
        };
        (subject, server)
    }

    /// Binds a server and has it serve on threads of its own.
    pub fn spawn<R: Into<Response>>(
        configure: impl FnOnce(Builder) -> Builder,
        handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
    ) -> (Subject, Running) {
        let (subject, server) = Subject::bind(configure);
        let running = server.spawn(subject.noting(handler)).unwrap();
        (subject, running)
    }

    /// The handler, with the witness called first.
    pub fn noting<R: Into<Response>>(
        &self,
        handler: impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
    ) -> impl Fn(&mut Request<'_>) -> R + Send + Sync + 'static {
        let watched = Watched(Arc::clone(&self.witness));
        move |request: &mut Request<'_>| {
            watched.0.note_call();
            handler(request)
        }
    }

    /// Destroys the server and checks what must hold when that returns.
    pub fn destroy(&self) -> usize {
        let cut = self.handle.destroy();
        self.check_destroyed();
        cut
    }

    /// Checks what holds from the moment on at which a destroy has returned.
    pub fn check_destroyed(&self) {
        self.witness.seen().is_destroyed = true;
        quietly(|| {
            if self.handle.phase() != Phase::Destroyed {
                fail("destroyed, but the phase is another one");
            }
        });
        self.check_port_is_closed();
        let alive = with(|world| world.net.alive(self.addr));
        if alive > 0 {
            fail(&format!("{alive} connections are alive after a destroy"));
        }
    }

    /// Checks that nobody can connect and that the port is free.
    pub fn check_port_is_closed(&self) {
        quietly(|| {
            if TcpStream::connect(self.addr).is_ok() {
                fail("a client could connect after a stop");
            }
            if TcpListener::bind(self.addr).is_err() {
                fail("the port could not be bound after a stop");
            }
        });
    }

    /// Waits for the end of a stopped server, and checks what must hold then.
    pub fn finish(&self, running: &Running) {
        if !self.handle.wait() {
            fail("wait returned false");
        }
        self.witness.check_handler_is_dropped();
        self.witness.check_closed();
        if !running.join() {
            fail("join returned false");
        }
        self.check_ended();
    }

    /// Destroys the server, waits for its end, and checks that nothing of any server is left.
    pub fn destroy_and_finish(&self, running: &Running) {
        self.destroy();
        self.finish(running);
        check_nothing_left();
    }

    /// The same, which takes no time.
    pub fn destroy_at_once(&self, running: &Running) {
        let watch = Stopwatch::start();
        self.destroy();
        self.finish(running);
        watch.check(Duration::ZERO);
        check_nothing_left();
    }

    /// Checks that nothing is left of the server.
    pub fn check_ended(&self) {
        self.witness.check_closed();
        self.witness.check_hook_is_dropped();
        with(|world| {
            if world.net.descriptors_at(self.addr) > 0 {
                fail("a descriptor is left");
            }
        });
        if !self.handle.connections().is_empty() {
            fail("a connection is left");
        }
    }

    /// Checks what the clients got. They have all ended.
    pub fn check_responses(&self) {
        self.witness.check_responses();
    }
}

/// Checks that no thread and no descriptor of any server is left.
pub fn check_nothing_left() {
    with(|world| {
        let threads = &world.threads;
        if threads.running > 0 || threads.unjoined > 0 {
            fail(&format!(
                "{} threads are left, {} not joined",
                threads.running, threads.unjoined
            ));
        }
        if world.net.descriptors > 0 {
            fail(&format!("{} descriptors are left", world.net.descriptors));
        }
    });
}

/// Fails with these words unless it is so.
pub fn check(is_so: bool, otherwise: &str) {
    if !is_so {
        fail(otherwise);
    }
}

/// Whether waits may end early, so that every timeout may strike at any moment.
pub fn is_early() -> bool {
    with(|world| world.is_early)
}

/// Measures virtual time.
pub struct Stopwatch(Duration);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(with(|world| world.now))
    }

    /// Fails if more time has passed than that, unless waits may end early.
    pub fn check(&self, most: Duration) {
        let took = with(|world| world.now) - self.0;
        if took > most && !is_early() {
            fail(&format!("it took {took:?}, and may take {most:?}"));
        }
    }
}

/// A fact that one task notes and another one asks for, without giving way.
#[derive(Clone, Default)]
pub struct Fact(Arc<AtomicBool>);

impl Fact {
    pub fn note(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
