//! Helpers that the tests share: a client, a recorder of events, dialogues, servers, files, and isolated
//! processes.

// No test binary uses all of it. The attribute has no `reason`, as `.ci/portable.rs` is built with
// Rust 1.63.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod dialogue;
pub(crate) mod example;
pub(crate) mod gate;
pub(crate) mod isolated_process;
pub(crate) mod recorder;
pub(crate) mod server;
pub(crate) mod temp_file;

use std::thread;
use std::time::{Duration, Instant};

/// The smallest complete request.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The bound of every wait. It is reached only if a promise is broken.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A wait that only a stop ends in time.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A wait that is expected to reach its end, or the step of a poll.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Waits until something is true that no event reports. Panics after [`SOON`].
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < SOON, "it has never come true that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Checks all rows of a table at the same time, each on a thread of its own. For checks that mostly
/// wait.
pub(crate) fn check_at_once<Row: Send>(
    rows: impl IntoIterator<Item = Row>,
    check: impl Fn(Row) + Sync,
) {
    let check = &check;
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || check(row));
        }
    });
}

/// Calls a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
