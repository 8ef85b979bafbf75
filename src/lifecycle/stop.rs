//! How a server ends: destroy, drain, the deadline of a shutdown, and waiting for the end.
//!
//! A destroy:
//! 1. moves the phase: from here on, no call of a handler begins;
//! 2. under the lock, moves the stage and cuts every connection;
//! 3. without the lock, removes a Unix socket's file and closes the port;
//! 4. wakes everyone who waits, and returns when nobody uses the listener any more.
//!
//! A drain removes the file first, then accepts everyone who has connected, and closes the port.

use super::super::event::{CloseReason, ConnectionState, Phase};
use super::super::sys::sync::{earlier, has_passed, time_until, wait, wait_while};
use super::admission::Polled;
use super::entry::SILENT_GRACE;
use super::listener_users::ListenerUse;
use super::registry::{Registry, Runner, Stage, State};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How many clients a drain takes out of the accept queue: as many as systems queue by default.
const MAX_BACKLOG: usize = 4096;

/// The stack of the thread that keeps a deadline. Nothing of the user's runs on it.
const CLOCK_STACK_SIZE: usize = 64 * 1024;

/// The result of a [`Handle::shutdown`](super::Handle::shutdown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every connection ended by itself, and the handler and the hooks have been dropped; unless
    /// the server was stopped before it ran, for then its owner still has them.
    Drained,
    /// The grace period was over, or [`Handle::destroy`](super::Handle::destroy) was called.
    Destroyed {
        /// How many connections were cut. Their handlers may still be running.
        cut: usize,
    },
    /// The caller is one of the server's own threads, which cannot wait. The drain has begun, and a
    /// thread of its own keeps the deadline. (If the system has no thread for that, the accepting
    /// thread keeps it, unless the event hook holds that up.)
    Pending,
}

impl Registry {
    /// Closes the port and cuts every connection. Returns the number of those that it cut.
    pub(crate) fn destroy(&self) -> usize {
        let mut state = self.lock();
        let mut cut = 0;
        let mut closing = None;
        if !state.is_destroyed() {
            self.phase.store(Phase::Destroyed);
            closing = self.leave_accepting(&mut state, Stage::Destroyed);
            state.stop.deadline = None;
            state.stop.silence_ends = None;
            cut = state.end_each(&|_| Some(CloseReason::Destroyed), |_| true);
            if !state.has_ended() {
                state.stop.cut = Some(cut);
            }
        }
        // No thread will come for the connections in the queue. Dropping them takes the lock, and
        // may block. An accept loop does that, if there is one.
        let mut unserved = VecDeque::new();
        if state.runner == Runner::Nobody {
            unserved = std::mem::take(&mut state.pool.queue);
        }
        drop(state);
        if let Some(closing) = closing {
            // In this order: another server would find the file of a closed socket stale, and race
            // for its name.
            closing.listener.unlink();
            closing.listener.shut_down();
        }
        self.announce_stop();
        drop(unserved);
        cut
    }

    /// Stops accepting, and lets every request that has come be answered. Connections that are left
    /// at the deadline are cut; of several deadlines, the earliest counts.
    pub(crate) fn drain(self: &Arc<Registry>, deadline: Option<Instant>) {
        let state = self.lock();
        let unlinking = self.use_listener(&state);
        drop(state);
        if let Some(unlinking) = unlinking {
            unlinking.listener.unlink();
        }

        let mut closing = None;
        let mut state = self.lock();
        if !state.is_stopped() {
            self.phase.store(Phase::Draining);
            closing = self.begin_drain(&mut state);
        }
        if !state.is_destroyed() {
            state.stop.deadline = earlier(state.stop.deadline, deadline);
        }
        let discarded = std::mem::take(&mut state.discarded);
        drop(state);
        drop(closing);
        self.announce_stop();
        drop(discarded);
    }

    fn begin_drain<'a>(self: &'a Arc<Registry>, state: &mut State) -> Option<ListenerUse<'a>> {
        // Idle connections end first, as they leave their places to the accept queue.
        state.end_each(&|_| Some(CloseReason::Drained), |state| {
            state == ConnectionState::Idle
        });
        if let Stage::Accepting(listener) = &state.stage {
            // The accept loop may be waiting in the kernel.
            let _ = listener.set_nonblocking(true);
        }
        for _ in 0..MAX_BACKLOG {
            if let Polled::Wait(_) = self.accept_one(state) {
                break;
            }
        }
        let closing = self.leave_accepting(state, Stage::Draining);
        if let Some(closing) = &closing {
            closing.listener.shut_down();
        }
        state.stop.silence_ends = Instant::now().checked_add(SILENT_GRACE);
        closing
    }

    /// Takes the listener out of the stage, which moves on. Dropping the result closes the port.
    fn leave_accepting(&self, state: &mut State, next: Stage) -> Option<ListenerUse<'_>> {
        state.acceptor.spare_descriptor = None;
        match std::mem::replace(&mut state.stage, next) {
            Stage::Accepting(listener) => Some(self.listener_users.enter(listener)),
            Stage::Draining | Stage::Destroyed => None,
        }
    }

    /// Wakes everyone who waits. Returns when the port is closed.
    fn announce_stop(&self) {
        self.changed.notify_all();
        self.job_ready.notify_all();
        self.place_freed.notify_all();
        self.listener_users.wait_until_none();
    }

    /// Waits until nothing is left, and destroys the server at the deadline. On one of the server's
    /// own threads, has another thread do that.
    pub(crate) fn await_drained(self: &Arc<Registry>) -> Outcome {
        if self.is_own_thread() {
            self.start_clock();
            return Outcome::Pending;
        }
        let mut state = self.lock();
        while !state.has_ended() && !state.is_destroyed() {
            let time = time_until(state.stop.deadline);
            if time.is_zero() {
                drop(state);
                self.destroy();
                state = self.lock();
            } else {
                state = wait(&self.changed, state, time);
            }
        }
        match state.stop.cut {
            Some(cut) => Outcome::Destroyed { cut },
            None => Outcome::Drained,
        }
    }

    /// Starts a thread that keeps the deadline, unless there is one.
    ///
    /// The accept loop looks at the deadline as well, but it may be held up: by the event hook, or
    /// by a thread-local's destructor on a thread that it joins.
    fn start_clock(self: &Arc<Registry>) {
        let mut state = self.lock();
        if state.stop.has_clock || state.stop.deadline.is_none() {
            return;
        }
        state.stop.has_clock = true;
        drop(state);
        let registry = Arc::clone(self);
        let clock = thread::Builder::new()
            .name(String::from("hardstop-deadline"))
            .stack_size(CLOCK_STACK_SIZE)
            .spawn(move || registry.keep_deadline());
        let mut state = self.lock();
        match clock {
            Ok(clock) => state.stop.clock = Some(clock),
            Err(_) => state.stop.has_clock = false, // the accept loop keeps the deadline alone
        }
    }

    /// Destroys the server at the deadline, unless every connection ends before.
    fn keep_deadline(&self) {
        let mut state = self.lock();
        while !state.entries.is_empty() && !state.is_destroyed() {
            if has_passed(state.stop.deadline) {
                drop(state);
                self.destroy();
                return;
            }
            let time = time_until(state.stop.deadline);
            state = wait(&self.changed, state, time);
        }
    }

    /// Joins the thread that keeps a deadline. Called when no connection is left or the server is
    /// destroyed, so that it ends.
    pub(crate) fn join_clock(&self) {
        let clock = self.lock().stop.clock.take();
        if let Some(clock) = clock {
            let _ = clock.join(); // nothing on it panics
        }
    }

    /// Waits for at most `timeout` until the server stops accepting. Returns whether it has.
    pub(crate) fn await_stop(&self, timeout: Duration) -> bool {
        let state = wait_while(&self.changed, self.lock(), timeout, |state| {
            !state.is_stopped()
        });
        state.is_stopped()
    }

    /// Waits for at most `timeout` until the server has ended. Returns whether it has; `false` at
    /// once on one of the server's own threads.
    pub(crate) fn await_end(&self, timeout: Duration) -> bool {
        if self.is_own_thread() {
            return false;
        }
        let state = wait_while(&self.changed, self.lock(), timeout, |state| {
            !state.has_ended()
        });
        state.has_ended()
    }
}

#[cfg(test)]
mod tests;
