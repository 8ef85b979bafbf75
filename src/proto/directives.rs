//! The directives of a head: the length of its body, and the future of its connection.
//!
//! Anything that two readers could measure differently is an error, never a guess (RFC 9112 §6.3).

use super::body::BodyLength;
use super::chars::{eq_ignore_case, list_elements, trim_ows};
use super::head::Head;
use super::refusal::{bail, ensure, Refusal};
use super::status::Version;
use super::target::{is_authority, AbsoluteForm};

/// The directives of a head for its body and its connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directives {
    /// The length of the body that follows the head.
    pub(crate) body: BodyLength,
    /// The client wants the connection to go on after the response (RFC 9112 §9.3).
    pub(crate) keep_alive: bool,
    /// The client has asked for that with `Connection: keep-alive`. HTTP/1.0 requires it, and some
    /// clients of HTTP/1.1 send it as well.
    pub(crate) asks_keep_alive: bool,
    /// The client waits for a `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub(crate) expects_continue: bool,
    /// The client offers to go on in another protocol (RFC 9110 §7.8).
    pub(crate) upgrades: bool,
    /// The body is what an HTML form sends.
    pub(crate) is_form: bool,
}

/// The treatment of a request with an empty `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmptyHost {
    Allowed,
    Refused,
}

/// Reads the fields that decide where the request ends and what happens after it.
pub(crate) fn directives(head: &Head, empty_host: EmptyHost) -> Result<Directives, Refusal> {
    let mut single = SingleFields::default();
    let mut connection = ConnectionOptions::default();
    let mut expectations = Expectations::default();
    for (name, value) in head.headers.iter_untrimmed() {
        match KnownField::by_name(name) {
            None => {}
            Some(KnownField::Connection) => connection.add(value),
            Some(KnownField::Expect) => expectations.add(value),
            Some(KnownField::Host) => set_once(&mut single.host, value)?,
            Some(KnownField::ContentLength) => set_once(&mut single.content_length, value)?,
            Some(KnownField::TransferEncoding) => set_once(&mut single.transfer_encoding, value)?,
            Some(KnownField::ContentType) => set_once(&mut single.content_type, value)?,
            Some(KnownField::Authorization) => set_once(&mut single.authorization, value)?,
        }
    }
    check_host(head, single.host, empty_host)?;
    let is_http_11 = head.version == Version::Http11;
    let body = body_length(&single, head.version)?;
    // RFC 9110 §10.1.1: an expectation in an HTTP/1.0 request is ignored.
    if is_http_11 && expectations.others {
        return bail(417, "only 100-continue can be expected");
    }
    Ok(Directives {
        body,
        // RFC 9112 §9.3: HTTP/1.1 persists by default, and HTTP/1.0 if it says so.
        keep_alive: (connection.keep_alive || is_http_11) && !connection.close,
        asks_keep_alive: connection.keep_alive,
        // RFC 9110 §10.1.1: a client must not wait with a request that has no body.
        expects_continue: expectations.continues && is_http_11 && body != BodyLength::Known(0),
        // RFC 9110 §7.8: an upgrade in an HTTP/1.0 request is ignored.
        upgrades: connection.upgrade && is_http_11,
        is_form: single.content_type.map_or(false, is_form),
    })
}

/// The fields that must come once: of two values, two readers could each take another one.
#[derive(Default)]
struct SingleFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
}

/// Sets a field that must come once.
fn set_once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refusal> {
    if field.replace(trim_ows(value)).is_some() {
        return bail(400, "a field came twice that must come once");
    }
    Ok(())
}

/// The fields that mean something here.
enum KnownField {
    Connection,
    Expect,
    Host,
    ContentLength,
    TransferEncoding,
    ContentType,
    Authorization,
}

impl KnownField {
    /// Returns the field of that name, if it is one of these.
    fn by_name(name: &[u8]) -> Option<KnownField> {
        // No two of them have the same length, so a name is compared with one of them at most.
        let (known_name, field) = match name.len() {
            4 => ("host", KnownField::Host),
            6 => ("expect", KnownField::Expect),
            10 => ("connection", KnownField::Connection),
            12 => ("content-type", KnownField::ContentType),
            13 => ("authorization", KnownField::Authorization),
            14 => ("content-length", KnownField::ContentLength),
            17 => ("transfer-encoding", KnownField::TransferEncoding),
            _ => return None,
        };
        if eq_ignore_case(name, known_name) {
            Some(field)
        } else {
            None
        }
    }
}

/// The options in all `Connection` fields (RFC 9110 §7.6.1) that mean something here.
#[derive(Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl ConnectionOptions {
    fn add(&mut self, value: &[u8]) {
        for option in list_elements(value) {
            if eq_ignore_case(option, "close") {
                self.close = true;
            } else if eq_ignore_case(option, "keep-alive") {
                self.keep_alive = true;
            } else if eq_ignore_case(option, "upgrade") {
                self.upgrade = true;
            }
        }
    }
}

/// The expectations in all `Expect` fields (RFC 9110 §10.1.1).
#[derive(Default)]
struct Expectations {
    continues: bool,
    others: bool,
}

impl Expectations {
    fn add(&mut self, value: &[u8]) {
        for expectation in list_elements(value) {
            if eq_ignore_case(expectation, "100-continue") {
                self.continues = true;
            } else if !expectation.is_empty() {
                // RFC 9110 §5.6.1: empty elements of a list are ignored.
                self.others = true;
            }
        }
    }
}

/// Checks `Host` (RFC 9112 §3.2).
///
/// An HTTP/1.1 request must have one. In an HTTP/1.0 request, it must be valid if it is there.
fn check_host(head: &Head, host: Option<&[u8]>, empty_host: EmptyHost) -> Result<(), Refusal> {
    let host = match host {
        Some(host) => host,
        None if head.version == Version::Http10 => return Ok(()),
        None => return bail(400, "there is no Host"),
    };
    let may_be_empty = empty_host == EmptyHost::Allowed;
    let is_valid = is_authority(host) || (host.is_empty() && may_be_empty);
    ensure(is_valid, 400, "the Host is not `host[:port]`")?;
    // RFC 9112 §3.2.2 has a server ignore a Host that differs from an absolute target. But handlers
    // look at it, so it is refused. An empty one differs.
    if let Some(target) = AbsoluteForm::parse(&head.target) {
        let host = std::str::from_utf8(host).unwrap_or_default(); // as it is valid, it is ASCII
        let agrees = target.agrees_with(host);
        ensure(agrees, 400, "the Host differs from the target's")?;
    }
    Ok(())
}

/// Decides where the body ends (RFC 9112 §6.3).
fn body_length(fields: &SingleFields<'_>, version: Version) -> Result<BodyLength, Refusal> {
    let coding = match (fields.transfer_encoding, fields.content_length) {
        (Some(coding), _) => coding,
        (None, Some(length)) => return content_length(length),
        (None, None) => return Ok(BodyLength::Known(0)),
    };
    // RFC 9112 §6.3: a message with both a length and a coding is an attack or a mistake.
    // RFC 9112 §6.1: there are no codings in HTTP/1.0, so a message that has one is faulty.
    if fields.content_length.is_some() || version == Version::Http10 {
        return bail(400, "Transfer-Encoding where it cannot be");
    }
    check_coding(coding)?;
    Ok(BodyLength::Chunked)
}

/// Parses `Content-Length` (RFC 9110 §8.6).
pub(super) fn content_length(value: &[u8]) -> Result<BodyLength, Refusal> {
    // Parsing alone would accept a `+`. RFC 9110 §8.6 allows leading zeros, which some readers take
    // for octal, and lists of equal lengths. Both are refused here.
    let has_leading_zero = matches!(value, [b'0', _, ..]);
    let is_number = value.iter().all(u8::is_ascii_digit) && !has_leading_zero;
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(length) if is_number => Ok(BodyLength::Known(length)),
        _ => bail(400, "the Content-Length is not a number"),
    }
}

/// Checks that the only transfer coding is `chunked`.
fn check_coding(value: &[u8]) -> Result<(), Refusal> {
    let mut codings = list_elements(value).rev();
    let last = codings.next().unwrap_or_default();
    // RFC 9112 §6.3: a request of which `chunked` is not the last coding has no end.
    // RFC 9112 §6.1: `chunked` must not be applied twice.
    let misplaced = "the Transfer-Encoding does not end with one `chunked`";
    ensure(eq_ignore_case(last, "chunked"), 400, misplaced)?;
    match codings.next() {
        None => Ok(()),
        Some(other) if other.is_empty() || eq_ignore_case(other, "chunked") => bail(400, misplaced),
        // RFC 9112 §6.1: a server answers a coding that it does not know with 501.
        Some(_) => bail(501, "the only transfer coding served is chunked"),
    }
}

/// Returns whether a `Content-Type` is that of an HTML form, whatever its parameters.
fn is_form(value: &[u8]) -> bool {
    let media_type = value.split(|byte| *byte == b';').next();
    let media_type = trim_ows(media_type.unwrap_or_default());
    eq_ignore_case(media_type, "application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests;
