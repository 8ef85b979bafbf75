//! What a handler returns: a status code, fields, and a body that is bytes, a reader or a closure.

use super::head::{is_control, is_token, same};
use super::stream::{Stream, OUTPUT_BYTES, PIECE_BYTES};
use super::{framing::list, registry::Registration, Error, StatusCode, Upgraded, Version};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::{borrow::Cow, fs::File, sync::Arc};

/// A response. The library adds `Date`, and the fields that frame the message.
///
/// A handler may return anything that converts into one: a `&'static str` or a `String` (as [`Response::text`]), a
/// [`StatusCode`] (with its name as text), or a `Result` of these and an [`Error`]; `?` takes an [`io::Error`] too.
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Cow<'static, [u8]>,
    /// The other fields, as they go on the wire.
    pub(crate) fields: Vec<u8>,
    pub(crate) payload: Payload,
    pub(crate) closing: bool,
    /// What the handler failed with.
    pub(crate) failure: Option<Error>,
    /// Why this cannot be sent.
    pub(crate) defect: Option<&'static str>,
}

/// Makes the [`Upgraded`] itself, so that a program without upgrades has no code for them.
pub(crate) type Takeover = Box<dyn FnOnce(Box<Stream>, Arc<Registration>) + Send>;
type StreamBody = dyn FnOnce(&mut BodyWriter<'_>) -> Result<(), Error> + Send;

pub(crate) enum Payload {
    Bytes(Cow<'static, [u8]>),
    /// With its length, if that is known.
    Stream(Box<StreamBody>, Option<u64>),
    /// To that protocol.
    Upgrade(String, Takeover),
}

impl Payload {
    pub(crate) const NONE: Payload = Payload::Bytes(Cow::Borrowed(b""));
}

impl Response {
    /// A response without a body.
    pub fn new(status: impl Into<StatusCode>) -> Response {
        Response::with_payload("", Payload::NONE).with_status(status)
    }

    /// Plain text in UTF-8, with status 200.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("text/plain; charset=utf-8", text.into())
    }

    /// An HTML page in UTF-8, with status 200.
    pub fn html(html: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("text/html; charset=utf-8", html.into())
    }

    /// JSON that the caller has made, with status 200.
    pub fn json(json: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("application/json", json.into())
    }

    /// Bytes of the given content type, with status 200.
    pub fn bytes(content_type: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Response {
        Response::with_payload("", Payload::Bytes(bytes.into())).with_header("Content-Type", content_type)
    }

    /// A file from its present position to its end, as `application/octet-stream`, with status 200.
    ///
    /// Of a regular file, the length is taken now: if it shrinks before it has been sent, the connection is cut so that
    /// the client can tell. Anything else that can be read, such as a pipe or a file in `/proc`, is sent in chunks.
    ///
    /// # Errors
    /// When the file's length or position cannot be had, or it is a directory.
    pub fn file(mut file: File) -> io::Result<Response> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a directory cannot be sent as a file"));
        }
        let mut length = None;
        if metadata.is_file() && metadata.len() > 0 {
            length = Some(metadata.len().saturating_sub(file.stream_position()?));
        }
        Ok(Response::reader(file, length))
    }

    /// What a reader yields, as `application/octet-stream`, with status 200.
    ///
    /// With a length, exactly that many bytes are sent: if the reader fails or ends early, the connection is cut so
    /// that the client can tell; the rest is left out. Without one, it is sent in chunks, or, to a client of HTTP/1.0,
    /// which cannot tell then, until the connection closes. It is read on the connection's thread, but not for `HEAD`.
    pub fn reader(mut reader: impl Read + Send + 'static, length: impl Into<Option<u64>>) -> Response {
        let write = move |writer: &mut BodyWriter<'_>| copy(&mut reader, writer);
        let length = length.into().filter(|length| *length < u64::MAX); // which stands for none
        Response::with_writer(write, length)
    }

    /// What a closure writes, as `application/octet-stream`, with status 200; in chunks, or, to a client of HTTP/1.0,
    /// which cannot tell whether that is the end, until the connection closes.
    ///
    /// It runs on the connection's thread after the handler, and not for `HEAD`. If it fails, the connection is cut so
    /// that the client can tell. A long one should ask its [`CancelToken`](super::CancelToken) now and then.
    ///
    /// ```
    /// use std::io::Write;
    /// let lines = hardstop::Response::stream(|body| (1..=9).try_for_each(|n| writeln!(body, "{n}")));
    /// ```
    pub fn stream(write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static) -> Response {
        Response::with_writer(write, None)
    }

    /// Leaves HTTP: sends `101 Switching Protocols`, then gives the closure the raw stream, with what the client has sent
    /// already. For a WebSocket, the handler adds its fields with [`with_header`](Response::with_header).
    ///
    /// The closure runs on the connection's thread, and may move the stream to another one. The client must have offered
    /// the protocol (whatever its case) in an HTTP/1.1 request, and the handler must have read its body: else the client
    /// gets a 400 instead, or while the server drains, a 503. With another status code it gets a 500.
    ///
    /// ```
    /// use std::io::Write;
    /// let greeting = hardstop::Response::upgrade("greeting", |mut stream| drop(stream.write_all(b"hello\n")));
    /// ```
    pub fn upgrade(protocol: &str, take: impl FnOnce(Upgraded) + Send + 'static) -> Response {
        let response = Response::new(StatusCode::SWITCHING_PROTOCOLS).with_header("Upgrade", protocol);
        let takeover = move |stream: Box<Stream>, registration| take(Upgraded::new(*stream, registration));
        Response { payload: Payload::Upgrade(String::from(protocol), Box::new(takeover)), ..response }
    }

    /// Sends the client to another place, which it asks for with `GET`: 303 (See Other), or what `with_status` says.
    pub fn redirect(location: impl AsRef<[u8]>) -> Response {
        Response::new(StatusCode::SEE_OTHER).with_header("Location", location)
    }

    /// Sets the status code. One below 200 or above 599 leaves as a 500, with an event. A 204, 205 or 304 has no body.
    pub fn with_status(self, status: impl Into<StatusCode>) -> Response {
        Response { status: status.into(), ..self }
    }

    /// Adds a field; one of the same name stays, except for `Content-Type`, which is replaced.
    ///
    /// `Connection: close` is the same as [`closing`](Response::closing). Its other values, `Keep-Alive`, `TE`,
    /// `Proxy-Connection`, `Content-Length`, `Transfer-Encoding` and `Date` are the library's own: they are left out.
    ///
    /// A name that is no token, or a value with a control byte (a line end, above all), cannot be sent. The response
    /// leaves as a 500 then, and [`Event::Failed`](super::Event::Failed) says why.
    pub fn with_header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Response {
        let (name, value) = (name.as_ref(), value.as_ref());
        let is = |other: &str| same(name, other);
        if !is_token(name) {
            self.defect = Some("a field name in the response is not a token: use letters, digits and hyphens");
        } else if value.iter().any(is_control) {
            self.defect = Some("a field value in the response has a control byte: encode it");
        } else if is("connection") {
            self.closing |= list(value).any(|option| same(option, "close"));
        } else if is("content-type") {
            self.content_type = Cow::Owned(value.to_vec());
        } else if !RESERVED.split(' ').any(is) {
            if is("upgrade") {
                push(&mut self.fields, &[b"Connection: upgrade\r\n"]); // RFC 9110 §7.8
            }
            push(&mut self.fields, &[name, b": ", value, b"\r\n"]);
        }
        self
    }

    /// Ends the connection after this response, with `Connection: close`.
    pub fn closing(self) -> Response {
        Response { closing: true, ..self }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds the head to the output. `connection` is that field's line, if there is to be one.
    pub(crate) fn push_head(&self, stream: &mut Stream, body: Framing, connection: &str) {
        let (out, date) = (&mut stream.output, stream.date.text.as_bytes());
        push(out, &[b"HTTP/1.1 "]);
        push_number(out, self.status.as_u16().into());
        // RFC 9112 §4: the space before the reason phrase stands even if there is none.
        push(out, &[b" ", self.status.reason().as_bytes(), b"\r\nDate: ", date]);
        match body {
            Framing::None | Framing::UntilClose => {}
            Framing::Length(n) => {
                push(out, &[b"\r\nContent-Length: "]);
                push_number(out, n);
            }
            Framing::Chunked => push(out, &[b"\r\nTransfer-Encoding: chunked"]),
        }
        if !self.content_type.is_empty() && body != Framing::None {
            push(out, &[b"\r\nContent-Type: ", &self.content_type]);
        }
        push(out, &[b"\r\n", connection.as_bytes(), &self.fields, b"\r\n"]);
    }

    fn with_payload(content_type: &'static str, payload: Payload) -> Response {
        let (status, content_type) = (StatusCode::OK, Cow::Borrowed(content_type.as_bytes()));
        Response { status, content_type, fields: Vec::new(), payload, closing: false, failure: None, defect: None }
    }

    /// The closure ends its body itself, so that a program without streams has no code for them.
    fn with_writer(
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
        length: Option<u64>,
    ) -> Response {
        let write = move |writer: &mut BodyWriter<'_>| {
            let written = write(writer);
            Ok(writer.finish(written)?)
        };
        Response::with_payload("application/octet-stream", Payload::Stream(Box::new(write), length))
    }

    fn of_text(content_type: &'static str, text: Cow<'static, str>) -> Response {
        let bytes = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::with_payload(content_type, Payload::Bytes(bytes))
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
            response.fields.extend_from_slice(b"Retry-After: 1\r\n");
        }
        response.failure = Some(error);
        response
    }
}

impl<T: Into<Response>> From<Result<T, Error>> for Response {
    fn from(result: Result<T, Error>) -> Response {
        result.map_or_else(Response::from, T::into)
    }
}

/// Fields that say how a message is framed and dated, and how long its connection lasts.
const RESERVED: &str = "content-length transfer-encoding date keep-alive proxy-connection te";

/// As [`std::io::copy`], with a larger buffer, and no further than the body goes.
fn copy(reader: &mut dyn Read, writer: &mut BodyWriter<'_>) -> io::Result<()> {
    let due = writer.left.unwrap_or(u64::MAX).saturating_add(1); // one byte more, to see whether there is more
    let size = usize::try_from(due).unwrap_or(usize::MAX);
    let mut piece = vec![0; size.min(PIECE_BYTES)];
    while writer.left != Some(0) {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => writer.write_all(piece.get(..n).ok_or(ErrorKind::InvalidData)?)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[inline(never)]
fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Adds a number in decimal, for a fraction of what `format!` costs.
fn push_number(out: &mut Vec<u8>, n: u64) {
    if n >= 10 {
        push_number(out, n / 10);
    }
    out.extend(b"0123456789".get(usize::try_from(n % 10).unwrap_or(0)));
}

/// How the body is framed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// RFC 9110 §15.3.5 and §15.4.5: 204 and 304 have no body and need no length.
    None,
    Length(u64),
    Chunked,
    /// For HTTP/1.0: the end of the connection ends the body.
    UntilClose,
}

impl Framing {
    pub(crate) fn of(response: &Response, version: Version) -> Framing {
        match (&response.payload, response.status) {
            (Payload::Upgrade(..), _) | (_, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Framing::None,
            (_, StatusCode::RESET_CONTENT) => Framing::Length(0), // RFC 9110 §15.3.6
            (Payload::Bytes(b), _) => Framing::Length(u64::try_from(b.len()).unwrap_or(u64::MAX)),
            (Payload::Stream(_, Some(length)), _) => Framing::Length(*length),
            _ if version == Version::Http11 => Framing::Chunked,
            _ => Framing::UntilClose,
        }
    }
}

/// Where the closure of [`Response::stream`] writes its body.
///
/// Small writes are collected; [`flush`](Write::flush) puts them on the wire at once, as server-sent events need it.
/// Once the connection is cut, or the client is gone or takes the data too slowly, every write fails.
pub struct BodyWriter<'a> {
    pub(crate) stream: &'a mut Stream,
    pub(crate) chunked: bool,
    /// How much is still to be written, if that is known, and how much has been; what of it will be the next chunk.
    pub(crate) left: Option<u64>,
    pub(crate) written: u64,
    pub(crate) pending: Vec<u8>,
}

impl BodyWriter<'_> {
    /// Sends what is left, and what ends the body unless writing it has failed.
    fn finish(&mut self, written: io::Result<()>) -> io::Result<()> {
        self.send_pending().and(written)?;
        if self.left.unwrap_or(0) > 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the response's reader ended before its length"));
        }
        self.send(&[]) // the last chunk
    }

    fn send_pending(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        match pending.is_empty() {
            true => self.check(), // a chunk of no bytes would end the body
            false => self.send(&pending),
        }
    }

    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let (size, end) = if self.chunked { (format!("{:x}\r\n", data.len()), "\r\n") } else { Default::default() };
        let parts = [size.as_bytes(), data, end.as_bytes()];
        let _ = parts.iter().try_for_each(|part| self.stream.push(part)); // it has noted a failure
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        match self.stream.written {
            _ if self.stream.life.is_cut() => Err(Error::Cut.into()),
            Err(_) => Err(ErrorKind::BrokenPipe.into()),
            Ok(()) => Ok(()),
        }
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let left = usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let (data, beyond) = bytes.split_at(left.min(bytes.len()));
        if self.pending.len().saturating_add(data.len()) > OUTPUT_BYTES {
            self.send_pending()?;
        }
        let taken = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.left == Some(taken) {
            self.stream.life.end_response(); // a large piece leaves now
        }
        match data.len() > OUTPUT_BYTES {
            true => self.send(data)?,
            false => self.pending.extend_from_slice(data),
        }
        self.written = self.written.saturating_add(taken);
        self.left = self.left.map(|left| left.saturating_sub(taken));
        if beyond.is_empty() {
            return Ok(data.len());
        }
        Err(io::Error::new(ErrorKind::InvalidData, "the response's reader went on after its length"))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        let _ = self.stream.flush(); // it has noted a failure, too
        self.check()
    }
}
