//! What a handler returns: a status code, headers, and a body or an upgrade.

use super::super::error::Error;
use super::super::proto::{self, BodyFraming, BodyLength, StatusCode, Version};
use super::body_writer::BodyWriter;
use super::file_body::FileBody;
use super::response_body::ResponseBody;
use super::upgrade::Upgraded;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};

/// A response. The library adds `Date` and the headers that frame the message.
///
/// A handler may return anything that converts into a response: a `&'static str` or a `String` (as
/// [`Response::text`]), a [`StatusCode`] (with its name as text), or a `Result` of these and an
/// [`Error`]. In such a handler, `?` takes an [`io::Error`] and another `Response` as well.
///
/// # Layers
/// A function that takes a response and returns another one is a layer, for what all handlers have
/// in common. It looks at [`status`](Response::status), [`header`](Response::header),
/// [`body`](Response::body) and [`error`](Response::error), and changes what it wants. This one
/// prints the size of each response, and adds a header to it:
///
/// ```
/// use hardstop::{Error, Request, Response};
///
/// fn layer(req: &Request<'_>, result: Result<Response, Error>) -> Response {
///     let response = Response::from(result);
///     match response.body().len() {
///         Some(length) => println!("{} {}: {length} bytes", req.method(), req.target()),
///         None => println!("{} {}: a stream", req.method(), req.target()),
///     }
///     response.with_header("X-Content-Type-Options", "nosniff")
/// }
///
/// # fn page(_: &mut Request<'_>) -> Result<Response, Error> { Err(Error::new(404, "no page")) }
/// let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|req| {
///     let result = page(req);
///     layer(req, result)
/// })?;
/// # server.destroy();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Whatever a layer does, the library frames the message when it sends it. `Content-Length` is that
/// of the body which is sent. The response to `HEAD`, a 204 and a 304 leave without their body, and
/// closures and readers are not called for them. An [`upgrade`](Response::upgrade) has no body, and
/// passes a layer whole. [`ResponseBody`] shows how a layer compresses streams.
#[doc(alias("layer", "middleware"))]
#[must_use = "a response is sent only if a handler returns it"]
pub struct Response {
    pub(super) status: StatusCode,
    pub(super) content_type: Cow<'static, [u8]>,
    /// The other headers, as they go on the wire.
    pub(super) fields: Vec<u8>,
    /// It is empty if there is an upgrade.
    pub(super) body: ResponseBody,
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) closes: bool,
    /// The error that the response was made from. It is boxed, so that a `Result<T, Response>`,
    /// which a handler's functions may return, stays small.
    pub(super) failure: Option<Box<Error>>,
    /// Why the response cannot be sent.
    pub(super) invalid: Option<&'static str>,
}

pub(super) type UpgradeFn = Box<dyn FnOnce(Upgraded) + Send>;

/// The protocol after a 101, and the closure that speaks it.
pub(super) struct Upgrade {
    pub(super) protocol: String,
    pub(super) take: UpgradeFn,
}

/// The content type of what has none of its own.
const BINARY: &str = "application/octet-stream";

/// Headers that say how a message is framed and dated, and how long its connection lasts.
const RESERVED: [&str; 6] = [
    "content-length",
    "transfer-encoding",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
];

impl Response {
    /// Returns a response without a body.
    pub fn new(status: impl Into<StatusCode>) -> Response {
        Response::of_body("", ResponseBody::empty()).with_status(status)
    }

    /// Returns plain text in UTF-8, with status 200.
    ///
    /// The response outlives the request. So a part of the request, such as its path, is copied
    /// into it. Otherwise the compiler says that borrowed data escapes (E0521). The same goes for
    /// [`html`](Response::html), [`json`](Response::json) and [`bytes`](Response::bytes).
    ///
    /// ```
    /// use hardstop::{Request, Response};
    /// fn path(req: &mut Request<'_>) -> Response {
    ///     Response::text(req.path().to_owned())
    /// }
    /// ```
    #[doc(alias("string", "plain"))]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("text/plain; charset=utf-8", text.into())
    }

    /// Returns an HTML page in UTF-8, with status 200. Nothing is escaped.
    pub fn html(html: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("text/html; charset=utf-8", html.into())
    }

    /// Returns a JSON document, already serialized, with status 200.
    ///
    /// With `serde_json`, its text is `serde_json::to_string(&value).map_err(Error::internal)?`.
    /// How to read JSON is shown at [`Body::read_to_vec`](super::Body::read_to_vec).
    #[doc(alias = "serde")]
    pub fn json(json: impl Into<Cow<'static, str>>) -> Response {
        Response::of_text("application/json", json.into())
    }

    /// Returns bytes of this content type, with status 200.
    pub fn bytes(content_type: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Response {
        let body = ResponseBody::of_bytes(bytes.into());
        Response::of_body("", body).with_header("Content-Type", content_type)
    }

    /// Returns a response that sends a file from its present position to its end, as
    /// `application/octet-stream`, with status 200.
    ///
    /// The length of a regular file is taken now. If the file shrinks before it has been sent, or
    /// cannot be read, that is a failure as of a [`reader`](Response::reader). If it grows, what it
    /// has gained is left out. Anything else that can be read, such as a pipe, a serial port or a
    /// file in `/proc`, is sent as a reader without a length: what has been read leaves before the
    /// next read, which may block. So is a file that says that it is empty, because the files of
    /// `/proc` do. A file in `/sys` claims more than it has: read it with [`std::fs::read`].
    ///
    /// [`conditional`](Response::conditional) lets a client resume a download, and keep a file that
    /// has not changed.
    ///
    /// # Errors
    /// Fails if the file's length or position cannot be had, or if it is a directory.
    #[doc(alias("send_file", "static", "download"))]
    pub fn file(mut file: File) -> io::Result<Response> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let text = "a directory cannot be sent as a file";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        // The files of `/proc` say that they are empty.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(Response::reader(file, None));
        }
        let position = file.stream_position()?;
        let body = FileBody::new(file, position, &metadata);
        Ok(Response::of_body(BINARY, ResponseBody::of_file(body)))
    }

    /// Returns a response that streams a reader, as `application/octet-stream`, with status 200.
    ///
    /// With a length, exactly that many bytes are sent. What goes beyond it is left out. Small
    /// pieces are collected: up to 16 KiB leave together.
    ///
    /// Without a length, the body is sent in chunks. What a read has given leaves before the next
    /// read, which may block. So each line of a log reaches the client when it is written. The head
    /// leaves with the first piece, and not while the first read blocks. Each read becomes at least
    /// one write: for a reader that gives many small pieces, let [`stream`](Response::stream)
    /// collect them with `io::copy(&mut reader, body)`. A client of HTTP/1.0 gets the body until
    /// the connection closes, and cannot tell whether it is whole.
    ///
    /// If the reader fails, or ends before its length, the client gets an error response, as
    /// described at [`stream`](Response::stream), if nothing has left by then. Otherwise the
    /// connection is cut, so that the client can tell.
    ///
    /// The reader is read on the connection's thread. No stop wakes it while it blocks. For a
    /// `HEAD` request it is not read.
    pub fn reader(reader: impl Read + Send + 'static, length: impl Into<Option<u64>>) -> Response {
        Response::of_body(BINARY, ResponseBody::reader(reader, length))
    }

    /// Returns a response that streams what a closure writes, as `application/octet-stream`, with
    /// status 200.
    ///
    /// The body is sent in chunks. A client of HTTP/1.0 gets it until the connection closes, and
    /// cannot tell whether it is whole.
    ///
    /// The closure runs on the connection's thread after the handler. For a `HEAD` request it does
    /// not run. A long one should ask its [`CancelToken`](super::super::CancelToken) now and then.
    ///
    /// If the closure fails before anything of the response has left, its error becomes the
    /// response, as if the handler had returned it: an [`Error`] keeps its status and text, any
    /// other error is a 500, and a panic is a 500 that ends the connection. Nothing leaves within
    /// the first 16 KiB, unless the closure flushes. After that, the connection is cut, so that the
    /// client can tell.
    ///
    /// ```
    /// use hardstop::Response;
    /// use std::io::Write;
    /// let lines = Response::stream(|body| (1..=9).try_for_each(|n| writeln!(body, "{n}")));
    /// ```
    #[doc(alias = "sse")]
    pub fn stream(
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        Response::of_body(BINARY, ResponseBody::stream(write))
    }

    /// Leaves HTTP: sends `101 Switching Protocols`, then gives the closure the raw stream,
    /// including what the client has already sent.
    ///
    /// For a WebSocket, the handler adds its headers with [`with_header`](Response::with_header).
    /// Any page in a browser can open one, so check `Origin` first.
    ///
    /// The closure runs on the connection's thread, and may move the stream to another one. The
    /// client must have offered the protocol (whatever its case) in an HTTP/1.1 request, and the
    /// handler must have read its body. Otherwise the client gets a 400 instead, or a 503 while the
    /// server drains. With another status code it gets a 500.
    ///
    /// The closure is dropped without a call if the response is not sent as it is, or if the
    /// connection is cut meanwhile. If the system does not remove HTTP's timeouts from the socket,
    /// it is dropped as well, and the connection ends with
    /// [`SetupFailed`](super::super::CloseReason::SetupFailed).
    ///
    /// ```
    /// use hardstop::Response;
    /// use std::io::Write;
    /// let greeting = Response::upgrade("greeting", |mut stream| {
    ///     stream.write_all(b"hello\n").unwrap_or_default();
    /// });
    /// ```
    #[doc(alias = "websocket")]
    pub fn upgrade(protocol: &str, take: impl FnOnce(Upgraded) + Send + 'static) -> Response {
        let response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
        let mut response = response.with_header("Upgrade", protocol);
        response.upgrade = Some(Box::new(Upgrade {
            protocol: String::from(protocol),
            take: Box::new(take),
        }));
        response
    }

    /// Returns a response that sends the client to another place, which it asks for with `GET`.
    ///
    /// The status is 303 (See Other), unless [`with_status`](Response::with_status) sets another
    /// one.
    #[doc(alias("see_other", "location"))]
    pub fn redirect(location: impl AsRef<[u8]>) -> Response {
        Response::new(StatusCode::SEE_OTHER).with_header("Location", location)
    }

    /// Sets the status code.
    ///
    /// One below 200 or above 599 leaves as a 500, with an event. A 204, 205 or 304 has no body.
    #[doc(alias("set_status", "status_code"))]
    pub fn with_status(mut self, status: impl Into<StatusCode>) -> Response {
        self.status = status.into();
        self
    }

    /// Adds a header, or replaces `Content-Type`. Any other header of the same name stays.
    ///
    /// `Connection: close` does the same as [`with_close`](Response::with_close). Its other values,
    /// `Keep-Alive`, `TE`, `Proxy-Connection`, `Content-Length`, `Transfer-Encoding` and `Date` are
    /// the library's own, and are left out.
    ///
    /// A name that is not a token, or a value with a control byte (a line end, above all), cannot
    /// be sent. The response then leaves as a 500, and
    /// [`Event::RequestFailed`](super::super::Event::RequestFailed) says why.
    ///
    /// A cookie is set with `Set-Cookie`: see [`Request::cookie`](super::super::Request::cookie).
    #[doc(alias("set_cookie", "set_header"))]
    pub fn with_header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Response {
        let name = name.as_ref();
        let value = value.as_ref();
        if !proto::is_token(name) {
            self.invalid = Some(
                "a field name in the response is not a token: use letters, digits and hyphens",
            );
        } else if value.iter().any(|byte| proto::is_control(*byte)) {
            self.invalid = Some("a field value in the response has a control byte: encode it");
        } else if proto::eq_ignore_case(name, "connection") {
            for option in proto::list_elements(value) {
                self.closes |= proto::eq_ignore_case(option, "close");
            }
        } else if proto::eq_ignore_case(name, "content-type") {
            self.content_type = Cow::Owned(value.to_vec());
        } else if !RESERVED
            .iter()
            .any(|reserved| proto::eq_ignore_case(name, reserved))
        {
            self.push_field(name, value);
        }
        self
    }

    /// Adds a header whose name and value are valid.
    pub(super) fn push_field(&mut self, name: &[u8], value: &[u8]) {
        if proto::eq_ignore_case(name, "upgrade") {
            // RFC 9110 §7.8: the sender of Upgrade also sends the connection option.
            self.fields.extend_from_slice(b"Connection: upgrade\r\n");
        }
        self.fields.extend_from_slice(name);
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value);
        self.fields.extend_from_slice(b"\r\n");
    }

    /// Ends the connection after this response, with `Connection: close`.
    pub fn with_close(mut self) -> Response {
        self.closes = true;
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns how the body is framed on the wire for a client of this version.
    pub(super) fn framing(&self, version: Version) -> BodyFraming {
        let length = match self.body.len() {
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Chunked,
        };
        BodyFraming::of(self.status, length, version)
    }

    fn of_body(content_type: &'static str, body: ResponseBody) -> Response {
        Response {
            status: StatusCode::OK,
            content_type: Cow::Borrowed(content_type.as_bytes()),
            fields: Vec::new(),
            body,
            upgrade: None,
            closes: false,
            failure: None,
            invalid: None,
        }
    }

    fn of_text(content_type: &'static str, text: Cow<'static, str>) -> Response {
        Response::of_body(content_type, ResponseBody::of_text(text))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &String::from_utf8_lossy(&self.content_type))
            .field("headers", &String::from_utf8_lossy(&self.fields))
            .finish_non_exhaustive()
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

/// The client gets the error's status and, if it is [`Error::Refused`] or [`Error::Unavailable`],
/// its text. Headers can be added. The error goes to the event hook. An [`Error::Early`] is taken
/// apart: its response is what was put in.
impl From<Error> for Response {
    fn from(error: Error) -> Response {
        let early = match error {
            Error::Early(early) => early,
            failure => return response_to(failure),
        };
        let (response, failure) = early.into_parts();
        match response.downcast::<Response>() {
            Ok(mut response) => {
                response.failure = failure;
                *response
            }
            // No other type is put in.
            Err(_) => Response::from(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Returns the response to a failed request.
fn response_to(failure: Error) -> Response {
    let status = failure.status();
    let reason: &str = match &failure {
        Error::Refused { reason, .. } => reason,
        Error::Unavailable { reason } => reason,
        Error::Cut | Error::Io(_) | Error::Early(_) => "",
    };
    let mut response = if reason.is_empty() {
        Response::from(status)
    } else {
        Response::text(format!("{status}: {reason}\n")).with_status(status)
    };
    if let Error::Unavailable { .. } = failure {
        response.push_field(b"Retry-After", b"1");
    }
    response.failure = Some(Box::new(failure));
    response
}

impl<T: Into<Response>> From<Result<T, Error>> for Response {
    fn from(result: Result<T, Error>) -> Response {
        match result {
            Ok(response) => response.into(),
            Err(error) => error.into(),
        }
    }
}
