//! Responses as errors: what leaves a handler by `?`.
//!
//! `Response::from(error)`, in `response.rs`, makes a response of an error, and keeps the error as
//! the failure that is reported when that is sent. A response that becomes an error comes out again
//! as it was, its failure included.

use super::super::error::{EarlyResponse, Error};
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
