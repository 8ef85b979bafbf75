//! Locks and condition variables, as this library uses them.
//!
//! Nothing here panics while it holds a lock, so the state behind a poisoned one is as good as any: poisoning is ignored.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the condition variable is notified, at most for that time. May return early.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    let woken = condvar.wait_timeout(guard, timeout);
    woken.unwrap_or_else(PoisonError::into_inner).0
}

/// Waits for as long as `condition` holds, at most for that time. The caller asks what holds afterwards.
///
/// Unlike [`Condvar::wait_timeout_while`], it does not return early because the lock is poisoned.
pub(crate) fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    timeout: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    // `None` is later than the clock goes.
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

/// The time until that moment; for ever, if there is none.
pub(crate) fn time_until(deadline: Option<Instant>) -> Duration {
    match deadline {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        None => Duration::MAX,
    }
}

#[cfg(test)]
mod tests;
