//! The target of a request: its forms, its path, and the authority that it shares with `Host`.

use super::chars::{eq_ignore_case, split_before, ByteSet};
use super::refusal::{bail, ensure, Refusal};
use super::urlencoded::{decode, encoded_byte};
use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The bytes of a host name, which may also be percent-encoded (RFC 3986 §3.2.2).
static HOST: ByteSet = ByteSet::alphanumeric_and(b"-._~!$&'()*+,;=");

/// The bytes of a path (RFC 3986 §3.3), and those that browsers leave unencoded in it.
///
/// None of these additions can end a target or a line.
static PATH: ByteSet = ByteSet::alphanumeric_and(b"-._~!$&'()*+,;=:@/[]|^");

/// A target in absolute form (RFC 9112 §3.2.2) with the scheme `http` or `https`.
pub(super) struct AbsoluteForm<'a> {
    is_https: bool,
    pub(super) authority: &'a str,
    path_and_query: &'a str,
}

impl<'a> AbsoluteForm<'a> {
    /// Splits a target in absolute form. Returns `None` if it has another form or another scheme.
    #[inline]
    pub(super) fn parse(target: &'a str) -> Option<AbsoluteForm<'a>> {
        // Nearly all targets are paths, and need no search for a scheme.
        if target.starts_with('/') {
            return None;
        }
        AbsoluteForm::parse_with_scheme(target)
    }

    fn parse_with_scheme(target: &'a str) -> Option<AbsoluteForm<'a>> {
        let (scheme, rest) = split_before(target, b":/");
        let is_https = eq_ignore_case(scheme.as_bytes(), "https");
        if !is_https && !eq_ignore_case(scheme.as_bytes(), "http") {
            return None;
        }
        let (authority, path_and_query) = split_before(rest.strip_prefix("://")?, b"/?");
        Some(AbsoluteForm {
            is_https,
            authority,
            path_and_query,
        })
    }

    /// Returns whether a valid `Host` names the same host and the same port.
    ///
    /// RFC 9110 §4.2.3: a port that is absent or empty is the default of the scheme. Java's clients
    /// write it into the target, and leave it out of the `Host`.
    pub(super) fn agrees_with(&self, host: &str) -> bool {
        let default_port = if self.is_https { "443" } else { "80" };
        let (own_name, own_port) = split_port(self.authority);
        let (name, port) = split_port(host);
        // Ports are compared as text: some readers take `080` for an octal number.
        eq_ignore_case(own_name.as_bytes(), name)
            && port_or_default(own_port, default_port) == port_or_default(port, default_port)
    }
}

/// Splits an authority into its host and its port, which is empty if there is none.
fn split_port(authority: &str) -> (&str, &str) {
    if let Some((host, port)) = authority.rsplit_once(':') {
        // The colons in an IPv6 address stand in front of its bracket.
        if !port.ends_with(']') {
            return (host, port);
        }
    }
    (authority, "")
}

/// Returns the port, or the default one if it is empty.
fn port_or_default<'a>(port: &'a str, default: &'a str) -> &'a str {
    if port.is_empty() {
        default
    } else {
        port
    }
}

/// Checks a target, and returns its path, still encoded.
// There is one call of this, and of `decode_path`.
#[inline]
pub(super) fn encoded_path<'a>(
    method: &str,
    target: &'a str,
    serves_https: bool,
) -> Result<&'a str, Refusal> {
    let path_and_query = path_and_query(method, target, serves_https)?;
    // The path ends at the first byte that it may not have. A query begins with a `?`, which is
    // one.
    let path_len = encoded_len(path_and_query.as_bytes(), &PATH);
    let (path, query) = path_and_query.split_at(path_len);
    if !query.is_empty() && !query.starts_with('?') {
        return bail(400, "a byte in the path (perhaps a `%`) is not encoded");
    }
    if !query.chars().all(is_query_char) {
        return bail(400, "a control or a `#` in the query is not encoded");
    }
    Ok(path_or_default(method, path, query))
}

/// Returns the path of a target that [`encoded_path`] has checked, still encoded.
pub(super) fn checked_path<'a>(method: &str, target: &'a str) -> &'a str {
    let path_and_query = match AbsoluteForm::parse(target) {
        Some(absolute) => absolute.path_and_query,
        None => target,
    };
    let (path, query) = split_before(path_and_query, b"?");
    path_or_default(method, path, query)
}

/// Returns the path, or what a target in absolute form without a path asks for.
fn path_or_default<'a>(method: &str, path: &'a str, query: &str) -> &'a str {
    if !path.is_empty() {
        path
    } else if method == "OPTIONS" && query.is_empty() {
        // RFC 9112 §3.2.4: `OPTIONS http://host` asks about the server as `OPTIONS *` does.
        "*"
    } else {
        "/"
    }
}

/// Checks the form of a target (RFC 9112 §3.2), and returns what follows its authority.
fn path_and_query<'a>(
    method: &str,
    target: &'a str,
    serves_https: bool,
) -> Result<&'a str, Refusal> {
    // RFC 9112 §3.2.3: the target of a CONNECT is an authority.
    if method == "CONNECT" {
        return bail(501, "this is no proxy");
    }
    if let Some(absolute) = AbsoluteForm::parse(target) {
        // RFC 9110 §7.4: what comes without TLS must not be served as if it had come with it.
        if absolute.is_https && !serves_https {
            return bail(421, "https is not served here");
        }
        // RFC 9110 §4.2.4: user information is invalid here.
        if !is_authority(absolute.authority.as_bytes()) {
            return bail(400, "the target's authority is not `host[:port]`");
        }
        return Ok(absolute.path_and_query);
    }
    let is_about_server = method == "OPTIONS" && target == "*";
    if !is_about_server && !target.starts_with('/') {
        return bail(400, "the target is not a path");
    }
    Ok(target)
}

/// Decodes a path into `path`, which must be empty.
#[inline]
pub(super) fn decode_path(encoded: &str, path: &mut String) -> Result<(), Refusal> {
    if !encoded.contains('%') {
        // The bytes of a path are no controls.
        path.push_str(encoded);
        return Ok(());
    }
    *path = decode(encoded.as_bytes(), false);
    // RFC 3986 §7.3: files and logs behind this would read NUL and line ends in their own way.
    let has_control = path.bytes().any(|byte| byte.is_ascii_control());
    let reason = "a control byte in the path, percent-encoded";
    ensure(!has_control, 400, reason)
}

/// Returns the segments of an encoded path, each decoded after the path has been split.
///
/// RFC 9110 §4.1: a path is one or more times a slash and a segment. `*` has none.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let after_slash = path.strip_prefix('/').into_iter();
    after_slash.flat_map(|rest| rest.split('/').map(decode_segment))
}

fn decode_segment(segment: &str) -> Cow<'_, str> {
    if segment.contains('%') {
        Cow::Owned(decode(segment.as_bytes(), false))
    } else {
        Cow::Borrowed(segment)
    }
}

/// Returns whether the text is `host [ ":" port ]` (RFC 9110 §7.2).
pub(super) fn is_authority(text: &[u8]) -> bool {
    if let [b'[', rest @ ..] = text {
        let end = rest.iter().position(|byte| *byte == b']');
        let (address, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_address = parse_ascii::<Ipv6Addr>(address).is_some();
        return match after {
            [b']', port @ ..] => is_address && is_port(port),
            _ => false,
        };
    }
    let (name, port) = text.split_at(encoded_len(text, &HOST));
    // RFC 9110 §4.2.1: the host of an http URI is not empty.
    !name.is_empty() && is_port(port)
}

/// Returns whether the text may follow a host: it is empty, or a colon and an optional number.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] | [b':'] => true,
        // Parsing alone would accept a `+`.
        [b':', b'+', ..] => false,
        [b':', digits @ ..] => parse_ascii::<u16>(digits).is_some(),
        _ => false,
    }
}

/// Parses what has no other characters than ASCII. Anything else in the text is refused.
fn parse_ascii<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns whether a query may have this character unencoded.
///
/// RFC 3986 §3.4 allows few. But browsers leave a `%` as it is, and `{}|\^` and the backtick, curl
/// and Go's client leave quotes and angle brackets, and these two and Java's leave UTF-8. None of
/// them ends a query, a target or a line for anybody. A `#` does, a space does, and controls (also
/// those beyond ASCII, U+0080 to U+009F) are aimed at the terminals and logs that show a target.
fn is_query_char(char: char) -> bool {
    !char.is_control() && char != ' ' && char != '#'
}

/// Returns how many bytes at the beginning are in the set, or part of a whole percent-encoding
/// (RFC 3986 §2.1).
fn encoded_len(text: &[u8], allowed: &ByteSet) -> usize {
    let mut rest = text;
    loop {
        rest = rest.get(allowed.prefix_len(rest)..).unwrap_or_default();
        match encoded_byte(rest) {
            Some((_, after)) => rest = after,
            None => return text.len().saturating_sub(rest.len()),
        }
    }
}

#[cfg(test)]
mod tests;
