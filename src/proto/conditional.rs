//! Conditional requests: what a request still wants of a response (RFC 9110 §13).

use super::chars::trim_ows;
use super::date::parse_http_date;
use super::headers::Headers;
use super::range::{requested_range, RequestedRange};

/// The age at which a date is a strong validator. Before that, the content may change again
/// within the same second (RFC 9110 §8.8.2.2).
pub(crate) const STRONG_AGE_SECONDS: u64 = 2;

/// The response that a request would get without conditions, which are compared with it.
/// The times are seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The value of `ETag`.
    pub(crate) etag: Option<&'a [u8]>,
    /// The value of `Last-Modified`.
    pub(crate) last_modified: Option<u64>,
    /// The length of the body, if parts of it can be sent.
    pub(crate) length: Option<u64>,
    pub(crate) now: u64,
}

/// The response that a conditional request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The response as it is.
    Whole,
    /// A 206 with so many bytes from the first one on, which is counted from 0.
    Part { first: u64, length: u64 },
    /// A 304.
    NotModified,
    /// A 412.
    PreconditionFailed,
    /// A 416.
    RangeNotSatisfiable,
}

/// Evaluates the conditions and the range of a `GET` or `HEAD` request, in the order of RFC 9110
/// §13.2.2.
pub(crate) fn select(method: &str, headers: &Headers, candidate: &Candidate<'_>) -> Selection {
    if precondition_fails(headers, candidate) {
        return Selection::PreconditionFailed;
    }
    if is_not_modified(headers, candidate) {
        return Selection::NotModified;
    }
    let length = match candidate.length {
        Some(length) => length,
        None => return Selection::Whole,
    };
    // RFC 9110 §14.2: a range is defined for GET alone.
    if method != "GET" {
        return Selection::Whole;
    }
    let range = match single_value(headers, "range") {
        Some(range) => range,
        None => return Selection::Whole,
    };
    // RFC 9110 §13.1.5: a client must not join parts of two versions.
    if !if_range_holds(headers, candidate) {
        return Selection::Whole;
    }
    match requested_range(range, length) {
        RequestedRange::Whole => Selection::Whole,
        RequestedRange::Part { first, length } => Selection::Part { first, length },
        RequestedRange::Unsatisfiable => Selection::RangeNotSatisfiable,
    }
}

/// Evaluates `If-Match`, or `If-Unmodified-Since` if there is none (RFC 9110 §13.1.1 and §13.1.4).
fn precondition_fails(headers: &Headers, candidate: &Candidate<'_>) -> bool {
    if headers.get_bytes("if-match").is_some() {
        return !lists_tag(headers, "if-match", candidate.etag, Comparison::Strong);
    }
    match is_unmodified_since(headers, "if-unmodified-since", candidate) {
        Some(is_unmodified) => !is_unmodified,
        None => false,
    }
}

/// Evaluates `If-None-Match`, or `If-Modified-Since` if there is none (RFC 9110 §13.1.2 and
/// §13.1.3).
fn is_not_modified(headers: &Headers, candidate: &Candidate<'_>) -> bool {
    if headers.get_bytes("if-none-match").is_some() {
        return lists_tag(headers, "if-none-match", candidate.etag, Comparison::Weak);
    }
    is_unmodified_since(headers, "if-modified-since", candidate).unwrap_or(false)
}

/// Returns whether this is an entity tag (RFC 9110 §8.8.3): weak or not, and in double quotes.
pub(crate) fn is_entity_tag(value: &[u8]) -> bool {
    EntityTag::parse(value).is_some()
}

/// Evaluates `If-Range` (RFC 9110 §13.1.5). Without the field, it holds.
fn if_range_holds(headers: &Headers, candidate: &Candidate<'_>) -> bool {
    if headers.get_bytes("if-range").is_none() {
        return true;
    }
    let value = match single_value(headers, "if-range") {
        Some(value) => value,
        None => return false,
    };
    if let Some(known) = EntityTag::parse(value) {
        let etag = candidate.etag.and_then(EntityTag::parse);
        return etag.map_or(false, |etag| known.matches(&etag, Comparison::Strong));
    }
    let date = parse_http_date(value, candidate.now);
    match (date, candidate.last_modified) {
        (Some(date), Some(modified)) => {
            let is_strong = modified.saturating_add(STRONG_AGE_SECONDS) <= candidate.now;
            is_strong && date == modified
        }
        _ => false,
    }
}

/// Compares the date in a field with that of the response. Returns `None` if one of them is
/// missing or is no date, for then the field is ignored.
fn is_unmodified_since(headers: &Headers, name: &str, candidate: &Candidate<'_>) -> Option<bool> {
    let value = single_value(headers, name)?;
    let date = parse_http_date(value, candidate.now)?;
    Some(candidate.last_modified? <= date)
}

/// Returns the value of a field that is not a list. Returns `None` if there are several lines of
/// it, which together are no valid value.
fn single_value<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    let mut lines = headers.get_all_bytes(name);
    let value = lines.next()?;
    match lines.next() {
        None => Some(value),
        Some(_) => None,
    }
}

/// The two ways to compare entity tags (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Weak tags match nothing.
    Strong,
    /// Weak and strong tags are not told apart.
    Weak,
}

/// An entity tag (RFC 9110 §8.8.3).
struct EntityTag<'a> {
    is_weak: bool,
    /// The text between the quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Parses a text that is one entity tag.
    fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::split(text)?;
        if rest.is_empty() {
            Some(tag)
        } else {
            None
        }
    }

    /// Splits the text after the entity tag that it begins with. Returns `None` if there is none.
    fn split(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let weak = text.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(text).strip_prefix(b"\"")?;
        let mut parts = quoted.splitn(2, |byte| *byte == b'"');
        let tag = EntityTag {
            is_weak: weak.is_some(),
            opaque: parts.next()?,
        };
        Some((tag, parts.next()?))
    }

    fn matches(&self, other: &EntityTag<'_>, comparison: Comparison) -> bool {
        if comparison == Comparison::Strong && (self.is_weak || other.is_weak) {
            return false;
        }
        self.opaque == other.opaque
    }
}

/// Returns whether the lines of a field list this entity tag, or are `*`, which stands for any
/// response, with or without a tag.
fn lists_tag(headers: &Headers, name: &str, etag: Option<&[u8]>, comparison: Comparison) -> bool {
    let etag = etag.and_then(EntityTag::parse);
    for value in headers.get_all_bytes(name) {
        if value == b"*" {
            return true;
        }
        if let Some(etag) = &etag {
            if line_lists_tag(value, etag, comparison) {
                return true;
            }
        }
    }
    false
}

/// Returns whether a list has this entity tag. What follows a mistake in the list is not read.
// An entity tag may hold a comma, so the list cannot be split at its commas.
fn line_lists_tag(line: &[u8], etag: &EntityTag<'_>, comparison: Comparison) -> bool {
    let mut rest = line;
    loop {
        rest = trim_ows(rest);
        if let Some(behind) = rest.strip_prefix(b",") {
            // RFC 9110 §5.6.1.2: an element of a list may be empty.
            rest = behind;
            continue;
        }
        let (tag, behind) = match EntityTag::split(rest) {
            Some(split) => split,
            None => return false,
        };
        let behind = trim_ows(behind);
        if !behind.is_empty() && !behind.starts_with(b",") {
            return false;
        }
        if tag.matches(etag, comparison) {
            return true;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests;
