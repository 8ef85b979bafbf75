//! How long a request's body is, and what its head says about the connection. Pure.
//!
//! 1. What two readers could measure differently is an error, never a guess (RFC 9112 §6.3).
//! 2. What follows a framing error is never parsed: the connection ends.
//! 3. Chunk extensions and trailers are checked, bounded and dropped.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)] // numbers come from outside here

use super::head::{absolute_target, field_line, is_authority, line_end, same, split_token, trim, Head};
use super::types::{refuse, refuse_if, Error};
use super::Version;

/// What a head asks of the connection.
#[derive(Default)]
pub(crate) struct Terms {
    /// `None`: it comes in chunks.
    pub(crate) length: Option<u64>,
    /// Whether the client wants the connection to go on afterwards.
    pub(crate) keep_alive: bool,
    /// Whether it waits for a `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether it would go on in another protocol (RFC 9110 §7.8).
    pub(crate) upgrades: bool,
    /// Whether the body is what an HTML form sends.
    pub(crate) is_form: bool,
}

/// Reads the fields that decide where the request ends and what happens next.
pub(crate) fn terms(head: &Head) -> Result<Terms, Error> {
    // Fields that must come once: two readers could each take another one.
    let names = ["host", "transfer-encoding", "content-length", "content-type", "authorization"];
    let mut values = [None; 5];
    let is_new = head.version == Version::Http11;
    let (mut terms, mut close, mut expects_more) = (Terms::default(), false, false);
    for (name, value) in head.headers.iter_bytes() {
        let is = |it: &str| it.len() == name.len() && same(name, it);
        if let Some(at) = names.iter().position(|it| is(it)) {
            let former = values.get_mut(at).and_then(|slot| slot.replace(value));
            refuse_if(former.is_some(), 400, "a field came twice that must come once")?;
        } else if is("connection") {
            for option in list(value) {
                close |= same(option, "close");
                terms.keep_alive |= same(option, "keep-alive");
                terms.upgrades |= same(option, "upgrade") && is_new; // RFC 9110 §7.8: not in HTTP/1.0
            }
        } else if is("expect") && is_new {
            // RFC 9110 §10.1.1: in HTTP/1.0 it is ignored; §5.6.1: so are the empty elements of a list.
            for expected in list(value) {
                let is_continue = same(expected, "100-continue");
                terms.expects_continue |= is_continue;
                expects_more |= !is_continue && !expected.is_empty();
            }
        }
    }
    let [host, coding, length, content_type, _] = values;
    check_host(head, host)?;
    let media_type = content_type.and_then(|value| value.split(|&byte| byte == b';').next());
    terms.is_form = same(trim(media_type.unwrap_or_default()), "application/x-www-form-urlencoded");
    terms.length = match (coding, length) {
        (None, None) => Some(0),
        (None, Some(length)) => Some(content_length(length)?),
        (Some(coding), None) if is_new => check_coding(coding)?,
        // RFC 9112 §6.3: with both, one of them is a lie or an attack; §6.1: HTTP/1.0 has no such codings.
        (Some(_), _) => return refuse(400, "Transfer-Encoding where it cannot be"),
    };
    refuse_if(expects_more, 417, "only 100-continue can be expected")?;
    terms.keep_alive = (terms.keep_alive || is_new) && !close; // RFC 9112 §9.3
    terms.expects_continue &= terms.length != Some(0);
    Ok(terms)
}

/// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; what older clients send must be valid too. §3.2.2 wants one that
/// differs from an absolute target ignored: handlers look at it, so it is refused.
fn check_host(head: &Head, host: Option<&[u8]>) -> Result<(), Error> {
    let host = match host.map(std::str::from_utf8) {
        None if head.version == Version::Http10 => return Ok(()),
        Some(Ok(host)) if is_authority(host) => host,
        _ => return refuse(400, "no Host, or one that is not `host[:port]`"),
    };
    let differs = |(_, named, _): (_, &str, _)| !same(host.as_bytes(), named);
    refuse_if(absolute_target(&head.target).map_or(false, differs), 400, "the Host differs from the target's")
}

/// RFC 9110 §8.6: digits and nothing else. Lists of equal lengths and zeros in front, octal to some, are not taken.
fn content_length(value: &[u8]) -> Result<u64, Error> {
    let is_padded = matches!(value, [b'0', _, ..]);
    let is_number = value.iter().all(u8::is_ascii_digit) && !is_padded; // `parse` would take a `+`
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(length) if is_number => Ok(length),
        _ => refuse(400, "the Content-Length is not a number"),
    }
}

/// RFC 9112 §6.3: `chunked` has to be the last coding, and §6.1: no other one is known here.
fn check_coding(value: &[u8]) -> Result<Option<u64>, Error> {
    let is_chunked = |coding: &[u8]| same(coding, "chunked");
    let mut codings = list(value).rev();
    match (codings.next().map_or(false, is_chunked), codings.next()) {
        (true, None) => Ok(None),
        (true, Some(other)) if !other.is_empty() && !is_chunked(other) => {
            refuse(501, "the only transfer coding served is chunked")
        }
        _ => refuse(400, "the Transfer-Encoding does not end with one `chunked`"),
    }
}

/// The elements of a list (RFC 9110 §5.6.1), empty ones included.
pub(crate) fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// How many bytes of chunk extensions and trailers one body may have, and one line of them.
const EXTRA_BYTES: usize = 4096;

/// Knows where in a body the reader is, and reads what the chunked coding (RFC 9112 §7.1) puts between the data.
pub(crate) struct BodyDecoder {
    pub(crate) state: BodyState,
    chunked: bool,
    scanned: usize,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// So many bytes of data are due, never zero.
    Data(u64),
    /// The CRLF after a chunk's data is due.
    DataEnd,
    /// A line with the next chunk's size is due.
    Size,
    /// A trailer field or the last empty line is due.
    Trailers,
    Done,
}

impl BodyDecoder {
    pub(crate) fn new(length: Option<u64>) -> BodyDecoder {
        let state = match length {
            None => BodyState::Size,
            Some(0) => BodyState::Done,
            Some(length) => BodyState::Data(length),
        };
        BodyDecoder { state, chunked: length.is_none(), scanned: 0, extra: 0 }
    }

    /// Takes note that `n` of the bytes that [`BodyState::Data`] speaks of have been read.
    pub(crate) fn consume_data(&mut self, n: u64) {
        if let BodyState::Data(left) = self.state {
            self.state = match left.saturating_sub(n) {
                0 if self.chunked => BodyState::DataEnd,
                0 => BodyState::Done,
                left => BodyState::Data(left),
            };
        }
    }

    /// Reads a line between data: `Some(n)` took `n` bytes, `None` is "read more". `bytes` starts after what was taken.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let end = line_end(bytes, &mut self.scanned);
        let line = bytes.get(..self.scanned).unwrap_or_default();
        let lacks_crlf = self.state == BodyState::DataEnd && !line.is_empty();
        refuse_if(lacks_crlf, 400, "no CRLF after the data of a chunk")?;
        refuse_if(self.extra.saturating_add(line.len()) > EXTRA_BYTES, 400, "too many chunk extensions or trailers")?;
        let end = end?; // after what is wrong earlier, so that the same is said however it comes
        if end.is_some() {
            let (state, extra) = match self.state {
                BodyState::Size => chunk(line)?,
                BodyState::Trailers if !line.is_empty() => {
                    // RFC 9112 §7.1.2: they may be dropped, and must not be merged unless known to be safe.
                    field_line(line)?;
                    (BodyState::Trailers, line.len())
                }
                BodyState::Trailers => (BodyState::Done, 0),
                BodyState::DataEnd => (BodyState::Size, 0),
                state @ (BodyState::Data(_) | BodyState::Done) => (state, 0), // no line is due
            };
            (self.state, self.scanned) = (state, 0);
            self.extra = self.extra.saturating_add(extra);
        }
        Ok(end.map(|end| end.saturating_add(2)))
    }
}

/// What follows a chunk's line with its size, and how many bytes its extensions have.
fn chunk(line: &[u8]) -> Result<(BodyState, usize), Error> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    // No white space may end the line, and so `trim` takes only from the front.
    let mut extensions = Some(rest).filter(|rest| !matches!(rest, [.., b' ' | b'\t']));
    while let Some([_, ..]) = extensions {
        extensions = extensions.and_then(after_extension);
    }
    let is_valid = digits.len() <= 16 && extensions.is_some();
    match u64::from_str_radix(std::str::from_utf8(digits).unwrap_or_default(), 16) {
        Ok(0) if is_valid => Ok((BodyState::Trailers, rest.len())),
        Ok(size) if is_valid => Ok((BodyState::Data(size), rest.len())),
        _ => refuse(400, "a chunk's line is not `1 to 16 hex digits;name=value`"),
    }
}

/// RFC 9112 §7.1.1: `;name`, `;name=token` or `;name="text"`, with the white space that older clients send. They mean
/// nothing here; but one that is no extension, such as an open quote, might end elsewhere for another reader.
fn after_extension(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = split_token(trim(trim(text).strip_prefix(b";")?))?;
    match trim(rest).strip_prefix(b"=").map(trim) {
        None => Some(rest),
        Some([b'"', quoted @ ..]) => after_quoted(quoted),
        Some(value) => split_token(value).map(|(_, rest)| rest),
    }
}

fn after_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [] => return None,
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
        };
    }
}

#[cfg(test)]
mod tests;
