//! How a client gets in: accepting and registering under one lock, or waiting for it in the kernel.

use super::super::config::EventHook;
use super::super::event::{ConnectionId, Event, Phase};
use super::super::sys::listener::{is_of_one_client, Accepted};
use super::super::sys::socket::shut_down;
use super::super::sys::sync::wait;
use super::entry::Entry;
use super::listener_users::ListenerUse;
use super::registry::{Acceptor, Job, Registration, Registry, Reported, Stage, State};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// How long the accept loop sleeps when no client waits. Each sleep is twice as long as the last.
const SHORTEST_NAP: Duration = Duration::from_micros(500);
const LONGEST_NAP: Duration = Duration::from_millis(10);

/// How long it sleeps at most after an error.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// How many threads may have ended and not been joined while clients come without a pause.
const MAX_ENDED_THREADS: usize = 64;

impl Acceptor {
    pub(super) fn max_ended_threads(&self) -> usize {
        if self.joins_all_next {
            0
        } else {
            MAX_ENDED_THREADS
        }
    }

    /// Returns how long to sleep now, at most `longest`.
    fn next_nap(&mut self, longest: Duration) -> Duration {
        let nap = self.nap.clamp(SHORTEST_NAP, longest);
        self.nap = nap * 2;
        nap
    }
}

/// What came of one look at the listener.
pub(super) enum Polled {
    /// A client was accepted, or the next one may be there right away.
    Accepted,
    /// There was none. Look again after this time.
    Wait(Duration),
}

impl Registry {
    /// Accepts one client if one waits.
    pub(super) fn accept_one(self: &Arc<Registry>, state: &mut State) -> Polled {
        let accepted = match &state.stage {
            Stage::Accepting(listener) => listener.accept(),
            Stage::Draining | Stage::Destroyed => return Polled::Wait(state.time_until_due()),
        };
        self.admit(state, accepted)
    }

    /// Registers a client that was accepted, or handles the error.
    fn admit(self: &Arc<Registry>, state: &mut State, accepted: io::Result<Accepted>) -> Polled {
        let registered = match accepted {
            Ok((stream, peer)) => self.register(state, stream, peer),
            Err(error) => Err(error),
        };
        let error = match registered {
            Ok(()) => return Polled::Accepted,
            Err(error) => error,
        };
        if error.kind() == ErrorKind::WouldBlock {
            return Polled::Wait(state.acceptor.next_nap(LONGEST_NAP));
        }
        if is_of_one_client(&error) {
            return Polled::Accepted;
        }
        // Reported after the pause.
        state.reports.push_back(Event::AcceptFailed { error });
        Polled::Wait(state.acceptor.next_nap(LONGEST_BACKOFF))
    }

    /// Adds a client to the map and to the queue.
    fn register(
        self: &Arc<Registry>,
        state: &mut State,
        stream: TcpStream,
        peer: Option<SocketAddr>,
    ) -> io::Result<()> {
        // In a drain nobody is refused: clients beyond the limit wait in the queue for their turn.
        let is_refused = !self.is_draining_or_destroyed() && !self.make_room(state);
        if is_refused && state.places.is_at_refusal_limit() {
            state.reports.push_back(Event::Rejected { peer });
            state.discard(stream);
            return Ok(());
        }
        let clone = match state.clone_stream(&stream) {
            Ok(clone) => clone,
            Err(error) => {
                state.discard(stream);
                return Err(error);
            }
        };
        state.acceptor.nap = Duration::ZERO;
        state.last_id += 1;
        let id = ConnectionId(state.last_id);
        let endings = self.endings.part_of(id);
        let entry = Arc::new(Entry::new(id, peer, is_refused, endings));
        state.streams.insert(entry.id.0, clone);
        self.count_open(state);
        state.places.add(&entry);
        state.entries.push(Arc::clone(&entry));
        let registration = Registration {
            registry: Arc::clone(self),
            entry,
            events: EventHook::default(),
            reported: Reported::Nothing,
        };
        state.pool.queue.push_back(Job {
            stream,
            registration,
        });
        Ok(())
    }

    /// Waits for a client in the kernel where that can be done, or else for a change.
    pub(super) fn wait_for_client_or_change<'a>(
        self: &'a Arc<Registry>,
        mut state: MutexGuard<'a, State>,
        pause: Duration,
    ) -> MutexGuard<'a, State> {
        if !state.discarded.is_empty() {
            let discarded = std::mem::take(&mut state.discarded);
            drop(state);
            drop(discarded);
            state = self.lock();
            if state.is_stopped() {
                return state; // the stop has notified nobody, as nobody waited
            }
        }
        match self.begin_wait(&mut state) {
            Some(listening) => {
                drop(state);
                self.wait_in_kernel(listening);
                self.lock()
            }
            None => wait(&self.changed, state, pause),
        }
    }

    /// Makes the listener ready for a wait in the kernel, unless there is something else to do
    /// first.
    fn begin_wait(&self, state: &mut State) -> Option<ListenerUse<'_>> {
        // An event that is to be reported would wait as well.
        if !state.reports.is_empty() {
            return None;
        }
        let listening = self.use_listener(state)?;
        if state.acceptor.spare_descriptor.is_none() {
            state.acceptor.spare_descriptor = listening.listener.spare_descriptor();
        }
        // Without one, a client that is accepted in the kernel may be lost.
        state.acceptor.spare_descriptor.as_ref()?;
        if listening.listener.set_nonblocking(false).is_err() {
            return None;
        }
        Some(listening)
    }

    /// Accepts in the kernel, without the lock.
    fn wait_in_kernel(self: &Arc<Registry>, listening: ListenerUse<'_>) {
        let accepted = listening.listener.accept();
        let late = self.end_wait(&listening, accepted);
        if let Some((stream, _)) = &late {
            // A stop returns when nobody uses the listener any more. By then, this client is cut.
            shut_down(stream, Shutdown::Both);
        }
        drop(listening);
        drop(late); // may block
    }

    /// Registers a client that was accepted in the kernel. Returns it if the server was destroyed
    /// meanwhile. Errors of that wait are not handled: they come again.
    fn end_wait(
        self: &Arc<Registry>,
        listening: &ListenerUse<'_>,
        accepted: io::Result<Accepted>,
    ) -> Option<Accepted> {
        // Asked without the lock, for which a destroy would wait behind all that it has cut.
        if self.phase() == Phase::Destroyed {
            return accepted.ok();
        }
        let mut state = self.lock();
        // If this fails, the next accept lasts for a second under the lock.
        let _ = listening.listener.set_nonblocking(true);
        let client = accepted.ok()?;
        if state.is_destroyed() {
            return Some(client);
        }
        self.admit(&mut state, Ok(client));
        None
    }

    /// Returns the listener for use without the lock, unless the server has stopped.
    pub(super) fn use_listener(&self, state: &State) -> Option<ListenerUse<'_>> {
        match &state.stage {
            Stage::Accepting(listener) => Some(self.listener_users.enter(Arc::clone(listener))),
            Stage::Draining | Stage::Destroyed => None,
        }
    }
}

impl State {
    /// Ends a client that is not registered. Its socket is closed without the lock, as that may
    /// block.
    fn discard(&mut self, stream: TcpStream) {
        shut_down(&stream, Shutdown::Both);
        self.discarded.push(stream);
    }

    /// Clones a client's socket, with the descriptor in reserve if there is no other one.
    fn clone_stream(&mut self, stream: &TcpStream) -> io::Result<TcpStream> {
        let error = match stream.try_clone() {
            Ok(clone) => return Ok(clone),
            Err(error) => error,
        };
        match self.acceptor.spare_descriptor.take() {
            // It is a clone of the listener, which is open: closing it does not block.
            Some(spare) => drop(spare),
            None => return Err(error),
        }
        stream.try_clone()
    }
}

#[cfg(test)]
mod tests;
