//! Small grammars that several parts of a message share.

/// A set of ASCII bytes: a bit for each.
pub(super) type Bytes = [u64; 2];

pub(super) const fn alphanumeric_and(mut more: &[u8]) -> Bytes {
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

pub(super) fn is_in(bytes: Bytes, byte: u8) -> bool {
    bytes.get(usize::from(byte >> 6)).map_or(false, |half| half.wrapping_shr(byte.into()) & 1 == 1)
}

const TOKEN_BYTES: Bytes = alphanumeric_and(b"!#$%&'*+-.^_`|~");

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

/// The elements of a list (RFC 9110 §5.6.1), empty ones included.
pub(crate) fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// What stands before the first of these bytes, and the rest.
pub(super) fn split_at<'a>(text: &'a str, stops: &[u8]) -> (&'a str, &'a str) {
    text.split_at(text.bytes().position(|byte| stops.contains(&byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
