//! Parses what has left as a client does that trusts the framing alone.

use super::handler::Given;
use crate::naive::{self, find, End};

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the response has `Connection: close`.
    pub(super) closes: bool,
    pub(super) look: Look,
    /// What has come of the body.
    pub(super) body: Vec<u8>,
}

/// How a response looks to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Not even the head is complete.
    NoHead,
    Truncated,
    Complete,
    /// It ends with the connection, so that the client cannot tell.
    UntilClose,
}

/// Returns the responses, of which the last one may be truncated, and what follows a 101.
pub(super) fn parse<'a>(mut output: &'a [u8], calls: &[Given]) -> (Vec<Answer>, &'a [u8]) {
    let mut answers = Vec::new();
    while !output.is_empty() {
        let call = calls.get(answers.len());
        if let Some(rest) = output.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            let is_expected = call.is_some_and(|call| call.expects_continue);
            assert!(is_expected, "the client does not expect a 100");
            output = rest;
            continue;
        }
        let (answer, rest) = parse_one(output, call);
        let is_last = answer.look != Look::Complete;
        let status = answer.status;
        answers.push(answer);
        if status == 101 {
            return (answers, rest);
        }
        assert!(!is_last || rest.is_empty());
        output = rest;
    }
    (answers, b"")
}

/// A response head that has left, as far as it frames the body.
struct Head {
    status: u16,
    closes: bool,
    length: Option<usize>,
    is_chunked: bool,
}

fn parse_one<'a>(output: &'a [u8], call: Option<&Given>) -> (Answer, &'a [u8]) {
    let mut answer = Answer {
        status: 0,
        closes: false,
        look: Look::NoHead,
        body: Vec::new(),
    };
    let Some(end) = find(output, b"\r\n\r\n") else {
        return (answer, b"");
    };
    let head = parse_head(&output[..end]);
    let rest = &output[end + 4..];
    answer.status = head.status;
    answer.closes = head.closes;
    let has_no_body = matches!(head.status, 101 | 204 | 304)
        || match call {
            Some(call) => call.is_head,
            // The request that is refused may have been a HEAD.
            None => rest.is_empty(),
        };
    if has_no_body {
        answer.look = Look::Complete;
        return (answer, rest);
    }
    let (body, look, rest) = parse_body(&head, rest);
    answer.body = body;
    answer.look = look;
    (answer, rest)
}

fn parse_head(head: &[u8]) -> Head {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap();
    let status = first.strip_prefix("HTTP/1.1 ").expect(first);
    let mut head = Head {
        status: status[..3].parse().unwrap(),
        closes: false,
        length: None,
        is_chunked: false,
    };
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        match name {
            "Content-Length" => head.length = Some(value.parse().unwrap()),
            "Transfer-Encoding" => head.is_chunked = true,
            "Connection" => {
                let mut options = value.split(',').map(str::trim);
                head.closes |= options.any(|option| option == "close");
            }
            _ => {}
        }
    }
    head
}

/// Returns what has come of a body, how it looks, and what follows it.
fn parse_body<'a>(head: &Head, rest: &'a [u8]) -> (Vec<u8>, Look, &'a [u8]) {
    if head.is_chunked {
        let (body, end) = naive::chunked(rest);
        return match end {
            End::Whole(n) => (body, Look::Complete, &rest[n..]),
            End::Early => (body, Look::Truncated, b""),
            End::Refused => panic!("not chunked: {}", rest.escape_ascii()),
        };
    }
    match head.length {
        Some(length) if length <= rest.len() => {
            (rest[..length].to_vec(), Look::Complete, &rest[length..])
        }
        Some(_) => (rest.to_vec(), Look::Truncated, b""),
        None => (rest.to_vec(), Look::UntilClose, b""),
    }
}
