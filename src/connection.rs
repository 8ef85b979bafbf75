//! One connection, on its own thread: wait, head, handler, response, again.
//!
//! 1. Whatever happens here, panics included, the thread ends by ending its registration.
//! 2. A body that has not been read is never parsed as the next request: it is read to its end, or the connection ends.
//! 3. No response without `Connection: close` is on the wire before its request has been received whole. Whoever shares
//!    the connection with others, as a proxy does, might send the next request instead of the rest.
//! 4. While anything of a response is in the output buffer, the connection is in no state that makes room for others.
//! 5. After a last response the end lingers (RFC 9112 §9.6): if the client has sent anything more, closing at once would
//!    reset the connection and destroy the response on its way. It need not if that is short and the client wanted the end.
//!
//! What ends the connection is returned as an error. If it has been cut meanwhile, the reason of the cut is told instead.

use super::head::{same, Head};
use super::response::{Framing, Payload, Takeover};
use super::transport::{Socket, Transport};
use super::{framing, registry::Registration, stream::Stream, Body, BodyWriter, Builder, CloseReason, ConnectionState};
use super::{Error, Event, Handle, Phase, Request, Response, StatusCode, Version};
use std::io::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};
use std::{any::Any, mem, net::Shutdown, sync::Arc, thread};

/// A handler, whatever its own type is.
pub(crate) type Handler<'a> = dyn Fn(&mut Request<'_>) -> Response + Sync + 'a;

/// How long and how much of what a client still sends is read at most before the end.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// The largest body that is taken by the client's system at once, so that a reset would come behind it.
const SHORT_BYTES: usize = 4 * 1024;

/// What a yield may take at most, and for how long there is none after one that took longer.
const LONG_YIELD: Duration = Duration::from_millis(1);
const YIELD_PAUSE: Duration = Duration::from_secs(1);

/// The whole life of a thread that serves connections.
pub(crate) fn serve(server: &Handle, handler: &Handler<'_>) {
    let mut job = server.registry.take_job(true);
    while let Some((tcp, registration)) = job {
        serve_over(|of| Socket::open(tcp, of), registration, handler);
        job = server.registry.take_job(false);
    }
}

/// One connection, over whatever carries the bytes. Inlined, its frame would be one page of stack more.
#[inline(never)]
pub(crate) fn serve_over(
    open: impl FnOnce(&Registration) -> Result<Box<dyn Transport>, CloseReason>,
    mut registration: Registration,
    handler: &Handler<'_>,
) {
    let server = registration.handle.clone();
    let config = &server.registry.config;
    let (id, peer) = (registration.life.id, registration.life.peer);
    config.tell(|| Event::Opened { id, peer });
    let served = catch_unwind(AssertUnwindSafe(|| {
        let stream = Box::new(Stream::new(open(&registration)?, config, &registration.life));
        let _watch; // dropped after the connection, whose transport says goodbye
        let (body, head) = (Body::new(stream, config), Arc::default());
        let (asked, yields_at) = (Instant::now(), Instant::now());
        let mut connection = Connection { body, registration: &registration, config, head, asked, yields_at };
        let served = connection.serve(handler);
        _watch = registration.life.watch(config.write_timeout);
        served.map(|takeover| (takeover, connection.body.stream))
    }));
    // Only the transport, or a destructor of the user's, can have panicked.
    match served.unwrap_or_else(|panic| Err(tell_panic(&registration, panic))) {
        Err(reason) => registration.why = Some(reason),
        Ok((takeover, stream)) => {
            registration.why = Some(CloseReason::Completed);
            let registration = Arc::new(registration);
            let take = || takeover(stream, Arc::clone(&registration));
            if let Err(panic) = catch_unwind(AssertUnwindSafe(take)) {
                let why = tell_panic(&registration, panic);
                server.registry.lock().end(why, Some(id), |_| true);
            }
        }
    }
}

/// Ends a connection for which there is no thread, without waiting for it.
pub(crate) fn turn_away(server: &Handle, error: io::Error) {
    if let Some((mut tcp, _registration)) = server.registry.take_job_without_thread() {
        let text = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
                    Content-Length: 0\r\nRetry-After: 1\r\n\r\n";
        if server.registry.config.transport.is_none() && tcp.set_nonblocking(true).is_ok() {
            let _ = tcp.write(text.as_bytes()); // a favour: it may fail
        }
    }
    server.registry.config.tell(|| Event::SpawnFailed { error });
}

/// The text of a panic. What is no text is leaked: its drop is the user's code and could panic again.
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast::<&str>().map(|text| String::from(*text));
    let text = text.or_else(|panic| panic.downcast::<String>().map(|text| *text));
    text.map_err(mem::forget).unwrap_or_default()
}

fn tell_panic(of: &Registration, panic: Box<dyn Any + Send>) -> CloseReason {
    let (id, message) = (of.life.id, panic_message(panic));
    of.handle.registry.config.tell(|| Event::HandlerPanicked { id, message });
    CloseReason::HandlerPanicked
}

struct Connection<'a> {
    body: Body,
    registration: &'a Registration,
    config: &'a Builder,
    head: Arc<Head>,
    /// When the last bytes of the head came.
    asked: Instant,
    /// From when on it lets others run before it waits.
    yields_at: Instant,
}

impl Connection<'_> {
    /// Serves until the connection ends, or leaves HTTP.
    fn serve(&mut self, handler: &Handler<'_>) -> Result<Takeover, CloseReason> {
        let life = &self.registration.life;
        if life.is_refused() && !self.registration.handle.registry.find_place(life) {
            return Err(self.refuse(Error::new(503, "too many connections, try again soon")));
        }
        let mut waits_as = ConnectionState::New;
        loop {
            self.read_head(waits_as)?;
            if let Some(takeover) = self.exchange(handler)? {
                return Ok(takeover);
            }
            waits_as = ConnectionState::Idle;
        }
    }

    /// Waits for a request, in that state, and reads its head.
    fn read_head(&mut self, waits_as: ConnectionState) -> Result<(), CloseReason> {
        if !self.body.stream.buffered().is_empty() {
            self.renew_head();
        }
        let life = &self.registration.life;
        let mut waited: Option<Instant> = None; // since when; an empty line does not make it wait anew
        let mut began: Option<Instant> = None; // with its first byte
        loop {
            let bytes = self.body.stream.buffered();
            // An empty line, which some clients send after a body, begins nothing yet.
            let waiting = matches!(bytes, [] | [b'\r'] | [b'\r', b'\n']) && began.is_none();
            self.asked = Instant::now();
            let head = Arc::get_mut(&mut self.head).filter(|_| !bytes.is_empty()); // nobody else has it yet
            let parsed = head.map_or(Ok(None), |head| head.parse(bytes, self.config));
            if let Some(n) = parsed.map_err(|error| self.refuse(error))? {
                self.body.stream.consume(n);
                return Ok(());
            }
            if waiting {
                if waited.is_none() {
                    self.become_dispensable(self.asked, waits_as)?;
                    self.renew_head();
                }
                self.body.stream.rest();
                // A drain that came before that line has not found this connection idle. A new one has its second.
                if waits_as == ConnectionState::Idle {
                    if self.is_draining() && life.end_if(CloseReason::Drained, |_| true) {
                        self.body.stream.transport.shut_down(Shutdown::Read);
                    }
                    self.give_way();
                }
            } else if began.is_none() {
                self.become_dispensable(self.asked, ConnectionState::Head)?;
                began = Some(self.asked);
            }
            let since = began.unwrap_or(*waited.get_or_insert(self.asked));
            let limit = if began.is_some() { self.config.header_timeout } else { self.config.idle_timeout };
            let spent = self.asked.saturating_duration_since(since);
            let filled = match limit.map(|limit| limit.saturating_sub(spent)) {
                Some(Duration::ZERO) => Err(CloseReason::BodyTimeout),
                timeout => self.body.stream.fill(timeout),
            };
            return Err(match (filled, waiting) {
                _ if life.is_cut() => CloseReason::Destroyed,
                (Ok(0) | Err(CloseReason::PeerLost), true) => CloseReason::PeerClosed,
                (Err(CloseReason::BodyTimeout), true) => CloseReason::IdleTimeout,
                (Ok(0), false) => self.refuse(Error::ended_early(life.end_reason())),
                (Err(CloseReason::BodyTimeout), false) => self.refuse(Error::new(408, "the head took too long")),
                (Ok(_), _) => continue,
                (Err(reason), _) => reason,
            });
        }
    }

    /// Lets others run before it sleeps: often the next request is there then, which saves a sleep and a wake-up. If that
    /// takes long, somebody else wants the processor and would get it after each request: so not again for a while.
    fn give_way(&mut self) {
        if self.asked >= self.yields_at {
            thread::yield_now();
            if self.asked.elapsed() > LONG_YIELD {
                self.yields_at = self.asked.checked_add(YIELD_PAUSE).unwrap_or(self.asked);
            }
        }
    }

    /// Makes room for the next head, unless the last one is still told of, as that of a pipelined request is.
    fn renew_head(&mut self) {
        match Arc::get_mut(&mut self.head) {
            Some(head) => head.clear(),
            None => self.head = Arc::default(),
        }
    }

    fn is_draining(&self) -> bool {
        self.registration.handle.phase() != Phase::Accepting
    }

    /// Has a request answered.
    fn exchange(&mut self, handler: &Handler<'_>) -> Result<Option<Takeover>, CloseReason> {
        let terms = framing::terms(&self.head).map_err(|error| self.refuse(error))?;
        let registration = self.registration;
        registration.life.enter_at(self.asked, ConnectionState::Handling, Some(&self.head))?;
        self.config.tell(|| {
            let id = registration.life.id;
            let (method, target) = (self.head.method.clone(), self.head.target.clone());
            Event::Request { id, method, target, version: self.head.version, headers: self.head.headers.clone() }
        });
        if registration.life.is_cut() || registration.handle.phase() == Phase::Destroyed {
            return Err(CloseReason::Destroyed); // it has begun, and comes here next
        }
        self.body.begin(terms, self.config.max_body_bytes);
        let mut request = Request { head: &self.head, registration, body: &mut self.body };
        let called = catch_unwind(AssertUnwindSafe(|| handler(&mut request)));
        let mut panicked = Ok(());
        let mut response = called.unwrap_or_else(|panic| {
            panicked = Err(tell_panic(registration, panic));
            Response::from(StatusCode::INTERNAL_SERVER_ERROR).closing()
        });
        if let Payload::Upgrade(protocol, takeover) = response.payload {
            response.payload = Payload::NONE;
            self.begin_response()?;
            if self.switch(protocol, &mut response)? {
                return Ok(Some(takeover));
            }
        }
        let answered = self.answer(response);
        panicked.and(answered).map(|()| None)
    }

    /// Leaves HTTP for that protocol (RFC 9110 §7.8), unless there is another response to be sent.
    fn switch(&mut self, protocol: String, head: &mut Response) -> Result<bool, CloseReason> {
        let names_it = |(name, value): (&[u8], &[u8])| {
            same(name, "upgrade") && framing::list(value).any(|offer| same(offer, &protocol))
        };
        let is_offered = self.body.terms.upgrades && self.head.headers.iter_bytes().any(names_it);
        let (status, life) = (head.status, &self.registration.life);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            head.defect = Some("the status code of an upgrade is 101, and cannot be set");
        } else if protocol.is_empty() || !is_offered {
            *head = Error::new(400, "the client has not offered this upgrade").into();
        } else if !self.body.is_complete() {
            *head = Error::new(400, "the body before an upgrade was not read").into();
        } else if self.is_draining() {
            *head = Error::ended_early(Some(CloseReason::Drained)).into();
        } else if head.defect.is_none() {
            head.push_head(&mut self.body.stream, Framing::None, "");
            self.body.stream.flush()?;
            self.responded(status, 0);
            life.enter(ConnectionState::Upgraded)?;
            self.config.tell(|| Event::Upgraded { id: life.id, protocol });
            return Ok(true);
        }
        Ok(false)
    }

    /// Enters a state in which the connection may be cut to make room for another one, once all output has been written.
    fn become_dispensable(&mut self, since: Instant, state: ConnectionState) -> Result<(), CloseReason> {
        self.registration.life.end_response();
        self.body.stream.flush()?;
        self.registration.life.enter_at(since, state, None)?;
        self.registration.handle.registry.offer_place();
        Ok(())
    }

    fn begin_response(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        self.body.stream.date.renew(now);
        self.registration.life.enter_at(now, ConnectionState::Responding, None)
    }

    fn responded(&self, status: StatusCode, bytes: u64) {
        let id = self.registration.life.id;
        self.config.tell(|| Event::Responded { id, status, bytes, time: self.asked.elapsed() });
    }

    /// Receives what is left of the body, if the connection can go on then. Sends the response, and ends the connection
    /// if it cannot.
    fn answer(&mut self, response: Response) -> Result<(), CloseReason> {
        let mut received = Ok(());
        if !response.closing && !self.is_draining() {
            // The end of the response begins here: the connection hurries if its place is wanted.
            let registration = self.registration;
            let server = &registration.handle;
            registration.life.end_response();
            let is_hurried = || server.registry.is_place_sought() || server.phase() != Phase::Accepting;
            received = self.body.receive_rest(is_hurried);
        }
        self.begin_response()?;
        // Asked after the rest has been received: a drain may have begun meanwhile.
        let is_draining = self.is_draining();
        let is_wanted = self.body.terms.keep_alive && self.body.failure.is_none() && !response.closing;
        let is_short = matches!(&response.payload, Payload::Bytes(bytes) if bytes.len() <= SHORT_BYTES);
        if self.respond(response, is_wanted && self.body.is_complete() && !is_draining)? {
            return Ok(());
        }
        let (terms, stream) = (&self.body.terms, &mut self.body.stream);
        let is_last_word = !terms.keep_alive && self.head.method == "GET" && terms.length == Some(0);
        let closed = match is_short && is_last_word && stream.buffered().is_empty() {
            true => self.become_dispensable(Instant::now(), ConnectionState::Closing),
            false => self.close(),
        };
        if let Err(reason) = received {
            return closed.and(Err(reason));
        }
        Err(match self.body.failure {
            Some(StatusCode::REQUEST_TIMEOUT) => CloseReason::BodyTimeout,
            Some(StatusCode::INTERNAL_SERVER_ERROR) => closed.err().unwrap_or(CloseReason::PeerLost),
            Some(status) => CloseReason::Refused(status),
            None if closed.is_err() => return closed, // it has not had all of it
            None if is_wanted && is_draining => CloseReason::Drained,
            None => CloseReason::Completed,
        })
    }

    /// Sends a response; `true` if the connection can go on after it, for which `keep_alive` must be.
    fn respond(&mut self, mut response: Response, keep_alive: bool) -> Result<bool, CloseReason> {
        if !(200..=599).contains(&response.status.as_u16()) {
            response.defect.get_or_insert("the status code is not from 200 to 599");
        }
        let replaced = response.defect.map(|why| {
            let error = io::Error::new(io::ErrorKind::InvalidData, why);
            mem::replace(&mut response, Error::Io(error).into())
        });
        if let Some(error) = response.failure.take() {
            self.config.tell(|| Event::Failed { id: self.registration.life.id, error });
        }
        let (status, version) = (response.status, self.head.version);
        let framing = Framing::of(&response, version);
        let keep_alive = keep_alive && !response.closing && framing != Framing::UntilClose;
        let connection = match (keep_alive, version) {
            (false, _) => "Connection: close\r\n",
            (true, Version::Http10) => "Connection: keep-alive\r\n", // RFC 9112 §9.3: else it waits for the end
            (true, Version::Http11) => "",
        };
        self.body.stream.flush_if_full()?;
        response.push_head(&mut self.body.stream, framing, connection);
        let payload = response.payload;
        let sent = catch_unwind(AssertUnwindSafe(|| {
            let _replaced = replaced; // in here, as dropping what is not sent is the user's code, too
            self.send(payload, framing)
        }));
        match sent.unwrap_or_else(|panic| Err(tell_panic(self.registration, panic))) {
            Ok(bytes) => self.responded(status, bytes),
            // Earlier responses may stand before it, and the client sees that this one is cut short.
            Err(reason) => return self.close().and(Err(reason)),
        }
        Ok(keep_alive)
    }

    /// Sends a body, if there is to be one, and says how long it was.
    fn send(&mut self, payload: Payload, framing: Framing) -> Result<u64, CloseReason> {
        let no_body = matches!(framing, Framing::None | Framing::Length(0)) || self.head.method == "HEAD";
        let (write, left) = match payload {
            _ if no_body => return Ok(0),
            Payload::Bytes(bytes) => {
                self.body.stream.life.end_response(); // a large one leaves now
                self.body.stream.push(&bytes)?;
                return Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            }
            Payload::Stream(write, left) => (write, left),
            Payload::Upgrade(..) => return Ok(0), // a response that has a body never is one
        };
        let (stream, chunked) = (&mut self.body.stream, framing == Framing::Chunked);
        let mut writer = BodyWriter { stream, chunked, left, written: 0, pending: Vec::new() };
        let sent = write(&mut writer);
        let is_whole = writer.left == Some(0); // if it fails then, there was more: the client has what it was told of
        let bytes = writer.written;
        match (sent, self.body.stream.written) {
            (_, Err(reason)) => Err(reason),
            (Ok(()), Ok(())) => Ok(bytes),
            (Err(error), Ok(())) => {
                self.config.tell(|| Event::Failed { id: self.registration.life.id, error });
                is_whole.then_some(bytes).ok_or(CloseReason::ResponseFailed)
            }
        }
    }

    /// Answers what is wrong with a request, and ends the connection.
    fn refuse(&mut self, error: Error) -> CloseReason {
        let reason = match error.status() {
            StatusCode::REQUEST_TIMEOUT => CloseReason::HeadTimeout,
            StatusCode::SERVICE_UNAVAILABLE => CloseReason::Busy,
            status => CloseReason::Refused(status),
        };
        let begun = self.body.stream.buffered();
        let begun = begun.strip_prefix(b"\r\n").unwrap_or(begun);
        let unread = Arc::get_mut(&mut self.head).filter(|head| head.method.is_empty());
        if let Some(head) = unread.filter(|_| begun.starts_with(b"HEAD ")) {
            head.method = String::from("HEAD"); // RFC 9110 §9.3.2: so its answer has no body
        }
        let sent = self.begin_response().and_then(|()| self.respond(error.into(), false));
        let closed = sent.map(|_| self.close()); // if that fails, the refusal is still the reason
        closed.err().unwrap_or(reason)
    }

    /// Sends the rest, and waits until the client has had the time to read it.
    fn close(&mut self) -> Result<(), CloseReason> {
        self.become_dispensable(Instant::now(), ConnectionState::Closing)?;
        let stream = &mut self.body.stream;
        let began = Instant::now();
        stream.transport.shut_down(Shutdown::Write);
        let mut read: usize = 0;
        while read < LINGER_BYTES && began.elapsed() < LINGER_TIME {
            stream.consume(usize::MAX);
            match stream.fill(Some(LINGER_TIME.saturating_sub(began.elapsed()))) {
                Ok(n) if n > 0 => read = read.saturating_add(n),
                _ => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
