//! What a request fails with.
//!
//! An [`Error`] travels inside an [`io::Error`] wherever a body is used as a plain [`io::Read`],
//! and comes out again whole: `io::copy(req.body(), ..)?` answers with the right status code.

use super::proto::{Refusal, StatusCode};
use std::borrow::Cow;
use std::fmt;
use std::io;

/// The reason why a request was refused, or what its handler failed with.
///
/// A handler that returns `Result<Response, Error>` passes it on with `?`, and the client gets its
/// [`status`](Error::status).
///
/// Reading a body fails with [`Error::Refused`] and one of these:
/// - 400: it ended early, is malformed, or is not the text that was asked for;
/// - 408: it came more slowly than `body_timeout` or `min_rate` allow;
/// - 413: it is larger than its limit, or a form with too many fields;
/// - 415: `read_form` of another content type;
/// - 503, with a `Retry-After` of one second: a drain has cut it short.
///
/// It fails with [`Error::Cut`] if the connection is cut, and with [`Error::Io`] if it breaks.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The client gets this status code and this text.
    #[non_exhaustive]
    Refused {
        /// The status code.
        status: StatusCode,
        /// The text: lower case, without a full stop. If it is empty, the client gets the status
        /// alone.
        reason: Cow<'static, str>,
        /// The seconds of the `Retry-After` header, if the client gets one.
        retry_after: Option<u32>,
    },
    /// The connection has been cut, for example by a destroy. Nobody is left to get an answer.
    Cut,
    /// The client gets a 500. The text of the error stays in this process.
    Io(io::Error),
}

impl Error {
    /// Returns an error for the client, for example `Error::new(404, "no such device")`.
    ///
    /// It has no `Retry-After`, whatever the status: see
    /// [`with_retry_after`](Error::with_retry_after). If it needs another header, convert it into a
    /// response: `Response::from(error).with_header("Allow", "GET")`.
    pub fn new(status: impl Into<StatusCode>, reason: impl Into<Cow<'static, str>>) -> Error {
        Error::Refused {
            status: status.into(),
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// Adds a `Retry-After` header with this number of seconds, mainly to a 503 or a 429.
    ///
    /// Without it, the client decides when to try again, and many wait longer each time.
    /// The library's own 503s say one second. They are for a client that finds no place, and for a
    /// request that a drain cuts short. [`Error::Cut`] and [`Error::Io`] stay as they are.
    pub fn with_retry_after(mut self, seconds: u32) -> Error {
        if let Error::Refused { retry_after, .. } = &mut self {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Returns the library's own 503. Its request has not been handled, and soon there may be a
    /// place for it, or another server.
    pub(crate) fn unavailable(reason: &'static str) -> Error {
        Error::new(503, reason).with_retry_after(1)
    }

    /// Returns the error for a request of which no more can be read: either a stop has ended the
    /// reading side, or the client has ended its own.
    pub(crate) fn ended_early(is_stopped: bool) -> Error {
        if is_stopped {
            Error::unavailable("the server is stopping")
        } else {
            Error::new(400, "the request ended early")
        }
    }

    /// Returns the status code that the client gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Refused { status, .. } => *status,
            Error::Cut => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Prints the reason, or the status if there is none.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused { status, reason, .. } if reason.is_empty() => status.fmt(f),
            Error::Refused { reason, .. } => f.write_str(reason),
            Error::Cut => f.write_str("the connection has been cut"),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::new(refusal.status, refusal.reason)
    }
}

/// Takes out the [`Error`] that a body's `Read` has put in. Any other error becomes [`Error::Io`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(Error::Refused {
                status,
                reason,
                retry_after,
            }) => Error::Refused {
                status: *status,
                reason: reason.clone(),
                retry_after: *retry_after,
            },
            Some(Error::Cut) => Error::Cut,
            Some(Error::Io(_)) | None => Error::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error {
            Error::Io(error) => return error,
            Error::Cut => io::ErrorKind::ConnectionAborted,
            Error::Refused {
                status: StatusCode::REQUEST_TIMEOUT,
                ..
            } => io::ErrorKind::TimedOut,
            Error::Refused { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
