//! Who makes room when every place is taken, and who is refused.
//!
//! 1. A connection makes room only in a state in which nothing of a response is left in the
//!    library.
//! 2. A client that finds no place waits for the end of a response that is being written. Its
//!    client may have it already, and be the one that comes: it must not be refused by a server
//!    that serves nobody else.

use super::super::event::{CloseReason, ConnectionState};
use super::super::sys::sync::wait_while;
use super::entry::Entry;
use super::registry::{Registry, State};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How many clients at a time are refused with a 503.
const MAX_REFUSALS: usize = 8;

/// How long a client without a place waits for the end of a response that is being written.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// Returns how many connections there may be, each with its thread. That includes those that are
/// being refused, and those that were cut and are slow to end.
fn most_threads(max_connections: usize) -> usize {
    max_connections
        .saturating_mul(2)
        .saturating_add(MAX_REFUSALS)
}

impl Registry {
    /// Called when a connection has entered a state in which it may make room.
    pub(crate) fn offer_place(&self) {
        // The connection has changed its state before this. Those who look for a place are counted
        // before they look at the states. So one of the two sees the other. They look and wait
        // under the lock, and are not missed.
        if self.is_place_sought() {
            let _state = self.lock();
            self.place_freed.notify_all();
        }
    }

    /// Returns whether a client waits for a place.
    pub(crate) fn is_place_sought(&self) -> bool {
        self.place_seekers.load(SeqCst) > 0
    }

    /// Gives a refused client a place after all. Returns whether there was one.
    ///
    /// As many clients wait as responses are ending. Any further one is refused at once.
    pub(crate) fn find_place(&self, entry: &Entry) -> bool {
        self.place_seekers.fetch_add(1, SeqCst);
        let max = self.config.max_connections;
        let mut has_place = false;
        let state = wait_while(&self.place_freed, self.lock(), PLACE_WAIT, |state| {
            if state.is_stopped() || entry.is_cut() {
                return false;
            }
            // Counted first: a connection that comes to its end in between makes room by then.
            let soon_free = state.places_soon_free(max);
            has_place = state.has_thread_left(max) && state.make_place(max);
            !has_place && self.place_seekers.load(SeqCst) <= soon_free
        });
        if has_place {
            // Under the lock, as the next client to be accepted counts this one.
            entry.admit();
        }
        drop(state);
        self.place_seekers.fetch_sub(1, SeqCst);
        has_place
    }
}

impl State {
    /// Returns whether one more connection may be served, if need be in place of another one.
    pub(super) fn make_room(&mut self, max_connections: usize) -> bool {
        if self.entries.len() < max_connections {
            return true;
        }
        // Connections that make room are slow to end, and their threads count as well.
        self.entries.len() < most_threads(max_connections) && self.make_place(max_connections)
    }

    /// Returns whether one more connection may be served, whatever the number of threads.
    fn make_place(&mut self, max_connections: usize) -> bool {
        loop {
            let mut served = 0;
            let mut first_to_go = None;
            for (entry, _) in self.open() {
                if !entry.holds_place() {
                    continue;
                }
                served += 1;
                if let Some(key) = entry.eviction_key() {
                    let is_first = first_to_go.map_or(true, |(first_key, _)| key < first_key);
                    if is_first {
                        first_to_go = Some((key, entry.id));
                    }
                }
            }
            if served < max_connections {
                return true;
            }
            let id = match first_to_go {
                Some((_, id)) => id,
                None => return false,
            };
            if self.cut_one(id, CloseReason::Evicted, ConnectionState::is_evictable) {
                return true;
            }
            // It has just got a request and stays. Look for another one.
        }
    }

    /// Returns how many places may be free in a moment: as many as responses are ending, or, if it
    /// is a thread that is missing, as many as connections are about to be gone.
    fn places_soon_free(&self, max_connections: usize) -> usize {
        if !self.has_thread_left(max_connections) {
            let in_hook = self.entries.len() - self.streams.len();
            let leaving = self.open().filter(|(entry, _)| entry.is_leaving());
            return in_hook + leaving.count();
        }
        let is_ending = |entry: &Entry| entry.holds_place() && entry.is_ending_response();
        self.open().filter(|(entry, _)| is_ending(entry)).count()
    }

    /// Returns whether there are no more connections than there may be threads, including one that
    /// looks for a place.
    fn has_thread_left(&self, max_connections: usize) -> bool {
        self.entries.len() <= most_threads(max_connections)
    }

    /// Returns whether as many clients are being refused as may be at a time.
    pub(super) fn refuses_enough(&self) -> bool {
        let refused = self.entries.iter().filter(|entry| entry.is_refused());
        refused.count() >= MAX_REFUSALS
    }

    /// Returns whether one more client would get no thread because of connections that have ended
    /// and whose `Closed` hook runs. They hold nobody's place. So the next client is accepted when
    /// one of them is gone, instead of being refused now.
    pub(super) fn needs_hook_to_return(&self, max_connections: usize) -> bool {
        !self.is_stopped()
            && self.entries.len() >= most_threads(max_connections)
            && self.entries.len() > self.streams.len()
    }
}
