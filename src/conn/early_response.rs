//! Errors as responses, and responses as errors: what leaves a handler by `?`.
//!
//! 1. An error that becomes a response is kept as its failure, and is reported when that is sent.
//! 2. A response that becomes an error comes out again as it was, its failure included.

use super::super::error::{EarlyResponse, Error};
use super::super::proto::StatusCode;
use super::response::Response;

impl Error {
    /// Adds a header to what the client gets, with the rules of [`Response::with_header`].
    ///
    /// So `Content-Type` is replaced, and what cannot be a header gets the client a 500. The status
    /// code and the text stay. The error is now an [`Error::Early`], except for [`Error::Cut`],
    /// which has no answer and stays as it is.
    ///
    /// ```
    /// use hardstop::Error;
    /// let read_only = Error::new(405, "only GET").with_header("Allow", "GET");
    /// let locked = Error::new(401, "log in first").with_header("WWW-Authenticate", "Basic");
    /// let busy = Error::new(503, "busy").with_header("Retry-After", "120");
    /// ```
    ///
    /// Without a `Retry-After`, the client of a 429 or a 503 decides when to try again, and many
    /// wait longer each time. The library's own [`Error::Unavailable`] says one second.
    #[doc(alias("retry_after", "www_authenticate"))]
    pub fn with_header(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Error {
        if let Error::Cut = self {
            return self;
        }
        Response::from(self).with_header(name, value).into()
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

/// An answer that leaves a handler by `?`: see [`Error`](Error#early-answers).
///
/// It may have any body, and may be an [`upgrade`](Response::upgrade). No event reports it as a
/// failure, unless it was made from an error.
impl From<Response> for Error {
    fn from(mut response: Response) -> Error {
        let failure = response.failure.take();
        Error::Early(EarlyResponse::new(response.status, failure, response))
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
