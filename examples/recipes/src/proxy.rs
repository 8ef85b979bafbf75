//! A reverse proxy, with ureq as its client.

use hardstop::{Error, Request, Response};
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;
use ureq::{config::AutoHeaderValue, http, Agent, BodyReader, SendBody};

/// Headers that are about one connection, and not about the message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a request that the proxy sets itself, or that only a proxy may set. The server has
/// already dealt with `Expect`.
const OWN: [&str; 6] = [
    "content-length",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Forwards requests to another server over plain HTTP.
#[derive(Debug, Clone)]
pub struct Proxy {
    upstream: SocketAddr,
    agent: Agent,
}

impl Proxy {
    /// Creates a proxy for the server at that address, which may pause for at most `patience`.
    pub fn new(upstream: SocketAddr, patience: Duration) -> Proxy {
        // Each step has this limit, and not the whole: a long download takes as long as it takes.
        let config = Agent::config_builder()
            .timeout_connect(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            // What the client has sent is sent, and what comes back is passed on.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None);
        Proxy {
            upstream,
            agent: config.build().new_agent(),
        }
    }

    /// Ends every exchange with the upstream server. Call it after `destroy()`: a handler that
    /// waits for the upstream server would go on until a timeout. This proxy cannot be used again.
    pub fn stop(&self) {
        self.agent.clone().shutdown();
    }

    /// Forwards a request, and streams the response.
    ///
    /// # Errors
    /// 502 if the upstream server cannot be reached or breaks off, 504 if it takes too long, and
    /// what reading the request's body fails with.
    pub fn forward(&self, req: &mut Request<'_>) -> Result<Response, Error> {
        let head = self.request_head(req)?;
        let answer = if req.body().is_empty() {
            self.agent.run(head.map(|()| SendBody::none()))
        } else {
            self.agent
                .run(head.map(|()| SendBody::from_reader(req.body())))
        };
        match answer {
            Ok(answer) => response(answer),
            Err(error) => Err(failure(error)),
        }
    }

    fn request_head(&self, req: &mut Request<'_>) -> Result<http::Request<()>, Error> {
        let url = format!("http://{}{}", self.upstream, origin_form(req.target())?);
        let mut head = http::Request::builder().method(req.method()).uri(url);
        let mut left_out = hop_by_hop(req.headers().iter());
        left_out.extend(OWN.map(String::from));
        for (name, value) in req.headers().iter() {
            if !left_out.contains(&name.to_ascii_lowercase()) {
                head = head.header(name, value);
            }
        }
        // A client can send such a header itself, so only what this proxy has seen is passed on.
        if let Some(peer) = req.peer_addr() {
            head = head.header("X-Forwarded-For", peer.ip().to_canonical().to_string());
        }
        head = head.header("Via", "1.1 hardstop");
        // Without a length, ureq sends the body in chunks, and with these methods an empty one.
        let has_body = matches!(req.method(), "POST" | "PUT" | "PATCH");
        match req.body().len() {
            Some(0) if !has_body => {}
            Some(length) => head = head.header("Content-Length", length),
            None => {}
        }
        head.body(())
            .map_err(|error| Error::new(400, format!("cannot forward the request: {error}")))
    }
}

/// Returns path and query as another server expects them (RFC 9112 §3.2.1).
fn origin_form(target: &str) -> Result<String, Error> {
    let mut path = target;
    if !target.starts_with('/') {
        let (_, rest) = target
            .split_once("://")
            .ok_or_else(|| Error::new(501, "the proxy does not forward OPTIONS *"))?;
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        path = rest.get(start..).unwrap_or_default();
    }
    let mut form = String::new();
    if !path.starts_with('/') {
        form.push('/'); // `http://host` and `http://host?query` have none
    }
    for byte in path.bytes() {
        // Some clients leave these in a query, and the http crate takes none of them.
        if matches!(byte, b'"' | b'<' | b'>') || !byte.is_ascii() {
            form.push_str(&format!("%{byte:02X}"));
        } else {
            form.push(char::from(byte));
        }
    }
    Ok(form)
}

/// Returns the names, in lower case, of the headers that are not passed on: those listed, and those
/// that `Connection` names.
fn hop_by_hop<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> HashSet<String> {
    let mut names = HashSet::from(HOP_BY_HOP.map(String::from));
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("Connection") {
            let options = String::from_utf8_lossy(value).to_ascii_lowercase();
            names.extend(options.split(',').map(|option| String::from(option.trim())));
        }
    }
    names
}

fn response(answer: http::Response<ureq::Body>) -> Result<Response, Error> {
    let (head, body) = answer.into_parts();
    let status = head.status.as_u16();
    if !(200..=599).contains(&status) {
        return Err(Error::new(502, "the upstream server sent an odd status"));
    }
    // Not `body.content_length()`, which knows no length of the body that a HEAD leaves out.
    let mut length = None;
    if !head.headers.contains_key("Transfer-Encoding") {
        let field = head.headers.get("Content-Length");
        length = field.and_then(|value| value.to_str().ok()?.parse().ok());
    }
    let fields = || {
        let fields = head.headers.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_bytes()))
    };
    let left_out = hop_by_hop(fields());
    let mut response = Response::reader(UpstreamBody(body.into_reader()), length)
        .with_status(status)
        .without_header("Content-Type"); // unless the upstream server sends one
    for (name, value) in fields() {
        if !left_out.contains(name) {
            response = response.with_header(name, value);
        }
    }
    Ok(response)
}

/// The body of a response. If it breaks off before its first byte, the client gets a 502 or 504.
struct UpstreamBody(BodyReader<'static>);

impl Read for UpstreamBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Ok(n) => Ok(n),
            Err(error) => Err(failure(ureq::Error::from(error)).into()),
        }
    }
}

/// Decides what the client gets. A body that has failed keeps its status, such as 413.
fn failure(error: ureq::Error) -> Error {
    eprintln!("upstream: {error}"); // the client need not know
    match error {
        ureq::Error::Timeout(_) => Error::new(504, "the upstream server takes too long"),
        ureq::Error::Io(error) => match Error::from(error) {
            Error::Io(_) => Error::new(502, "the upstream server broke off"),
            of_the_client => of_the_client,
        },
        _ => Error::new(502, "the upstream server did not answer properly"),
    }
}
