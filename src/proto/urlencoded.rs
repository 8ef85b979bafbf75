//! Percent-encoding, and the `name=value` pairs of queries and forms.
//!
//! There is a result for every input. Decoding happens once: a `%` without two hex digits stays as
//! it is, and what is not UTF-8 after decoding becomes U+FFFD.

/// Decodes percent-encoding (RFC 3986 §2.1), and `+` as a space where forms do that.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after_first)) = rest.split_first() {
        if let Some((byte, after)) = encoded_byte(rest) {
            bytes.push(byte);
            rest = after;
        } else {
            let is_space = plus_is_space && *first == b'+';
            bytes.push(if is_space { b' ' } else { *first });
            rest = after_first;
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// Returns the pairs of a query or a form, decoded, in their order. Empty ones are left out.
///
/// A pair takes many times its size: two bytes of input can become 48 bytes and an allocation.
/// Queries are as short as heads. Of a form, ask first whether it
/// [has more pairs](has_more_pairs_than) than are allowed.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    encoded_pairs(text).map(decode_pair)
}

/// Returns whether [`pairs`] yields more than `max`, without decoding any.
pub(crate) fn has_more_pairs_than(text: &[u8], max: usize) -> bool {
    encoded_pairs(text).nth(max).is_some()
}

fn encoded_pairs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
}

/// Decodes a name, and the value behind the first `=`, if there is one.
fn decode_pair(pair: &[u8]) -> (String, String) {
    let mut halves = pair.splitn(2, |byte| *byte == b'=');
    let name = halves.next().unwrap_or_default();
    let value = halves.next().unwrap_or_default();
    (decode(name, true), decode(value, true))
}

/// Decodes the percent-encoded byte that the text begins with. Returns it, and what follows it.
pub(crate) fn encoded_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => {
            let byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
            Some((byte, rest))
        }
        _ => None,
    }
}

/// Returns the value of a hexadecimal digit.
fn hex_digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests;
