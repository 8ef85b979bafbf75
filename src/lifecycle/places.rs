//! Who makes room when every place is taken, and who is refused.
//!
//! 1. A connection makes room only in a state in which nothing of a response is left in the
//!    library.
//! 2. A client that finds no place waits for the end of a response that is being written. The
//!    client of that response may have all of it already, and be the one that connects again. It
//!    must not be refused by a server that serves nobody else.
//! 3. A search for a connection to evict looks at each of them. If it finds none, that holds until
//!    a connection changes its state, or the first second of a new one is over.
//! 4. A search first sets `search_holds`, then looks at the states. A connection first changes its
//!    own state, then clears the flag and notifies those who wait, and only then is no longer
//!    counted among those that end a response. A client first counts those, then searches. So it
//!    does not miss the place of any of them.

use super::super::event::{CloseReason, ConnectionId, ConnectionState};
use super::super::sys::sync::wait_while;
use super::entry::{Entry, Eviction, SILENT_GRACE};
use super::place_count::MAX_REFUSALS;
use super::registry::{Registry, State};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How long a client without a place waits for the end of a response that is being written.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// Returns how many connections there may be, each with its thread. That includes those that are
/// being refused, and those that were cut and are slow to end.
fn most_threads(max_connections: usize) -> usize {
    max_connections
        .saturating_mul(2)
        .saturating_add(MAX_REFUSALS)
}

/// The result of a search for a connection to evict.
enum Search {
    Found(ConnectionId),
    /// There is none, and for this time there will be none unless a connection changes its state.
    NoneFor(Duration),
}

impl Registry {
    /// Called when a connection has entered a state in which it may make room.
    pub(crate) fn offer_place(&self, entry: &Entry) {
        // A client that is being refused has no place to offer.
        if self.search_holds.load(SeqCst) && entry.has_place() {
            self.search_holds.store(false, SeqCst);
            // A client that seeks a place searches and falls asleep without releasing the lock in
            // between. So it finds this place, or is notified.
            if self.is_place_sought() {
                let _state = self.lock();
                self.place_freed.notify_all();
            }
        }
        entry.stop_ending();
    }

    /// Returns whether a client waits for a place.
    pub(crate) fn is_place_sought(&self) -> bool {
        self.place_seekers.load(SeqCst) > 0
    }

    /// Gives a refused client a place after all. Returns whether there was one.
    ///
    /// As many clients wait as responses are ending: those that came first. Any further one is
    /// refused at once.
    pub(crate) fn find_place(&self, entry: &Entry) -> bool {
        let max = self.config.max_connections;
        let mut has_place = false;
        let mut state = self.lock();
        state.seekers.push(entry.id);
        self.place_seekers.store(state.seekers.len(), SeqCst);
        let mut state = wait_while(&self.place_freed, state, PLACE_WAIT, |state| {
            if state.is_stopped() || entry.is_cut() {
                return false;
            }
            // Counted first: a connection that comes to its end in between makes room by then.
            let soon_free = self.places_soon_free(state);
            has_place = state.has_thread_left(max) && self.free_place(state);
            !has_place && state.seekers_before(entry.id) < soon_free
        });
        if has_place {
            // Under the lock, as the next client to be accepted counts this one.
            state.places.admit(entry);
        }
        state.seekers.retain(|id| *id != entry.id);
        self.place_seekers.store(state.seekers.len(), SeqCst);
        has_place
    }

    /// Returns how many places may be free in a moment: as many as responses are ending, or, if it
    /// is a thread that is missing, as many as connections are about to be gone.
    fn places_soon_free(&self, state: &State) -> usize {
        if state.has_thread_left(self.config.max_connections) {
            return self.endings.sum();
        }
        let in_hook = state.entries.len() - state.streams.len();
        let leaving = state.open().filter(|(entry, _)| entry.is_leaving());
        in_hook + leaving.count()
    }

    /// Returns whether one more connection may be served, if need be in place of another one.
    pub(super) fn make_room(&self, state: &mut State) -> bool {
        let max = self.config.max_connections;
        if state.entries.len() < max {
            return true;
        }
        // Connections that make room are slow to end, and their threads count as well.
        state.entries.len() < most_threads(max) && self.free_place(state)
    }

    /// Returns whether a place is free, whatever the number of threads. Evicts a connection for it
    /// if need be.
    ///
    /// A search that has found nothing is not repeated while that holds. So a flood of clients is
    /// refused without a look at every connection for each of them.
    fn free_place(&self, state: &mut State) -> bool {
        while state.places.taken() >= self.config.max_connections {
            let is_early = state
                .full_until
                .map_or(false, |until| Instant::now() < until);
            if is_early && self.search_holds.load(SeqCst) {
                return false;
            }
            self.search_holds.store(true, SeqCst);
            let now = Instant::now();
            match state.search_evictable(now) {
                Search::Found(id) => {
                    state.full_until = None;
                    // If this fails, it has just got a request and stays. Look for another one.
                    state.cut_one(id, CloseReason::Evicted, ConnectionState::is_evictable);
                }
                Search::NoneFor(time) => {
                    state.full_until = now.checked_add(time);
                    return false;
                }
            }
        }
        true
    }
}

impl State {
    /// Returns how many clients look for a place and did so before this one.
    fn seekers_before(&self, id: ConnectionId) -> usize {
        let earlier = self.seekers.iter().take_while(|seeker| **seeker != id);
        earlier.count()
    }

    /// Looks at every connection for the one that is to be evicted first.
    fn search_evictable(&self, now: Instant) -> Search {
        let mut first = None;
        // A client that gets a place from now on has that long as well.
        let mut time = SILENT_GRACE;
        let mut taken = 0;
        for entry in self.entries.iter().filter(|entry| entry.has_place()) {
            taken += 1;
            match entry.eviction(now) {
                Eviction::Never => {}
                Eviction::In(left) => time = time.min(left),
                Eviction::Now { rank, since } => {
                    let key = (rank, since);
                    if first.map_or(true, |(first_key, _)| key < first_key) {
                        first = Some((key, entry.id));
                    }
                }
            }
        }
        debug_assert_eq!(taken, self.places.taken());
        match first {
            Some((_, id)) => Search::Found(id),
            None => Search::NoneFor(time),
        }
    }

    /// Returns whether every connection may keep a thread. A client that looks for a place is one
    /// of them.
    fn has_thread_left(&self, max_connections: usize) -> bool {
        self.entries.len() <= most_threads(max_connections)
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

#[cfg(test)]
mod tests;
