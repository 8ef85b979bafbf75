//! The head of a request: bytes in, a request line and fields out, no I/O.
//!
//! 1. Lines end with CRLF and nothing else; a bare CR, a bare LF or another control byte is an error at the moment it
//!    arrives (RFC 9112 §2.2 allows more, and two readers could then disagree).
//! 2. Each line is parsed once, when it is complete, however small the pieces it came in.
//! 3. Nothing is corrected: what is not exactly the grammar is refused.

use super::chars::{is_token, split_at};
use super::headers::Headers;
use super::line::{field_line, line_end};
use super::refusal::{bail, ensure, Refusal};
use super::status::Version;
use super::target::{absolute_target, is_authority, is_encoded, PATH_BYTES, QUERY_BYTES};
use super::urlencoded::decode;

/// How many bytes a connection that waits keeps for a method, for a target, and for its fields.
const MAX_KEPT: usize = 1024;

/// The limits of a head, and what its target may name.
#[derive(Clone, Copy)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
    /// Targets may have the scheme `https`.
    pub(crate) https: bool,
}

/// A head that is being parsed, or has been. One whose request line has not come has no method.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Percent-decoded.
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
    /// Where the line that is being read starts, and up to where it holds no control byte.
    line: usize,
    scanned: usize,
}

impl Head {
    /// Makes room for the next one, in the memory of the last if that is little.
    pub(crate) fn clear(&mut self) {
        let capacities = [self.method.capacity(), self.target.capacity(), self.headers.bytes.capacity()];
        if capacities.iter().any(|capacity| *capacity > MAX_KEPT) {
            *self = Head::default();
        }
        self.method.clear();
        self.target.clear();
        self.path.clear();
        self.headers.bytes.clear();
        self.headers.fields.clear();
        (self.version, self.line, self.scanned) = Default::default();
    }

    /// Parses what has arrived of a head: `Some(n)` when it is whole and is the first `n` bytes, `None` for "read
    /// more". `bytes` starts at the same byte in every call for one head.
    pub(crate) fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Refusal> {
        let bytes = bytes.get(..limits.bytes).unwrap_or(bytes);
        while let Some(end) = line_end(bytes, &mut self.scanned)? {
            let next = end.saturating_add(2);
            let line = bytes.get(self.line..end).unwrap_or_default();
            let is_full = self.headers.fields.len() >= limits.fields;
            (self.line, self.scanned) = (next, next);
            match (line, self.method.is_empty()) {
                ([], false) => return Ok(Some(next)),
                // RFC 9112 §2.2: an empty line in front is ignored. One is enough.
                ([], true) if next == 2 => {}
                ([], true) => return bail(400, "empty lines before the request line"),
                (line, true) => self.request_line(line, limits.https)?,
                (_, false) if is_full => return bail(431, "the head has too many fields"),
                (line, false) => self.headers.push(field_line(line)?),
            }
        }
        match self.method.is_empty() {
            _ if bytes.len() < limits.bytes => Ok(None),
            true if !bytes.contains(&b' ') => bail(400, "the method is too long"),
            true => bail(414, "the request line is too large"),
            false => bail(431, "the head is too large"),
        }
    }

    /// RFC 9112 §3: method SP request-target SP HTTP-version, with single spaces.
    fn request_line(&mut self, line: &[u8], serves_https: bool) -> Result<(), Refusal> {
        let line = std::str::from_utf8(line).unwrap_or_default(); // an empty one is refused below
        let (method, rest) = split_at(line, b" ");
        let (target, rest) = split_at(rest.strip_prefix(' ').unwrap_or_default(), b" ");
        let version = rest.strip_prefix(' ').unwrap_or_default();
        ensure(!target.is_empty() && !version.is_empty(), 400, "the request line is not `method target version`")?;
        ensure(is_token(method.as_bytes()), 400, "the method is not a token")?;
        self.method.push_str(method);
        self.target.push_str(target);
        self.version = parse_version(version)?;
        // RFC 9112 §3.2: origin-form, absolute-form, `*` for OPTIONS, or an authority for CONNECT.
        let local = match absolute_target(target) {
            _ if method == "CONNECT" => return bail(501, "this is no proxy"),
            // RFC 9110 §7.4: what comes without TLS must not be served as if it had come with it.
            Some((true, ..)) if !serves_https => return bail(421, "https is not served here"),
            // RFC 9110 §4.2.4: user information is invalid here.
            Some((_, it, _)) if !is_authority(it) => return bail(400, "the target's authority is not `host[:port]`"),
            Some((.., local)) => local,
            None if target.starts_with('/') || (method, target) == ("OPTIONS", "*") => target,
            None => return bail(400, "the target is not a path"),
        };
        let (path, query) = split_at(local, b"?");
        let is_valid = is_encoded(path, PATH_BYTES) && is_encoded(query, QUERY_BYTES);
        ensure(is_valid, 400, "a byte in the target (perhaps a `%`) is not encoded")?;
        let path = match path {
            "" if method == "OPTIONS" && query.is_empty() => "*", // RFC 9112 §3.2.4: of `http://host`
            "" => "/",
            path => path,
        };
        match path.contains('%') {
            true => self.path = decode(path.as_bytes(), false),
            false => self.path.push_str(path),
        }
        // RFC 3986 §7.3: files and logs behind this would read NUL and line ends in their own way.
        let has_control = self.path.bytes().any(|byte| byte.is_ascii_control());
        ensure(!has_control, 400, "a control byte in the path, percent-encoded")
    }

    /// Without its `?`.
    pub(crate) fn query(&self) -> Option<&str> {
        split_at(&self.target, b"?").1.strip_prefix('?')
    }
}

/// RFC 9112 §2.3: the name is case-sensitive, each number is one digit.
fn parse_version(version: &str) -> Result<Version, Refusal> {
    match version.strip_prefix("HTTP/").unwrap_or_default().as_bytes() {
        b"1.0" => Ok(Version::Http10),
        [b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11), // RFC 9110 §2.5
        [b'0'..=b'9', b'.', b'0'..=b'9'] => bail(505, "only HTTP/1.1 and HTTP/1.0 are served"),
        _ => bail(400, "the version is not `HTTP/` and two digits"),
    }
}

#[cfg(test)]
mod tests;
