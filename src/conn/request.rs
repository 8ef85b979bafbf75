//! A request, as the handler sees it.

use super::super::event::ConnectionId;
use super::super::lifecycle::{CancelToken, Registration};
use super::super::proto::{self, Head, Headers, Version};
use super::body::Body;
use std::fmt;
use std::net::SocketAddr;

/// A request. It borrows from its connection and ends with the handler.
pub struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) registration: &'a Registration,
    pub(super) body: Body<'a>,
}

impl<'a> Request<'a> {
    /// Returns the method: any token, with its case.
    ///
    /// The response to `HEAD` leaves without its body. `CONNECT` never reaches a handler.
    pub fn method(&self) -> &'a str {
        &self.head.method
    }

    /// Returns the target as it was sent: `/a%20b?q=1`, `http://host/a`, or `*`.
    ///
    /// Its path has the bytes that RFC 3986 allows, whole percent-encodings, and `[]|^`, which
    /// browsers leave unencoded. Its query has any characters, in UTF-8, except spaces, `#` and
    /// controls (U+0000 to U+001F, and U+007F to U+009F): browsers and other clients leave a `%`,
    /// quotes, `<>`, `` {}|\^` `` and letters beyond ASCII unencoded in it. Anything else is
    /// refused with 400. So escape a target where you show or log it.
    ///
    /// A target in absolute form names the same host and port as `Host`, or it is refused with 400.
    /// A port that is left out is the scheme's own. One with `https` is refused with 421 (RFC 9110
    /// §7.4), unless there is a [`transport`](super::super::Builder::transport).
    #[doc(alias("url", "uri"))]
    pub fn target(&self) -> &'a str {
        &self.head.target
    }

    /// Returns the path, percent-decoded once; `*` for the target `*`.
    ///
    /// `%2F` becomes a slash, and what is not UTF-8 becomes U+FFFD. Dot segments stay: `/a/../b` is
    /// `/a/../b`. So check what you use: this path, not the [`target`](Request::target).
    ///
    /// It holds no control byte: a request with `%00`, `%0A` or `%7F` in its path is refused with
    /// 400 (RFC 3986 §7.3). It may hold the controls beyond ASCII (U+0080 to U+009F), which are two
    /// bytes each, as it may hold any other character. A [`query_value`](Request::query_value) may
    /// hold all of them.
    #[doc(alias("url", "uri"))]
    pub fn path(&self) -> &'a str {
        &self.head.path
    }

    /// Returns the query as it was sent, without its `?`; `None` if there is no `?`.
    ///
    /// It may hold a `%` that begins no percent-encoding, and characters beyond ASCII: see
    /// [`target`](Request::target).
    pub fn query(&self) -> Option<&'a str> {
        self.head.query()
    }

    /// Returns the first value of this name in the query.
    ///
    /// It is decoded as forms are: `+` is a space, and what is not UTF-8 becomes U+FFFD. What is
    /// not encoded stays as it is: the value in `?a=100%` is `100%`. `?a` and `?a=` have an empty
    /// value for `a`.
    #[doc(alias = "param")]
    pub fn query_value(&self, name: &str) -> Option<String> {
        let query = self.head.query()?;
        for (each, value) in proto::pairs(query.as_bytes()) {
            if each == name {
                return Some(value);
            }
        }
        None
    }

    /// Returns the HTTP version of the request.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Returns all headers.
    pub fn headers(&self) -> &'a Headers {
        &self.head.headers
    }

    /// Returns the first value of this header, if there is one and it is UTF-8; see
    /// [`Headers::get_bytes`].
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.headers.get(name)
    }

    /// Returns the client's address, as the system reported it on accepting; `None` on a Unix
    /// socket.
    ///
    /// A server on `[::]` sees a client of IPv4 at a mapped address, such as `::ffff:127.0.0.1`,
    /// which is not equal to `127.0.0.1`, and for which std's `is_loopback` returns false. Before
    /// you compare addresses, convert them:
    ///
    /// ```
    /// fn is_from_this_machine(request: &hardstop::Request<'_>) -> bool {
    ///     let peer = request.peer_addr();
    ///     peer.map_or(false, |peer| peer.ip().to_canonical().is_loopback())
    /// }
    /// ```
    #[doc(alias = "remote_addr")]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.registration.entry.peer
    }

    /// Returns the connection's number, the same as in events and for
    /// [`Handle::close`](super::super::Handle::close).
    pub fn connection_id(&self) -> ConnectionId {
        self.registration.entry.id
    }

    /// Returns a token that tells this handler when its connection is cut. It may be kept, and sent
    /// elsewhere.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken::new(self.registration)
    }

    /// Returns the body. A handler need not read it.
    ///
    /// A handler cannot read the body and write the response at the same time: the response begins
    /// when the handler has returned, and the body cannot be kept until then. Where both sides talk
    /// at once, [upgrade](super::super::Response::upgrade) the connection.
    ///
    /// If the client wants the connection to go on, what the handler has left is received before
    /// the response is sent: at most 256 KiB, within `body_timeout`. If there is more, if it does
    /// not come in time, or if the client still waits for a `100 Continue`, the response says
    /// `Connection: close` and ends the connection (RFC 9112 §9.3). It does so as well in a drain,
    /// and when another client waits for a place.
    pub fn body(&mut self) -> &mut Body<'a> {
        &mut self.body
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.head.method)
            .field("target", &self.head.target)
            .field("version", &self.head.version)
            .finish_non_exhaustive()
    }
}
