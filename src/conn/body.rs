//! A request's body, as a reader with limits.
//!
//! The body is read from the connection while the handler asks for it. What is read past its end is
//! kept for the next request.

use super::super::config::Config;
use super::super::error::Error;
use super::super::event::CloseReason;
use super::super::proto::{self, BodyDecoder, BodyLength, BodyState, Directives, StatusCode};
use super::super::sys::sync::time_until;
use super::form::Form;
use super::rate::MinRate;
use super::stream::{IoEnd, Stream};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// How much of a body that its handler has not read is received, so that the connection can go on
/// after the response. Go's server receives as much. Beyond that, a new connection is cheaper.
const MAX_REST: u64 = 256 * 1024;

/// If the rest of a chunk is at most as large, what comes behind it is read with it, provided that
/// its reader has room.
const SMALL_CHUNK: usize = 16 * 1024;

/// How much is read ahead. It is kept until it is asked for.
const MAX_AHEAD: usize = 16 * 1024;

/// How often it is asked, while that rest does not come, whether there is still time for it.
const HURRY_INTERVAL: Duration = Duration::from_millis(100);

/// One request and its body, as far as it has been received.
pub(super) struct Exchange {
    pub(super) directives: Directives,
    decoder: BodyDecoder,
    /// How much the handler has read, and how much it may read.
    received: u64,
    limit: u64,
    rate: MinRate,
    /// The status code that reading has failed with.
    pub(super) failure: Option<StatusCode>,
}

impl Exchange {
    pub(super) fn new(directives: Directives, config: &Config) -> Exchange {
        let decoder = BodyDecoder::new(directives.body);
        let rate = if decoder.state == BodyState::Done {
            MinRate::unlimited() // nothing will be read
        } else {
            MinRate::of_body(config.body_timeout, config.min_rate)
        };
        Exchange {
            decoder,
            directives,
            received: 0,
            limit: config.max_body_bytes,
            rate,
            failure: None,
        }
    }

    /// Returns whether all of the body has been received.
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.state == BodyState::Done
    }

    /// Returns whether the client wants the connection to go on, and nothing speaks against it but
    /// perhaps the rest of the body.
    pub(super) fn may_go_on(&self) -> bool {
        self.directives.keep_alive && self.failure.is_none()
    }

    /// Returns whether the rest of the body should be received, of which `received` bytes have
    /// been.
    fn wants_rest(&self, received: u64) -> bool {
        // A client whose `Expect` was not answered may send the body or leave it out. Nobody can
        // tell which.
        if !self.may_go_on() || self.directives.expects_continue {
            return false;
        }
        match self.decoder.state {
            BodyState::Done => false,
            BodyState::Data(rest) => rest <= MAX_REST && received <= MAX_REST - rest,
            BodyState::Size | BodyState::DataEnd | BodyState::Trailers => true,
        }
    }
}

/// A request's body, read from the client as the handler reads it.
///
/// As a [`Read`], it ends where the body ends, and fails with an [`io::Error`] that carries an
/// [`Error`]. In a handler that returns `Result<_, Error>`, `?` takes it out again, so that the
/// client gets the right status code. A function that reads the body and has an error type of its
/// own, as `serde_json::from_reader`, hides it: see [`read_to_vec`](Body::read_to_vec). After a
/// failure, every read fails.
///
/// If the client waits for a `100 Continue`, it is sent when the first read has to wait.
///
/// ```
/// fn upload(req: &mut hardstop::Request<'_>) -> Result<String, hardstop::Error> {
///     req.body().set_limit(1 << 30);
///     let bytes = std::io::copy(req.body(), &mut std::io::sink())?; // beyond the limit: a 413
///     Ok(format!("{bytes} bytes\n"))
/// }
/// ```
///
/// [`std::io::copy`] reads 8 KiB at a time, or as much as a [`BufWriter`](std::io::BufWriter)
/// behind it has room for. Through 512 KiB, a large upload to a file takes a quarter less CPU time:
///
/// ```
/// # use std::{fs::File, io::{self, BufWriter, Write}};
/// fn save(req: &mut hardstop::Request<'_>, file: File) -> Result<u64, hardstop::Error> {
///     let mut out = BufWriter::with_capacity(512 * 1024, file);
///     let bytes = io::copy(req.body(), &mut out)?;
///     out.flush()?; // dropping it would hide a full disk
///     Ok(bytes)
/// }
/// ```
pub struct Body<'a> {
    pub(super) stream: &'a mut Stream,
    pub(super) exchange: &'a mut Exchange,
    pub(super) config: &'a Config,
}

impl Body<'_> {
    /// Returns the length that the client has declared. `None` if it sends the body in chunks.
    pub fn len(&self) -> Option<u64> {
        match self.exchange.directives.body {
            BodyLength::Known(length) => Some(length),
            BodyLength::Chunked => None,
        }
    }

    /// Returns whether there is certainly no body.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Replaces [`Builder::max_body_bytes`](super::super::Builder::max_body_bytes) for this body,
    /// for example of an upload.
    #[doc(alias("max_body_bytes", "upload"))]
    pub fn set_limit(&mut self, bytes: u64) {
        self.exchange.limit = bytes;
    }

    /// Reads the rest of the body.
    ///
    /// This is also how to read JSON: all of it, then `from_slice`. `serde_json::from_reader` would
    /// wrap the error of a body that cannot be read into one of its own, and a 413 or a 408 would
    /// become whatever that is converted into.
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    ///
    /// # mod serde_json {
    /// #     pub struct Value;
    /// #     pub fn from_slice(_: &[u8]) -> Result<Value, std::fmt::Error> { Ok(Value) }
    /// # }
    /// # fn save(_: serde_json::Value) {}
    /// fn settings(req: &mut Request<'_>) -> Result<Response, Error> {
    ///     let bytes = req.body().read_to_vec()?; // beyond the limit: a 413
    ///     let settings = serde_json::from_slice(&bytes)
    ///         .map_err(|error| Error::new(400, format!("the settings are no JSON: {error}")))?;
    ///     save(settings);
    ///     Ok(Response::new(204))
    /// }
    /// ```
    ///
    /// # Errors
    /// As listed at [`Error`]. A 413 comes as soon as it is known that the limit is exceeded.
    #[doc(alias("bytes", "json"))]
    pub fn read_to_vec(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the rest of the body as UTF-8.
    ///
    /// # Errors
    /// As for [`read_to_vec`](Body::read_to_vec), and 400 if it is not UTF-8.
    pub fn read_to_text(&mut self) -> Result<String, Error> {
        match String::from_utf8(self.read_to_vec()?) {
            Ok(text) => Ok(text),
            Err(_) => Err(Error::new(400, "the body is not valid UTF-8")),
        }
    }

    /// Reads the rest of the body as the fields of a form, `application/x-www-form-urlencoded`.
    ///
    /// A form with files, `multipart/form-data`, needs a crate: see
    /// [with other crates](super::super::guide::with_crates).
    ///
    /// # Errors
    /// As for [`read_to_vec`](Body::read_to_vec); 415 if the content type is not
    /// `application/x-www-form-urlencoded`; and 413 if there are more fields than
    /// [`Builder::max_form_fields`](super::super::Builder::max_form_fields) allows. The fields are
    /// counted before memory is taken for them.
    #[doc(alias("post", "form_data", "urlencoded"))]
    pub fn read_form(&mut self) -> Result<Form, Error> {
        if !self.exchange.directives.is_form {
            return Err(Error::new(415, "the content type is not that of a form"));
        }
        let text = self.read_to_vec()?;
        let max = self.config.max_form_fields;
        if proto::has_more_pairs_than(&text, max) {
            return Err(Error::new(
                413,
                format!("the form has more than {max} fields"),
            ));
        }
        Ok(Form::new(proto::pairs(&text).collect()))
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let rest = match self.rest_of_data()? {
            Some(rest) => rest,
            None => return Ok(0),
        };
        let limit = self.exchange.limit;
        if rest > limit || self.exchange.received > limit - rest {
            return Err(Error::new(
                413,
                format!("the body is larger than {limit} bytes"),
            ));
        }
        let wanted = to_usize(rest).min(buf.len());
        let room = match self.exchange.directives.body {
            BodyLength::Known(_) => wanted,
            // Behind the data of a small chunk are more chunks, and a read for each would cost more
            // than a copy of them.
            BodyLength::Chunked if wanted <= SMALL_CHUNK => buf.len().min(wanted + MAX_AHEAD),
            BodyLength::Chunked => wanted,
        };
        let target = buf.get_mut(..room).unwrap_or_default();
        self.before_wait();
        let timeout = self.config.body_timeout;
        let rate = &mut self.exchange.rate;
        let read = self.stream.read_at_rate(target, wanted, rate, timeout);
        let n = self.after_wait(read)?;
        self.exchange.received += to_u64(n);
        self.exchange.decoder.consume_data(to_u64(n));
        Ok(n)
    }

    /// Reads what stands before the next data. Returns how much data there is, or `None` at the
    /// end.
    fn rest_of_data(&mut self) -> Result<Option<u64>, Error> {
        loop {
            if self.stream.entry.is_cut() {
                return Err(Error::Cut);
            }
            match self.exchange.decoder.state {
                BodyState::Done => return Ok(None),
                BodyState::Data(rest) => return Ok(Some(rest)),
                BodyState::Size | BodyState::DataEnd | BodyState::Trailers => {}
            }
            match self.exchange.decoder.advance(self.stream.buffered())? {
                Some(n) => self.stream.consume(n),
                None => {
                    self.before_wait();
                    let timeout = self.config.body_timeout;
                    let rate = &mut self.exchange.rate;
                    let filled = self.stream.fill_at_rate(rate, timeout);
                    self.after_wait(filled)?;
                }
            }
        }
    }

    /// Answers an `Expect: 100-continue` before the first wait.
    fn before_wait(&mut self) {
        if !std::mem::take(&mut self.exchange.directives.expects_continue) {
            return;
        }
        // RFC 9110 §10.1.1: it may be left out when the client has not waited.
        if self.stream.buffered().is_empty() {
            // If this fails, so does the read that follows.
            let _ = self.stream.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Says what has ended a read.
    fn after_wait(&self, read: Result<usize, IoEnd>) -> Result<usize, Error> {
        if self.stream.entry.is_cut() {
            return Err(Error::Cut);
        }
        match read {
            Ok(0) => Err(Error::ended_early(self.stream.entry.end_reason().is_some())),
            Ok(n) => Ok(n),
            Err(IoEnd::ReadTimedOut) => Err(Error::new(408, "the body came too slowly")),
            Err(IoEnd::WriteTimedOut | IoEnd::Lost) => {
                Err(Error::Io(ErrorKind::ConnectionReset.into()))
            }
        }
    }

    /// Receives what the handler has left of the body, within `body_timeout` in all.
    ///
    /// Does nothing if the client wants the connection to end, or if the rest is too much or might
    /// not come. Fails if it does not come. Gives up, without an error, once `is_hurried` says so.
    pub(super) fn receive_rest(
        &mut self,
        is_hurried: impl Fn() -> bool,
    ) -> Result<(), CloseReason> {
        let mut received: u64 = 0;
        // Most requests have no body, and need no clock here.
        if !self.exchange.wants_rest(received) {
            return Ok(());
        }
        let timeout = self.config.body_timeout;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while self.exchange.wants_rest(received) {
            match self.discard_buffered()? {
                Discarded::Bytes(n) => received += n,
                Discarded::NeedsMore if is_hurried() => break,
                Discarded::NeedsMore => self.fill_before(deadline)?,
            }
        }
        Ok(())
    }

    /// Discards the next data or the next line between data, if it has come.
    fn discard_buffered(&mut self) -> Result<Discarded, CloseReason> {
        let buffered = self.stream.buffered();
        if let BodyState::Data(rest) = self.exchange.decoder.state {
            let n = to_usize(rest).min(buffered.len());
            if n == 0 {
                return Ok(Discarded::NeedsMore);
            }
            self.stream.consume(n);
            self.exchange.decoder.consume_data(to_u64(n));
            return Ok(Discarded::Bytes(to_u64(n)));
        }
        match self.exchange.decoder.advance(buffered) {
            Ok(Some(n)) => {
                self.stream.consume(n);
                Ok(Discarded::Bytes(0))
            }
            Ok(None) => Ok(Discarded::NeedsMore),
            Err(refusal) => Err(CloseReason::Refused(refusal.status)),
        }
    }

    /// Reads more, for at most `HURRY_INTERVAL`. Fails after the deadline.
    fn fill_before(&mut self, deadline: Option<Instant>) -> Result<(), CloseReason> {
        let time = time_until(deadline);
        if time.is_zero() {
            return Err(CloseReason::BodyTimeout);
        }
        let rate = &mut self.exchange.rate;
        let limit = time.min(HURRY_INTERVAL);
        match self.stream.fill_at_rate(rate, Some(limit)) {
            Ok(0) => Err(CloseReason::PeerLost),
            Ok(_) => Ok(()),
            Err(IoEnd::ReadTimedOut) if !rate.is_exhausted() => Ok(()),
            Err(end) => Err(end.into()),
        }
    }
}

enum Discarded {
    /// So many bytes of data.
    Bytes(u64),
    /// Nothing, as more must be read first.
    NeedsMore,
}

impl Read for Body<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if let Some(status) = self.exchange.failure {
            return Err(Error::new(status, "reading the body has failed already").into());
        }
        match self.read_some(buf) {
            Ok(n) => Ok(n),
            Err(error) => {
                self.exchange.failure = Some(error.status());
                Err(error.into())
            }
        }
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len())
            .field("received", &self.exchange.received)
            .finish_non_exhaustive()
    }
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
