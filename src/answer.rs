//! A handler called without a port: bytes in, responses out, for tests.
//!
//! 1. The bytes take the way of every connection: the same parser, limits, driver and encoder. What
//!    differs is the transport, which is two pieces of memory, and that nothing is accepted.
//! 2. No socket, no descriptor and no thread is made.
//! 3. The connection is not in the registry's map, which holds sockets. No stop can reach it, as
//!    nobody has the handle of its server.

use super::config::Builder;
use super::conn::{self, Transport};
use super::event::{CloseReason, ConnectionId};
use super::lifecycle::{Entry, Registration, Reported};
use super::proto::{Asked, Headers, Received, Refusal, StatusCode};
use super::sys::listener::{Accept, Accepted, Listener};
use super::sys::panic;
use super::sys::sync::lock;
use super::{Request, Response};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Cursor, ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

impl Builder {
    /// Has a handler answer these bytes, as on one connection with these settings, without a port.
    /// Returns the responses in their order. This is for unit tests of handlers.
    ///
    /// The bytes are what a client sends before it ends its side: one request, or several. They are
    /// parsed, limited and answered as those of any client. So there is one response for each call
    /// of the handler, and one more if the bytes are refused, which is the last one. There is none
    /// for no bytes. A head or a body that ends early is a 400. Behind `Expect: 100-continue`, the
    /// body may follow at once. Events go to the hook of [`on_event`](Builder::on_event).
    ///
    /// ```
    /// use hardstop::{Error, Request, Response, Server};
    ///
    /// fn greet(req: &mut Request<'_>, greeting: &str) -> Result<Response, Error> {
    ///     let name = req.body().read_to_text()?;
    ///     Ok(Response::text(format!("{greeting}, {name}!")))
    /// }
    ///
    /// let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nworld";
    /// let greeting = String::from("hello"); // a handler may borrow
    /// let answers = Server::builder().answer(request, |req| greet(req, &greeting))?;
    /// assert_eq!(answers[0].status(), 200);
    /// assert_eq!(answers[0].header("Content-Length"), Some("13"));
    /// assert_eq!(answers[0].text(), "hello, world!");
    ///
    /// let builder = Server::builder().max_body_bytes(4);
    /// let answers = builder.answer(request, |req| greet(req, &greeting))?;
    /// assert_eq!(answers[0].status(), 413);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// The handler runs on the caller's thread. It never waits for the client, whose bytes are
    /// there or have ended, so no timeout passes. These differ from a server with a port:
    ///
    /// - A panic of the handler goes on to the caller, so that an `assert!` in it fails the test.
    /// - [`Request::peer_addr`](super::Request::peer_addr) is `127.0.0.1:0`, and
    ///   [`connection_id`](super::Request::connection_id) is 1.
    /// - The client stays: [`is_disconnected`](super::Request::is_disconnected) is false, and the
    ///   [`cancel_token`](super::Request::cancel_token) fires when this returns, and not before. So
    ///   this does not return if a response never ends.
    /// - No [`Handle`](super::Handle) knows the connection. A handler that needs one can have that
    ///   of a server with a port, and its calls act on that server.
    /// - An [`Upgraded`](super::Upgraded) stream reads the rest of the bytes. It has no socket, so
    ///   [`into_tcp`](super::Upgraded::into_tcp) returns it. If its closure has kept it elsewhere,
    ///   it is cut when this returns. Its `Closed` event comes when it is dropped, and the hook is
    ///   kept until then.
    /// - The hook of [`transport`](Builder::transport) is not called: the bytes are those inside of
    ///   it. `max_connections`, `stack_size` and `socket_mode` have no effect.
    ///
    /// Stops, clients that leave or are slow, and several clients at a time need a port: bind to
    /// `127.0.0.1:0` in the test, as `examples/fixture.rs` does.
    ///
    /// # Errors
    /// Fails if a setting is invalid, as [`bind`](Builder::bind) does.
    ///
    /// # Panics
    /// Panics if the handler does, once the connection has ended with a 500 and its events. A panic
    /// of a response's closure or reader breaks the response off, as on a server:
    /// [`Answer::is_whole`] is false.
    #[doc(alias("test", "mock", "oneshot", "in_memory", "simulate"))]
    pub fn answer<F, R>(self, bytes: impl AsRef<[u8]>, handler: F) -> io::Result<Vec<Answer>>
    where
        F: Fn(&mut Request<'_>) -> R + Sync,
        R: Into<Response>,
    {
        let calls = Mutex::new(Vec::new());
        let panicked = Mutex::new(None);
        let received = self.serve_bytes(bytes.as_ref(), &|request| {
            lock(&calls).push(match request.method() {
                "HEAD" => Asked::Head,
                _ => Asked::OtherMethod,
            });
            let keep = |panic| *lock(&panicked) = Some(panic);
            panic::split(|| handler(request).into(), keep)
        })?;
        let panicked = lock(&panicked).take();
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        let calls = lock(&calls);
        Answer::parse_all(&received, &calls)
    }

    /// Serves a client that sends these bytes. Returns the bytes that it receives.
    // Compiled in the crate that calls it. Otherwise, in every program, the compiler would inline
    // less of what this shares with the serving of connections.
    #[inline]
    fn serve_bytes(self, bytes: &[u8], handler: &conn::Handler<'_>) -> io::Result<Vec<u8>> {
        self.config.check()?;
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::new(Box::new(NoPort), true)?;
        let events = self.hooks.events.clone();
        // Dropped at the end, as the owner of any server.
        let server = self.serve(listener, peer);
        let registration = Registration {
            registry: server.handle().registry,
            entry: Arc::new(Entry::new(
                ConnectionId(1),
                Some(peer),
                false,
                Arc::default(),
            )),
            events,
            reported: Reported::Nothing,
        };
        let entry = Arc::clone(&registration.entry);
        let output = Arc::new(Mutex::new(Vec::new()));
        let memory = Memory {
            input: Cursor::new(bytes.to_vec()),
            output: Arc::clone(&output),
            entry: Arc::clone(&entry),
        };
        conn::serve_over(|_| Ok(Box::new(memory)), registration, handler);
        // The closure of an upgrade may have kept the stream.
        entry.end_if(CloseReason::Destroyed, |_| true);
        let received = std::mem::take(&mut *lock(&output));
        Ok(received)
    }
}

/// A response, as a client has received it. Made by [`Builder::answer`].
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Headers,
    body: Vec<u8>,
    is_whole: bool,
    bytes: Vec<u8>,
}

impl Answer {
    /// Returns the status code. It is never 100: that stands in the [`bytes`](Answer::bytes) only.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns all headers, the library's own ones included.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the first value of this header, if there is one and it is UTF-8; see
    /// [`Headers::get_bytes`].
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Returns the body, without the chunked coding. It is empty in the response to `HEAD`.
    ///
    /// After a 101, it is what the closure of the upgrade has written.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text. What is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns whether the body has come to its end. It has not if the closure or the reader of the
    /// response failed or panicked after a part of it had left.
    ///
    /// If only the end of the connection ends the body, as for a client of HTTP/1.0, no client can
    /// tell, and this is true.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the bytes of the response on the wire, and in front of it those of a `100 Continue`
    /// if one was sent.
    ///
    /// Those of all answers together are everything that the client has received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Parses the responses to these calls of the handler, and to what was refused after them.
    fn parse_all(mut received: &[u8], calls: &[Asked]) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        while !received.is_empty() {
            let asked = calls.get(answers.len()).copied().unwrap_or(Asked::Unknown);
            let (answer, rest) = match Answer::parse(received, asked) {
                Ok(parsed) => parsed,
                Err(refusal) => return Err(io::Error::new(ErrorKind::InvalidData, refusal.reason)),
            };
            answers.push(answer);
            received = rest;
        }
        Ok(answers)
    }

    fn parse(bytes: &[u8], asked: Asked) -> Result<(Answer, &[u8]), Refusal> {
        let (received, rest) = Received::parse(bytes, asked)?;
        let length = bytes.len() - rest.len();
        let answer = Answer {
            status: received.status,
            headers: received.headers,
            body: received.body,
            is_whole: received.is_whole,
            bytes: bytes.get(..length).unwrap_or_default().to_vec(),
        };
        Ok((answer, rest))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.text())
            .field("is_whole", &self.is_whole)
            .finish_non_exhaustive()
    }
}

/// Stands in the place of a port. Nobody comes.
struct NoPort;

impl Accept for NoPort {
    fn accept(&self) -> io::Result<Accepted> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Stands in the place of a socket. The client has sent everything, and has ended its side.
struct Memory {
    input: Cursor<Vec<u8>>,
    output: Arc<Mutex<Vec<u8>>>,
    entry: Arc<Entry>,
}

impl Transport for Memory {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.entry.count_received(n);
        Ok(n)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.output).extend_from_slice(bytes);
        self.entry.count_sent(bytes.len());
        Ok(bytes.len())
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        refuse_zero(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        refuse_zero(timeout)
    }

    fn shut_down(&mut self, _: Shutdown) {} // the driver writes nothing afterwards

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        Err(self)
    }
}

/// Nothing here waits, so no timeout means anything. A socket refuses this one.
fn refuse_zero(timeout: Option<Duration>) -> io::Result<()> {
    if timeout == Some(Duration::ZERO) {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(())
}
