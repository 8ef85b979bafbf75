//! Who uses the listener without the registry's lock.

use super::super::sys::listener::Listener;
use super::super::sys::sync::{lock, wait_while};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Counts those who use the listener without the registry's lock: an accept loop that waits in the
/// kernel, and a stop that closes the port.
///
/// So a stop can wait until the port is closed without taking the registry's lock, for which it
/// would queue behind the threads of all the connections that it has cut.
#[derive(Default)]
pub(super) struct ListenerUsers {
    count: Mutex<usize>,
    left: Condvar,
}

impl ListenerUsers {
    /// Called under the registry's lock, while the stage has the listener or has just lost it.
    pub(super) fn enter(&self, listener: Arc<Listener>) -> ListenerUse<'_> {
        *lock(&self.count) += 1;
        ListenerUse {
            listener,
            _counted: Counted(self),
        }
    }

    pub(super) fn wait_until_none(&self) {
        drop(wait_while(
            &self.left,
            lock(&self.count),
            Duration::MAX,
            |count| *count > 0,
        ));
    }
}

/// The listener in use without the registry's lock.
pub(crate) struct ListenerUse<'a> {
    pub(super) listener: Arc<Listener>,
    /// Dropped after the listener, which the last user closes by that.
    _counted: Counted<'a>,
}

struct Counted<'a>(&'a ListenerUsers);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *lock(&self.0.count) -= 1;
        self.0.left.notify_all();
    }
}
