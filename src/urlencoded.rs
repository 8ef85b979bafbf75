//! Percent-encoding, and the `name=value` pairs of queries and forms. Pure; there is a result for every input.
//!
//! Decoding happens once. A `%` without two hex digits stays as it is, and what is not UTF-8 afterwards becomes U+FFFD.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)] // numbers come from outside here

/// Decodes percent-encoding (RFC 3986 §2.1), and `+` as a space where forms do that.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let plain = if plus_is_space && byte == b'+' { b' ' } else { byte };
        let (byte, after) = encoded_byte(rest).unwrap_or((plain, tail));
        bytes.push(byte);
        rest = after;
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// The pairs of a query or a form, decoded, in their order; empty ones are left out.
///
/// A pair takes many times its size: two bytes of input can be 48 bytes and an allocation. Queries are as short as heads;
/// a form must be asked first whether it [has more of them](has_more_pairs_than) than is allowed.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    encoded_pairs(text).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let mut half = || decode(halves.next().unwrap_or_default(), true);
        (half(), half())
    })
}

/// Returns whether [`pairs`] yields more than so many, without decoding any.
pub(crate) fn has_more_pairs_than(text: &[u8], max: usize) -> bool {
    encoded_pairs(text).nth(max).is_some()
}

fn encoded_pairs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty())
}

/// The byte that a whole percent-encoding at the beginning stands for, and what follows it.
pub(crate) fn encoded_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match text {
        [b'%', high, low, rest @ ..] => Some((u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
