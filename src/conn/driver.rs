//! The driver of one connection: a loop over its steps.
//!
//! ```text
//! Wait ─▶ ReadHead ─▶ Handle ─▶ Wait …
//!                       └─▶ Leave: the connection leaves HTTP
//! ```
//! Every step returns the next one, or the reason why the connection ends. If the connection has
//! been cut meanwhile, the reason of the cut is reported instead.
//!
//! 1. Whatever happens here, panics included, the thread ends by dropping its registration.
//! 2. A body that has not been read is never parsed as the next request: it is received to its end,
//!    or the connection ends.
//! 3. No response without `Connection: close` is on the wire before its request has been received
//!    whole. A client that shares the connection with others, as a proxy does, might send the next
//!    request instead of the rest.
//! 4. While anything of a response is in the output buffer, the connection is in no state that
//!    makes room for others.
//! 5. After a last response, the connection lingers (RFC 9112 §9.6) for as long as the client goes
//!    on sending at speed. Closing at once would reset the connection and destroy the response on
//!    its way.

use super::super::config::Hooks;
use super::super::error::Error;
use super::super::event::{CloseReason, ConnectionState, Event, Phase};
use super::super::lifecycle::{Handle, Registration, Reported};
use super::super::proto::{self, Directives, EmptyHost, HeadLimits};
use super::super::sys::panic;
use super::body::{Body, Exchange};
use super::connection::{report_panic, Connection};
use super::request::Request;
use super::response::{Response, UpgradeFn};
use super::stream::{IoEnd, Stream};
use super::transport::{Socket, Transport};
use super::upgrade::Upgraded;
use std::io::Write;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A type-erased handler.
pub(crate) type Handler<'a> = dyn Fn(&mut Request<'_>) -> Response + Sync + 'a;

/// The user's part in serving connections: the handler and the hooks.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub(crate) server: &'a Handle,
    pub(crate) hooks: &'a Hooks,
    pub(crate) handler: &'a Handler<'a>,
}

/// Serves one connection after the other, for as long as there are any for this thread.
pub(crate) fn serve(service: Service<'_>) {
    let registry = &service.server.registry;
    let mut job = registry.first_job();
    while let Some(next) = job {
        let stream = next.stream;
        let mut registration = next.registration;
        registration.events = service.hooks.events.clone();
        serve_over(
            |registration| Socket::open(stream, registration, service.hooks.transport.as_ref()),
            registration,
            service.handler,
        );
        job = registry.next_job();
    }
}

/// Serves one connection over whatever carries its bytes.
// Inlined, its frame would add a page to the stack of every idle connection.
#[inline(never)]
pub(crate) fn serve_over(
    open: impl FnOnce(&Registration) -> Result<Box<dyn Transport>, CloseReason>,
    mut registration: Registration,
    handler: &Handler<'_>,
) {
    let entry = Arc::clone(&registration.entry);
    let registry = Arc::clone(&registration.registry);
    registration.events.emit(|| Event::Opened {
        id: entry.id,
        peer: entry.peer,
    });
    registration.reported = Reported::Opened(CloseReason::Completed);

    // Only a transport, or a destructor of the user's, can panic in here.
    let served = panic::catch(|| {
        let transport = open(&registration)?;
        let mut connection = Connection::new(transport, &registration);
        let served = connection.serve(handler);
        // A transport says goodbye when it is dropped, which may take its time as well.
        let _watchdog = entry.watch(registry.config.write_timeout);
        match served {
            Ok(take) => Ok((take, connection.stream)),
            Err(reason) => {
                drop(connection);
                Err(reason)
            }
        }
    });
    let served = match served {
        Ok(served) => served,
        Err(message) => Err(report_panic(&registration, message)),
    };
    match served {
        Ok((take, stream)) => leave_http(take, *stream, registration),
        Err(reason) => registration.reported = Reported::Opened(reason),
    }
}

/// Gives the connection to the user's closure.
fn leave_http(take: UpgradeFn, stream: Stream, registration: Registration) {
    let registration = Arc::new(registration);
    let upgraded = Upgraded::new(stream, Arc::clone(&registration));
    if let Err(message) = panic::catch(move || take(upgraded)) {
        let reason = report_panic(&registration, message);
        registration.cut(reason);
    }
}

/// Sends a 503 to a client for which there is no thread, if that can be done at once.
pub(crate) fn refuse_without_thread(mut tcp: &TcpStream) {
    let response = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
                    Content-Length: 0\r\nRetry-After: 1\r\n\r\n";
    if tcp.set_nonblocking(true).is_ok() {
        let _ = tcp.write(response.as_bytes()); // best effort: the connection ends in any case
    }
}

/// What a connection does next.
enum Step {
    /// Waits for a request to begin, in this state.
    Wait(ConnectionState),
    ReadHead,
    /// Calls the handler and sends its response.
    Handle(Directives),
    /// Leaves HTTP, after a 101 has been sent.
    Leave(UpgradeFn),
}

impl Connection<'_> {
    /// Serves until the connection ends or leaves HTTP.
    fn serve(&mut self, handler: &Handler<'_>) -> Result<UpgradeFn, CloseReason> {
        let entry = self.entry();
        if entry.is_refused() && !self.registration.registry.find_place(entry) {
            let error = Error::Unavailable {
                reason: "too many connections, try again soon",
            };
            return Err(self.reject(error));
        }
        let mut step = Step::Wait(ConnectionState::New);
        loop {
            step = match step {
                Step::Wait(state) => self.wait_for_request(state)?,
                Step::ReadHead => self.read_head()?,
                Step::Handle(directives) => self.handle(handler, directives)?,
                Step::Leave(take) => return Ok(take),
            };
        }
    }

    /// Waits until a request begins, for at most `idle_timeout`.
    fn wait_for_request(&mut self, state: ConnectionState) -> Result<Step, CloseReason> {
        if has_request(self.stream.buffered()) {
            self.head_read_at = Instant::now();
            self.reset_head();
            return Ok(Step::ReadHead);
        }
        let began = self.become_evictable(None, state)?;
        self.head_read_at = began;
        self.reset_head();
        self.clear_spare_head();
        // An empty line, which some clients send after a body, begins nothing and renews no
        // timeout.
        while !has_request(self.stream.buffered()) {
            self.stream.shrink();
            if state == ConnectionState::Idle {
                self.end_if_draining();
                self.yield_briefly();
            }
            let filled = self.fill_within(self.config.idle_timeout, began);
            if self.entry().is_cut() {
                return Err(CloseReason::Destroyed);
            }
            match filled {
                Ok(0) | Err(IoEnd::Lost) => return Err(CloseReason::PeerClosed),
                Ok(_) => {}
                Err(IoEnd::ReadTimedOut) => return Err(CloseReason::IdleTimeout),
                Err(IoEnd::WriteTimedOut) => return Err(CloseReason::WriteTimeout),
            }
        }
        Ok(Step::ReadHead)
    }

    /// Ends the reading side of an idle connection in a drain. The drain has not found it idle, as
    /// it became so later. A new connection has its second instead.
    fn end_if_draining(&mut self) {
        if self.is_draining() && self.entry().end_if(CloseReason::Drained, |_| true) {
            self.stream.transport.shut_down(Shutdown::Read);
        }
    }

    /// Reads a request head, for at most `header_timeout` from its first byte.
    fn read_head(&mut self) -> Result<Step, CloseReason> {
        let mut began = None;
        loop {
            if self.parse_head()? {
                return match proto::directives(&self.head, self.empty_host()) {
                    Ok(directives) => Ok(Step::Handle(directives)),
                    Err(refusal) => Err(self.reject(refusal.into())),
                };
            }
            let since = match began {
                Some(since) => since,
                None => {
                    self.become_evictable(Some(self.head_read_at), ConnectionState::Head)?;
                    began = Some(self.head_read_at);
                    self.head_read_at
                }
            };
            let filled = self.fill_within(self.config.header_timeout, since);
            if self.entry().is_cut() {
                return Err(CloseReason::Destroyed);
            }
            match filled {
                Ok(0) => {
                    let is_stopped = self.entry().end_reason().is_some();
                    return Err(self.reject(Error::ended_early(is_stopped)));
                }
                Ok(_) => {}
                Err(IoEnd::ReadTimedOut) => {
                    return Err(self.reject(Error::new(408, "the head took too long")));
                }
                Err(end) => return Err(end.into()),
            }
        }
    }

    /// Decides whether a request may have an empty `Host`.
    fn empty_host(&self) -> EmptyHost {
        // RFC 9112 §3.2: it is what a client sends if the URI has no authority. Over a Unix socket
        // there may be none, and its clients have no address.
        match self.entry().peer {
            Some(_) => EmptyHost::Refused,
            None => EmptyHost::Allowed,
        }
    }

    /// Parses what has come of a head. Returns whether it is whole.
    fn parse_head(&mut self) -> Result<bool, CloseReason> {
        let limits = HeadLimits {
            bytes: self.config.max_head_bytes,
            fields: self.config.max_headers,
            https: self.config.has_transport,
        };
        // Nobody else holds the head yet, as `reset_head` has made sure.
        let parsed = match Arc::get_mut(&mut self.head) {
            Some(head) => head.parse(self.stream.buffered(), limits),
            None => Ok(None),
        };
        match parsed {
            Ok(Some(n)) => {
                self.stream.consume(n);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(refusal) => Err(self.reject(refusal.into())),
        }
    }

    /// Waits for more bytes, until `limit` has passed since `since`, and records when they came.
    fn fill_within(&mut self, limit: Option<Duration>, since: Instant) -> Result<usize, IoEnd> {
        // Before a first wait, as nearly every one is, no time has passed. A subtraction of times
        // costs as much as a hundredth of a request.
        let mut spent = Duration::ZERO;
        if since != self.head_read_at {
            spent = self.head_read_at - since;
        }
        let mut timeout = None;
        if let Some(limit) = limit {
            if spent >= limit {
                return Err(IoEnd::ReadTimedOut);
            }
            timeout = Some(limit - spent);
        }
        let filled = self.stream.fill(timeout);
        self.head_read_at = Instant::now();
        filled
    }

    /// Lets other threads run before this one sleeps. Often the next request is there afterwards,
    /// which saves a sleep and a wake-up.
    fn yield_briefly(&mut self) {
        // With a single connection, a sleep until the next request comes costs less than a yield.
        if !self.registration.registry.has_several_connections() {
            return;
        }
        let began = self.head_read_at;
        if self.yields.allows(began) {
            thread::yield_now();
            self.yields.record(began, Instant::now());
        }
    }

    /// Makes room for the next head, in the memory of an earlier one.
    fn reset_head(&mut self) {
        // A connection that has not been idle since still shows its last request, and the entry
        // lets go of that head when the next request begins. So two heads take turns.
        if Arc::get_mut(&mut self.head).is_none() {
            let spare = self.spare_head.take().unwrap_or_default();
            self.spare_head = Some(mem::replace(&mut self.head, spare));
        }
        match Arc::get_mut(&mut self.head) {
            Some(head) => head.clear(),
            None => self.head = Arc::default(),
        }
    }

    /// Gives back what a long head has taken, before a wait.
    fn clear_spare_head(&mut self) {
        if let Some(spare) = self.spare_head.as_mut().and_then(Arc::get_mut) {
            spare.clear();
        }
    }

    /// Has the handler make a response, and sends it.
    fn handle(
        &mut self,
        handler: &Handler<'_>,
        directives: Directives,
    ) -> Result<Step, CloseReason> {
        let entry = self.entry();
        entry.begin_request(self.head_read_at, &self.head)?;
        self.emit(|| Event::Request {
            id: entry.id,
            method: self.head.method.clone(),
            target: self.head.target.clone(),
            version: self.head.version,
            headers: self.head.headers.clone(),
        });
        // A destroy that has begun comes to this connection next.
        if entry.is_cut() || self.registration.registry.phase() == Phase::Destroyed {
            return Err(CloseReason::Destroyed);
        }
        self.exchange = Exchange::new(directives, self.config);
        self.stream.begin_exchange();
        let mut request = Request {
            head: &self.head,
            registration: self.registration,
            body: Body {
                stream: &mut self.stream,
                exchange: &mut self.exchange,
                config: self.config,
            },
        };
        let mut response = match panic::catch(|| handler(&mut request)) {
            Ok(response) => response,
            Err(message) => return Err(self.answer_panic(message)),
        };
        if let Some(take) = self.upgrade(&mut response)? {
            return Ok(Step::Leave(take));
        }
        self.answer(response)?;
        Ok(Step::Wait(ConnectionState::Idle))
    }
}

/// Returns whether a request has begun: anything but nothing, or an empty line in part or whole.
fn has_request(bytes: &[u8]) -> bool {
    !matches!(bytes, b"" | b"\r" | b"\r\n" | b"\n")
}

#[cfg(test)]
mod tests;
