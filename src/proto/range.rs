//! Ranges of bytes that a request asks for (RFC 9110 §14).

/// The part that a `Range` field asks for, of a body of a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// All of it: the field is not one that is served, and may be ignored.
    Whole,
    /// So many bytes, of which there is at least one, from the first one on, which is counted from
    /// 0. All of them are in the body.
    Part { first: u64, length: u64 },
    /// Nothing that the body has.
    Unsatisfiable,
}

/// Reads the value of a `Range` field. `length` is that of the whole body.
///
/// A single range of bytes is served. RFC 9110 §14.2: any other value may be ignored. Several
/// ranges would need a multipart body, and an empty body has no part.
pub(crate) fn requested_range(value: &[u8], length: u64) -> RequestedRange {
    parse(value, length).unwrap_or(RequestedRange::Whole)
}

/// Returns `None` for a value that is ignored.
fn parse(value: &[u8], length: u64) -> Option<RequestedRange> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") || length == 0 {
        return None;
    }
    if first.is_empty() {
        // The last so many bytes.
        let size = position(last)?.min(length);
        return Some(part(length.checked_sub(size)?, size));
    }
    let first = position(first)?;
    let mut end = length;
    if !last.is_empty() {
        let last = position(last)?;
        if first > last {
            return None;
        }
        end = last.saturating_add(1).min(length);
    }
    match end.checked_sub(first) {
        Some(size) => Some(part(first, size)),
        None => Some(RequestedRange::Unsatisfiable),
    }
}

fn part(first: u64, length: u64) -> RequestedRange {
    if length == 0 {
        RequestedRange::Unsatisfiable
    } else {
        RequestedRange::Part { first, length }
    }
}

/// Parses digits. A number that is too large becomes the largest one, which no body has.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
