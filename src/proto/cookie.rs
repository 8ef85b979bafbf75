//! The cookies of a request (RFC 6265 §4.2).
//!
//! A server gets back the octets that it has sent (§5.4), so nothing is decoded here. Servers
//! differ in what they do with quotes. In 6265bis (§4.1.1) they are part of the value, and browsers
//! keep them.

use super::chars::{eq_ignore_case, trim_ows};
use super::headers::Headers;

/// Returns the first value of the cookie with this name, in all `Cookie` fields.
pub(crate) fn cookie<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    for (each, value) in headers.iter_bytes() {
        if !eq_ignore_case(each, "cookie") {
            continue;
        }
        // A semicolon ends a value, also within quotes: no browser stores one.
        for pair in value.split(|byte| *byte == b';') {
            if let Some(value) = value_of(pair, name) {
                return Some(value);
            }
        }
    }
    None
}

/// Returns the value of a pair if it has this name.
///
/// What has no `=` is the value of a cookie without a name, as browsers send it.
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
