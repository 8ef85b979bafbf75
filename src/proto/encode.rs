//! The encoder: response heads, and the chunked coding.

use super::body::BodyLength;
use super::status::{StatusCode, Version};

/// The bytes after the data of a chunk (RFC 9112 §7.1).
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The bytes that end a chunked body: a chunk without data, and no trailers (RFC 9112 §7.1).
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns the line in front of the data of a chunk. A size of zero would end the body.
pub(crate) fn chunk_size_line(size: usize) -> String {
    debug_assert!(size > 0, "a chunk without data is the last one");
    format!("{size:x}\r\n")
}

/// The framing of a response's body on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is no body, and no field that says so.
    None,
    Length(u64),
    Chunked,
    /// The end of the connection ends the body.
    UntilClose,
}

impl BodyFraming {
    /// Returns the framing of a response with that status code and that body, to a client that
    /// speaks that version.
    pub(crate) fn of(status: StatusCode, body: BodyLength, version: Version) -> BodyFraming {
        match (status, body) {
            // RFC 9110 §15.3.5 and §15.4.5: they have no body, and need no length.
            (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED, _) => BodyFraming::None,
            // RFC 9110 §15.3.6: it has no body, and must say so.
            (StatusCode::RESET_CONTENT, _) => BodyFraming::Length(0),
            (_, BodyLength::Known(length)) => BodyFraming::Length(length),
            // RFC 9112 §6.1: HTTP/1.0 does not know the chunked coding.
            (_, BodyLength::Chunked) => match version {
                Version::Http11 => BodyFraming::Chunked,
                Version::Http10 => BodyFraming::UntilClose,
            },
        }
    }
}

/// The `Connection` field of a response (RFC 9112 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionField {
    /// There is none. In HTTP/1.1, the connection goes on.
    None,
    Close,
    /// For a client that has asked for it. One of HTTP/1.0 would wait for the end of the connection
    /// otherwise. With it goes a hint for how many seconds the connection may be idle.
    KeepAlive {
        idle_seconds: Option<u64>,
    },
}

/// The head of a response.
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: StatusCode,
    /// The value of `Date`.
    pub(crate) date: &'a str,
    pub(crate) framing: BodyFraming,
    pub(crate) connection: ConnectionField,
    /// The value of `Content-Type`. Without a value or a body, there is no such field.
    pub(crate) content_type: &'a [u8],
    /// The lines of all other fields, each with its CRLF.
    pub(crate) fields: &'a [u8],
}

impl ResponseHead<'_> {
    /// Adds the head to the output.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self.status.status_line() {
            Some(line) => out.extend_from_slice(line.as_bytes()),
            None => {
                out.extend_from_slice(b"HTTP/1.1 ");
                push_decimal(out, self.status.as_u16().into());
                // RFC 9112 §4: this space stands even if there is no reason phrase.
                out.push(b' ');
            }
        }
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(self.date.as_bytes());
        match self.framing {
            BodyFraming::None | BodyFraming::UntilClose => {}
            BodyFraming::Length(length) => {
                out.extend_from_slice(b"\r\nContent-Length: ");
                push_decimal(out, length);
            }
            BodyFraming::Chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
        }
        if !self.content_type.is_empty() && self.framing != BodyFraming::None {
            out.extend_from_slice(b"\r\nContent-Type: ");
            out.extend_from_slice(self.content_type);
        }
        match self.connection {
            ConnectionField::None => {}
            ConnectionField::Close => out.extend_from_slice(b"\r\nConnection: close"),
            ConnectionField::KeepAlive { idle_seconds } => {
                out.extend_from_slice(b"\r\nConnection: keep-alive");
                // RFC 2068 §19.7.1.1. The option in `Connection` is the name of this field as well.
                if let Some(seconds) = idle_seconds {
                    out.extend_from_slice(b"\r\nKeep-Alive: timeout=");
                    push_decimal(out, seconds);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.fields);
        out.extend_from_slice(b"\r\n");
    }
}

/// Adds a number in decimal, for a fraction of what `write!` costs.
fn push_decimal(out: &mut Vec<u8>, number: u64) {
    // The largest number has 20 digits. The last digit comes first.
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number;
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        *digit = decimal_digit(rest % 10);
        first = position;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// Returns the character of a number below 10.
fn decimal_digit(number: u64) -> u8 {
    // The low four bits of the characters `0` to `9` are their values.
    b'0' | u8::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests;
