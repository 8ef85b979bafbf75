//! What a request fails with.
//!
//! An [`Error`] travels inside an [`io::Error`] wherever a body is used as a plain [`io::Read`],
//! and comes out again whole: `io::copy(req.body(), ..)?` answers with the right status code.
//!
//! This layer does not know responses. Their own one converts them into errors, and errors into
//! them: `conn/early_response.rs` and `conn/response.rs`.

use super::proto::{Refusal, StatusCode};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

/// An error of any type.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a request was refused, or what its handler failed with.
///
/// A handler that returns `Result<Response, Error>` passes it on with `?`, and the client gets its
/// [`status`](Error::status). The error goes to the hook of
/// [`Builder::on_event`](super::Builder::on_event), as
/// [`Event::RequestFailed`](super::Event::RequestFailed). **Without a hook, nobody learns the text
/// of an [`Error::Io`]**: its client gets a bare 500.
///
/// Reading a body fails with one of these statuses, and a text:
/// - 400: it ended early, is malformed, or is not the text that was asked for;
/// - 408: it came more slowly than `body_timeout` or `min_rate` allow;
/// - 413: it is larger than its limit, or a form with too many fields;
/// - 415: `read_form` of another content type.
///
/// It fails with [`Error::Unavailable`] if a drain cuts it short, with [`Error::Cut`] if the
/// connection is cut, and with [`Error::Io`] if it breaks.
///
/// # Early answers
/// A [`Response`](super::Response) converts into an error as well. So a handler, or a function that
/// it calls, can return a response with `?`:
///
/// ```
/// use hardstop::{Error, Request, Response};
///
/// # fn user_of(_: &Request<'_>) -> Option<String> { None }
/// fn settings(req: &mut Request<'_>) -> Result<Response, Error> {
///     let user = user_of(req).ok_or_else(|| Response::redirect("/login"))?;
///     if req.method() != "GET" {
///         return Err(Error::new(405, "only GET").with_header("Allow", "GET"));
///     }
///     Ok(Response::text(format!("the settings of {user}\n")))
/// }
/// ```
///
/// An early answer of a handler is no failure, and no event reports one, unless the response was
/// made from an error. A response's closure may fail with one as well: if a part of the response
/// has left by then, that is a failure.
///
/// # Errors of your own
/// For an error type of your own, map each case to a status once. `?` converts it:
///
/// ```
/// use hardstop::{Error, Request, Response};
///
/// enum LampError {
///     Unknown(String),
///     Bus(std::io::Error),
/// }
///
/// impl From<LampError> for Error {
///     fn from(error: LampError) -> Error {
///         match error {
///             LampError::Unknown(name) => Error::new(404, format!("no lamp is named {name}")),
///             LampError::Bus(error) => Error::internal(error), // its text is not for the client
///         }
///     }
/// }
///
/// # fn switch_on(name: &str) -> Result<(), LampError> { Err(LampError::Unknown(name.into())) }
/// fn lamp(req: &mut Request<'_>) -> Result<Response, Error> {
///     switch_on(req.path())?;
///     Ok(Response::text("on\n"))
/// }
/// # assert_eq!(Error::from(LampError::Bus(std::io::ErrorKind::Other.into())).status(), 500);
/// ```
///
/// If each case has a page of its own, convert into a [`Response`](super::Response) instead:
///
/// ```
/// use hardstop::{Request, Response};
///
/// struct NotFound;
///
/// impl From<NotFound> for Response {
///     fn from(_: NotFound) -> Response {
///         Response::html("<h1>There is no such page</h1>").with_status(404)
///     }
/// }
///
/// fn page(req: &mut Request<'_>) -> Result<Response, NotFound> {
///     # match req.path() { "/" => Ok(Response::text("hello")), _ => Err(NotFound) }
///     // …
/// }
///
/// let server = hardstop::Server::bind("127.0.0.1:0")?;
/// let running = server.spawn(|req| page(req).unwrap_or_else(Response::from))?;
/// # running.destroy();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// An error of any other type becomes a 500 by [`Error::internal`]. A handler that uses an error
/// type for everything, such as `anyhow::Error`, takes out the errors that are for the client:
///
/// ```
/// use hardstop::{Error, Request, Response};
///
/// # mod anyhow {
/// #     pub struct Error(Box<dyn std::error::Error + Send + Sync>);
/// #     pub type Result<T> = std::result::Result<T, Error>;
/// #     impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
/// #         fn from(error: E) -> Error { Error(error.into()) }
/// #     }
/// #     impl From<Error> for Box<dyn std::error::Error + Send + Sync> {
/// #         fn from(error: Error) -> Self { error.0 }
/// #     }
/// #     impl Error {
/// #         pub fn downcast<E: std::error::Error + 'static>(
/// #             self,
/// #         ) -> std::result::Result<E, Error> {
/// #             self.0.downcast().map(|error| *error).map_err(Error)
/// #         }
/// #     }
/// # }
/// fn save(req: &mut Request<'_>) -> anyhow::Result<Response> {
///     let text = req.body().read_to_text()?; // a 413, if it is too large
///     let number: u32 = text.parse()?; // a 500, as nothing says otherwise
///     Ok(Response::text(format!("saved {number}\n")))
/// }
///
/// fn handler(req: &mut Request<'_>) -> Result<Response, Error> {
///     save(req).map_err(|error| error.downcast::<Error>().unwrap_or_else(Error::internal))
/// }
/// ```
#[derive(Debug)]
#[must_use = "an error does nothing unless it is returned"]
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
    },
    /// The client gets a 503, this text, and a `Retry-After` of one second. It may well be served
    /// when it tries again, perhaps by the server that takes over.
    ///
    /// It is the library's own, for a request that a drain cuts short, and for a client that finds
    /// no place. For a 503 of your own, see [`with_header`](Error::with_header).
    #[non_exhaustive]
    Unavailable {
        /// The text.
        reason: &'static str,
    },
    /// The connection has been cut, for example by a destroy. Nobody is left to get an answer.
    Cut,
    /// The client gets a 500. The text of the error goes to the event hook, and never to the
    /// client: without a [hook](super::Builder::on_event), it is lost.
    ///
    /// [`Error::internal`] puts errors of other types in here, with [`io::ErrorKind::Other`].
    Io(io::Error),
    /// The client gets this response, which was converted into an error, or made by
    /// [`Error::with_header`].
    Early(EarlyResponse),
}

impl Error {
    /// Returns an error for the client, for example `Error::new(404, "no such device")`.
    ///
    /// It has no header of its own, and no `Retry-After` whatever the status: see
    /// [`with_header`](Error::with_header).
    pub fn new(status: impl Into<StatusCode>, reason: impl Into<Cow<'static, str>>) -> Error {
        Error::Refused {
            status: status.into(),
            reason: reason.into(),
        }
    }

    /// Returns the error for a request of which no more can be read: either a stop has ended the
    /// reading side, or the client has ended its own.
    pub(crate) fn ended_early(is_stopped: bool) -> Error {
        if is_stopped {
            Error::Unavailable {
                reason: "the server is stopping",
            }
        } else {
            Error::new(400, "the request ended early")
        }
    }

    /// Returns a 500 for an error of any type, such as an `anyhow::Error`, a `&str` or a `String`.
    ///
    /// The text goes to the hook of [`Builder::on_event`](super::Builder::on_event), and never to
    /// the client. It is a 500 whatever the error is. So leave an [`io::Error`] to `?`, which keeps
    /// the status of a body that could not be read.
    ///
    /// ```
    /// use hardstop::Error;
    /// fn port(text: &str) -> Result<u16, Error> {
    ///     text.parse().map_err(Error::internal)
    /// }
    /// assert_eq!(port("x").map_err(|error| error.status()), Err(500.into()));
    /// ```
    #[doc(alias("anyhow", "other"))]
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let error = error.into();
        match error.downcast::<Error>() {
            // Otherwise it would come out again where an `io::Error` becomes an `Error`.
            Ok(own) => Error::Io(io::Error::new(io::ErrorKind::Other, own.to_string())),
            Err(other) => Error::Io(io::Error::new(io::ErrorKind::Other, other)),
        }
    }

    /// Returns the status code that the client gets; 503 for [`Error::Cut`], whose client is gone.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Refused { status, .. } => *status,
            Error::Unavailable { .. } | Error::Cut => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Early(early) => early.0.status,
        }
    }
}

/// Prints the reason, or the status if there is none.
///
/// The text of [`Error::Io`] is not for clients. A client gets the text of [`Error::Refused`] and
/// of [`Error::Unavailable`], and the body of the response in an [`Error::Early`].
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused { status, reason } if reason.is_empty() => status.fmt(f),
            Error::Refused { reason, .. } => f.write_str(reason),
            Error::Unavailable { reason } => f.write_str(reason),
            Error::Cut => f.write_str("the connection has been cut"),
            Error::Io(error) => error.fmt(f),
            Error::Early(early) => match &early.0.failure {
                Some(failure) => failure.fmt(f),
                None => early.0.status.fmt(f),
            },
        }
    }
}

/// The source of an error in [`Error::Io`] or [`Error::Early`] is this one's source: its own text
/// is already this one's.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => error.source(),
            Error::Early(early) => early.0.failure.as_ref()?.source(),
            Error::Refused { .. } | Error::Unavailable { .. } | Error::Cut => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::new(refusal.status, refusal.reason)
    }
}

/// Takes out the [`Error`] that a body's `Read` has put in. Any other error becomes [`Error::Io`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        let is_own = error.get_ref().map_or(false, |inner| inner.is::<Error>());
        if !is_own {
            return Error::Io(error);
        }
        let kind = error.kind();
        match error.into_inner().map(|inner| inner.downcast()) {
            Some(Ok(own)) => *own,
            // This does not happen, as the type has been looked at above.
            Some(Err(_)) | None => Error::Io(kind.into()),
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
            Error::Refused { .. } | Error::Unavailable { .. } => io::ErrorKind::InvalidData,
            Error::Early(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// The response in [`Error::Early`], which `Response::from` takes out of that error.
pub struct EarlyResponse(Box<Early>);

/// It is boxed, so that it does not make every other [`Error`] larger.
struct Early {
    status: StatusCode,
    /// The error that the response was made from, if it was.
    failure: Option<Box<Error>>,
    /// The response. An error can be shared by threads, and a response cannot. The lock, which is
    /// never taken, makes up for that.
    response: Mutex<Box<dyn Any + Send>>,
}

impl EarlyResponse {
    /// Keeps a response, as a value of any type, and the error that it was made from.
    pub(crate) fn new(
        status: StatusCode,
        failure: Option<Box<Error>>,
        response: impl Any + Send,
    ) -> EarlyResponse {
        EarlyResponse(Box::new(Early {
            status,
            failure,
            response: Mutex::new(Box::new(response)),
        }))
    }

    /// Returns the value that was kept, and the error.
    pub(crate) fn into_parts(self) -> (Box<dyn Any + Send>, Option<Box<Error>>) {
        let early = *self.0;
        let response = early.response.into_inner();
        let response = response.unwrap_or_else(PoisonError::into_inner);
        (response, early.failure)
    }
}

impl fmt::Debug for EarlyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyResponse")
            .field("status", &self.0.status)
            .field("failure", &self.0.failure)
            .finish_non_exhaustive()
    }
}
