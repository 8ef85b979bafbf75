//! The least rate at which a body or a response must move.
//!
//! A clock for each read or write alone would start anew with every byte. So every byte earns a
//! part of a second, and the time in which the connection is blocked spends it. A handler's own
//! time is free.

use std::time::{Duration, Instant};

/// How much time a transfer has at first, and at most after it has been faster.
const INITIAL_CREDIT: Duration = Duration::from_secs(5);
const MAX_CREDIT: Duration = Duration::from_secs(30);

pub(super) struct MinRate {
    /// In bytes a second. Zero turns it off, and then no clock is read.
    rate: u32,
    /// For how long the transfer may still be blocked.
    credit: Duration,
}

impl MinRate {
    pub(super) fn new(rate: u32) -> MinRate {
        MinRate {
            rate,
            credit: INITIAL_CREDIT,
        }
    }

    /// Begins a new transfer at the same rate.
    pub(super) fn restart(&mut self) {
        self.credit = INITIAL_CREDIT;
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Returns whether the transfer has been too slow.
    pub(super) fn is_exhausted(&self) -> bool {
        self.credit.is_zero()
    }

    /// Calls `transfer`, which returns how many bytes it has moved, and measures the time.
    pub(super) fn measure<E>(
        &mut self,
        transfer: impl FnOnce() -> Result<usize, E>,
    ) -> Result<usize, E> {
        if self.rate == 0 {
            return transfer();
        }
        let began = Instant::now();
        let moved = transfer();
        let n = *moved.as_ref().unwrap_or(&0);
        self.record(n, began.elapsed());
        moved
    }

    /// Records that so many bytes have moved while the connection was blocked for so long.
    pub(super) fn record(&mut self, bytes: usize, blocked: Duration) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_secs(bytes).checked_div(self.rate);
        let credit = self.credit.saturating_add(earned.unwrap_or(Duration::MAX));
        self.credit = credit.saturating_sub(blocked).min(MAX_CREDIT);
    }
}

#[cfg(test)]
mod tests;
