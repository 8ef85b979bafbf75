//! Where a request's body ends, and what the chunked coding puts between its data. Pure.
//!
//! 1. What follows a framing error is never parsed: the connection ends.
//! 2. Chunk extensions and trailers are checked, bounded and dropped.

use super::chars::{split_token, trim_ows};
use super::line::{field_line, line_end};
use super::refusal::{bail, ensure, Refusal};

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
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let end = line_end(bytes, &mut self.scanned);
        let line = bytes.get(..self.scanned).unwrap_or_default();
        let has_crlf = self.state != BodyState::DataEnd || line.is_empty();
        ensure(has_crlf, 400, "no CRLF after the data of a chunk")?;
        ensure(self.extra.saturating_add(line.len()) <= EXTRA_BYTES, 400, "too many chunk extensions or trailers")?;
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
fn chunk(line: &[u8]) -> Result<(BodyState, usize), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    // No white space may end the line, and so `trim_ows` takes only from the front.
    let mut extensions = Some(rest).filter(|rest| !matches!(rest, [.., b' ' | b'\t']));
    while let Some([_, ..]) = extensions {
        extensions = extensions.and_then(after_extension);
    }
    let is_valid = digits.len() <= 16 && extensions.is_some();
    match u64::from_str_radix(std::str::from_utf8(digits).unwrap_or_default(), 16) {
        Ok(0) if is_valid => Ok((BodyState::Trailers, rest.len())),
        Ok(size) if is_valid => Ok((BodyState::Data(size), rest.len())),
        _ => bail(400, "a chunk's line is not `1 to 16 hex digits;name=value`"),
    }
}

/// RFC 9112 §7.1.1: `;name`, `;name=token` or `;name="text"`, with the white space that older clients send. They mean
/// nothing here; but one that is no extension, such as an open quote, might end elsewhere for another reader.
fn after_extension(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = split_token(trim_ows(trim_ows(text).strip_prefix(b";")?))?;
    match trim_ows(rest).strip_prefix(b"=").map(trim_ows) {
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
