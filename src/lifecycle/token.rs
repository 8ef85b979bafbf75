//! The cancel token of a request.

use super::entry::Entry;
use super::registry::{Registration, Registry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Tells a handler that its connection was cut or that the server is stopping.
///
/// It fires on [`Handle::destroy`](super::Handle::destroy), on
/// [`Handle::close`](super::Handle::close) of its connection, at the end of a grace period, and
/// when the connection has ended. It does not fire when the client has gone away while a handler
/// runs: only reading or writing reveals that, and
/// [`Request::is_disconnected`](super::super::Request::is_disconnected), which a handler asks
/// beside the token.
///
/// ```
/// use std::time::Duration;
///
/// fn slow(req: &mut hardstop::Request<'_>) -> &'static str {
///     if req.cancel_token().wait_timeout(Duration::from_secs(3)) {
///         "cut: nobody will read this"
///     } else {
///         "three seconds have passed"
///     }
/// }
/// ```
#[derive(Clone)]
#[doc(alias("context", "cancellation", "shutdown_signal"))]
pub struct CancelToken {
    entry: Arc<Entry>,
    registry: Arc<Registry>,
}

impl CancelToken {
    pub(crate) fn new(registration: &Registration) -> CancelToken {
        CancelToken {
            entry: Arc::clone(&registration.entry),
            registry: Arc::clone(&registration.registry),
        }
    }

    /// Returns whether the connection has been cut or has ended. Takes no lock and makes no system
    /// call.
    pub fn is_cancelled(&self) -> bool {
        self.entry.is_cut()
    }

    /// Returns whether the server drains or ends, so that a long response should come to its end.
    /// Takes no lock and makes no system call.
    pub fn is_draining(&self) -> bool {
        self.registry.is_draining_or_destroyed()
    }

    /// Sleeps until the connection is cut, for at most `timeout`. Returns whether it has been cut.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.entry.sleep(timeout, || false)
    }

    /// Sleeps until the connection is cut or the server drains, for at most `timeout`. Returns
    /// whether either has happened.
    pub fn wait_for_stop(&self, timeout: Duration) -> bool {
        self.entry.sleep(timeout, || self.is_draining())
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .field("is_draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}
