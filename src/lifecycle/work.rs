//! What the accept loop does next.

use super::super::event::{CloseReason, ConnectionState, Event};
use super::super::sys::sync::{has_passed, wait};
use super::admission::Polled;
use super::entry::{Entry, Silence};
use super::registry::{Job, Registry, State};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often calls into transports are looked at that may take too long.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often a drain looks at connections that have not spoken.
const SILENCE_INTERVAL: Duration = Duration::from_millis(100);

/// What the accept loop must do without the lock.
pub(crate) enum Work {
    /// Joins the threads that have ended.
    JoinEnded,
    /// Destroys the server, whose deadline has passed.
    Destroy,
    /// Reports an event.
    Report(Event),
    /// Closes sockets, which may block.
    Close(Vec<TcpStream>),
    /// Drops a connection that a destroy has cut before any thread had begun with it.
    Abandon(Job),
    /// Starts a thread, which calls [`Registry::first_job`].
    Spawn,
    /// Nothing: the server has stopped, and every connection is gone.
    Finish,
}

impl Registry {
    /// Accepts, keeps the clock, and sleeps, until there is something to do without the lock.
    ///
    /// `threads` is the number of threads that the caller has started and not joined.
    pub(crate) fn next_work(self: &Arc<Registry>, threads: usize) -> Work {
        let max = self.config.max_connections;
        let mut state = self.lock();
        loop {
            state.acceptor.waits_for_hook = false;
            if let Some(work) = state.due_work(threads, max) {
                return work;
            }
            if state.claim_parked_thread(max) {
                // Notified without the lock, or the thread would wake up only to wait for it.
                drop(state);
                self.job_ready.notify_one();
                state = self.lock();
            } else if has_passed(state.stop.silence_ends) {
                state.cut_silent();
            } else if has_passed(state.watch_at) {
                state.watch_at = Instant::now().checked_add(WATCH_INTERVAL);
                state.cut_overdue();
            } else if state.needs_hook_to_return(max) {
                state.acceptor.waits_for_hook = true;
                state.acceptor.joins_all_next = true;
                let pause = state.time_until_due();
                state = wait(&self.changed, state, pause);
            } else if let Polled::Wait(pause) = self.accept_one(&mut state) {
                state.acceptor.joins_all_next = true;
                state = self.wait_for_client_or_change(state, pause);
            }
        }
    }
}

impl State {
    /// Returns what is to be done without the lock, the most urgent first.
    fn due_work(&mut self, threads: usize, max_connections: usize) -> Option<Work> {
        if threads > self.pool.serving + self.acceptor.max_ended_threads() {
            self.acceptor.joins_all_next = false;
            return Some(Work::JoinEnded);
        }
        // Before any event: a hook may take its time.
        if has_passed(self.stop.deadline) {
            return Some(Work::Destroy);
        }
        if let Some(event) = self.reports.pop_front() {
            return Some(Work::Report(event));
        }
        if !self.discarded.is_empty() {
            return Some(Work::Close(std::mem::take(&mut self.discarded)));
        }
        if self.is_destroyed() {
            if let Some(job) = self.pool.queue.pop_front() {
                return Some(Work::Abandon(job));
            }
        }
        if self.needs_thread(max_connections) && self.pool.has_no_parked_thread() {
            self.pool.spawning += 1;
            self.pool.serving += 1;
            return Some(Work::Spawn);
        }
        if self.is_stopped() && self.entries.is_empty() {
            return Some(Work::Finish);
        }
        None
    }

    /// Ends the connections that a drain has given up on, and looks again later if others wait.
    fn cut_silent(&mut self) {
        self.end_each(&reason_if_silent, ConnectionState::precedes_first_request);
        // A connection that still waits for a thread gets its grace when it has one.
        let anybody_is_silent = self
            .entries
            .iter()
            .any(|entry| entry.silence() != Silence::Spoken);
        self.stop.silence_ends = None;
        if anybody_is_silent {
            self.stop.silence_ends = Instant::now().checked_add(SILENCE_INTERVAL);
        }
    }

    /// Cuts the connections whose transports have taken too long.
    fn cut_overdue(&mut self) {
        self.end_each(&Entry::overdue, |_| true);
    }
}

/// Returns the reason to end a connection that has been silent for as long as a drain waits.
fn reason_if_silent(entry: &Entry) -> Option<CloseReason> {
    match entry.silence() {
        Silence::Expired => Some(CloseReason::Drained),
        Silence::Waiting | Silence::Spoken => None,
    }
}

#[cfg(test)]
mod tests;
