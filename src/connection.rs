//! One connection, on its own thread: wait, head, handler, response, again.
//!
//! 1. Whatever happens here, panics included, the thread ends by ending its registration.
//! 2. A body that has not been read is never parsed as the next request: it is read to its end, or the
//!    connection ends.
//! 3. Where bytes of a request may be unread, the end lingers (RFC 9112 §9.6): closing at once would reset
//!    the connection and destroy the response on its way.
//!
//! Every function that can end the connection returns the reason as its error.

use super::date::DateCache;
use super::encode::{push_head, Framing};
use super::error::Error;
use super::event::{CloseReason, ConnectionState, Event};
use super::framing::{self, Terms};
use super::handle::Phase;
use super::head::Head;
use super::registry::{Registration, Registry};
use super::request::{Body, Incoming, Request};
use super::response::{BodyWriter, Payload, Response, PIECE_BYTES};
use super::server::Config;
use super::stream::Stream;
use super::types::{StatusCode, Version};
use std::any::Any;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A handler, whatever its own type is.
pub(crate) type Handler<'a> = dyn Fn(&mut Request<'_>) -> Response + Sync + 'a;

/// How long and how much of what a client still sends is read at most before the end.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// The whole life of a connection's thread.
pub(crate) fn serve(registry: &Arc<Registry>, handler: &Handler<'_>) {
    let (registration, tcp) = match registry.take_job() {
        Some(job) => job,
        None => return,
    };
    let (id, peer) = (registration.life.id, registration.life.peer);
    registry.config.tell(|| Event::Opened { id, peer });
    let served = catch_unwind(AssertUnwindSafe(|| {
        match Stream::new(tcp, &registry.config) {
            Ok(stream) => Connection::new(stream, &registration).serve(handler),
            Err(_) => CloseReason::SetupFailed,
        }
    }));
    let reason = served.unwrap_or_else(|panic| {
        // Only a destructor of the user's can get here, for example that of a response's reader.
        let message = panic_message(panic);
        registry
            .config
            .tell(|| Event::HandlerPanicked { id, message });
        CloseReason::HandlerPanicked
    });
    registration.end(reason);
}

/// Ends a connection for which there is no thread, without waiting for it.
pub(crate) fn turn_away(registry: &Arc<Registry>) {
    if let Some((_registration, mut tcp)) = registry.take_job() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";
        if tcp.set_nonblocking(true).is_ok() {
            let _ = tcp.write(text); // a favour: it may fail
        }
    }
}

/// The text of a panic. What is no text is leaked: its drop is the user's code and could panic again.
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = String::from(text.unwrap_or_default());
    if text.is_none() {
        std::mem::forget(panic);
    }
    message
}

struct Connection<'a> {
    stream: Stream,
    registration: &'a Registration,
    config: &'a Config,
    head: Head,
    date: DateCache,
    /// Whether a request has been made: the state is `New` before, and `Idle` after.
    has_served: bool,
}

impl<'a> Connection<'a> {
    fn new(stream: Stream, registration: &'a Registration) -> Connection<'a> {
        let config = &registration.registry.config;
        let (head, date) = (Head::new(), DateCache::default());
        Connection {
            stream,
            registration,
            config,
            head,
            date,
            has_served: false,
        }
    }

    fn serve(mut self, handler: &Handler<'_>) -> CloseReason {
        if self.registration.life.refused {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse(Error::new(status, "too many connections, try again soon"));
        }
        loop {
            if let Err(reason) = self.read_head().and_then(|()| self.exchange(handler)) {
                return reason;
            }
        }
    }

    /// Waits for a request and reads its head.
    fn read_head(&mut self) -> Result<(), CloseReason> {
        self.head.clear();
        let mut deadline = None; // of the head; it has none before its first byte
        loop {
            let bytes = self.stream.buffered();
            let waiting = bytes.is_empty() && deadline.is_none();
            match self.head.parse(bytes, self.config.max_head) {
                Ok(Some(n)) => {
                    self.stream.consume(n);
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) => return Err(self.refuse(error)),
            }
            let mut timeout = self.config.idle_timeout;
            if waiting {
                self.begin_wait()?;
            } else {
                if deadline.is_none() {
                    let limit = self.config.header_timeout.unwrap_or(Duration::MAX);
                    deadline = Some(Instant::now().checked_add(limit)); // `None`: never
                    self.registration.life.enter(ConnectionState::Head)?;
                }
                timeout = deadline
                    .flatten()
                    .map(|at| at.saturating_duration_since(Instant::now()));
            }
            let filled = match timeout {
                Some(Duration::ZERO) => Err(CloseReason::BodyTimeout),
                timeout => self.stream.fill(timeout),
            };
            match filled {
                _ if self.registration.life.is_cut() => return Err(CloseReason::Destroyed),
                Ok(0) if !waiting => {
                    return Err(self.refuse(Error::bad_request("the head ended early")));
                }
                Ok(0) => return Err(CloseReason::PeerClosed),
                Ok(_) => {}
                Err(CloseReason::BodyTimeout) if waiting => return Err(CloseReason::IdleTimeout),
                Err(CloseReason::BodyTimeout) => {
                    let status = StatusCode::REQUEST_TIMEOUT;
                    return Err(self.refuse(Error::new(status, "the head took too long")));
                }
                Err(CloseReason::PeerLost) if waiting => return Err(CloseReason::PeerClosed),
                Err(reason) => return Err(reason),
            }
        }
    }

    /// Sends what is due and declares that this connection waits for a request.
    fn begin_wait(&mut self) -> Result<(), CloseReason> {
        self.stream.flush()?;
        if self.has_served {
            self.stream.rest();
            let life = &self.registration.life;
            life.enter(ConnectionState::Idle)?;
            // A drain that came before that line has not found this connection idle.
            if self.is_draining() && life.drain(ConnectionState::Idle) {
                self.stream.end_reading();
            }
        }
        Ok(())
    }

    fn is_draining(&self) -> bool {
        self.registration.registry.phase() != Phase::Accepting
    }

    /// Has a request answered.
    fn exchange(&mut self, handler: &Handler<'_>) -> Result<(), CloseReason> {
        let terms = match framing::terms(&self.head) {
            Ok(terms) => terms,
            Err(error) => return Err(self.refuse(error)),
        };
        let registration = self.registration;
        let is_destroyed = || registration.registry.phase() == Phase::Destroyed;
        registration.life.begin_request(is_destroyed)?;
        self.has_served = true;
        let (id, method, target) = (registration.life.id, &self.head.method, &self.head.target);
        self.config.tell(|| Event::Request {
            id,
            method: method.clone(),
            target: target.clone(),
        });
        self.stream.begin_exchange();
        let mut incoming = Incoming::new(&terms, self.config.max_body_bytes);
        let (head, stream, incoming_now) = (&self.head, &mut self.stream, &mut incoming);
        let body = Body {
            stream,
            incoming: incoming_now,
            registration,
            head,
        };
        let mut request = Request {
            head,
            registration,
            body,
        };
        let called = catch_unwind(AssertUnwindSafe(|| handler(&mut request)));
        self.registration.life.enter(ConnectionState::Responding)?;
        match called {
            Ok(response) => self.answer(response, &terms, &mut incoming),
            Err(panic) => {
                self.tell_panic(panic);
                let response = Response::from(StatusCode::INTERNAL_SERVER_ERROR);
                let _ = self.answer(response.closing(), &terms, &mut incoming); // it ends in any case
                Err(CloseReason::HandlerPanicked)
            }
        }
    }

    /// Sends the response, then reads what is left of the body or ends the connection.
    fn answer(
        &mut self,
        response: Response,
        terms: &Terms,
        incoming: &mut Incoming,
    ) -> Result<(), CloseReason> {
        let can_go_on = incoming.is_complete() || incoming.is_worth_finishing();
        let wanted = terms.keep_alive && can_go_on && !response.closing;
        if self.respond(response, wanted && !self.is_draining())? && self.finish_body(incoming) {
            return Ok(());
        }
        self.close(!incoming.is_complete());
        Err(match incoming.failure {
            Some(StatusCode::REQUEST_TIMEOUT) => CloseReason::BodyTimeout,
            Some(StatusCode::INTERNAL_SERVER_ERROR) => CloseReason::PeerLost,
            Some(status) => CloseReason::Refused(status),
            None if wanted && self.is_draining() => CloseReason::Drained,
            None => CloseReason::Completed,
        })
    }

    /// Sends a response; `true` if the connection can go on after it, for which `keep_alive` must be.
    fn respond(&mut self, mut response: Response, keep_alive: bool) -> Result<bool, CloseReason> {
        let id = self.registration.life.id;
        if !(200..=599).contains(&response.status.as_u16()) {
            response.defect = Some("the status code is not one of a final response");
        }
        if let Some(why) = response.defect {
            response = Response::from(Error::Io(io::Error::new(ErrorKind::InvalidData, why)));
        }
        if let Some(error) = response.failure.take() {
            self.config.tell(|| Event::Failed { id, error });
        }
        let (status, version) = (response.status, self.head.version);
        let framing = Framing::of(&response, version);
        let keep_alive = keep_alive && !response.closing && framing != Framing::UntilClose;
        let connection = match (keep_alive, version) {
            (false, _) => Some("close"),
            // RFC 9112 §9.3: without it, a client of HTTP/1.0 would wait for the end.
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        push_head(
            self.stream.output(),
            &response,
            framing,
            connection,
            self.date.now(),
        );
        if self.head.method != "HEAD" && !matches!(framing, Framing::None | Framing::Length(0)) {
            let payload = response.payload;
            let sent = catch_unwind(AssertUnwindSafe(|| self.send(payload, framing)));
            sent.unwrap_or_else(|panic| {
                self.tell_panic(panic);
                Err(self.abort(CloseReason::HandlerPanicked))
            })?;
        }
        self.config.tell(|| Event::Responded { id, status });
        Ok(keep_alive)
    }

    fn send(&mut self, payload: Payload, framing: Framing) -> Result<(), CloseReason> {
        match payload {
            Payload::Bytes(bytes) => self.stream.push(&bytes),
            Payload::Reader(reader, length) => self.send_exactly(reader, length),
            Payload::Stream(write) => {
                let (life, chunked) = (&self.registration.life, framing == Framing::Chunked);
                let mut writer = BodyWriter::new(&mut self.stream, life, chunked);
                let sent = write(&mut writer).and_then(|()| writer.finish());
                match (sent, writer.fault) {
                    (Ok(()), _) => Ok(()),
                    (Err(_), Some(reason)) => Err(reason),
                    (Err(error), None) => Err(self.response_failed(error)),
                }
            }
        }
    }

    /// Sends as much of a reader as was declared.
    fn send_exactly(
        &mut self,
        mut reader: Box<dyn Read + Send>,
        mut left: u64,
    ) -> Result<(), CloseReason> {
        let mut piece = vec![
            0;
            usize::try_from(left)
                .unwrap_or(PIECE_BYTES)
                .min(PIECE_BYTES)
        ];
        while left > 0 {
            let n = match reader.read(&mut piece) {
                Ok(0) => {
                    let why = "the response's reader ended before its length";
                    return Err(self.response_failed(io::Error::new(ErrorKind::UnexpectedEof, why)));
                }
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.response_failed(error)),
            };
            let due = usize::try_from(left).unwrap_or(n).min(n);
            self.stream.push(piece.get(..due).unwrap_or_default())?;
            left = left.saturating_sub(u64::try_from(due).unwrap_or(left));
            if due < n {
                let why = "the response's reader went on after its length";
                self.tell_failed(io::Error::new(ErrorKind::InvalidData, why));
            }
        }
        Ok(())
    }

    fn response_failed(&mut self, error: io::Error) -> CloseReason {
        self.tell_failed(error);
        self.abort(CloseReason::ResponseFailed)
    }

    /// Sends what there is of a response that cannot be finished: earlier ones may stand before it, and the
    /// client sees that it is cut short.
    fn abort(&mut self, reason: CloseReason) -> CloseReason {
        self.stream.flush().err().unwrap_or(reason)
    }

    fn tell_failed(&self, error: io::Error) {
        let id = self.registration.life.id;
        self.config.tell(|| Event::Failed {
            id,
            error: error.into(),
        });
    }

    fn tell_panic(&self, panic: Box<dyn Any + Send>) {
        let (id, message) = (self.registration.life.id, panic_message(panic));
        self.config.tell(|| Event::HandlerPanicked { id, message });
    }

    /// Reads what the handler has left of the body; `true` when it is all read.
    fn finish_body(&mut self, incoming: &mut Incoming) -> bool {
        let (registration, head, stream) = (self.registration, &self.head, &mut self.stream);
        let mut body = Body {
            stream,
            incoming,
            registration,
            head,
        };
        let began = Instant::now();
        let mut scratch = [0; 1024];
        while !body.incoming.is_complete() && began.elapsed() < LINGER_TIME {
            if body.read(&mut scratch).is_err() {
                return false;
            }
        }
        body.incoming.is_complete()
    }

    /// Answers what is wrong with a request, and ends the connection.
    fn refuse(&mut self, error: Error) -> CloseReason {
        let reason = match error.status() {
            StatusCode::REQUEST_TIMEOUT => CloseReason::HeadTimeout,
            StatusCode::SERVICE_UNAVAILABLE => CloseReason::Busy,
            status => CloseReason::Refused(status),
        };
        let told = self.registration.life.enter(ConnectionState::Responding);
        match told.and_then(|()| self.respond(error.into(), false)) {
            Ok(_) => {
                self.close(true);
                reason
            }
            Err(reason) => reason,
        }
    }

    /// Sends the rest. If the client may still be sending, waits until it has had the time to read that.
    fn close(&mut self, unread: bool) {
        let began = Instant::now();
        let cut = self.registration.life.enter(ConnectionState::Closing);
        if cut.and_then(|()| self.stream.flush()).is_err() {
            return;
        }
        if unread || !self.stream.buffered().is_empty() {
            self.stream.end_writing();
            let mut read: usize = 0;
            while read < LINGER_BYTES && began.elapsed() < LINGER_TIME {
                self.stream.discard();
                match self
                    .stream
                    .fill(Some(LINGER_TIME.saturating_sub(began.elapsed())))
                {
                    Ok(n) if n > 0 => read = read.saturating_add(n),
                    _ => return,
                }
            }
        }
    }
}
