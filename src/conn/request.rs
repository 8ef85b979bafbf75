//! A request, as the handler sees it.

use super::super::event::ConnectionId;
use super::super::lifecycle::{CancelToken, Registration};
use super::super::proto::{self, Head, Headers, Version};
use super::body::Body;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

/// A request. It borrows from its connection and ends with the handler.
pub struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) registration: &'a Registration,
    pub(super) body: Body<'a>,
}

impl<'a> Request<'a> {
    /// Returns the method and the [`path`](Request::path), for a `match`. `HEAD` comes as `GET`.
    ///
    /// A client asks with `HEAD` for the headers of what `GET` would answer, as `curl -I` and many
    /// health checks do (RFC 9110 §9.3.2). The library leaves the body out, and runs no closure of
    /// a [`stream`](super::super::Response::stream). So a handler need not know which of the two it
    /// was; [`method`](Request::method) says it. Every other method comes as it was sent.
    ///
    /// Neither method may change anything. Where a `GET` does, such as the callback of a login, ask
    /// for `method` as well: some programs send a `HEAD` ahead of it.
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    ///
    /// fn site(req: &mut Request<'_>) -> Result<Response, Error> {
    ///     match req.route() {
    ///         ("GET", "/") => Ok(Response::html("<form method=post action=/stop><button>Stop")),
    ///         ("POST", "/stop") => Ok(Response::redirect("/")),
    ///         _ => Err(Error::new(404, "there is no such page")),
    ///     }
    /// }
    /// ```
    #[doc(alias("router", "routing"))]
    pub fn route(&self) -> (&'a str, &'a str) {
        let method = if self.head.method == "HEAD" {
            "GET"
        } else {
            &self.head.method
        };
        (method, &self.head.path)
    }

    /// Returns the method as it was sent: any token, with its case.
    ///
    /// The response to `HEAD` leaves without its body: see [`route`](Request::route). `CONNECT`
    /// never reaches a handler.
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
    /// `%2F` is decoded to a slash, which [`segments`](Request::segments) tells from the others.
    /// What is not UTF-8 becomes U+FFFD. Dot segments stay: `/a/../b` is `/a/../b`. So check what
    /// you use: this path, not the [`target`](Request::target).
    ///
    /// It holds no control byte: a request with `%00`, `%0A` or `%7F` in its path is refused with
    /// 400 (RFC 3986 §7.3). It may hold the controls beyond ASCII (U+0080 to U+009F), which are two
    /// bytes each, as it may hold any other character. A [`query_value`](Request::query_value) may
    /// hold all of them.
    #[doc(alias("url", "uri"))]
    pub fn path(&self) -> &'a str {
        &self.head.path
    }

    /// Returns the segments of the path. The path is split at each `/`, and then each segment is
    /// decoded, so that one may hold a slash: `/devices/a%2Fb` is `devices` and `a/b`.
    ///
    /// There is one segment for each `/` that is not encoded:
    ///
    /// | target | segments |
    /// |---|---|
    /// | `/` | `""` |
    /// | `/a` | `"a"` |
    /// | `/a/` | `"a"`, `""` |
    /// | `//a` | `""`, `"a"` |
    /// | `http://host/a%2Fb?q` | `"a/b"` |
    /// | `*` | none |
    ///
    /// They are decoded as the [`path`](Request::path) is. Dot segments stay, also encoded ones:
    /// `/a/%2e%2e` is `a` and `..`. So before you make a file's name of a segment, check that it is
    /// neither `.` nor `..`, and holds no `/` and no `\`.
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    ///
    /// fn devices(req: &mut Request<'_>) -> Result<Response, Error> {
    ///     let (method, _) = req.route();
    ///     let segments: Vec<_> = req.segments().collect();
    ///     let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    ///     match (method, segments.as_slice()) {
    ///         ("GET", ["devices"] | ["devices", ""]) => Ok(Response::text("all devices\n")),
    ///         ("GET", ["devices", id]) => Ok(Response::text(format!("device {id}\n"))),
    ///         ("POST", ["devices", id, "stop"]) => Ok(Response::text(format!("{id} stops"))),
    ///         _ => Err(Error::new(404, "there is no such page")),
    ///     }
    /// }
    /// ```
    #[doc(alias("path_segments", "path_param"))]
    pub fn segments(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.head.segments()
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
        self.query_values(name).next()
    }

    /// Returns all values of this name in the query, in their order, decoded as for
    /// [`query_value`](Request::query_value).
    ///
    /// ```
    /// fn tags(req: &mut hardstop::Request<'_>) -> String {
    ///     let tags: Vec<String> = req.query_values("tag").collect();
    ///     tags.join(", ") // for `?tag=red&tag=round`, it is `red, round`
    /// }
    /// ```
    #[doc(alias = "param")]
    pub fn query_values<'n>(&self, name: &'n str) -> impl Iterator<Item = String> + 'n
    where
        'a: 'n,
    {
        let pairs = self.query_pairs();
        pairs.filter_map(move |(each, value)| if each == name { Some(value) } else { None })
    }

    /// Returns the names and values of the query, in their order, decoded as for
    /// [`query_value`](Request::query_value).
    ///
    /// Empty pairs are left out: `?&a=1&&` has one. A query is as short as its request head, so
    /// [`Builder::max_form_fields`](super::super::Builder::max_form_fields) does not limit it.
    #[doc(alias("params", "query_params"))]
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + 'a {
        proto::pairs(self.head.query().unwrap_or_default().as_bytes())
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
    /// [`Headers::get_bytes`]. [`Headers::get_all`] returns all of them.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.headers.get(name)
    }

    /// Returns the first value of the cookie with this name, if there is one and it is UTF-8.
    ///
    /// Names are compared with their case. The value is what a `Set-Cookie` header has set:
    /// nothing is decoded, and quotes around it stay, as browsers keep them (in Go's server, and in
    /// many others, they are removed). Of several cookies with one name, browsers send the one with
    /// the longest path first: see [`cookies`](Request::cookies).
    ///
    /// A browser sends the cookies of a host to every port of it, and takes them from any. So
    /// another server on 127.0.0.1 can read and set those of this one. Let a session be known by
    /// a long random number, and choose a name that no other program has:
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    ///
    /// /// Serves those who have logged in. `session` is a random number that nobody can guess.
    /// fn lamp(req: &mut Request<'_>, password: &str, session: &str) -> Result<Response, Error> {
    ///     match req.route() {
    ///         ("GET", "/login") => Ok(Response::html(
    ///             "<form method=post><input name=password type=password><button>Log in",
    ///         )),
    ///         ("POST", "/login") => {
    ///             let form = req.body().read_form()?;
    ///             if form.required("password")? != password {
    ///                 return Err(Error::new(403, "this is not the password"));
    ///             }
    ///             // No script can read it, and no other site's page sends it along.
    ///             let cookie = format!("lamp={session}; Path=/; HttpOnly; SameSite=Strict");
    ///             Ok(Response::redirect("/").with_header("Set-Cookie", &cookie))
    ///         }
    ///         _ if req.cookie("lamp") != Some(session) => Ok(Response::redirect("/login")),
    ///         ("POST", "/logout") => {
    ///             let cookie = "lamp=; Path=/; Max-Age=0";
    ///             Ok(Response::redirect("/login").with_header("Set-Cookie", cookie))
    ///         }
    ///         _ => Ok(Response::text("the lamp is on\n")),
    ///     }
    /// }
    /// ```
    ///
    /// Over https, add `Secure`. `SameSite` does not tell the ports of a host apart, so check
    /// `Origin` as well where that matters.
    #[doc(alias("session", "set_cookie"))]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        let first = proto::cookies(&self.head.headers, name).next()?;
        std::str::from_utf8(first).ok()
    }

    /// Returns the values of all cookies with this name that are UTF-8, as for
    /// [`cookie`](Request::cookie).
    ///
    /// Another server on this host may have set one of the same name for a longer path, and that
    /// one comes first. A session is found whatever others have set:
    ///
    /// ```
    /// fn is_logged_in(req: &hardstop::Request<'_>, session: &str) -> bool {
    ///     req.cookies("lamp").any(|value| value == session)
    /// }
    /// ```
    pub fn cookies<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + 'n
    where
        'a: 'n,
    {
        let values = proto::cookies(&self.head.headers, name);
        values.filter_map(|value| std::str::from_utf8(value).ok())
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

    /// Returns a token that fires when this connection is cut. It may be kept, and sent elsewhere.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken::new(self.registration)
    }

    /// Returns whether the client has closed the connection, as far as can be seen without reading,
    /// or the connection has been cut.
    ///
    /// It does not wait: ask it now and then in a handler that computes for long or waits for
    /// something. It makes three system calls. It ends nothing. What the handler returns is sent,
    /// if anybody is there to receive it.
    ///
    /// - **A client that closes only its sending side counts as gone**, as in Go's server and in
    ///   nginx, because the system reports both in the same way. Few do that while they wait for a
    ///   response; `nc -N` is one. It still receives the response.
    /// - **Bytes that have not been read hide the end**: a body, which should be read first, or a
    ///   further request.
    /// - **After a cut** it is true.
    /// - **In a drain**, the library itself may have ended the reading side. There, a client that
    ///   has closed may be seen only once it has reset the connection.
    /// - **Over a [`transport`](super::super::Builder::transport)**, the socket is looked at, and
    ///   not what it carries. TLS says goodbye before the end (`close_notify`), which nobody has
    ///   read, so that it hides the end. Only clients that end without a goodbye are noticed. Do
    ///   not ask if the transport uses the socket on a thread of its own, or has made it
    ///   nonblocking: for a moment, the socket does not block, and afterwards it does.
    /// - A client whose machine or network has failed is there until the system gives up. Without
    ///   anything to send, it does not.
    ///
    /// The closure of a response's [`stream`](super::super::Response::stream) asks
    /// [`BodyWriter::is_disconnected`](super::super::BodyWriter::is_disconnected).
    ///
    /// A long poll that ends soon after its client has left, and at once when the server stops:
    ///
    /// ```
    /// use hardstop::{Error, Request, Response};
    /// use std::collections::VecDeque;
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    ///
    /// fn next(req: &mut Request<'_>, news: &Mutex<VecDeque<String>>) -> Result<Response, Error> {
    ///     let token = req.cancel_token();
    ///     // Asked before anything is taken, which would be lost with the response.
    ///     while !req.is_disconnected() {
    ///         let first = news.lock().unwrap().pop_front();
    ///         if let Some(text) = first {
    ///             return Ok(Response::text(text));
    ///         }
    ///         if token.wait_for_stop(Duration::from_millis(250)) {
    ///             return Err(Error::new(503, "the server stops"));
    ///         }
    ///     }
    ///     Ok(Response::new(204)) // the client has gone
    /// }
    /// ```
    #[doc(alias("aborted", "client_gone", "closed", "connection_aborted"))]
    pub fn is_disconnected(&self) -> bool {
        self.body.stream.is_disconnected()
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
