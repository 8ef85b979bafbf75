//! What a head says about the body that follows and about the connection. Pure.
//!
//! What two readers could measure differently is an error, never a guess (RFC 9112 §6.3).

use super::chars::{list_elements, eq_ignore_case, trim_ows};
use super::head::Head;
use super::refusal::{bail, ensure, Refusal};
use super::status::Version;
use super::target::{is_authority, AbsoluteForm};

/// What a head asks of the connection.
#[derive(Default)]
pub(crate) struct Terms {
    /// `None`: it comes in chunks.
    pub(crate) length: Option<u64>,
    /// Whether the client wants the connection to go on afterwards.
    pub(crate) keep_alive: bool,
    /// Whether it waits for a `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether it would go on in another protocol (RFC 9110 §7.8).
    pub(crate) upgrades: bool,
    /// Whether the body is what an HTML form sends.
    pub(crate) is_form: bool,
}

/// Reads the fields that decide where the request ends and what happens next.
pub(crate) fn terms(head: &Head) -> Result<Terms, Refusal> {
    // Fields that must come once: two readers could each take another one.
    let names = ["host", "transfer-encoding", "content-length", "content-type", "authorization"];
    let mut values = [None; 5];
    let is_new = head.version == Version::Http11;
    let (mut terms, mut close, mut expects_more) = (Terms::default(), false, false);
    for (name, value) in head.headers.iter_bytes() {
        let is = |it: &str| it.len() == name.len() && eq_ignore_case(name, it);
        if let Some(at) = names.iter().position(|it| is(it)) {
            let former = values.get_mut(at).and_then(|slot| slot.replace(value));
            ensure(former.is_none(), 400, "a field came twice that must come once")?;
        } else if is("connection") {
            for option in list_elements(value) {
                close |= eq_ignore_case(option, "close");
                terms.keep_alive |= eq_ignore_case(option, "keep-alive");
                terms.upgrades |= eq_ignore_case(option, "upgrade") && is_new; // RFC 9110 §7.8: not in HTTP/1.0
            }
        } else if is("expect") && is_new {
            // RFC 9110 §10.1.1: in HTTP/1.0 it is ignored; §5.6.1: so are the empty elements of a list.
            for expected in list_elements(value) {
                let is_continue = eq_ignore_case(expected, "100-continue");
                terms.expects_continue |= is_continue;
                expects_more |= !is_continue && !expected.is_empty();
            }
        }
    }
    let [host, coding, length, content_type, _] = values;
    check_host(head, host)?;
    let media_type = content_type.and_then(|value| value.split(|&byte| byte == b';').next());
    terms.is_form = eq_ignore_case(trim_ows(media_type.unwrap_or_default()), "application/x-www-form-urlencoded");
    terms.length = match (coding, length) {
        (None, None) => Some(0),
        (None, Some(length)) => Some(content_length(length)?),
        (Some(coding), None) if is_new => check_coding(coding)?,
        // RFC 9112 §6.3: with both, one of them is a lie or an attack; §6.1: HTTP/1.0 has no such codings.
        (Some(_), _) => return bail(400, "Transfer-Encoding where it cannot be"),
    };
    ensure(!expects_more, 417, "only 100-continue can be expected")?;
    terms.keep_alive = (terms.keep_alive || is_new) && !close; // RFC 9112 §9.3
    terms.expects_continue &= terms.length != Some(0);
    Ok(terms)
}

/// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; what older clients send must be valid too. §3.2.2 wants one that
/// differs from an absolute target ignored: handlers look at it, so it is refused.
fn check_host(head: &Head, host: Option<&[u8]>) -> Result<(), Refusal> {
    let host = match host.map(std::str::from_utf8) {
        None if head.version == Version::Http10 => return Ok(()),
        Some(Ok(host)) if is_authority(host) => host,
        _ => return bail(400, "no Host, or one that is not `host[:port]`"),
    };
    let named = AbsoluteForm::parse(&head.target).map(|target| target.authority);
    let agrees = named.map_or(true, |named| eq_ignore_case(host.as_bytes(), named));
    ensure(agrees, 400, "the Host differs from the target's")
}

/// RFC 9110 §8.6: digits and nothing else. Lists of equal lengths and zeros in front, octal to some, are not taken.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let is_padded = matches!(value, [b'0', _, ..]);
    let is_number = value.iter().all(u8::is_ascii_digit) && !is_padded; // `parse` would take a `+`
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(length) if is_number => Ok(length),
        _ => bail(400, "the Content-Length is not a number"),
    }
}

/// RFC 9112 §6.3: `chunked` has to be the last coding, and §6.1: no other one is known here.
fn check_coding(value: &[u8]) -> Result<Option<u64>, Refusal> {
    let is_chunked = |coding: &[u8]| eq_ignore_case(coding, "chunked");
    let mut codings = list_elements(value).rev();
    match (codings.next().map_or(false, is_chunked), codings.next()) {
        (true, None) => Ok(None),
        (true, Some(other)) if !other.is_empty() && !is_chunked(other) => {
            bail(501, "the only transfer coding served is chunked")
        }
        _ => bail(400, "the Transfer-Encoding does not end with one `chunked`"),
    }
}

#[cfg(test)]
mod tests;
