//! The cookies of a request (RFC 6265 §4.2).
//!
//! A server gets back the octets that it has sent (§5.4), so nothing is decoded here. Servers
//! differ in what they do with quotes. In 6265bis (§4.1.1) they are part of the value, and browsers
//! keep them.

use super::chars::trim_ows;
use super::headers::Headers;

/// Returns the values of the cookies with this name, in all `Cookie` fields.
pub(crate) fn cookies<'a: 'n, 'n>(
    headers: &'a Headers,
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + 'n {
    let fields = headers.get_all_bytes("cookie");
    // A semicolon ends a value, also within quotes: no browser stores one.
    let pairs = fields.flat_map(|value| value.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_of(pair, name))
}

/// Returns the value of a pair if it has this name.
///
/// A pair without `=` is the value of a cookie without a name, as browsers send it.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (each, value) = pair.split_at(equals);
    if trim_ows(each) != name.as_bytes() {
        return None;
    }
    value.strip_prefix(b"=").map(trim_ows)
}

#[cfg(test)]
mod tests;
