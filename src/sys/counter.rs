//! A count of bytes, to which one thread adds while others look.
//!
//! Not every 32-bit CPU has 64-bit atomics. Where there are none, the count is under a lock.

#[cfg(any(test, not(target_has_atomic = "64")))]
use super::sync::lock;
#[cfg(target_has_atomic = "64")]
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
#[cfg(any(test, not(target_has_atomic = "64")))]
use std::sync::Mutex;

#[cfg(target_has_atomic = "64")]
pub(crate) type Counter = AtomicCounter;
#[cfg(not(target_has_atomic = "64"))]
pub(crate) type Counter = LockedCounter;

#[cfg(target_has_atomic = "64")]
#[derive(Default)]
pub(crate) struct AtomicCounter(AtomicU64);

#[cfg(target_has_atomic = "64")]
impl AtomicCounter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

#[cfg(any(test, not(target_has_atomic = "64")))]
#[derive(Default)]
pub(crate) struct LockedCounter(Mutex<u64>);

#[cfg(any(test, not(target_has_atomic = "64")))]
impl LockedCounter {
    pub(crate) fn add(&self, n: u64) {
        *lock(&self.0) += n;
    }

    pub(crate) fn get(&self) -> u64 {
        *lock(&self.0)
    }
}

#[cfg(test)]
mod tests;
