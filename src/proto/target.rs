//! Request targets and authorities.

use super::chars::{alphanumeric_and, is_in, same, split_at, Bytes};
use super::urlencoded::encoded_byte;

/// The authority of a target in absolute form with that scheme, and what follows it.
pub(crate) fn absolute_target(target: &str) -> Option<(bool, &str, &str)> {
    let (scheme, rest) = split_at(target, b":/");
    let is_https = same(scheme.as_bytes(), "https");
    let is_either = is_https || same(scheme.as_bytes(), "http");
    let (host, local) = split_at(rest.strip_prefix("://").filter(|_| is_either)?, b"/?");
    Some((is_https, host, local))
}

/// RFC 9110 §7.2: `host [ ":" port ]`; §4.2.1: in an http URI, the host is not empty.
pub(crate) fn is_authority(text: &str) -> bool {
    let (is_host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']').unwrap_or_default();
            (ip.parse::<std::net::Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = split_at(text, b":");
            (!name.is_empty() && is_encoded(name, NAME_BYTES), port)
        }
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_number = !digits.starts_with('+') && digits.parse::<u16>().is_ok(); // it would take a `+`
    let is_port = digits.is_empty() || (digits.len() < port.len() && is_number);
    is_host && is_port
}

/// What may stand beside letters and digits in a host, a path and a query (RFC 3986 §3.2.2 to §3.4), with what browsers
/// leave unencoded in the last two, as in `?ids[]=1`: nothing that frames a message or splits a target.
pub(super) const NAME_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=");
pub(super) const PATH_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=:@/[]|^");
pub(super) const QUERY_BYTES: Bytes = alphanumeric_and(b"-._~!$&'()*+,;=:@/?[]{}|\\^`");

/// Whether every other byte is one of these, and every `%` begins a whole percent-encoding (RFC 3986 §2.1).
pub(super) fn is_encoded(text: &str, allowed: Bytes) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !is_in(allowed, *byte)) {
        rest = match rest.get(at..).and_then(encoded_byte) {
            Some((_, after)) => after,
            None => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests;
