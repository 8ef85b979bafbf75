//! What a handler sees: a request's head, and its body as a reader with limits.
//!
//! A body is read from the connection while the handler asks for it, and never past its end.

use super::framing::{BodyDecoder, BodyState, Terms};
use super::sync::time_until;
use super::types::{refuse, refuse_if};
use super::{head::Head, registry::Registration, stream::Stream, transport::Timeout, urlencoded};
use super::{Builder, CancelToken, CloseReason, ConnectionId, Error, Headers, StatusCode, Version};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How much of a body that its handler has not read is received, so that the connection can go on after the response:
/// as much as Go's server receives. Beyond that, a new connection is cheaper.
const MAX_REST: u64 = 256 * 1024;

/// How often it is asked, while that rest does not come, whether there is still time for it.
const HURRY_INTERVAL: Duration = Duration::from_millis(100);

/// A request, as the handler gets it. It borrows from its connection and ends with the handler.
pub struct Request<'a> {
    pub(crate) head: &'a Head,
    pub(crate) registration: &'a Registration,
    pub(crate) body: &'a mut Body,
}

impl<'a> Request<'a> {
    /// The method: any token, with its case. A response to `HEAD` leaves without its body; `CONNECT` reaches no handler.
    pub fn method(&self) -> &'a str {
        &self.head.method
    }

    /// The target as it was sent: `/a%20b?q=1`, `http://host/a`, or `*`. What RFC 3986 does not allow is refused with
    /// 400, except for what browsers leave unencoded: `[]|^`, and `` {}\` `` in a query; one with `https` is refused with
    /// 421 (RFC 9110 §7.4), unless there is a [`transport`](super::Builder::transport).
    pub fn target(&self) -> &'a str {
        &self.head.target
    }

    /// The path, percent-decoded once; `*` for the target `*`.
    ///
    /// `%2F` becomes a slash, and what is not UTF-8 becomes U+FFFD. Dot segments stay: `/a/../b` is `/a/../b`. So check what
    /// you use: the path that this returns, not [`target`](Request::target). It holds no control byte: a request with
    /// `%00` or `%0A` in its path is refused with 400 (RFC 3986 §7.3). A [`query_value`](Request::query_value) may.
    pub fn path(&self) -> &'a str {
        &self.head.path
    }

    /// The query as it was sent, without its `?`; `None` if there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// The first value of that name in the query, decoded as forms are: `+` is a space, and what is not UTF-8 becomes
    /// U+FFFD. `?a` and `?a=` have an empty value for `a`.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let mut pairs = urlencoded::pairs(self.head.query()?.as_bytes());
        pairs.find(|(each, _)| each == name).map(|(_, value)| value)
    }

    /// The version that the client speaks.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// All the fields.
    pub fn headers(&self) -> &'a Headers {
        &self.head.headers
    }

    /// The first value of that field, if there is one and it is UTF-8; see [`Headers::get_bytes`].
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.headers.get(name)
    }

    /// The other end of the connection, as the system told it when it was accepted; `None` on a Unix socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.registration.life.peer
    }

    /// The connection's number, the same in events and for [`Handle::close`](super::Handle::close).
    pub fn connection_id(&self) -> ConnectionId {
        self.registration.life.id
    }

    /// What tells this handler that its connection has been cut. It may be kept and sent elsewhere.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken::new(self.registration)
    }

    /// The body. A handler need not read it.
    ///
    /// If the client wants the connection to go on, what the handler has left is received before the response is sent: at
    /// most 256 KiB, within `body_timeout`. If there is more, if it does not come in time, or if the client still waits for
    /// a `100 Continue`, the response says `Connection: close` and ends the connection (RFC 9112 §9.3). So it does in a
    /// drain, and when another client waits for a place.
    pub fn body(&mut self) -> &mut Body {
        self.body
    }
}

/// A request's body, read from the client as the handler reads it.
///
/// As a [`Read`] it ends where the body ends, and fails with an [`io::Error`] that carries an [`Error`]; `?` in a
/// handler that returns `Result<_, Error>` takes it out again, so that the client gets the right status code. After a
/// failure every read fails. If the client waits for a `100 Continue`, it is sent when the first read has to wait.
///
/// ```
/// fn upload(req: &mut hardstop::Request<'_>) -> Result<String, hardstop::Error> {
///     req.body().set_limit(1 << 30);
///     let bytes = std::io::copy(req.body(), &mut std::io::sink())?; // beyond the limit, the client gets a 413
///     Ok(format!("{bytes} bytes\n"))
/// }
/// ```
pub struct Body {
    pub(crate) stream: Box<Stream>,
    timeout: Timeout,
    pub(crate) terms: Terms,
    decoder: BodyDecoder,
    received: u64,
    limit: u64,
    max_form_fields: usize,
    /// The status code that reading it has failed with.
    pub(crate) failure: Option<StatusCode>,
}

impl Body {
    pub(crate) fn new(stream: Box<Stream>, config: &Builder) -> Body {
        Body {
            stream,
            timeout: config.body_timeout,
            terms: Terms::default(),
            decoder: BodyDecoder::new(Some(0)),
            received: 0,
            limit: 0,
            max_form_fields: config.max_form_fields,
            failure: None,
        }
    }

    /// Makes this the body of a new request.
    pub(crate) fn begin(&mut self, terms: Terms, limit: u64) {
        self.stream.begin_exchange(terms.length != Some(0));
        (self.decoder, self.terms) = (BodyDecoder::new(terms.length), terms);
        (self.received, self.limit, self.failure) = (0, limit, None);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.decoder.state == BodyState::Done
    }

    /// Whether the rest of the body is received so that the connection can go on, of which so much has been already.
    fn receives_rest(&self, received: u64) -> bool {
        // A client whose `Expect` was not answered may send the body, or leave it out: nobody can tell which.
        if !self.terms.keep_alive || self.terms.expects_continue || self.failure.is_some() {
            return false;
        }
        match self.decoder.state {
            BodyState::Done => false,
            BodyState::Data(left) => received.saturating_add(left) <= MAX_REST,
            BodyState::Size | BodyState::DataEnd | BodyState::Trailers => true,
        }
    }

    /// Receives what the handler has left of the body, within `body_timeout` in all. Does nothing if the client wants the
    /// connection to end, or if that is too much or might not come. Fails if it does not come.
    ///
    /// Gives up, without an error, once `is_hurried` says so: then the response ends the connection.
    pub(crate) fn receive_rest(&mut self, is_hurried: impl Fn() -> bool) -> Result<(), CloseReason> {
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut received: u64 = 0;
        while self.receives_rest(received) {
            let buffered = self.stream.buffered();
            if let BodyState::Data(left) = self.decoder.state {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffered.len());
                if n > 0 {
                    let count = u64::try_from(n).unwrap_or(u64::MAX);
                    self.stream.consume(n);
                    self.decoder.consume_data(count);
                    received = received.saturating_add(count);
                    continue;
                }
            } else {
                let line = self.decoder.advance(buffered);
                if let Some(n) = line.map_err(|error| CloseReason::Refused(error.status()))? {
                    self.stream.consume(n);
                    continue;
                }
            }
            if is_hurried() {
                break;
            }
            let time = time_until(deadline);
            if time.is_zero() || self.stream.reads_too_slowly() {
                return Err(CloseReason::BodyTimeout);
            }
            match self.stream.fill(Some(time.min(HURRY_INTERVAL))) {
                Ok(0) => return Err(CloseReason::PeerLost),
                Ok(_) | Err(CloseReason::BodyTimeout) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(())
    }

    /// The length that the client declared; `None` if it sends the body in chunks.
    pub fn len(&self) -> Option<u64> {
        self.terms.length
    }

    /// Whether there is certainly no body.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Replaces [`Builder::max_body_bytes`](super::Builder::max_body_bytes) for this body, for example of an upload.
    pub fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    /// As [`Error`] lists them; 413 comes as soon as the limit is known to be exceeded.
    pub fn read_to_vec(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the rest of the body as UTF-8.
    ///
    /// # Errors
    /// As [`read_to_vec`](Body::read_to_vec), and 400 if it is not UTF-8.
    pub fn read_to_text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.read_to_vec()?).map_err(|_| Error::new(400, "the body is not valid UTF-8"))
    }

    /// Reads the rest of the body as a form's names and values, decoded, in their order.
    ///
    /// # Errors
    /// As [`read_to_vec`](Body::read_to_vec); 415 if its type is not `application/x-www-form-urlencoded`; and 413 if it has
    /// more fields than [`Builder::max_form_fields`] allows. They are counted before memory is taken for them.
    pub fn read_form(&mut self) -> Result<Vec<(String, String)>, Error> {
        refuse_if(!self.terms.is_form, 415, "the content type is not that of a form")?;
        let text = self.read_to_vec()?;
        if urlencoded::has_more_pairs_than(&text, self.max_form_fields) {
            return Err(Error::new(413, format!("the form has more than {} fields", self.max_form_fields)));
        }
        Ok(urlencoded::pairs(&text).collect())
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let left = loop {
            match self.decoder.state {
                _ if self.stream.life.is_cut() => return Err(Error::Cut),
                BodyState::Done => return Ok(0),
                BodyState::Data(left) => break left,
                BodyState::Size | BodyState::DataEnd | BodyState::Trailers => {
                    match self.decoder.advance(self.stream.buffered())? {
                        Some(n) => self.stream.consume(n),
                        None => drop(self.wait(&mut [])?),
                    }
                }
            }
        };
        if self.received.saturating_add(left) > self.limit {
            return Err(Error::new(413, format!("the body is larger than {} bytes", self.limit)));
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.wait(buf.get_mut(..wanted).unwrap_or_default())?;
        let count = u64::try_from(n).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(count);
        self.decoder.consume_data(count);
        Ok(n)
    }

    /// Reads from the client: into that memory, or only into the buffer if it is empty.
    fn wait(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        // RFC 9110 §10.1.1: it may be left out when the client has not waited.
        if std::mem::take(&mut self.terms.expects_continue) && self.stream.buffered().is_empty() {
            self.stream.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let read = match target.is_empty() {
            _ if self.stream.reads_too_slowly() => Err(CloseReason::BodyTimeout),
            true => self.stream.fill(self.timeout),
            false => self.stream.read(target, self.timeout),
        };
        match read {
            _ if self.stream.life.is_cut() => Err(Error::Cut),
            Ok(0) => Err(Error::ended_early(self.stream.life.end_reason())),
            Ok(n) => Ok(n),
            Err(CloseReason::BodyTimeout) => refuse(408, "the body came too slowly"),
            Err(_) => Err(Error::Io(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if let Some(status) = self.failure {
            return Err(Error::new(status, "reading the body has failed already").into());
        }
        self.read_some(buf).map_err(|error| {
            self.failure = Some(error.status());
            error.into()
        })
    }
}
