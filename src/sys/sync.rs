//! Locks and condition variables, as this library uses them.
//!
//! Nothing in the library panics while it holds a lock, so the state behind a poisoned lock is as
//! good as any other. Poisoning is ignored.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition variable is notified, for at most `timeout`. May return early.
// One copy of this, and of `time_until`, is enough: nobody calls them often.
#[inline(never)]
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    let woken = condvar.wait_timeout(guard, timeout);
    woken.unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `condition` holds, for at most `timeout`. The caller looks at the state afterwards.
///
/// Unlike [`Condvar::wait_timeout_while`], it does not return early when the lock is poisoned.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    timeout: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    // `None` lies beyond what the clock can express.
    let deadline = Instant::now().checked_add(timeout);
    while condition(&mut guard) {
        let time = time_until(deadline);
        if time.is_zero() {
            break;
        }
        guard = wait(condvar, guard, time);
    }
    guard
}

/// Returns the time until `deadline`: zero if it has passed, and for ever if there is none.
#[inline(never)]
pub(crate) fn time_until(deadline: Option<Instant>) -> Duration {
    match deadline {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        None => Duration::MAX,
    }
}

/// Returns whether there is a deadline and it has passed.
pub(crate) fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.map_or(false, |deadline| deadline <= Instant::now())
}

/// Returns the earlier of two deadlines, either of which may be missing.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests;
