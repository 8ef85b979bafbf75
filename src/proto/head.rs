//! The head of a request: the request line and the header fields.
//!
//! 1. Each line is parsed once, when it is complete, however small the pieces it came in.
//! 2. Nothing is corrected: what is not exactly the grammar is refused.
//! 3. The fields are positions in a text, which is copied once, when the head is whole.

use super::chars::{is_token, split_before};
use super::headers::Headers;
use super::line::{empty_line_len, split_line};
use super::refusal::{bail, Refusal};
use super::status::Version;
use super::target::{checked_path, decode_path, encoded_path, segments};
use std::borrow::Cow;

/// The most bytes that a waiting connection keeps for each of a method, a target and all field
/// lines.
const MAX_KEPT_BYTES: usize = 1024;

/// The limits of a head, and the schemes that its target may have.
#[derive(Clone, Copy)]
pub(crate) struct HeadLimits {
    /// The most bytes of a head, its last empty line included.
    pub(crate) bytes: usize,
    /// The most header fields.
    pub(crate) fields: usize,
    /// Allows targets with the scheme `https`.
    pub(crate) https: bool,
}

/// A head that is being parsed, or has been. It has no method until its request line has come.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The path of the target, percent-decoded once.
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
    /// The start of the first field line. Zero until the request line has come.
    fields_start: usize,
    /// The start of the line that is being read.
    line_start: usize,
    /// How many bytes of that line are known to be no controls.
    scanned: usize,
}

impl Head {
    /// Makes room for the next head. Keeps the memory of this one, unless it is much.
    pub(crate) fn clear(&mut self) {
        let kept = [
            self.method.capacity(),
            self.target.capacity(),
            self.headers.capacity(),
        ];
        if kept.iter().any(|bytes| *bytes > MAX_KEPT_BYTES) {
            *self = Head::default();
            return;
        }
        self.method.clear();
        self.target.clear();
        self.path.clear();
        self.version = Version::default();
        self.headers.clear();
        self.fields_start = 0;
        self.line_start = 0;
        self.scanned = 0;
    }

    /// Parses what has arrived of a head. Returns its length once it is whole, `None` until then.
    ///
    /// Every call for one head gets the bytes from its beginning, those of the last call included.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<usize>, Refusal> {
        let bytes = bytes.get(..limits.bytes).unwrap_or(bytes);
        if self.line_start == 0 {
            self.line_start = empty_line_len(bytes);
        }
        let mut rest = bytes.get(self.line_start..).unwrap_or_default();
        while let Some((line, after_line)) = split_line(rest, &mut self.scanned)? {
            let start = self.line_start.saturating_sub(self.fields_start);
            rest = after_line;
            self.line_start = bytes.len().saturating_sub(rest.len());
            self.scanned = 0;
            if line.is_empty() {
                if self.method.is_empty() {
                    // RFC 9112 §2.2: one is ignored, and has been skipped. A second one is refused.
                    return bail(400, "empty lines before the request line");
                }
                let fields = bytes.get(self.fields_start..).unwrap_or_default();
                let lines = fields.get(..start).unwrap_or_default();
                self.headers.set_text(lines);
                return Ok(Some(self.line_start));
            }
            if self.method.is_empty() {
                self.parse_request_line(line, limits.https)?;
                self.fields_start = self.line_start;
            } else if self.headers.count() < limits.fields {
                self.headers.add_line(line, start)?;
            } else {
                return bail(431, "the head has too many fields");
            }
        }
        if bytes.len() >= limits.bytes {
            return self.refuse_size(bytes);
        }
        Ok(None)
    }

    /// Parses `method SP request-target SP HTTP-version`, with single spaces (RFC 9112 §3).
    fn parse_request_line(&mut self, line: &[u8], serves_https: bool) -> Result<(), Refusal> {
        let line = std::str::from_utf8(line).or(bail(400, "the request line is not UTF-8"))?;
        let (method, rest) = split_word(line);
        let (target, version) = split_word(rest);
        if target.is_empty() || version.is_empty() {
            return bail(400, "the request line is not `method target version`");
        }
        if !is_token(method.as_bytes()) {
            return bail(400, "the method is not a token");
        }
        self.method.push_str(method);
        self.target.push_str(target);
        self.version = parse_version(version)?;
        let path = encoded_path(method, target, serves_https)?;
        decode_path(path, &mut self.path)
    }

    /// Refuses a head that has not ended within its limit, by what would have to be shorter.
    fn refuse_size<T>(&self, bytes: &[u8]) -> Result<T, Refusal> {
        if !self.method.is_empty() {
            bail(431, "the head is too large")
        } else if bytes.contains(&b' ') {
            bail(414, "the request line is too large")
        } else {
            bail(400, "the method is too long")
        }
    }

    /// Returns the query of the target, without its `?` and still encoded.
    pub(crate) fn query(&self) -> Option<&str> {
        let (_, query) = split_before(&self.target, b"?");
        query.strip_prefix('?')
    }

    /// Returns the segments of the path, each decoded after the path has been split.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        segments(checked_path(&self.method, &self.target))
    }
}

/// Splits the text at its first space, which belongs to neither part.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = split_before(text, b" ");
    (word, rest.strip_prefix(' ').unwrap_or_default())
}

/// Parses a version (RFC 9112 §2.3). The name is case-sensitive, and each number is one digit.
fn parse_version(version: &str) -> Result<Version, Refusal> {
    match version.as_bytes() {
        b"HTTP/1.0" => Ok(Version::Http10),
        // RFC 9110 §2.5: a later minor version is served as the highest one that is known.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            bail(505, "only HTTP/1.1 and HTTP/1.0 are served")
        }
        _ => bail(400, "the version is not `HTTP/` and two digits"),
    }
}

#[cfg(test)]
mod tests;
