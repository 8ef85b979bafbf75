use super::super::status::StatusCode;
use super::{Head, HeadLimits, Refusal};

type Parsed = Result<Option<usize>, Refusal>;

fn empty() -> Head {
    Head::default()
}

fn parse_within(head: &mut Head, text: &[u8], bytes: usize, fields: usize) -> Parsed {
    let https = false;
    head.parse(
        text,
        HeadLimits {
            bytes,
            fields,
            https,
        },
    )
}

/// Parses with the limits of a server's default settings.
fn parse(head: &mut Head, bytes: &[u8]) -> Parsed {
    parse_within(head, bytes, 16 * 1024, 100)
}

/// Returns all that a head says, or the reason of the refusal.
fn outcome(head: &Head, parsed: Parsed) -> String {
    match parsed {
        Ok(Some(used)) => {
            let query = head.query();
            let (method, target, path) = (&head.method, &head.target, &head.path);
            let text = |(name, value)| format!("{name:?}: {:?}", String::from_utf8_lossy(value));
            let headers: Vec<String> = head.headers.iter().map(text).collect();
            let (version, headers) = (head.version, headers.join(", "));
            format!("{used}: {method} {target} {path} {query:?} {version:?} {{{headers}}}")
        }
        Ok(None) => String::from("read more"),
        Err(refusal) => format!("{}: {}", refusal.status.as_u16(), refusal.reason),
    }
}

const TABLE: [(&[u8], &str); 63] = [
    (b"GET / HTTP/1.1\r\n\r\n", "18: GET / / None Http11 {}"),
    (b"GET / HTTP/1.0\r\n\r\n", "18: GET / / None Http10 {}"),
    (b"GET / HTTP/1.7\r\n\r\n", "18: GET / / None Http11 {}"),
    (b"\r\nGET / HTTP/1.1\r\n\r\n", "20: GET / / None Http11 {}"),
    (
        b"PUT /a%20b?c=%20 HTTP/1.1\r\nHost: x\r\nA:b\r\na:\t c\t \r\n\r\nbody",
        "52: PUT /a%20b?c=%20 /a b Some(\"c=%20\") Http11 \
         {\"Host\": \"x\", \"A\": \"b\", \"a\": \"c\"}",
    ),
    (
        b"GET http://a:1/b HTTP/1.1\r\n\r\n",
        "29: GET http://a:1/b /b None Http11 {}",
    ),
    (
        b"GET http://a HTTP/1.1\r\n\r\n",
        "25: GET http://a / None Http11 {}",
    ),
    (
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        "22: OPTIONS * * None Http11 {}",
    ),
    (
        b"GET / HTTP/1.1\r\nA:\r\n\r\n",
        "22: GET / / None Http11 {\"A\": \"\"}",
    ),
    (
        b"GET / HTTP/1.1\r\nA: \xff\r\n\r\n",
        "24: GET / / None Http11 {\"A\": \"\u{fffd}\"}",
    ),
    (b"", "read more"),
    (b"\r", "read more"),
    (b"GET / HTTP/1.1", "read more"),
    (b"GET / HTTP/1.1\r", "read more"),
    (b"GET / HTTP/1.1\r\n", "read more"),
    (b"GET / HTTP/1.1\r\nA: b\r\n\r", "read more"),
    (b"\r\n\r\n", "400: empty lines before the request line"),
    (b"\n", "read more"),
    (b"\nGET / HTTP/1.1\r\n\r\n", "19: GET / / None Http11 {}"),
    (b"\n\r\n", "400: empty lines before the request line"),
    (b"\n\n", "400: a line that ends with LF instead of CRLF"),
    (b"\r\n\n", "400: a line that ends with LF instead of CRLF"),
    (b"\n\rG", "400: a CR without its LF"),
    (
        b"GET / HTTP/1.1\n",
        "400: a line that ends with LF instead of CRLF",
    ),
    (
        b"GET / HTTP/1.1\r\nA: b\n",
        "400: a line that ends with LF instead of CRLF",
    ),
    (b"GET / HTTP/1.1\r\r\n", "400: a CR without its LF"),
    (b"GET / HTTP/1.1\r\nA: b\rC", "400: a CR without its LF"),
    (b"GET /\0", "400: a control byte in a line"),
    (b"\x16\x03\x01", "400: a control byte in a line"),
    (
        b"GET / HTTP/1.1\r\nA: \x7f",
        "400: a control byte in a line",
    ),
    (
        b"GET /\r\n",
        "400: the request line is not `method target version`",
    ),
    (
        b"GET\r\n",
        "400: the request line is not `method target version`",
    ),
    (
        b"GET  / HTTP/1.1\r\n",
        "400: the request line is not `method target version`",
    ),
    (
        b"GET / HTTP/1.1 \r\n",
        "400: the version is not `HTTP/` and two digits",
    ),
    (
        b"GET /\xff HTTP/1.1\r\n",
        "400: the request line is not UTF-8",
    ),
    (
        b"GET /?\xff HTTP/1.1\r\n",
        "400: the request line is not UTF-8",
    ),
    (b" / HTTP/1.1\r\n", "400: the method is not a token"),
    (b"G@T / HTTP/1.1\r\n", "400: the method is not a token"),
    (
        b"GET / HTTP/11\r\n",
        "400: the version is not `HTTP/` and two digits",
    ),
    (
        b"GET / HTTP/+.1\r\n",
        "400: the version is not `HTTP/` and two digits",
    ),
    (
        b"GET / HTTP/2.0\r\n",
        "505: only HTTP/1.1 and HTTP/1.0 are served",
    ),
    (b"CONNECT a:1 HTTP/1.1\r\n", "501: this is no proxy"),
    (b"CONNECT / HTTP/1.1\r\n", "501: this is no proxy"),
    (
        b"connect / HTTP/1.1\r\n\r\n",
        "22: connect / / None Http11 {}",
    ),
    (
        b"GET / HTTP/1.1\r\nA: b\tc\x80\r\n\r\n",
        "27: GET / / None Http11 {\"A\": \"b\\tc\u{fffd}\"}",
    ),
    (
        b"GET / HTTP/1.1\r\nA: \t\x1f",
        "400: a control byte in a line",
    ),
    (b"GET /\x7f HTTP/1.1\r\n", "400: a control byte in a line"),
    (b"OPTIONS ** HTTP/1.1\r\n", "400: the target is not a path"),
    (
        b"GET http://a* HTTP/1.1\r\n\r\n",
        "26: GET http://a* / None Http11 {}",
    ),
    (b"GET a HTTP/1.1\r\n", "400: the target is not a path"),
    (b"GET * HTTP/1.1\r\n", "400: the target is not a path"),
    (
        b"GET http:///a HTTP/1.1\r\n",
        "400: the target's authority is not `host[:port]`",
    ),
    (
        b"GET http://a@b/ HTTP/1.1\r\n",
        "400: the target's authority is not `host[:port]`",
    ),
    (
        b"GET /%2 HTTP/1.1\r\n",
        "400: a byte in the path (perhaps a `%`) is not encoded",
    ),
    (
        b"GET /a#b HTTP/1.1\r\n",
        "400: a byte in the path (perhaps a `%`) is not encoded",
    ),
    (
        b"GET /?%\"\xc3\xa9 HTTP/1.1\r\n\r\n",
        "23: GET /?%\"\u{e9} / Some(\"%\\\"\u{e9}\") Http11 {}",
    ),
    (
        b"GET /?a#b HTTP/1.1\r\n",
        "400: a control or a `#` in the query is not encoded",
    ),
    (
        b"GET /?\xc2\x9b HTTP/1.1\r\n",
        "400: a control or a `#` in the query is not encoded",
    ),
    (
        b"GET /?\t HTTP/1.1\r\n",
        "400: a control or a `#` in the query is not encoded",
    ),
    (
        b"GET / HTTP/1.1\r\n A: b\r\n",
        "400: a field line that is not `name: value`",
    ),
    (
        b"GET / HTTP/1.1\r\nA : b\r\n",
        "400: a field line that is not `name: value`",
    ),
    (
        b"GET / HTTP/1.1\r\n: b\r\n",
        "400: a field line that is not `name: value`",
    ),
    (
        b"GET / HTTP/1.1\r\nA\r\n",
        "400: a field line that is not `name: value`",
    ),
];

#[test]
fn a_head_is_parsed_or_refused_with_a_reason() {
    for (bytes, want) in TABLE {
        let mut head = empty();
        let parsed = parse(&mut head, bytes);
        assert_eq!(outcome(&head, parsed), want, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_head_parses_the_same_in_any_pieces() {
    for (bytes, want) in TABLE {
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut head = empty();
                let ends = [first, second, bytes.len()];
                let mut parses = ends.iter().map(|&end| parse(&mut head, &bytes[..end]));
                // As a connection does: again with more bytes until there is a result.
                let parsed = parses.find(|parsed| !matches!(parsed, Ok(None)));
                drop(parses);
                let got = outcome(&head, parsed.unwrap_or(Ok(None)));
                assert_eq!(got, want, "{first}, {second} of {}", bytes.escape_ascii());
            }
        }
    }
}

#[test]
fn a_cleared_head_keeps_nothing_of_the_one_before() {
    let large = [
        b"GET /a HTTP/1.0\r\nA: ",
        &b"b".repeat(2000)[..],
        b"\r\n\r\n",
    ]
    .concat();
    let former: [&[u8]; 5] = [
        b"PUT /a%20b?c HTTP/1.0\r\nA: b\r\n\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\nC: longer than a request line",
        b"\r\n",
        &large,
    ];
    for bytes in former {
        let mut head = empty();
        let _ = parse(&mut head, bytes); // all that counts is what it leaves behind
        head.clear();
        let parsed = parse(&mut head, b"GET / HTTP/1.1\r\n\r\n");
        let want = "18: GET / / None Http11 {}";
        assert_eq!(outcome(&head, parsed), want, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_cleared_head_keeps_little_memory() {
    let mut head = empty();
    parse(&mut head, b"GET / HTTP/1.1\r\nA: b\r\n\r\n").unwrap();
    head.clear();
    assert!(head.headers.capacity() > 0);
    let large = [
        b"GET / HTTP/1.1\r\nA: ",
        &b"b".repeat(2000)[..],
        b"\r\n\r\n",
    ]
    .concat();
    parse(&mut head, &large).unwrap();
    head.clear();
    assert_eq!(head.headers.capacity(), 0);
}

#[test]
fn heads_of_about_the_same_length_share_their_memory() {
    let mut head = empty();
    for length in 900..920 {
        let value = "b".repeat(length);
        let text = format!("GET / HTTP/1.1\r\nA: {value}\r\n\r\n");
        parse(&mut head, text.as_bytes()).unwrap();
        head.clear();
        assert!(head.headers.capacity() > 0, "{length}");
    }
}

#[test]
fn an_https_target_is_accepted_only_where_https_is_served() {
    let text = b"GET https://a/b HTTP/1.1\r\n\r\n";
    for (https, want) in [
        (true, "28: GET https://a/b /b None Http11 {}"),
        (false, "421: https is not served here"),
    ] {
        let mut head = empty();
        let limits = HeadLimits {
            bytes: 1024,
            fields: 100,
            https,
        };
        let parsed = head.parse(text, limits);
        assert_eq!(outcome(&head, parsed), want);
    }
}

#[test]
fn the_limits_of_a_head_are_exact() {
    let text = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
    let parsed = |bytes, fields| {
        let parsed = parse_within(&mut empty(), text, bytes, fields);
        parsed.map_err(|refusal| refusal.status.as_u16())
    };
    let table = [
        (text.len(), 2, Ok(Some(text.len())), "exactly"),
        (text.len() - 1, 2, Err(431), "a byte too many"),
        (16, 2, Err(431), "only the request line fits"),
        (15, 2, Err(414), "the request line does not fit"),
        (text.len(), 1, Err(431), "a field too many"),
    ];
    for (bytes, fields, want, why) in table {
        assert_eq!(parsed(bytes, fields), want, "{why}");
    }
    let endless = [
        ("a", StatusCode::BAD_REQUEST),
        ("a /", StatusCode::URI_TOO_LONG),
    ];
    for (start, want) in endless {
        let text = (String::from(start) + &"a".repeat(200)).into_bytes();
        let refusal = parse_within(&mut empty(), &text[..100], 100, 2).unwrap_err();
        assert_eq!(refusal.status, want, "{start:?}");
        let more = parse_within(&mut empty(), &text[..99], 100, 2);
        assert!(matches!(more, Ok(None)), "{more:?}");
    }
}
