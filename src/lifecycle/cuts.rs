//! How a connection is ended by others: by a stop, by its number, or to make room.
//!
//! 1. A connection gets its reason first, then its socket is shut down. So every call that this
//!    wakes finds the reason.
//! 2. Its place is free from then on, although its thread may still run.

use super::super::event::{CloseReason, ConnectionId, ConnectionState};
use super::super::sys::socket::shut_down;
use super::entry::Entry;
use super::registry::{Registration, Registry, State};
use std::net::Shutdown;

impl Registry {
    /// Cuts the connections that wait for a request. Returns their number.
    pub(crate) fn cut_idle(&self) -> usize {
        self.lock().end_each(
            &|_| Some(CloseReason::ClosedIdle),
            ConnectionState::awaits_request,
        )
    }

    /// Cuts one connection. Returns whether it was open.
    pub(crate) fn cut_one(&self, id: ConnectionId, reason: CloseReason) -> bool {
        self.lock().cut_one(id, reason, |_| true)
    }
}

impl Registration {
    /// Cuts this connection, whatever it is doing.
    pub(crate) fn cut(&self, reason: CloseReason) {
        self.registry.cut_one(self.entry.id, reason);
        // A connection without a socket is not in the map. For any other, this does nothing.
        self.entry.end_if(reason, |_| true);
    }
}

impl State {
    /// Ends each connection for which `reason_to_end` has a reason and whose state `in_state`
    /// accepts. Returns their number.
    pub(super) fn end_each(
        &mut self,
        reason_to_end: &dyn Fn(&Entry) -> Option<CloseReason>,
        in_state: fn(ConnectionState) -> bool,
    ) -> usize {
        let mut ended = 0;
        for at in 0..self.entries.len() {
            let reason = self.entries.get(at).and_then(|entry| reason_to_end(entry));
            if let Some(reason) = reason {
                ended += usize::from(self.end_one(at, reason, in_state));
            }
        }
        ended
    }

    /// Cuts one connection if `in_state` accepts its state. Returns whether it did.
    pub(super) fn cut_one(
        &mut self,
        id: ConnectionId,
        reason: CloseReason,
        in_state: fn(ConnectionState) -> bool,
    ) -> bool {
        match self.position(id) {
            Some(at) => self.end_one(at, reason, in_state),
            None => false,
        }
    }

    /// Ends the connection at this position if its socket is open and `in_state` accepts its state.
    /// Returns whether it did.
    ///
    /// A drain ends the reading side only. Linux still delivers what it has queued, so that a
    /// request which had arrived is served. A handshake may wait to write as well, so both of its
    /// sides are ended.
    fn end_one(
        &mut self,
        at: usize,
        reason: CloseReason,
        in_state: fn(ConnectionState) -> bool,
    ) -> bool {
        let entry = match self.entries.get(at) {
            Some(entry) => entry,
            None => return false,
        };
        let stream = match self.streams.get(&entry.id.0) {
            Some(stream) => stream,
            None => return false,
        };
        if !entry.end_if(reason, in_state) {
            return false;
        }
        self.places.release(entry);
        let may_write = reason == CloseReason::Drained && !entry.is(ConnectionState::Handshake);
        let how = if may_write {
            Shutdown::Read
        } else {
            Shutdown::Both
        };
        shut_down(stream, how);
        true
    }
}
