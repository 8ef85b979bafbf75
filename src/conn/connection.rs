//! What the steps of a connection share.

use super::super::config::Config;
use super::super::event::{CloseReason, ConnectionState, Event};
use super::super::lifecycle::{Entry, Registration};
use super::super::proto::{Directives, Head};
use super::body::{Body, Exchange};
use super::date::DateCache;
use super::stream::Stream;
use super::transport::Transport;
use super::yield_budget::YieldBudget;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Connection<'a> {
    // On the heap: copies of it on the stack were a page for every idle connection.
    pub(super) stream: Box<Stream>,
    pub(super) date: DateCache,
    pub(super) exchange: Exchange,
    /// The head that is read next, or of the request that is answered. Lists of connections show
    /// that one, so the connection's entry holds it as well.
    pub(super) head: Arc<Head>,
    /// The other one of two heads that take turns while requests are pipelined. `None` until then.
    pub(super) spare_head: Option<Arc<Head>>,
    pub(super) registration: &'a Registration,
    pub(super) config: &'a Config,
    /// When the last bytes of the request head came.
    pub(super) head_read_at: Instant,
    pub(super) yields: YieldBudget,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        registration: &'a Registration,
    ) -> Connection<'a> {
        let config = &registration.registry.config;
        let now = Instant::now();
        Connection {
            stream: Box::new(Stream::new(transport, config, &registration.entry)),
            date: DateCache::default(),
            exchange: Exchange::new(Directives::default(), config),
            head: Arc::default(),
            spare_head: None,
            registration,
            config,
            head_read_at: now,
            yields: YieldBudget::new(now),
        }
    }

    pub(super) fn entry(&self) -> &'a Entry {
        &self.registration.entry
    }

    pub(super) fn is_draining(&self) -> bool {
        self.registration.registry.is_draining_or_destroyed()
    }

    /// Reports an event, which is made only if there is a hook.
    pub(super) fn emit(&self, event: impl FnOnce() -> Event) {
        self.registration.events.emit(event);
    }

    /// Returns the body of the present request.
    pub(super) fn body(&mut self) -> Body<'_> {
        Body {
            stream: &mut self.stream,
            exchange: &mut self.exchange,
            config: self.config,
        }
    }

    /// Enters a state in which the connection may be cut to make room, once all output has left.
    ///
    /// It is in that state since `since`, or else since the output has left. Returns that time.
    pub(super) fn become_evictable(
        &mut self,
        since: Option<Instant>,
        state: ConnectionState,
    ) -> Result<Instant, CloseReason> {
        self.entry().begin_end_of_response();
        let since = match since {
            Some(since) => {
                self.stream.flush()?;
                since
            }
            None => self.stream.flush_timed()?,
        };
        self.entry().enter_at(since, state)?;
        self.registration.registry.offer_place(self.entry());
        Ok(since)
    }
}

/// Reports a panic. Returns it as the reason why the connection ends.
pub(super) fn report_panic(registration: &Registration, message: String) -> CloseReason {
    let id = registration.entry.id;
    registration
        .events
        .emit(|| Event::HandlerPanicked { id, message });
    CloseReason::HandlerPanicked
}
