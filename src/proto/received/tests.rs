use super::Asked::{self, Head, OtherMethod, Unknown};
use super::Received;

/// The status code, the body, whether it is whole, and what follows.
type Want = (u16, &'static str, bool, &'static str);

fn parse(text: &str, asked: Asked) -> Result<(u16, String, bool, String), &'static str> {
    match Received::parse(text.as_bytes(), asked) {
        Ok((received, rest)) => Ok((
            received.status.as_u16(),
            String::from_utf8(received.body).unwrap(),
            received.is_whole,
            String::from_utf8(rest.to_vec()).unwrap(),
        )),
        Err(refusal) => Err(refusal.reason),
    }
}

#[test]
fn a_response_ends_where_its_head_says() {
    let table: [(&str, &str, Asked, Want); 20] = [
        (
            "a length (RFC 9112 §6.3)",
            "200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP",
            OtherMethod,
            (200, "hello", true, "HTTP"),
        ),
        (
            "no bytes",
            "200 OK\r\nContent-Length: 0\r\n\r\nHTTP",
            OtherMethod,
            (200, "", true, "HTTP"),
        ),
        (
            "no HTTP any more, whatever its head says (RFC 9110 §15.2.2)",
            "101 Switching Protocols\r\nContent-Length: 1\r\n\r\nhello",
            OtherMethod,
            (101, "hello", true, ""),
        ),
        (
            "a body that is cut",
            "200 OK\r\nContent-Length: 5\r\n\r\nhell",
            OtherMethod,
            (200, "hell", false, ""),
        ),
        (
            "chunks",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nHTTP",
            OtherMethod,
            (200, "hello!", true, "HTTP"),
        ),
        (
            "chunks without the last one",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            OtherMethod,
            (200, "hello", false, ""),
        ),
        (
            "a chunk that is cut",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            OtherMethod,
            (200, "hel", false, ""),
        ),
        (
            "the line of a chunk that is cut",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r",
            OtherMethod,
            (200, "", false, ""),
        ),
        (
            "no length: the end of the connection",
            "200 OK\r\nConnection: close\r\n\r\nhello",
            OtherMethod,
            (200, "hello", true, ""),
        ),
        (
            "a response to HEAD (RFC 9110 §9.3.2)",
            "200 OK\r\nContent-Length: 5\r\n\r\nHTTP",
            Head,
            (200, "", true, "HTTP"),
        ),
        (
            "a response to HEAD without a length",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP",
            Head,
            (200, "", true, "HTTP"),
        ),
        (
            "204 (RFC 9110 §15.3.5)",
            "204 No Content\r\n\r\nHTTP",
            OtherMethod,
            (204, "", true, "HTTP"),
        ),
        (
            "304 with the length of what it stands for (RFC 9110 §8.6)",
            "304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP",
            OtherMethod,
            (304, "", true, "HTTP"),
        ),
        (
            "101: what follows is no HTTP",
            "101 Switching Protocols\r\nUpgrade: echo\r\n\r\nhello",
            OtherMethod,
            (101, "hello", true, ""),
        ),
        (
            "a refused request, which was not HEAD",
            "400 Bad Request\r\nContent-Length: 5\r\n\r\nhello",
            Unknown,
            (400, "hello", true, ""),
        ),
        (
            "a refused HEAD",
            "400 Bad Request\r\nContent-Length: 5\r\n\r\n",
            Unknown,
            (400, "", true, ""),
        ),
        (
            "a 100 in front (RFC 9110 §15.2)",
            "100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n!",
            OtherMethod,
            (201, "!", true, ""),
        ),
        (
            "no reason phrase (RFC 9112 §4)",
            "599 \r\nContent-Length: 1\r\n\r\n!",
            OtherMethod,
            (599, "!", true, ""),
        ),
        (
            "field names in any case",
            "200 OK\r\ncontent-LENGTH:1\r\n\r\n!",
            OtherMethod,
            (200, "!", true, ""),
        ),
        (
            "a length beyond what has come, and beyond any memory",
            "200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n!",
            OtherMethod,
            (200, "!", false, ""),
        ),
    ];
    for (reason, text, asked, (status, body, is_whole, rest)) in table {
        let want = (status, String::from(body), is_whole, String::from(rest));
        assert_eq!(
            parse(&format!("HTTP/1.1 {text}"), asked),
            Ok(want),
            "{reason}"
        );
    }
}

#[test]
fn what_is_not_exactly_a_response_is_refused() {
    let line = "the status line is not `HTTP/1.1 100 to 599 reason`";
    let no_end = "the head of a response has no end";
    let twice = "a field that may come once comes twice";
    let coding = "the coding is not chunked, or there is a length as well";
    let table = [
        ("", no_end),
        ("HTTP/1.1 200 OK", no_end),
        ("HTTP/1.1 200 OK\r\n", no_end),
        ("HTTP/1.1 200 OK\r\nDate: x\r\n\r", no_end),
        ("HTTP/1.1 100 Continue\r\n\r\n", no_end),
        ("HTTP/1.0 200 OK\r\n\r\n", line),
        ("http/1.1 200 OK\r\n\r\n", line),
        ("HTTP/1.1  200 OK\r\n\r\n", line),
        ("HTTP/1.1 200\r\n\r\n", line),
        ("HTTP/1.1 2000 OK\r\n\r\n", line),
        ("HTTP/1.1 20 OK\r\n\r\n", line),
        ("HTTP/1.1 099 OK\r\n\r\n", line),
        ("HTTP/1.1 600 OK\r\n\r\n", line),
        ("\r\n\r\n", line),
        (
            "HTTP/1.1 200 OK\nDate: x\r\n\r\n",
            "a line that ends with LF instead of CRLF",
        ),
        (
            "HTTP/1.1 200 OK\r\nDate : x\r\n\r\n",
            "a field line that is not `name: value`",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n!",
            twice,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n!",
            "the Content-Length is not a number",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            coding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            coding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
            "a chunk's line is not `1 to 16 hex digits;name=value`",
        ),
    ];
    for (text, reason) in table {
        assert_eq!(parse(text, OtherMethod), Err(reason), "{text:?}");
    }
}

#[test]
fn the_headers_are_those_of_the_last_head() {
    let text =
        "HTTP/1.1 100 Continue\r\nA: 1\r\n\r\nHTTP/1.1 204 No Content\r\nB: 2\r\nb: 3\r\n\r\n";
    let (received, _) = Received::parse(text.as_bytes(), OtherMethod).unwrap();
    let headers: Vec<_> = received.headers.iter().collect();
    assert_eq!(headers, [("B", &b"2"[..]), ("b", b"3")]);
}
