//! What the tests share: a client, a recorder of events, whole dialogues, servers, and processes of their own.

// No test binary uses all of it. Without a reason, since `.ci/windows.rs` is built with Rust 1.63, which knows none.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod dialogue;
pub(crate) mod example;
pub(crate) mod gate;
pub(crate) mod isolated_process;
pub(crate) mod recorder;
pub(crate) mod server;

use std::thread;
use std::time::{Duration, Instant};

/// The smallest whole request.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The bound of every wait. It passes only when a promise is broken.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A wait that only a stop ends in time.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A wait that is expected to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Polls a fact that nobody tells, with a bound.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < SOON, "it has never come true that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
