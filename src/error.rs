//! What a request can fail with, and the status code that answers it.
//!
//! An [`Error`] travels inside a [`std::io::Error`] wherever a body is used as a plain [`std::io::Read`], and comes out
//! again whole: `io::copy(req.body(), ..)?` answers with the right status code.

use super::StatusCode;
use std::borrow::Cow;
use std::{fmt, io};

/// Why a request was refused, or what its handler failed with.
///
/// A handler that returns `Result<Response, Error>` passes it on with `?`, and the client gets
/// [`status`](Error::status). Reading a body fails with these:
///
/// | status | why |
/// |---|---|
/// | 400 | it ended early, its chunks are malformed, or it is not the text that was asked for |
/// | 408 | it made no progress for `body_timeout`, or came slower than `min_rate` |
/// | 413 | it is larger than `max_body_bytes`, or than the limit that the handler set |
/// | 415 | `read_form` was called for another type of content |
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
