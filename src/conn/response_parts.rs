//! A response looked at, and taken apart: for layers and tests.

use super::super::error::Error;
use super::super::proto;
use super::response::Response;
use super::response_body::ResponseBody;
use std::borrow::Cow;
use std::mem;

impl Response {
    /// Returns the first value of this header, if there is one and it is UTF-8.
    ///
    /// It finds the headers that [`headers`](Response::headers) lists.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// Returns the first value of this header.
    pub(super) fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        for (each, value) in self.headers() {
            if proto::eq_ignore_case(each.as_bytes(), name) {
                return Some(value);
            }
        }
        None
    }

    /// Returns every name with its value: `Content-Type`, if there is one, and then the headers
    /// that were added, in their order.
    ///
    /// What the library adds when it sends the response is not among them: `Date`, `Connection`,
    /// `Keep-Alive`, `Content-Length` and `Transfer-Encoding`.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        let content_type = Some(("Content-Type", &*self.content_type));
        let content_type = content_type.filter(|(_, value)| !value.is_empty());
        let others = lines(&self.fields).map(split_line);
        let others = others.filter(|(name, _)| !is_connection(name));
        let others =
            others.map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value));
        content_type.into_iter().chain(others)
    }

    /// Removes every header of this name, `Content-Type` included.
    ///
    /// It removes no other header than those that [`headers`](Response::headers) lists, and does
    /// not undo [`with_close`](Response::with_close). The `Upgrade` of an
    /// [`upgrade`](Response::upgrade) stays: a 101 has to name the protocol (RFC 9110 §15.2.2).
    #[doc(alias = "remove_header")]
    pub fn without_header(mut self, name: &str) -> Response {
        if name.eq_ignore_ascii_case("content-type") {
            self.content_type = Cow::Borrowed(b"");
            return self;
        }
        if name.eq_ignore_ascii_case("connection") {
            return self;
        }
        let is_upgrade = name.eq_ignore_ascii_case("upgrade");
        if is_upgrade && self.upgrade.is_some() {
            return self;
        }
        self.retain_fields(|each| {
            // The option of `Connection` goes with its header.
            let goes = proto::eq_ignore_case(each, name) || is_upgrade && is_connection(each);
            !goes
        });
        self
    }

    /// Removes the fields whose names are not to be kept.
    pub(super) fn retain_fields(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let mut kept = Vec::with_capacity(self.fields.len());
        for line in lines(&self.fields) {
            if keep(split_line(line).0) {
                kept.extend_from_slice(line);
                kept.extend_from_slice(b"\r\n");
            }
        }
        self.fields = kept;
    }

    /// Returns the body. That of an [`upgrade`](Response::upgrade) is empty.
    pub fn body(&self) -> &ResponseBody {
        &self.body
    }

    /// Replaces the body. The status code and all headers stay, `Content-Type` included.
    ///
    /// `Content-Length` is made when the response is sent, from the new body. Headers that describe
    /// the old body, such as `ETag` and `Content-Encoding`, are the caller's to change. An
    /// [`upgrade`](Response::upgrade) has no body: `body` is dropped.
    ///
    /// ```
    /// use hardstop::Response;
    /// let page = Response::html("<h1>Found</h1>").with_header("X", "y");
    /// let page = page.with_body("<h1>Lost</h1>");
    /// assert_eq!(page.body().as_bytes(), Some(&b"<h1>Lost</h1>"[..]));
    /// assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    /// ```
    pub fn with_body(mut self, body: impl Into<ResponseBody>) -> Response {
        if self.upgrade.is_none() {
            self.body = body.into();
        }
        self
    }

    /// Returns the response without its body, and the body.
    ///
    /// The status code, all headers, the [`error`](Response::error) and an
    /// [`upgrade`](Response::upgrade) stay with the response.
    pub fn into_parts(mut self) -> (Response, ResponseBody) {
        let body = mem::replace(&mut self.body, ResponseBody::empty());
        (self, body)
    }

    /// Returns the error that the response was made from, if it was.
    ///
    /// It is reported, as [`Event::RequestFailed`](super::super::Event::RequestFailed), when the
    /// response is sent. Changes of the response do not change it. This layer makes JSON of the
    /// texts of errors:
    ///
    /// ```
    /// use hardstop::{Error, Response};
    ///
    /// # fn json_string(text: &str) -> String { format!("\"{text}\"") }
    /// fn with_json_errors(response: Response) -> Response {
    ///     let json = match response.error() {
    ///         Some(Error::Refused { reason, .. }) => json_string(reason),
    ///         Some(error) => json_string(error.status().reason()), // its text is not for clients
    ///         None => return response,
    ///     };
    ///     let body = format!("{{\"error\": {json}}}\n");
    ///     // All other headers stay, such as the `Allow` of a 405.
    ///     response.with_header("Content-Type", "application/json").with_body(body)
    /// }
    ///
    /// let error = Error::new(405, "only GET").with_header("Allow", "GET");
    /// let response = with_json_errors(error.into());
    /// assert_eq!(response.body().as_bytes(), Some(&b"{\"error\": \"only GET\"}\n"[..]));
    /// assert_eq!(response.header("Allow"), Some("GET"));
    /// ```
    #[doc(alias = "failure")]
    pub fn error(&self) -> Option<&Error> {
        self.failure.as_deref()
    }
}

/// Returns the lines of all fields, without their ends. No value holds an end of a line.
fn lines(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = fields.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty()); // behind the last end
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns the name and the value of a line, without the white space around the value.
fn split_line(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, rest) = line.split_at(colon.unwrap_or(line.len()));
    let value = rest.strip_prefix(b":").unwrap_or_default();
    (name, proto::trim_ows(value))
}

/// Returns whether this is the name of the field that `Upgrade` brings with it.
fn is_connection(name: &[u8]) -> bool {
    proto::eq_ignore_case(name, "connection")
}
