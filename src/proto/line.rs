//! Lines: those of a head, of trailers, and between the data of chunks.
//!
//! Lines end with CRLF and nothing else. A bare CR, a bare LF or another control byte is refused as
//! soon as it arrives. RFC 9112 §2.2 would allow more, but then two readers could disagree on where
//! a line ends. The one exception is an empty line in front of a request.

use super::chars::{position_of_control, split_token};
use super::refusal::{bail, Refusal};

/// Removes one empty line from the beginning, whether it ends with CRLF or with LF alone.
///
/// Some clients send one after a body, and `echo` ends what it prints with LF. RFC 9112 §2.2 has a
/// server ignore at least one in front of a request line, and allows LF as its end. No reader
/// is misled by it: the message before has ended, no field and no data has begun, and the request
/// line starts at the same byte for every reader that accepts it.
pub(crate) fn without_empty_line(bytes: &[u8]) -> &[u8] {
    bytes.get(empty_line_len(bytes)..).unwrap_or_default()
}

/// Returns the length of an empty line at the beginning, its end included. Zero if there is none.
pub(super) fn empty_line_len(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

/// A line without its CRLF, and what follows that.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits the bytes after their first line. Returns `None` if more has to be read.
///
/// The search starts at `scanned`, and moves it up to the first byte that could end the line. So no
/// byte is looked at twice, however small the pieces are in which they arrive.
// To inline this and `field_name_len` into the loop over a head saves a twentieth of the
// instructions of a request from a browser.
#[inline]
pub(super) fn split_line<'a>(
    bytes: &'a [u8],
    scanned: &mut usize,
) -> Result<Option<Split<'a>>, Refusal> {
    let unscanned = bytes.get(*scanned..).unwrap_or_default();
    let end = scanned.saturating_add(position_of_control(unscanned));
    *scanned = end.min(bytes.len());
    let (line, rest) = bytes.split_at(*scanned);
    match rest {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', after @ ..] => Ok(Some((line, after))),
        [b'\r', ..] => bail(400, "a CR without its LF"),
        [b'\n', ..] => bail(400, "a line that ends with LF instead of CRLF"),
        _ => bail(400, "a control byte in a line"),
    }
}

/// Checks a field line, `name: value`. Returns the length of its name, which the colon follows.
#[inline]
pub(super) fn field_name_len(line: &[u8]) -> Result<usize, Refusal> {
    // RFC 9112 §5.1 and §5.2: white space before the colon, and lines that continue the one before
    // them, have smuggled requests past proxies. Both fail here, since neither is part of a token.
    match split_token(line) {
        Some((name, [b':', ..])) => Ok(name.len()),
        _ => bail(400, "a field line that is not `name: value`"),
    }
}
