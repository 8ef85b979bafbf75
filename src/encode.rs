//! A response's head as bytes. Pure.
//!
//! What comes from a handler was checked when it was set: names are tokens, values have no control bytes. The fields
//! that frame the message are made here and nowhere else.

use super::response::Payload;
use super::{Response, StatusCode, Version};

/// How the body is framed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// RFC 9110 §15.3.5 and §15.4.5: 204 and 304 have no body and need no length.
    None,
    Length(u64),
    Chunked,
    /// For HTTP/1.0: the end of the connection ends the body.
    UntilClose,
}

impl Framing {
    pub(crate) fn of(response: &Response, version: Version) -> Framing {
        match (&response.payload, response.status) {
            (_, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Framing::None,
            (_, StatusCode::RESET_CONTENT) => Framing::Length(0), // RFC 9110 §15.3.6
            (Payload::Bytes(b), _) => Framing::Length(u64::try_from(b.len()).unwrap_or(u64::MAX)),
            (Payload::Stream(_, Some(length)), _) => Framing::Length(*length),
            _ if version == Version::Http11 => Framing::Chunked,
            _ => Framing::UntilClose,
        }
    }
}

/// Adds the head to the output. `connection` is that field's value, if there is to be one.
pub(crate) fn push_head(
    out: &mut Vec<u8>,
    response: &Response,
    framing: Framing,
    connection: Option<&str>,
    date: &str,
) {
    let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    match response.status {
        StatusCode::OK => push(&[b"HTTP/1.1 200 OK"]),
        // RFC 9112 §4: the space before the reason phrase stands even if there is none.
        status => push(&[format!("HTTP/1.1 {} {}", status.as_u16(), status.reason()).as_bytes()]),
    }
    push(&[b"\r\nDate: ", date.as_bytes()]);
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(n) => push(&[format!("\r\nContent-Length: {n}").as_bytes()]),
        Framing::Chunked => push(&[b"\r\nTransfer-Encoding: chunked"]),
    }
    if !response.content_type.is_empty() {
        push(&[b"\r\nContent-Type: ", &response.content_type]);
    }
    if let Some(value) = connection {
        push(&[b"\r\nConnection: ", value.as_bytes()]);
    }
    push(&[b"\r\n", &response.fields, b"\r\n"]);
}
