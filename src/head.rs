//! The head of a request: bytes in, a request line and fields out, no I/O.
//!
//! 1. Lines end with CRLF and nothing else; a bare CR, a bare LF or another control byte is an error at the moment it
//!    arrives (RFC 9112 §2.2 allows more, and two readers could then disagree).
//! 2. Each line is parsed once, when it is complete, however small the pieces it came in.
//! 3. Nothing is corrected: what is not exactly the grammar is refused.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)] // numbers come from outside here

use super::types::{refuse, refuse_if, Error};
use super::urlencoded::{decode, encoded_byte};
use super::{Builder, Version};

/// How many bytes a connection that waits keeps for a method, for a target, and for its fields.
const MAX_KEPT: usize = 1024;

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
    pub(crate) fn parse(&mut self, bytes: &[u8], max: &Builder) -> Result<Option<usize>, Error> {
        let bytes = bytes.get(..max.max_head_bytes).unwrap_or(bytes);
        while let Some(end) = line_end(bytes, &mut self.scanned)? {
            let next = end.saturating_add(2);
            let line = bytes.get(self.line..end).unwrap_or_default();
            let is_full = self.headers.fields.len() >= max.max_headers;
            (self.line, self.scanned) = (next, next);
            match (line, self.method.is_empty()) {
                ([], false) => return Ok(Some(next)),
                // RFC 9112 §2.2: an empty line in front is ignored. One is enough.
                ([], true) if next == 2 => {}
                ([], true) => return refuse(400, "empty lines before the request line"),
                (line, true) => self.request_line(line, max.transport.is_some())?,
                (_, false) if is_full => return refuse(431, "the head has too many fields"),
                (line, false) => self.headers.push(field_line(line)?),
            }
        }
        match self.method.is_empty() {
            _ if bytes.len() < max.max_head_bytes => Ok(None),
            true if !bytes.contains(&b' ') => refuse(400, "the method is too long"),
            true => refuse(414, "the request line is too large"),
            false => refuse(431, "the head is too large"),
        }
    }

    /// RFC 9112 §3: method SP request-target SP HTTP-version, with single spaces.
    fn request_line(&mut self, line: &[u8], has_transport: bool) -> Result<(), Error> {
        let line = std::str::from_utf8(line).unwrap_or_default(); // an empty one is refused below
        let (method, rest) = split_at(line, b" ");
        let (target, rest) = split_at(rest.strip_prefix(' ').unwrap_or_default(), b" ");
        let version = rest.strip_prefix(' ').unwrap_or_default();
        refuse_if(target.is_empty() || version.is_empty(), 400, "the request line is not `method target version`")?;
        refuse_if(!is_token(method.as_bytes()), 400, "the method is not a token")?;
        self.method.push_str(method);
        self.target.push_str(target);
        self.version = parse_version(version)?;
        // RFC 9112 §3.2: origin-form, absolute-form, `*` for OPTIONS, or an authority for CONNECT.
        let local = match absolute_target(target) {
            _ if method == "CONNECT" => return refuse(501, "this is no proxy"),
            // RFC 9110 §7.4: what comes without TLS must not be served as if it had come with it.
            Some((true, ..)) if !has_transport => return refuse(421, "https is not served here"),
            // RFC 9110 §4.2.4: user information is invalid here.
            Some((_, it, _)) if !is_authority(it) => return refuse(400, "the target's authority is not `host[:port]`"),
            Some((.., local)) => local,
            None if target.starts_with('/') || (method, target) == ("OPTIONS", "*") => target,
            None => return refuse(400, "the target is not a path"),
        };
        let (path, query) = split_at(local, b"?");
        let is_raw = !is_encoded(path, PATH_BYTES) || !is_encoded(query, QUERY_BYTES);
        refuse_if(is_raw, 400, "a byte in the target (perhaps a `%`) is not encoded")?;
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
        refuse_if(has_control, 400, "a control byte in the path, percent-encoded")
    }

    /// Without its `?`.
    pub(crate) fn query(&self) -> Option<&str> {
        split_at(&self.target, b"?").1.strip_prefix('?')
    }
}

/// The authority of a target in absolute form with that scheme, and what follows it.
pub(crate) fn absolute_target(target: &str) -> Option<(bool, &str, &str)> {
    let (scheme, rest) = split_at(target, b":/");
    let is_https = same(scheme.as_bytes(), "https");
    let is_either = is_https || same(scheme.as_bytes(), "http");
    let (host, local) = split_at(rest.strip_prefix("://").filter(|_| is_either)?, b"/?");
    Some((is_https, host, local))
}

/// What stands before the first of these bytes, and the rest.
fn split_at<'a>(text: &'a str, stops: &[u8]) -> (&'a str, &'a str) {
    text.split_at(text.bytes().position(|byte| stops.contains(&byte)).unwrap_or(text.len()))
}

/// The header fields of a request. Names are found whatever their case (RFC 9110 §5.1).
#[derive(Clone, Default)]
pub struct Headers {
    /// All names and values, one after the other.
    bytes: Vec<u8>,
    /// Where each name starts, where it ends and its value starts, and where that ends.
    fields: Vec<(usize, usize, usize)>,
}

impl Headers {
    /// The first value of that name, if it is UTF-8; else only [`get_bytes`](Headers::get_bytes) has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value of that name, without the white space around it. It may hold any byte above 127.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.iter_bytes().find(|(each, _)| same(each, name)).map(|(_, value)| value)
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        self.iter_bytes().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.fields.iter().map(|&(start, middle, end)| {
            let name = self.bytes.get(start..middle).unwrap_or_default();
            (name, self.bytes.get(middle..end).unwrap_or_default())
        })
    }

    fn push(&mut self, (name, value): (&[u8], &[u8])) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push((start, middle, self.bytes.len()));
    }
}

/// Finds the CRLF that ends a line; `None` means "read more". `scanned` moves up to what is known to be harmless.
pub(crate) fn line_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Error> {
    let rest = bytes.get(*scanned..).unwrap_or_default();
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_control(byte)); // without branches
    *scanned = scanned.saturating_add(rest.chunks_exact(16).take_while(is_plain).count().saturating_mul(16));
    let rest = bytes.get(*scanned..).unwrap_or_default();
    *scanned = scanned.saturating_add(rest.iter().position(is_control).unwrap_or(rest.len()));
    match bytes.get(*scanned..).unwrap_or_default() {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(*scanned)),
        [b'\r', ..] => refuse(400, "a CR without its LF"),
        [b'\n', ..] => refuse(400, "a line that ends with LF instead of CRLF"),
        _ => refuse(400, "a control byte in a line"),
    }
}

/// Parses `name: value`. RFC 9112 §5.1, §5.2: white space before the colon and folded lines have smuggled requests.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    match split_token(line) {
        Some((name, [b':', value @ ..])) => Ok((name, trim(value))),
        _ => refuse(400, "a field line that is not `name: value`"),
    }
}

/// Whether both are the same but for the case of their letters. One copy of this is enough for a small program.
#[inline(never)]
pub(crate) fn same(one: &[u8], other: &str) -> bool {
    one.eq_ignore_ascii_case(other.as_bytes())
}

/// Without the spaces and tabs around it.
#[inline(never)]
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// RFC 9112 §2.3: the name is case-sensitive, each number is one digit.
fn parse_version(version: &str) -> Result<Version, Error> {
    match version.strip_prefix("HTTP/").unwrap_or_default().as_bytes() {
        b"1.0" => Ok(Version::Http10),
        [b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11), // RFC 9110 §2.5
        [b'0'..=b'9', b'.', b'0'..=b'9'] => refuse(505, "only HTTP/1.1 and HTTP/1.0 are served"),
        _ => refuse(400, "the version is not `HTTP/` and two digits"),
    }
}

/// RFC 9110 §7.2: `host [ ":" port ]`; §4.2.1: in an http URI, the host is not empty.
pub(crate) fn is_authority(text: &str) -> bool {
    let (is_host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']').unwrap_or_default();
            (ip.parse::<std::net::Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = split_at(text, b":");
            (!name.is_empty() && is_encoded(name, NAME_BYTES), port)
        }
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_number = !digits.starts_with('+') && digits.parse::<u16>().is_ok(); // it would take a `+`
    let is_port = digits.is_empty() || (digits.len() < port.len() && is_number);
    is_host && is_port
}

/// What may stand beside letters and digits in a host, a path and a query (RFC 3986 §3.2.2 to §3.4), with what browsers
/// leave unencoded in the last two, as in `?ids[]=1`: nothing that frames a message or splits a target.
const NAME_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=");
const PATH_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=:@/[]|^");
const QUERY_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=:@/?[]{}|\\^`");
const TOKEN_BYTES: Bytes = alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// A set of ASCII bytes: a bit for each.
type Bytes = [u64; 2];

const fn alphanumeric_and(mut more: &[u8]) -> Bytes {
    let (mut low, mut high) = (0x03ff_0000_0000_0000, 0x07ff_fffe_07ff_fffe); // digits; letters
    while let [byte, rest @ ..] = more {
        match *byte {
            0..=63 => low |= 1 << *byte,
            _ => high |= 1 << (*byte & 63),
        }
        more = rest;
    }
    [low, high]
}

fn is_in(bytes: Bytes, byte: u8) -> bool {
    bytes.get(usize::from(byte >> 6)).map_or(false, |half| half.wrapping_shr(byte.into()) & 1 == 1)
}

/// Whether every other byte is one of these, and every `%` begins a whole percent-encoding (RFC 3986 §2.1).
fn is_encoded(text: &str, allowed: Bytes) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !is_in(allowed, *byte)) {
        rest = match rest.get(at..).and_then(encoded_byte) {
            Some((_, after)) => after,
            None => return false,
        };
    }
    true
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    split_token(text).map_or(false, |(_, rest)| rest.is_empty())
}

/// The token that the text begins with (RFC 9110 §5.6.2), and what follows it.
pub(crate) fn split_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().position(|byte| !is_in(TOKEN_BYTES, *byte)).unwrap_or(text.len());
    Some(text.split_at(length)).filter(|_| length > 0)
}

/// What may not stand in a field value: all controls but the tab (RFC 9110 §5.5).
pub(crate) fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
}

#[cfg(test)]
mod tests;
