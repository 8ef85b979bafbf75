//! The lingering close (RFC 9112 §9.6): after a last response, what the client still sends is read
//! and discarded. A reset would destroy the response on its way.

use super::super::event::{CloseReason, ConnectionState};
use super::connection::Connection;
use super::rate::{MinRate, USUAL_TIMEOUT};
use super::stream::IoEnd;
use std::net::Shutdown;
use std::time::Duration;

/// How long the lingering close waits for a client that sends nothing. It may last as long even if
/// `body_timeout` is shorter, and no longer if others wait for its thread.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How long a client may pause if more of its body is to come, or if it has sent something since
/// the response. nginx waits for as long.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// How much of what a client still sends is read.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

impl Connection<'_> {
    /// Sends the rest. Then reads and discards what the client still sends, until it ends its side
    /// or has had the time to read the response.
    pub(super) fn linger(&mut self) -> Result<(), CloseReason> {
        // The time counts from when the rest has left, which may have taken long.
        let began = self.become_evictable(None, ConnectionState::Closing)?;
        let credit = if self.exchange.is_complete() {
            LINGER_TIME
        } else {
            LINGER_PAUSE // more of the body may be on its way
        };
        let mut rate = MinRate::of_linger(credit, LINGER_PAUSE, self.config.min_rate);
        // illumos and Solaris take no timeout once writing has ended.
        let bounded = self.stream.bound_read(&rate, Some(LINGER_TIME));
        self.stream.transport.shut_down(Shutdown::Write);
        if bounded.is_err() {
            return Ok(()); // a read might last for ever
        }
        let mut discarded: usize = 0;
        while discarded < LINGER_BYTES {
            let spent = began.elapsed();
            let limit = self.linger_limit();
            if spent >= limit {
                break;
            }
            self.stream.consume(usize::MAX);
            let timeout = LINGER_TIME.min(limit - spent);
            match self.stream.fill_at_rate(&mut rate, Some(timeout)) {
                Ok(0) => break,
                Ok(n) => discarded += n,
                // A client may pause for longer than this, except in a drain.
                Err(IoEnd::ReadTimedOut) if !rate.is_exhausted() && !self.is_draining() => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Returns how long the connection may linger, as of now.
    fn linger_limit(&self) -> Duration {
        // Few clients are refused at a time, and clients in the queue of a drain wait for a place.
        if self.entry().is_refused() || self.registration.registry.is_place_awaited_in_drain() {
            return LINGER_TIME;
        }
        let limit = self.config.body_timeout.unwrap_or(USUAL_TIMEOUT);
        limit.max(LINGER_TIME)
    }
}
