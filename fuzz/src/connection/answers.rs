//! Parses a server's output as a strict client does.

use super::handler::Call;
use crate::naive::{self, control, find, is_token, End};

#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the response has `Connection: close`.
    pub(super) closes: bool,
    /// Whether the response has `Connection: keep-alive`.
    pub(super) stays: bool,
    /// Whether the body is complete. A body that ends with the connection counts as complete.
    pub(super) is_whole: bool,
    pub(super) may_be_cut: bool,
    /// The head without its date.
    head: String,
    pub(super) body: Vec<u8>,
}

/// Reads a response to each of these calls, and at most one more. Panics on any other output.
pub(super) fn answers(mut output: &[u8], calls: &[Call]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !output.is_empty() {
        let call = calls.get(answers.len());
        if let Some(rest) = output.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            assert!(
                call.is_some_and(Call::expects_continue),
                "the client does not expect a 100"
            );
            output = rest;
            assert!(output.starts_with(b"HTTP/1.1 ") && !output[9..].starts_with(b"1"));
        }
        let (answer, rest) = answer(output, call);
        assert!(
            call.is_some() || rest.is_empty(),
            "there is output after a refusal"
        );
        answers.push(answer);
        output = rest;
    }
    assert!(answers.len() >= calls.len(), "a call has no response");
    answers
}

fn answer<'a>(output: &'a [u8], call: Option<&Call>) -> (Answer, &'a [u8]) {
    let end = find(output, b"\r\n\r\n").expect("a head is incomplete");
    let (head, rest) = (&output[..end], &output[end + 4..]);
    let head = String::from_utf8(head.to_vec()).expect("a head is not UTF-8");
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap();
    let status = first.strip_prefix("HTTP/1.1 ").expect(first);
    let (status, reason) = status
        .split_once(' ')
        .expect("a space after the status code");
    assert!(!reason.bytes().any(|byte| control(&byte)));
    assert_eq!(status.len(), 3);
    let status: u16 = status.parse().unwrap();
    assert!((200..600).contains(&status));
    let mut kept = String::from(first);
    let (mut dates, mut length, mut options, mut chunked) = (0, None, Vec::new(), false);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        assert!(is_token(name.as_bytes()) && !value.bytes().any(|byte| control(&byte)));
        match name {
            "Date" => dates += 1,
            "Content-Length" => {
                assert!(length.is_none(), "two lengths");
                length = Some(value.parse::<usize>().unwrap());
            }
            "Transfer-Encoding" => {
                assert!(value == "chunked" && !chunked, "{head}");
                chunked = true;
            }
            "Connection" => options.push(value),
            _ => {}
        }
        if name != "Date" {
            kept = kept + "\n" + line;
        }
    }
    assert_eq!(dates, 1, "{head}");
    assert!(length.is_none() || !chunked, "{head}");
    let said = |option: &str| options.iter().filter(|it| **it == option).count();
    let (closes, stays) = (said("close") == 1, said("keep-alive") == 1);
    let upgrades = usize::from(head.contains("\r\nUpgrade: "));
    assert_eq!(said("upgrade"), upgrades, "{head}");
    assert_eq!(
        options.len(),
        usize::from(closes || stays) + upgrades,
        "{head}"
    );

    assert!(
        !chunked || call.is_some_and(|call| call.minor > 0),
        "{head}"
    );
    let (mut is_whole, mut may_be_cut) = (true, false);
    // The method of a refused request is not known here, so it may have been HEAD.
    let has_none = match call {
        Some(call) => call.method == "HEAD" || status == 204 || status == 304,
        None => rest.is_empty(),
    };
    let (body, rest) = if has_none {
        let allowed = !(status == 204 || status == 304) || (length.is_none() && !chunked);
        assert!(allowed, "{head}");
        (Vec::new(), rest)
    } else if chunked {
        let (body, end) = naive::chunked(rest);
        match end {
            End::Whole(n) => (body, &rest[n..]),
            End::Early => {
                (is_whole, may_be_cut) = (false, true);
                (body, &b""[..])
            }
            End::Refused => panic!("not chunked: {}", rest.escape_ascii()),
        }
    } else if let Some(length) = length {
        is_whole = length <= rest.len();
        may_be_cut = !is_whole;
        let (body, rest) = rest.split_at(length.min(rest.len()));
        (body.to_vec(), rest)
    } else {
        assert!(closes, "only the connection's end ends the body: {head}");
        may_be_cut = true;
        (rest.to_vec(), &b""[..])
    };
    let answer = Answer {
        status,
        closes,
        stays,
        is_whole,
        may_be_cut,
        head: kept,
        body,
    };
    (answer, rest)
}
