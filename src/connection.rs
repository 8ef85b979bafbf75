//! One connection, on its own thread: wait, head, handler, response, again.
//!
//! 1. Whatever happens here, panics included, the thread ends by ending its registration.
//! 2. A body that has not been read is never parsed as the next request: it is read to its end, or the connection ends.
//! 3. Where bytes of a request may be unread, the end lingers (RFC 9112 §9.6): closing at once would reset the
//!    connection and destroy the response on its way.
//!
//! Every function that can end the connection returns the reason as its error.

use super::date::DateCache;
use super::encode::{push_head, Framing};
use super::framing;
use super::head::Head;
use super::registry::Registration;
use super::response::Payload;
use super::stream::Stream;
use super::{Body, BodyWriter, Builder, CloseReason, ConnectionState, Error, Event};
use super::{Handle, Phase, Request, Response, StatusCode, Version};
use std::any::Any;
use std::io::{self, Write};
use std::net::Shutdown;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

/// A handler, whatever its own type is.
pub(crate) type Handler<'a> = dyn Fn(&mut Request<'_>) -> Response + Sync + 'a;

/// How long and how much of what a client still sends is read at most before the end.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// The whole life of a connection's thread.
pub(crate) fn serve(server: &Handle, handler: &Handler<'_>) {
    let config = &server.registry.config;
    let (life, tcp) = match server.registry.take_job() {
        Some(job) => job,
        None => return,
    };
    let (id, peer) = (life.id, life.peer);
    let mut registration = Registration::new(server, life);
    config.tell(|| Event::Opened { id, peer });
    let served = catch_unwind(AssertUnwindSafe(|| match Stream::new(tcp, config) {
        Ok(stream) => {
            let (registration, head, date) = (&registration, Head::default(), DateCache::default());
            let body = Body::new(stream, &registration.life, config.body_timeout);
            let has_served = false;
            Connection {
                body,
                registration,
                config,
                head,
                date,
                has_served,
            }
            .serve(handler)
        }
        Err(_) => CloseReason::SetupFailed,
    }));
    registration.reason = Some(served.unwrap_or_else(|panic| {
        // Only a destructor of the user's can get here, for example that of a response's reader.
        let message = panic_message(panic);
        config.tell(|| Event::HandlerPanicked { id, message });
        CloseReason::HandlerPanicked
    }));
}

/// Ends a connection for which there is no thread, without waiting for it.
pub(crate) fn turn_away(server: &Handle, error: io::Error) {
    if let Some((life, mut tcp)) = server.registry.take_job() {
        let text = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
                    Content-Length: 0\r\nRetry-After: 1\r\n\r\n";
        if tcp.set_nonblocking(true).is_ok() {
            let _ = tcp.write(text.as_bytes()); // a favour: it may fail
        }
        drop(Registration::new(server, life));
    }
    server.registry.config.tell(|| Event::SpawnFailed { error });
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
    body: Body,
    registration: &'a Registration,
    config: &'a Builder,
    head: Head,
    date: DateCache,
    /// Whether a request has been made: the state is `New` before, and `Idle` after.
    has_served: bool,
}

impl Connection<'_> {
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
            let bytes = self.body.stream.buffered();
            let waiting = bytes.is_empty() && deadline.is_none();
            match self.head.parse(bytes, self.config) {
                Ok(Some(n)) => {
                    self.body.stream.consume(n);
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
                let left = |at: Instant| at.saturating_duration_since(Instant::now());
                timeout = deadline.flatten().map(left);
            }
            let filled = match timeout {
                Some(Duration::ZERO) => Err(CloseReason::BodyTimeout),
                timeout => self.body.stream.fill(timeout),
            };
            match (filled, waiting) {
                _ if self.registration.life.is_cut() => return Err(CloseReason::Destroyed),
                (Ok(0) | Err(CloseReason::PeerLost), true) => return Err(CloseReason::PeerClosed),
                (Err(CloseReason::BodyTimeout), true) => return Err(CloseReason::IdleTimeout),
                (Ok(0), false) => return Err(self.refuse(Error::new(400, "the head ended early"))),
                (Err(CloseReason::BodyTimeout), false) => {
                    let status = StatusCode::REQUEST_TIMEOUT;
                    return Err(self.refuse(Error::new(status, "the head took too long")));
                }
                (Ok(_), _) => {}
                (Err(reason), _) => return Err(reason),
            }
        }
    }

    /// Sends what is due and declares that this connection waits for a request.
    fn begin_wait(&mut self) -> Result<(), CloseReason> {
        self.body.stream.flush()?;
        if self.has_served {
            self.body.stream.rest();
            let life = &self.registration.life;
            life.enter(ConnectionState::Idle)?;
            // A drain that came before that line has not found this connection idle.
            if self.is_draining() && life.drain(ConnectionState::Idle) {
                self.body.stream.shut_down(Shutdown::Read);
            }
        }
        Ok(())
    }

    fn is_draining(&self) -> bool {
        self.registration.handle.phase() != Phase::Accepting
    }

    /// Has a request answered.
    fn exchange(&mut self, handler: &Handler<'_>) -> Result<(), CloseReason> {
        let terms = match framing::terms(&self.head) {
            Ok(terms) => terms,
            Err(error) => return Err(self.refuse(error)),
        };
        let registration = self.registration;
        registration.life.enter(ConnectionState::Handling)?;
        if registration.handle.phase() == Phase::Destroyed {
            return Err(CloseReason::Destroyed); // it has begun, and comes here next
        }
        self.has_served = true;
        self.config.tell(|| {
            let id = registration.life.id;
            let (method, target) = (self.head.method.clone(), self.head.target.clone());
            Event::Request { id, method, target }
        });
        self.body.begin(&terms, self.config.max_body_bytes);
        let (head, body) = (&self.head, &mut self.body);
        let mut request = Request {
            head,
            registration,
            body,
        };
        let called = catch_unwind(AssertUnwindSafe(|| handler(&mut request)));
        self.registration.life.enter(ConnectionState::Responding)?;
        match called {
            Ok(response) => self.answer(response, terms.keep_alive),
            Err(panic) => {
                self.tell_panic(panic);
                let response = Response::from(StatusCode::INTERNAL_SERVER_ERROR);
                let _ = self.answer(response.closing(), false); // it ends in any case
                Err(CloseReason::HandlerPanicked)
            }
        }
    }

    /// Sends the response, then reads what is left of the body or ends the connection.
    fn answer(&mut self, response: Response, keep_alive: bool) -> Result<(), CloseReason> {
        let can_go_on = self.body.is_complete() || self.body.is_worth_finishing();
        let wanted = keep_alive && can_go_on && !response.closing;
        if self.respond(response, wanted && !self.is_draining())? && self.body.finish(LINGER_TIME) {
            return Ok(());
        }
        self.close(!self.body.is_complete());
        Err(match self.body.failure {
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
            response = Response::from(Error::Io(io::Error::new(io::ErrorKind::InvalidData, why)));
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
        let (out, date) = (self.body.stream.output(), self.date.now());
        push_head(out, &response, framing, connection, date);
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
        let (write, length) = match payload {
            Payload::Bytes(bytes) => return self.body.stream.push(&bytes),
            Payload::Stream(write, length) => (write, length),
        };
        let mut writer = BodyWriter {
            stream: &mut self.body.stream,
            life: &self.registration.life,
            chunked: framing == Framing::Chunked,
            left: length.unwrap_or(u64::MAX),
            pending: Vec::new(),
            fault: None,
        };
        let written = write(&mut writer);
        let is_whole = writer.left == 0;
        let sent = match written {
            Err(error) if !is_whole => writer.send_pending().and(Err(error)),
            written => writer.finish().and(written),
        };
        match (sent, writer.fault) {
            (_, Some(reason)) => Err(reason),
            (Ok(()), None) => Ok(()),
            (Err(error), None) => {
                let (id, error) = (self.registration.life.id, error.into());
                self.config.tell(|| Event::Failed { id, error });
                match is_whole {
                    true => Ok(()), // there was more than the length: the client has what it was told of
                    false => Err(self.abort(CloseReason::ResponseFailed)),
                }
            }
        }
    }

    /// Sends what there is of a response that cannot be finished: earlier ones may stand before it, and the client sees
    /// that it is cut short.
    fn abort(&mut self, reason: CloseReason) -> CloseReason {
        self.body.stream.flush().err().unwrap_or(reason)
    }

    fn tell_panic(&self, panic: Box<dyn Any + Send>) {
        let (id, message) = (self.registration.life.id, panic_message(panic));
        self.config.tell(|| Event::HandlerPanicked { id, message });
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
        let stream = &mut self.body.stream;
        if cut.and_then(|()| stream.flush()).is_ok() && (unread || !stream.buffered().is_empty()) {
            stream.shut_down(Shutdown::Write);
            let mut read: usize = 0;
            while read < LINGER_BYTES && began.elapsed() < LINGER_TIME {
                stream.consume(usize::MAX);
                match stream.fill(Some(LINGER_TIME.saturating_sub(began.elapsed()))) {
                    Ok(n) if n > 0 => read = read.saturating_add(n),
                    _ => return,
                }
            }
        }
    }
}
