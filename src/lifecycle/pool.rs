//! Which thread serves which connection.
//!
//! 1. A connection is queued when it is registered. Each thread takes the connection that has
//!    waited longest.
//! 2. `spawning` counts the threads on their way to the queue: those that are being started, and
//!    parked ones that have been claimed. So no connection gets two threads.
//! 3. `serving` counts the threads that have been started and have not begun to end. What the
//!    accept loop has started beyond that number has ended, or is about to.

use super::super::event::ConnectionState;
use super::super::sys::panic::current_thread_id;
use super::super::sys::sync::wait_while;
use super::entry::Entry;
use super::registry::{Job, Pool, Registry, State};
use std::time::Duration;

/// How many threads may wait for another connection, and for how long.
const MAX_PARKED: usize = 32;
const PARKED_TIME: Duration = Duration::from_secs(3);

impl Pool {
    pub(super) fn has_no_parked_thread(&self) -> bool {
        self.claimed == self.parked
    }
}

impl State {
    /// Returns whether a connection in the queue should get a thread. It should at once, except
    /// that in a drain it waits for a place.
    #[inline(never)] // it is called in three places
    pub(super) fn needs_thread(&self, max_connections: usize) -> bool {
        debug_assert!(self.pool.spawning <= self.pool.queue.len() || self.is_destroyed());
        let waiting = self.pool.queue.len().saturating_sub(self.pool.spawning);
        if waiting == 0 {
            return false;
        }
        if !self.is_stopped() {
            return true;
        }
        let is_upgraded = |entry: &Entry| entry.is(ConnectionState::Upgraded);
        let places = self
            .entries
            .iter()
            .filter(|entry| !is_upgraded(entry))
            .count();
        places.saturating_sub(waiting) < max_connections
    }

    /// Claims a parked thread for a connection in the queue that should get one.
    pub(super) fn claim_parked_thread(&mut self, max_connections: usize) -> bool {
        if self.pool.has_no_parked_thread() || !self.needs_thread(max_connections) {
            return false;
        }
        self.pool.spawning += 1;
        self.pool.claimed += 1;
        true
    }
}

impl Registry {
    /// Returns whether the server drains and a connection in its queue waits for a place.
    pub(crate) fn is_place_awaited_in_drain(&self) -> bool {
        self.is_draining_or_destroyed() && !self.lock().pool.queue.is_empty()
    }

    /// Returns the connection for a thread that has just been started. `None`: it is to end.
    pub(crate) fn first_job(&self) -> Option<Job> {
        let thread = current_thread_id();
        let mut state = self.lock();
        state.pool.spawning -= 1;
        self.take_job(&mut state, thread)
    }

    /// Returns another connection for a thread whose own has ended, and waits for one for a while.
    /// `None`: it is to end.
    pub(crate) fn next_job(&self) -> Option<Job> {
        let thread = current_thread_id();
        let max = self.config.max_connections;
        let mut state = self.lock();
        let mut has_turn = state.needs_thread(max);
        let may_park = !state.is_stopped() && state.pool.parked < MAX_PARKED.min(max);
        if !has_turn && may_park {
            state.pool.parked += 1;
            state = wait_while(&self.job_ready, state, PARKED_TIME, |state| {
                state.pool.claimed == 0 && !state.is_stopped()
            });
            state.pool.parked -= 1;
            if state.pool.claimed > 0 {
                state.pool.claimed -= 1;
                state.pool.spawning -= 1;
                has_turn = true;
            } else {
                has_turn = state.needs_thread(max);
            }
        }
        if has_turn {
            return self.take_job(&mut state, thread);
        }
        state.pool.serving -= 1;
        None
    }

    fn take_job(&self, state: &mut State, thread: Option<std::thread::ThreadId>) -> Option<Job> {
        // After a destroy, the accept loop drops what is left in the queue.
        if !state.is_destroyed() {
            if let Some(job) = state.pool.queue.pop_front() {
                state.add_own_thread(job.registration.entry.id, thread);
                return Some(job);
            }
        }
        state.pool.serving -= 1;
        None
    }

    /// Returns whether some of these threads have begun to end. Called while one more is being
    /// started, which counts as serving already.
    pub(crate) fn has_ending_threads(&self, threads: usize) -> bool {
        threads + 1 > self.lock().pool.serving
    }

    /// Returns the connection for a thread that could not be started.
    pub(crate) fn job_without_thread(&self) -> Option<Job> {
        let mut state = self.lock();
        state.pool.spawning -= 1;
        state.pool.serving -= 1;
        state.pool.queue.pop_front()
    }
}

#[cfg(test)]
mod tests;
