//! How many responses are just ending. Requests change this count, and do so without the registry's
//! lock.
//!
//! It is kept in parts, each on a cache line of its own and for one connection in sixteen. So
//! requests on different connections rarely meet in it.

use super::super::event::ConnectionId;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

const PARTS: u64 = 16;

pub(super) struct EndingCount {
    parts: Vec<Arc<EndingPart>>,
}

/// The count of some connections. Each of them adds one and takes it away again.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct EndingPart(AtomicUsize);

impl EndingCount {
    pub(super) fn new() -> EndingCount {
        EndingCount {
            parts: (0..PARTS).map(|_| Arc::default()).collect(),
        }
    }

    /// Returns the part in which this connection is counted.
    pub(super) fn part_of(&self, id: ConnectionId) -> Arc<EndingPart> {
        let at = usize::try_from(id.0 % PARTS).unwrap_or(0);
        self.parts.get(at).map(Arc::clone).unwrap_or_default()
    }

    /// Returns how many responses are ending. One that ends throughout this call is counted.
    pub(super) fn sum(&self) -> usize {
        self.parts.iter().map(|part| part.0.load(SeqCst)).sum()
    }
}

impl EndingPart {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(super) fn take_away(&self) {
        let before = self.0.fetch_sub(1, SeqCst);
        debug_assert!(before > 0);
    }
}
