//! The small words of a message: its version, its status code, and what it fails with.
//!
//! An [`Error`] travels inside a [`std::io::Error`] wherever a body is used as a plain [`std::io::Read`], and comes out
//! again whole: `io::copy(req.body(), ..)?` answers with the right status code.

use super::CloseReason;
use std::{borrow::Cow, fmt, io};

/// The version that a request was made in. Responses always say `HTTP/1.1` (RFC 9110 §6.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    #[default]
    /// `HTTP/1.1`, or a later 1.x, which is served as 1.1.
    Http11,
}

/// A response's status code, made from any number: [`with_status`](super::Response::with_status) tells the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u16);

macro_rules! status_codes {
    ($($code:literal $name:ident $reason:literal,)+) => {
        impl StatusCode {
            /// The number.
            pub fn as_u16(self) -> u16 {
                self.0
            }

            $(#[doc = concat!(stringify!($code), " ", $reason)]
            pub const $name: StatusCode = StatusCode($code);)+

            /// The reason phrase, or an empty one for a number that has no name here.
            pub fn reason(self) -> &'static str {
                let names = concat!($($code, $reason, "\n",)+); // smaller than a table
                let is_it = |name: &&str| name.get(..3).map(str::parse) == Some(Ok(self.0));
                names.split('\n').find(is_it).and_then(|name| name.get(3..)).unwrap_or_default()
            }
        }
    };
}

status_codes! {
    200 OK "OK", 101 SWITCHING_PROTOCOLS "Switching Protocols", // the most usual one is found first
    201 CREATED "Created", 202 ACCEPTED "Accepted", 204 NO_CONTENT "No Content",
    205 RESET_CONTENT "Reset Content", 206 PARTIAL_CONTENT "Partial Content",
    301 MOVED_PERMANENTLY "Moved Permanently", 302 FOUND "Found", 303 SEE_OTHER "See Other",
    304 NOT_MODIFIED "Not Modified", 307 TEMPORARY_REDIRECT "Temporary Redirect",
    308 PERMANENT_REDIRECT "Permanent Redirect",
    400 BAD_REQUEST "Bad Request", 401 UNAUTHORIZED "Unauthorized", 403 FORBIDDEN "Forbidden",
    404 NOT_FOUND "Not Found", 405 METHOD_NOT_ALLOWED "Method Not Allowed", 408 REQUEST_TIMEOUT "Request Timeout",
    409 CONFLICT "Conflict", 410 GONE "Gone", 412 PRECONDITION_FAILED "Precondition Failed",
    413 CONTENT_TOO_LARGE "Content Too Large", 414 URI_TOO_LONG "URI Too Long",
    415 UNSUPPORTED_MEDIA_TYPE "Unsupported Media Type", 416 RANGE_NOT_SATISFIABLE "Range Not Satisfiable",
    417 EXPECTATION_FAILED "Expectation Failed", 421 MISDIRECTED_REQUEST "Misdirected Request",
    426 UPGRADE_REQUIRED "Upgrade Required", 429 TOO_MANY_REQUESTS "Too Many Requests",
    431 HEADER_FIELDS_TOO_LARGE "Request Header Fields Too Large",
    500 INTERNAL_SERVER_ERROR "Internal Server Error", 501 NOT_IMPLEMENTED "Not Implemented",
    503 SERVICE_UNAVAILABLE "Service Unavailable", 505 HTTP_VERSION_NOT_SUPPORTED "HTTP Version Not Supported",
}

impl From<u16> for StatusCode {
    fn from(code: u16) -> StatusCode {
        StatusCode(code)
    }
}

/// The number, a space, and the reason phrase.
impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

/// Why a request was refused, or what its handler failed with.
///
/// A handler that returns `Result<Response, Error>` passes it on with `?`, and the client gets its
/// [`status`](Error::status). Reading a body fails with 400 (it ended early, is malformed, or not the text asked for), 408
/// (slower than `body_timeout` or `min_rate` allow), 413 (larger than its limit, or a form of too many fields), 415
/// (`read_form` of another type), or 503 (a drain has cut it short); with [`Error::Cut`]; or with an [`Error::Io`] if the connection breaks.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The client is told so, with this status code and these words.
    Refused(StatusCode, Cow<'static, str>),
    /// The connection has been cut, for example by a destroy. Nobody is left to be told.
    Cut,
    /// The client gets a 500; the words stay in this process.
    Io(io::Error),
}

impl Error {
    /// An error for the client, for example `Error::new(404, "no such device")`.
    pub fn new(status: impl Into<StatusCode>, why: impl Into<Cow<'static, str>>) -> Error {
        Error::Refused(status.into(), why.into())
    }

    /// For a request of which no more can be read: a stop has ended the reading side, or the client its own.
    pub(crate) fn ended_early(stopped: Option<CloseReason>) -> Error {
        match stopped {
            None => Error::new(400, "the request ended early"),
            Some(_) => Error::new(503, "the server is stopping"),
        }
    }

    /// The status code that a client gets for it.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Refused(status, _) => *status,
            Error::Cut => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(_, why) => f.write_str(why),
            Error::Cut => f.write_str("the connection has been cut"),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Takes the [`Error`] out that a body's `Read` put in; any other one becomes [`Error::Io`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.get_ref().and_then(|it| it.downcast_ref()) {
            Some(Error::Refused(status, why)) => Error::Refused(*status, why.clone()),
            Some(Error::Cut) => Error::Cut,
            _ => Error::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error {
            Error::Io(error) => return error,
            Error::Cut => io::ErrorKind::ConnectionAborted,
            Error::Refused(StatusCode::REQUEST_TIMEOUT, _) => io::ErrorKind::TimedOut,
            Error::Refused(..) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// Refuses a request with that status code, for this reason.
pub(crate) fn refuse<T>(status: u16, why: &'static str) -> Result<T, Error> {
    Err(Error::new(status, why))
}

/// The same if it is wrong, and nothing else.
pub(crate) fn refuse_if(is_wrong: bool, status: u16, why: &'static str) -> Result<(), Error> {
    match is_wrong {
        true => refuse(status, why),
        false => Ok(()),
    }
}
