//! Responses, as a client reads them.
//!
//! 1. This is as strict as the parser of requests, and shares its lines, fields and chunks with it.
//! 2. No connection uses it. It is for tests of handlers: see `Builder::answer`.

use super::body::{BodyDecoder, BodyLength, BodyState};
use super::directives::content_length;
use super::headers::Headers;
use super::line::split_line;
use super::refusal::{bail, ensure, Refusal};
use super::status::StatusCode;

/// The method of the request, as far as the end of its response depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Head,
    OtherMethod,
    /// The request was refused before anybody knew its method. The response is the last one.
    Unknown,
}

/// The end of a response's body.
enum EndOfBody {
    After(BodyLength),
    /// The end of the connection.
    Close,
}

/// A response, as far as a client has received it.
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    /// The body, without the chunked coding. After a 101, whatever follows.
    pub(crate) body: Vec<u8>,
    /// Set if the body has come as far as the head says.
    pub(crate) is_whole: bool,
}

impl Received {
    /// Parses the response at the beginning of the bytes. Returns it, and what follows it.
    ///
    /// A `100 Continue` in front of it is skipped. The bytes are all that the client has received.
    pub(crate) fn parse(bytes: &[u8], asked: Asked) -> Result<(Received, &[u8]), Refusal> {
        let (mut status, mut headers, mut rest) = parse_head(bytes)?;
        while status == StatusCode::CONTINUE {
            let (next_status, next_headers, after) = parse_head(rest)?;
            status = next_status;
            headers = next_headers;
            rest = after;
        }
        let mut end = end_of_body(status, &headers)?;
        // RFC 9110 §9.3.2: the response to a HEAD has the fields of a body, and no body. What
        // follows a 101 is another protocol, whatever the method (§15.2.2).
        let has_no_body = asked == Asked::Head || (asked == Asked::Unknown && rest.is_empty());
        if has_no_body && status != StatusCode::SWITCHING_PROTOCOLS {
            end = EndOfBody::After(BodyLength::Known(0));
        }
        let mut received = Received {
            status,
            headers,
            body: Vec::new(),
            is_whole: true,
        };
        match end {
            EndOfBody::After(length) => {
                let after = received.decode(length, rest)?;
                Ok((received, after))
            }
            EndOfBody::Close => {
                received.body.extend_from_slice(rest);
                Ok((received, &[]))
            }
        }
    }

    /// Decodes the body. Returns what follows it.
    fn decode<'a>(&mut self, length: BodyLength, mut rest: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let mut decoder = BodyDecoder::new(length);
        loop {
            let used = match decoder.state {
                BodyState::Done => return Ok(rest),
                BodyState::Data(left) => {
                    let left = usize::try_from(left).unwrap_or(usize::MAX);
                    let data = rest.get(..left).unwrap_or(rest);
                    self.body.extend_from_slice(data);
                    decoder.consume_data(u64::try_from(data.len()).unwrap_or(u64::MAX));
                    data.len()
                }
                BodyState::Size | BodyState::DataEnd | BodyState::Trailers => {
                    decoder.advance(rest)?.unwrap_or(0)
                }
            };
            if used == 0 {
                self.is_whole = false;
                return Ok(&[]);
            }
            rest = rest.get(used..).unwrap_or_default();
        }
    }
}

/// Parses the head of a response (RFC 9112 §4). Returns what follows it as well.
fn parse_head(bytes: &[u8]) -> Result<(StatusCode, Headers, &[u8]), Refusal> {
    let (line, fields) = split_first_line(bytes)?;
    let status = parse_status_line(line)?;
    let mut rest = fields;
    let mut headers = Headers::default();
    loop {
        let start = fields.len().saturating_sub(rest.len());
        let (line, after) = split_first_line(rest)?;
        rest = after;
        if line.is_empty() {
            headers.set_text(fields.get(..start).unwrap_or_default());
            return Ok((status, headers, rest));
        }
        headers.add_line(line, start)?;
    }
}

/// Splits the bytes after their first line, which must be there.
fn split_first_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    match split_line(bytes, &mut 0)? {
        Some(split) => Ok(split),
        None => bail(400, "the head of a response has no end"),
    }
}

/// Parses `HTTP/1.1 SP status-code SP [ reason-phrase ]`.
fn parse_status_line(line: &[u8]) -> Result<StatusCode, Refusal> {
    let code = match line.strip_prefix(b"HTTP/1.1 ") {
        Some([a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..]) => [*a, *b, *c],
        _ => return bail(400, "the status line is not `HTTP/1.1 100 to 599 reason`"),
    };
    let code = std::str::from_utf8(&code).unwrap_or_default();
    Ok(StatusCode::from(code.parse::<u16>().unwrap_or_default()))
}

/// Decides where the body of a response ends (RFC 9112 §6.3).
fn end_of_body(status: StatusCode, headers: &Headers) -> Result<EndOfBody, Refusal> {
    match status {
        // The connection has left HTTP.
        StatusCode::SWITCHING_PROTOCOLS => return Ok(EndOfBody::Close),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            return Ok(EndOfBody::After(BodyLength::Known(0)));
        }
        _ => {}
    }
    let length = only_field(headers, "content-length")?;
    let coding = only_field(headers, "transfer-encoding")?;
    match (length, coding) {
        (None, None) => Ok(EndOfBody::Close),
        (Some(length), None) => Ok(EndOfBody::After(content_length(length)?)),
        (None, Some(b"chunked")) => Ok(EndOfBody::After(BodyLength::Chunked)),
        (_, Some(_)) => bail(
            400,
            "the coding is not chunked, or there is a length as well",
        ),
    }
}

/// Returns the value of a field that may come once.
fn only_field<'a>(headers: &'a Headers, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all_bytes(name);
    let value = values.next();
    ensure(
        values.next().is_none(),
        400,
        "a field that may come once comes twice",
    )?;
    Ok(value)
}

#[cfg(test)]
mod tests;
