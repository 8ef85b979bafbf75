//! How long a request's body is, and what its head says about the connection. Pure.
//!
//! 1. What two readers could measure differently is an error, never a guess (RFC 9112 §6.3).
//! 2. What follows a framing error is never parsed: the connection ends.
//! 3. Chunk extensions and trailers are checked, bounded and dropped.

use super::head::{field_line, is_authority, line_end, trim, Head};
use super::urlencoded::hex_digit;
use super::{Error, StatusCode, Version};

/// What a head asks of the connection.
pub(crate) struct Terms {
    /// `None`: it comes in chunks.
    pub(crate) length: Option<u64>,
    /// Whether the client wants the connection to go on afterwards.
    pub(crate) keep_alive: bool,
    /// Whether it waits for a `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// Reads the fields that decide where the request ends and what happens next.
pub(crate) fn terms(head: &Head) -> Result<Terms, Error> {
    let headers = &head.headers;
    let is_new = head.version == Version::Http11;
    check_host(head, headers.get_only("host")?)?;
    let length = match (
        headers.get_only("transfer-encoding")?,
        headers.get_only("content-length")?,
    ) {
        (None, None) => Some(0),
        (None, Some(length)) => Some(content_length(length)?),
        (Some(coding), None) if is_new => check_coding(coding)?,
        // RFC 9112 §6.3: with both, one of them is a lie or an attack; §6.1: HTTP/1.0 has no such codings.
        (Some(_), _) => return Err(Error::bad_request("Transfer-Encoding where it cannot be")),
    };
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    let expects = headers.get_only("expect")?.filter(|_| is_new);
    if expects.map_or(false, |value| !value.eq_ignore_ascii_case(b"100-continue")) {
        let status = StatusCode::EXPECTATION_FAILED;
        return Err(Error::new(status, "only 100-continue can be expected"));
    }
    let connection = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let options = connection.flat_map(|(_, value)| value.split(|&byte| byte == b',').map(trim));
    let (mut close, mut keep_alive) = (false, is_new); // RFC 9112 §9.3
    for option in options {
        close |= option.eq_ignore_ascii_case(b"close");
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    let expects_continue = expects.is_some() && length != Some(0);
    Ok(Terms {
        length,
        keep_alive: keep_alive && !close,
        expects_continue,
    })
}

/// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1; what older clients send must be valid too.
fn check_host(head: &Head, host: Option<&[u8]>) -> Result<(), Error> {
    let host = match host.map(std::str::from_utf8) {
        None if head.version == Version::Http10 => return Ok(()),
        Some(Ok(host)) if is_authority(host) => host,
        _ => return Err(Error::bad_request("the Host is not one `host[:port]`")),
    };
    match head.authority() {
        Some(authority) if !host.eq_ignore_ascii_case(authority) => {
            Err(Error::bad_request("the Host differs from the target's"))
        }
        _ => Ok(()),
    }
}

/// RFC 9110 §8.6: digits and nothing else. A list of equal lengths could be taken; it is not.
fn content_length(value: &[u8]) -> Result<u64, Error> {
    let digits = value.iter().all(u8::is_ascii_digit); // `parse` would take a `+`
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    match number {
        Some(length) if digits => Ok(length),
        _ => Err(Error::bad_request("the Content-Length is not a number")),
    }
}

/// RFC 9112 §6.3: `chunked` has to be the last coding, and §6.1: no other one is known here.
fn check_coding(value: &[u8]) -> Result<Option<u64>, Error> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = value.rsplit(|&byte| byte == b',').map(trim);
    match (codings.next().map_or(false, is_chunked), codings.next()) {
        (true, None) => Ok(None),
        (true, Some(other)) if !other.is_empty() && !is_chunked(other) => Err(Error::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only transfer coding served is chunked",
        )),
        _ => Err(Error::bad_request(
            "a Transfer-Encoding that does not end with one `chunked`",
        )),
    }
}

/// How many bytes of chunk extensions and trailers one body may have, and one line of them.
const EXTRA_BYTES: usize = 4096;

/// Knows where in a body the reader is, and reads what the chunked coding (RFC 9112 §7.1) puts between the data.
pub(crate) struct BodyDecoder {
    pub(crate) state: BodyState,
    pub(crate) chunked: bool,
    scanned: usize,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// So many bytes of data are due, never zero.
    Data(u64),
    /// The CRLF after a chunk's data is due.
    DataEnd,
    /// A line with the next chunk's size is due.
    Size,
    /// A trailer field or the last empty line is due.
    Trailers,
    Done,
}

impl BodyDecoder {
    pub(crate) fn new(length: Option<u64>) -> BodyDecoder {
        let state = match length {
            None => BodyState::Size,
            Some(0) => BodyState::Done,
            Some(length) => BodyState::Data(length),
        };
        BodyDecoder {
            state,
            chunked: length.is_none(),
            scanned: 0,
            extra: 0,
        }
    }

    /// Takes note that `n` of the bytes that [`BodyState::Data`] speaks of have been read.
    pub(crate) fn consume_data(&mut self, n: u64) {
        if let BodyState::Data(left) = self.state {
            self.state = match left.saturating_sub(n) {
                0 if self.chunked => BodyState::DataEnd,
                0 => BodyState::Done,
                left => BodyState::Data(left),
            };
        }
    }

    /// Reads the next line between data: `Some(n)` when it took `n` bytes, `None` for "read more". `bytes` starts where
    /// the last line or piece of data ended.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let end = line_end(bytes, &mut self.scanned)?;
        let line = bytes.get(..self.scanned).unwrap_or_default();
        if self.state == BodyState::DataEnd && !line.is_empty() {
            return Err(Error::bad_request("no CRLF after the data of a chunk"));
        }
        if self.extra.saturating_add(line.len()) > EXTRA_BYTES {
            return Err(Error::bad_request("too many chunk extensions or trailers"));
        }
        let end = match end {
            Some(end) => end,
            None => return Ok(None),
        };
        self.scanned = 0;
        self.state = match self.state {
            BodyState::Size => match chunk_size(line)? {
                (0, extra) => self.next(extra, BodyState::Trailers),
                (size, extra) => self.next(extra, BodyState::Data(size)),
            },
            BodyState::Trailers if !line.is_empty() => {
                // RFC 9112 §7.1.2: they may be dropped, and must not be merged unless known to be safe.
                field_line(line)?;
                self.next(line.len(), BodyState::Trailers)
            }
            BodyState::Trailers => BodyState::Done,
            BodyState::DataEnd => BodyState::Size,
            state @ (BodyState::Data(_) | BodyState::Done) => state, // no line is due
        };
        Ok(Some(end.saturating_add(2)))
    }

    fn next(&mut self, extra: usize, state: BodyState) -> BodyState {
        self.extra = self.extra.saturating_add(extra);
        state
    }
}

/// The size on a chunk's line, and how many bytes its extensions have.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Error> {
    let mut size: u64 = 0;
    let mut extensions = line;
    while let Some((digit, rest)) = extensions.split_first() {
        let digit = match hex_digit(*digit) {
            Some(digit) => u64::from(digit),
            None => break,
        };
        let shifted = size.checked_mul(16).map(|size| size | digit);
        size = shifted.ok_or_else(|| Error::bad_request("a chunk size that is too large"))?;
        extensions = rest;
    }
    // RFC 9112 §7.1.1: white space may stand before a semicolon, but not before the line's end.
    let has_digits = extensions.len() < line.len();
    match has_digits && (extensions.is_empty() || trim(extensions).first() == Some(&b';')) {
        true => Ok((size, extensions.len())),
        false => Err(Error::bad_request(
            "a chunk size that is not a hexadecimal number",
        )),
    }
}

#[cfg(test)]
mod tests;
