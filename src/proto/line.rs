//! Lines, and fields in them.

use super::chars::{is_control, split_token, trim};
use super::refusal::{bail, Refusal};

/// Finds the CRLF that ends a line; `None` means "read more". `scanned` moves up to what is known to be harmless.
pub(crate) fn line_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Refusal> {
    let rest = bytes.get(*scanned..).unwrap_or_default();
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_control(byte)); // without branches
    *scanned = scanned.saturating_add(rest.chunks_exact(16).take_while(is_plain).count().saturating_mul(16));
    let rest = bytes.get(*scanned..).unwrap_or_default();
    *scanned = scanned.saturating_add(rest.iter().position(is_control).unwrap_or(rest.len()));
    match bytes.get(*scanned..).unwrap_or_default() {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(*scanned)),
        [b'\r', ..] => bail(400, "a CR without its LF"),
        [b'\n', ..] => bail(400, "a line that ends with LF instead of CRLF"),
        _ => bail(400, "a control byte in a line"),
    }
}

/// Parses `name: value`. RFC 9112 §5.1, §5.2: white space before the colon and folded lines have smuggled requests.
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    match split_token(line) {
        Some((name, [b':', value @ ..])) => Ok((name, trim(value))),
        _ => bail(400, "a field line that is not `name: value`"),
    }
}
