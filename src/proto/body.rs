//! Request bodies: their length, and a decoder of the chunked coding (RFC 9112 §6 and §7.1).
//!
//! 1. What follows a framing error is never parsed: the connection ends.
//! 2. Chunk extensions and trailers are checked, bounded and dropped.

use super::chars::{split_token, trim_ows};
use super::line::{field_name_len, split_line};
use super::refusal::{bail, ensure, Refusal};

/// The most bytes of chunk extensions and trailers in one body, and in one line of them.
const MAX_EXTRA_BYTES: usize = 4096;

/// The most digits of a chunk's size: those of the largest `u64`.
const MAX_SIZE_DIGITS: usize = 16;

/// The length of a body, as its head declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    Known(u64),
    /// The body ends with a chunk of no bytes (RFC 9112 §7.1).
    Chunked,
}

/// The length of the body of a message that has none.
impl Default for BodyLength {
    fn default() -> BodyLength {
        BodyLength::Known(0)
    }
}

/// The part of a body that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// So many bytes of data, never zero.
    Data(u64),
    /// The CRLF after a chunk's data.
    DataEnd,
    /// A line with the size of a chunk.
    Size,
    /// A trailer field, or the empty line that ends the body.
    Trailers,
    /// Nothing: the body has ended.
    Done,
}

/// A decoder that follows a body to its end, and reads the lines between its data.
pub(crate) struct BodyDecoder {
    pub(crate) state: BodyState,
    is_chunked: bool,
    /// The position up to which the line that is being read is known to hold no control byte.
    scanned: usize,
    /// The number of bytes of extensions and trailers so far.
    extra: usize,
}

impl BodyDecoder {
    /// Creates a decoder for a body of that length.
    pub(crate) fn new(length: BodyLength) -> BodyDecoder {
        let state = match length {
            BodyLength::Known(0) => BodyState::Done,
            BodyLength::Known(length) => BodyState::Data(length),
            BodyLength::Chunked => BodyState::Size,
        };
        BodyDecoder {
            state,
            is_chunked: length == BodyLength::Chunked,
            scanned: 0,
            extra: 0,
        }
    }

    /// Skips `n` bytes of data, which are at most as many as [`BodyState::Data`] says.
    pub(crate) fn consume_data(&mut self, n: u64) {
        if let BodyState::Data(left) = self.state {
            self.state = match left.checked_sub(n) {
                Some(left @ 1..) => BodyState::Data(left),
                Some(0) | None if self.is_chunked => BodyState::DataEnd,
                Some(0) | None => BodyState::Done,
            };
        }
    }

    /// Reads a line between data. Returns its length once it is whole, and `None` until then.
    ///
    /// The bytes start where the last line or the last data ended.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let split = split_line(bytes, &mut self.scanned);
        let line = bytes.get(..self.scanned).unwrap_or_default();
        if self.state == BodyState::DataEnd {
            ensure(line.is_empty(), 400, "no CRLF after the data of a chunk")?;
        }
        let extra = self.extra_with(line.len());
        let too_many = "too many chunk extensions or trailers";
        ensure(extra <= MAX_EXTRA_BYTES, 400, too_many)?;
        // A bad line end is reported after the errors before it, so that the reason is the same in
        // whatever pieces the line arrives.
        let rest = match split? {
            None => return Ok(None),
            Some((_, rest)) => rest,
        };
        self.read_line(line)?;
        self.scanned = 0;
        Ok(Some(bytes.len().saturating_sub(rest.len())))
    }

    /// Returns how many bytes of extensions and trailers there are with so many more.
    fn extra_with(&self, more: usize) -> usize {
        self.extra.saturating_add(more)
    }

    /// Processes a whole line, without its CRLF.
    fn read_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match self.state {
            BodyState::Size => {
                let chunk = ChunkLine::parse(line)?;
                self.extra = self.extra_with(chunk.extension_bytes);
                // RFC 9112 §7.1: a chunk without data is the last one.
                self.state = match chunk.size {
                    0 => BodyState::Trailers,
                    size => BodyState::Data(size),
                };
            }
            BodyState::DataEnd => self.state = BodyState::Size,
            BodyState::Trailers if line.is_empty() => self.state = BodyState::Done,
            BodyState::Trailers => {
                // RFC 9112 §7.1.2: a trailer may be dropped, and must not be merged into the header
                // fields unless it is known to be safe.
                field_name_len(line)?;
                self.extra = self.extra_with(line.len());
            }
            // No line is due.
            BodyState::Data(_) | BodyState::Done => {}
        }
        Ok(())
    }
}

/// The line in front of a chunk's data: `1a;name=value` (RFC 9112 §7.1).
struct ChunkLine {
    size: u64,
    extension_bytes: usize,
}

impl ChunkLine {
    fn parse(line: &[u8]) -> Result<ChunkLine, Refusal> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let (digits, extensions) = line.split_at(digits.count());
        let is_valid = digits.len() <= MAX_SIZE_DIGITS && are_extensions(extensions);
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        match u64::from_str_radix(digits, 16) {
            Ok(size) if is_valid => Ok(ChunkLine {
                size,
                extension_bytes: extensions.len(),
            }),
            _ => bail(400, "a chunk's line is not `1 to 16 hex digits;name=value`"),
        }
    }
}

/// Returns whether the text is made of chunk extensions (RFC 9112 §7.1.1). It may be empty.
///
/// Extensions mean nothing here. But a malformed one, such as an open quote, might end elsewhere
/// for another reader.
fn are_extensions(mut text: &[u8]) -> bool {
    // White space may not end the line, but would be trimmed together with that in front.
    if let [.., b' ' | b'\t'] = text {
        return false;
    }
    while !text.is_empty() {
        match after_extension(text) {
            Some(rest) => text = rest,
            None => return false,
        }
    }
    true
}

/// Returns what follows one extension: `;name`, `;name=token` or `;name="text"`.
///
/// White space may stand between its parts, since older clients send it.
fn after_extension(text: &[u8]) -> Option<&[u8]> {
    let text = trim_ows(text).strip_prefix(b";")?;
    let (_, rest) = split_token(trim_ows(text))?;
    match trim_ows(rest).strip_prefix(b"=").map(trim_ows) {
        None => Some(rest),
        Some([b'"', quoted @ ..]) => after_quoted(quoted),
        Some(value) => split_token(value).map(|(_, rest)| rest),
    }
}

/// Returns what follows the closing quote of a quoted string (RFC 9110 §5.6.4).
fn after_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text {
            [] => return None,
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] => text = rest,
            [_, rest @ ..] => text = rest,
        }
    }
}

#[cfg(test)]
mod tests;
