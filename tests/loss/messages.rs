//! Requests and the expected responses. Everything follows from the number of a request.

use super::notes::{locked, Call, End, Round};
use hardstop::{Error, Request, Response};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

pub(crate) fn text_of(number: usize, times: usize) -> String {
    format!("{number:09}\n").repeat(times)
}

/// The body of a response. One of eight is large, and one is chunked.
pub(crate) fn response_text(number: usize) -> String {
    let times = match number % 8 {
        0 => 20_000 + number / 8 % 5 * 10_000,
        1 => 3_000,
        _ => 2,
    };
    text_of(number, times)
}

pub(crate) fn is_chunked(number: usize) -> bool {
    number % 8 == 1
}

/// The body of a request, if it has one.
pub(crate) fn request_text(number: usize) -> Option<String> {
    [2, 3].contains(&(number % 8)).then(|| text_of(number, 300))
}

/// A request in two pieces. The second one is empty if the request has no body.
pub(crate) fn request(number: usize, says_close: bool) -> [String; 2] {
    let close = if says_close {
        "Connection: close\r\n"
    } else {
        ""
    };
    match request_text(number) {
        None => [
            format!("GET /{number} HTTP/1.1\r\nHost: x\r\n{close}\r\n"),
            String::new(),
        ],
        Some(body) => {
            let (length, (half, rest)) = (body.len(), body.split_at(body.len() / 3));
            let head = format!(
                "POST /{number} HTTP/1.1\r\nHost: x\r\n{close}Content-Length: {length}\r\n\r\n"
            );
            [head + half, String::from(rest)]
        }
    }
}

pub(crate) fn handler(round: &Round, request: &mut Request<'_>) -> Result<Response, Error> {
    let (stamp, number) = (round.stamp(), request.path()[1..].parse().unwrap());
    let is_told = request.cancel_token().is_cancelled();
    locked(&round.calls).push(Call {
        number,
        stamp,
        is_told,
    });
    if let Some(text) = request_text(number) {
        if request.body().read_to_text()? != text {
            return Err(Error::new(400, "the body of another request"));
        }
    }
    let text = response_text(number);
    if !is_chunked(number) {
        return Ok(Response::text(text));
    }
    Ok(Response::stream(move |body| {
        for piece in text.as_bytes().chunks(3_000) {
            body.write_all(piece)?;
            body.flush()?;
        }
        Ok(())
    }))
}

/// Reads one response, complete or not at all.
pub(crate) fn read_response(reader: &mut BufReader<TcpStream>, number: usize) -> io::Result<End> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        read_line(reader, &mut head)?;
    }
    let value = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let mut body = Vec::new();
    if let Some(length) = value("Content-Length:") {
        read_bytes(reader, length.parse().unwrap(), &mut body)?;
    } else {
        let mut size = usize::MAX;
        while size > 0 {
            let mut line = String::new();
            read_line(reader, &mut line)?;
            size = usize::from_str_radix(line.trim(), 16).unwrap();
            read_bytes(reader, size, &mut body)?;
            read_bytes(reader, 2, &mut Vec::new())?;
        }
    }
    let goes_on = value("Connection:") != Some("close");
    let status = head.get(9..12);
    Ok(
        if status == Some("503") && value("Retry-After:").is_some() && !goes_on {
            End::SentAway
        } else if status == Some("200") && body == response_text(number).as_bytes() {
            End::Whole { goes_on }
        } else {
            End::Wrong(format!("{head} and {} bytes", body.len()))
        },
    )
}

/// Appends so many bytes. Without optimisation, `Vec::resize` writes zeros one by one, and took most
/// of the test's time.
fn read_bytes(
    reader: &mut BufReader<TcpStream>,
    number: usize,
    to: &mut Vec<u8>,
) -> io::Result<()> {
    let read = reader.take(number as u64).read_to_end(to)?;
    if read < number {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

pub(crate) fn read_line(reader: &mut BufReader<TcpStream>, line: &mut String) -> io::Result<()> {
    reader.read_line(line)?;
    line.ends_with('\n')
        .then_some(())
        .ok_or(ErrorKind::UnexpectedEof.into())
}
