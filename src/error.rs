//! What a request fails with.
//!
//! An [`Error`] travels inside a [`std::io::Error`] wherever a body is used as a plain [`std::io::Read`], and comes out
//! again whole: `io::copy(req.body(), ..)?` answers with the right status code.

use super::proto::Refusal;
use super::{CloseReason, StatusCode};
use std::{borrow::Cow, fmt, io};

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

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal.status, Cow::Borrowed(refusal.reason))
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
