//! When a thread lets others run before it sleeps: by a budget of long yields.
//!
//! A short yield lets the client's thread run, whose next request is often there afterwards. That
//! saves a sleep and a wake-up. A long yield means that another program has used the processor
//! meanwhile. One now and then is worth it. If they are frequent, that program would get the
//! processor after each request, so there is no yield for a while. With a single connection, there
//! is none at all.

use std::time::{Duration, Instant};

/// A longer yield than this costs something. A program that never sleeps usually keeps the
/// processor for longer, and the client's thread for less.
const LONG_YIELD: Duration = Duration::from_millis(2);

/// How many short yields pay for a long one.
const COST: u32 = 8;

/// The most that may be owed.
const MAX_DEBT: u32 = 32;

/// For how long there is no yield if more would be owed.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct YieldBudget {
    debt: u32,
    /// From when on the thread yields before it waits.
    next_at: Instant,
}

impl YieldBudget {
    pub(super) fn new(now: Instant) -> YieldBudget {
        YieldBudget {
            debt: 0,
            next_at: now,
        }
    }

    /// Returns whether the thread may yield.
    pub(super) fn allows(&self, now: Instant) -> bool {
        now >= self.next_at
    }

    /// Records a yield.
    pub(super) fn record(&mut self, began: Instant, ended: Instant) {
        if ended - began <= LONG_YIELD {
            if self.debt > 0 {
                self.debt -= 1;
            }
            return;
        }
        self.debt += COST;
        if self.debt > MAX_DEBT {
            // What is owed then stays owed: after the pause, one more long yield begins the next.
            self.debt = MAX_DEBT;
            self.next_at = ended.checked_add(PAUSE).unwrap_or(ended);
        }
    }
}

#[cfg(test)]
mod tests;
