#![allow(clippy::panic, clippy::unwrap_used, reason = "tests: a panic is how they report")]

use super::{lock, wait_while};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// A lock that a thread has panicked with.
fn poisoned() -> Arc<(Mutex<bool>, Condvar)> {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let other = Arc::clone(&shared);
    let panicked = thread::spawn(move || {
        let _guard = other.0.lock();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert!(shared.0.is_poisoned());
    shared
}

/// Regression: `Condvar::wait_timeout_while` returns as soon as the lock is found poisoned, so `Handle::wait` could
/// have said that nobody was left while somebody was.
#[test]
fn a_wait_on_a_poisoned_lock_goes_on_while_its_condition_holds() {
    let shared = poisoned();
    let other = Arc::clone(&shared);
    let (asked, was_asked) = std::sync::mpsc::channel();
    let waiter = thread::spawn(move || {
        let guard = wait_while(&other.1, lock(&other.0), SOON, |is_done| {
            let _ = asked.send(()); // the test may have seen enough
            !*is_done
        });
        *guard
    });
    // Notified for nothing, it asks its condition again, and waits on.
    for _ in 0..3 {
        was_asked.recv_timeout(SOON).unwrap();
        let _guard = lock(&shared.0); // so it waits by now
        shared.1.notify_all();
    }
    *lock(&shared.0) = true;
    shared.1.notify_all();
    assert!(waiter.join().unwrap());
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let shared = poisoned();
    let began = Instant::now();
    let guard = wait_while(&shared.1, lock(&shared.0), Duration::from_millis(20), |is_done| !*is_done);
    assert!(!*guard);
    assert!(began.elapsed() >= Duration::from_millis(20));
}
