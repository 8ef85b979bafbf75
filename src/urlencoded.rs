//! Percent-encoding, and the `name=value` pairs of queries and forms. Pure; there is a result for every input.
//!
//! Decoding happens once. A `%` without two hex digits stays as it is, and what is not UTF-8 afterwards becomes U+FFFD.

/// Decodes percent-encoding (RFC 3986 §2.1), and `+` as a space where forms do that.
pub(crate) fn decode(text: &[u8], plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, mut tail)) = rest.split_first() {
        let mut decoded = byte;
        if byte == b'+' && plus_is_space {
            decoded = b' ';
        } else if let ([high, low, after @ ..], b'%') = (tail, byte) {
            if let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) {
                decoded = high << 4 | low;
                tail = after;
            }
        }
        bytes.push(decoded);
        rest = tail;
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The pairs of a query or a form, decoded, in their order; empty ones are left out.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    let pairs = text
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let mut halves = pair
            .splitn(2, |&byte| byte == b'=')
            .map(|half| decode(half, true));
        (
            halves.next().unwrap_or_default(),
            halves.next().unwrap_or_default(),
        )
    })
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
