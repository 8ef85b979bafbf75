//! The number of responses whose end is being written. Every request changes it, without the
//! registry's lock.
//!
//! It is the sum of sixteen parts, each on a cache line of its own. A connection always uses the
//! same part. So requests on different connections rarely meet in one.

use super::super::event::ConnectionId;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

const PARTS: u64 = 16;

pub(super) struct EndingCount {
    parts: Vec<Arc<EndingPart>>,
}

/// The responses of one connection in sixteen whose end is being written.
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

    /// Returns how many responses are ending. One that is ending throughout this call is counted.
    pub(super) fn sum(&self) -> usize {
        self.parts.iter().map(|part| part.0.load(SeqCst)).sum()
    }
}

impl EndingPart {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(super) fn remove(&self) {
        let before = self.0.fetch_sub(1, SeqCst);
        debug_assert!(before > 0);
    }
}
