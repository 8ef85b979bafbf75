//! How many connections have a place, and how many are being refused.
//!
//! Every change is made under the registry's lock, together with the entry's own flags. So the
//! counts are exact, and requests, which do not take that lock, change none of them.

use super::entry::Entry;

/// How many clients at a time are refused with a 503.
pub(super) const MAX_REFUSALS: usize = 8;

#[derive(Default)]
pub(super) struct PlaceCount {
    /// How many connections have a place. One that has been ended has none, although its thread may
    /// still run.
    taken: usize,
    /// How many are being refused, until they leave the registry.
    refused: usize,
}

impl PlaceCount {
    /// Counts a connection that is being registered.
    pub(super) fn add(&mut self, entry: &Entry) {
        if entry.is_refused() {
            self.refused += 1;
        } else {
            self.taken += 1;
        }
    }

    /// Gives a place to a client that was to be refused.
    pub(super) fn admit(&mut self, entry: &Entry) {
        debug_assert!(entry.is_refused());
        entry.admit();
        self.refused -= 1;
        self.taken += 1;
    }

    /// Takes back the place of a connection that ends, if it has one.
    pub(super) fn release(&mut self, entry: &Entry) {
        if entry.give_up_place() {
            self.taken -= 1;
        }
    }

    /// Forgets a connection that leaves the registry. It has been released before.
    pub(super) fn remove(&mut self, entry: &Entry) {
        debug_assert!(!entry.has_place());
        if entry.is_refused() {
            self.refused -= 1;
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns whether no further client can be refused with a 503 now.
    pub(super) fn is_at_refusal_limit(&self) -> bool {
        self.refused >= MAX_REFUSALS
    }
}

#[cfg(test)]
mod tests;
