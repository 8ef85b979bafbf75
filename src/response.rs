//! What a handler returns: a status code, fields, and a body that is bytes, a reader or a closure.

use super::error::Error;
use super::event::CloseReason;
use super::head::{is_control, is_token};
use super::life::Life;
use super::stream::Stream;
use super::types::StatusCode;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};

/// A response. The library adds `Date`, and the fields that frame the message.
///
/// A handler may return anything that converts into one: a `&'static str` or a `String` (as
/// [`Response::text`]), a [`StatusCode`] (with its name as text), or a `Result` of any of these and an
/// [`Error`], so that `?` works on whatever fails with an [`Error`] or an [`io::Error`].
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<Cow<'static, str>>,
    /// The other fields, as they go on the wire.
    pub(crate) fields: Vec<u8>,
    pub(crate) payload: Payload,
    pub(crate) closing: bool,
    /// What the handler failed with.
    pub(crate) failure: Option<Error>,
    /// Why this cannot be sent.
    pub(crate) defect: Option<&'static str>,
}

type StreamBody = dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send;

pub(crate) enum Payload {
    Bytes(Cow<'static, [u8]>),
    Reader(Box<dyn Read + Send>, u64),
    Stream(Box<StreamBody>),
}

const CONTROL_BYTE: &str = "a field value in the response has a control byte";

impl Response {
    /// A response without a body.
    pub fn new(status: impl Into<StatusCode>) -> Response {
        Response {
            status: status.into(),
            content_type: None,
            fields: Vec::new(),
            payload: Payload::Bytes(Cow::Borrowed(b"")),
            closing: false,
            failure: None,
            defect: None,
        }
    }

    /// Plain text in UTF-8, with status 200.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("text/plain; charset=utf-8", into_bytes(text.into()))
    }

    /// An HTML page in UTF-8, with status 200.
    pub fn html(html: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("text/html; charset=utf-8", into_bytes(html.into()))
    }

    /// JSON that the caller has made, with status 200.
    pub fn json(json: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("application/json", into_bytes(json.into()))
    }

    /// Bytes of the given content type, with status 200.
    pub fn bytes(
        content_type: impl Into<Cow<'static, str>>,
        bytes: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        let mut response = Response::new(StatusCode::OK);
        let content_type = content_type.into();
        if content_type.bytes().any(is_control) {
            response.defect = Some(CONTROL_BYTE);
        }
        response.content_type = Some(content_type);
        response.payload = Payload::Bytes(bytes.into());
        response
    }

    /// A file from its present position to its end, as `application/octet-stream`, with status 200.
    ///
    /// Of a regular file, the length is taken now: if it shrinks before it has been sent, the
    /// connection is cut so that the client can tell. Anything else that can be read, such as a pipe,
    /// is sent in chunks.
    ///
    /// # Errors
    /// When the file's length or position cannot be had, or it is a directory.
    pub fn file(mut file: File) -> io::Result<Response> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a directory cannot be sent as a file",
            ));
        }
        let mut length = None;
        if metadata.is_file() {
            length = Some(
                metadata
                    .len()
                    .saturating_sub(io::Seek::stream_position(&mut file)?),
            );
        }
        Ok(Response::reader(file, length))
    }

    /// What a reader yields, as `application/octet-stream`, with status 200.
    ///
    /// With a length, exactly that many bytes are sent: if the reader fails or ends early, the
    /// connection is cut so that the client can tell; what it has beyond is left out. Without one, it is
    /// sent in chunks, or, to a client of HTTP/1.0, until the connection closes. It is read on the
    /// connection's thread, and not at all for `HEAD`.
    pub fn reader(
        mut reader: impl Read + Send + 'static,
        length: impl Into<Option<u64>>,
    ) -> Response {
        match length.into() {
            Some(length) => Response::binary(Payload::Reader(Box::new(reader), length)),
            None => Response::stream(move |writer| copy(&mut reader, writer)),
        }
    }

    /// What a closure writes, as `application/octet-stream`, with status 200; in chunks, or, to a client
    /// of HTTP/1.0, until the connection closes.
    ///
    /// The closure runs on the connection's thread after the handler has returned, and not at all for
    /// `HEAD`. [`BodyWriter::flush`](Write::flush) puts what has been written on the wire. If it returns
    /// an error, the connection is cut so that the client can tell. A long one should ask its
    /// [`CancelToken`](super::CancelToken) now and then.
    pub fn stream(
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        Response::binary(Payload::Stream(Box::new(write)))
    }

    /// Sends the client to another place with 303 (See Other), which it asks for with `GET`; use
    /// [`with_status`](Response::with_status) for another kind of redirect.
    pub fn redirect(location: impl AsRef<[u8]>) -> Response {
        Response::new(StatusCode::SEE_OTHER).with_header("Location", location)
    }

    /// Sets the status code. One that no final response can have (below 200, above 599) leaves as a 500,
    /// with an event. The body of a 204, 205 or 304 is left out.
    pub fn with_status(mut self, status: impl Into<StatusCode>) -> Response {
        self.status = status.into();
        self
    }

    /// Adds a field; one of the same name stays, except for `Content-Type`, which is replaced.
    ///
    /// `Connection: close` is the same as [`closing`](Response::closing). Other values of `Connection`,
    /// and `Content-Length`, `Transfer-Encoding` and `Date`, are the library's own: they are left out.
    ///
    /// A name that is no token, or a value with a control byte (a line end, above all), cannot be sent.
    /// The response leaves as a 500 then, and [`Event::Failed`](super::Event::Failed) says why.
    pub fn with_header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Response {
        let (name, value) = (name.as_ref(), value.as_ref());
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if !is_token(name) {
            self.defect = Some("a field name in the response is not a token");
        } else if value.iter().any(|&byte| is_control(byte)) {
            self.defect = Some(CONTROL_BYTE);
        } else if is("connection") {
            self.closing |= value.eq_ignore_ascii_case(b"close");
        } else if !(is("content-length") || is("transfer-encoding") || is("date")) {
            if is("content-type") {
                self.content_type = None;
            }
            self.fields.extend_from_slice(name);
            self.fields.extend_from_slice(b": ");
            self.fields.extend_from_slice(value);
            self.fields.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Ends the connection after this response, with `Connection: close`.
    pub fn closing(mut self) -> Response {
        self.closing = true;
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn binary(payload: Payload) -> Response {
        Response {
            payload,
            ..Response::bytes("application/octet-stream", &b""[..])
        }
    }
}

fn into_bytes(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl From<&'static str> for Response {
    fn from(text: &'static str) -> Response {
        Response::text(text)
    }
}

impl From<String> for Response {
    fn from(text: String) -> Response {
        Response::text(text)
    }
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Response {
        Response::text(format!("{status}\n")).with_status(status)
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Response {
        let text = match &error {
            Error::Refused(status, why) => format!("{status}: {why}\n"),
            Error::Cut | Error::Io(_) => format!("{}\n", error.status()),
        };
        let mut response = Response::text(text).with_status(error.status());
        if error.status() == StatusCode::SERVICE_UNAVAILABLE {
            response = response.with_header("Retry-After", "1");
        }
        response.failure = Some(error);
        response
    }
}

impl<T: Into<Response>> From<Result<T, Error>> for Response {
    fn from(result: Result<T, Error>) -> Response {
        match result {
            Ok(response) => response.into(),
            Err(error) => error.into(),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("fields", &String::from_utf8_lossy(&self.fields))
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Payload::Reader(_, length) => write!(f, "a reader of length {length:?}"),
            Payload::Stream(_) => f.write_str("a closure"),
        }
    }
}

/// How much a [`BodyWriter`] collects for one chunk, and how much of a reader is sent at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// As [`std::io::copy`], with a larger buffer.
fn copy(reader: &mut dyn Read, writer: &mut BodyWriter<'_>) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => writer.write_all(piece.get(..n).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where the closure of [`Response::stream`] writes its body.
///
/// Small writes are collected; [`flush`](Write::flush) puts them on the wire at once, as server-sent events
/// need it. Writing fails as soon as the connection has been cut, the client is gone, or it takes the data too
/// slowly, and goes on failing then.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    stream: &'a mut Stream,
    life: &'a Life,
    chunked: bool,
    pending: Vec<u8>,
    /// What sending has failed with, which the connection ends with.
    pub(crate) fault: Option<CloseReason>,
}

impl<'a> BodyWriter<'a> {
    pub(crate) fn new(stream: &'a mut Stream, life: &'a Life, chunked: bool) -> BodyWriter<'a> {
        BodyWriter {
            stream,
            life,
            chunked,
            pending: Vec::new(),
            fault: None,
        }
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.send_pending()?;
        let end: &[u8] = if self.chunked { b"0\r\n\r\n" } else { b"" };
        let sent = self.stream.push(end);
        self.check(sent)
    }

    fn send_pending(&mut self) -> io::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        let sent = self.send(&pending);
        pending.clear();
        self.pending = pending;
        sent
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check(Ok(()))?;
        let sent = if bytes.is_empty() || !self.chunked {
            self.stream.push(bytes) // a chunk of no bytes would end the body
        } else {
            let size = format!("{:x}\r\n", bytes.len());
            self.stream.output().extend_from_slice(size.as_bytes());
            self.stream
                .push(bytes)
                .and_then(|()| self.stream.push(b"\r\n"))
        };
        self.check(sent)
    }

    fn check(&mut self, sent: Result<(), CloseReason>) -> io::Result<()> {
        self.fault = self.fault.or(sent.err());
        match self.fault {
            _ if self.life.is_cut() => Err(Error::Cut.into()),
            Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.len().saturating_add(bytes.len()) > PIECE_BYTES {
            self.send_pending()?;
        }
        if bytes.len() >= PIECE_BYTES {
            self.send(bytes)?;
        } else {
            self.check(Ok(()))?;
            self.pending.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        let flushed = self.stream.flush();
        self.check(flushed)
    }
}
