use super::{chunk_size_line, push_decimal, BodyFraming, ConnectionField, ResponseHead};
use super::{BodyLength, StatusCode, Version};

const EMPTY: ResponseHead<'_> = ResponseHead {
    status: StatusCode::OK,
    date: "today",
    framing: BodyFraming::None,
    connection: ConnectionField::None,
    content_type: b"",
    fields: b"",
};

#[test]
fn a_response_head_has_its_fields_in_one_order() {
    let table = [
        (EMPTY, "HTTP/1.1 200 OK\r\nDate: today\r\n\r\n"),
        (
            ResponseHead {
                framing: BodyFraming::Length(12),
                connection: ConnectionField::Close,
                content_type: b"text/html",
                fields: b"A: b\r\nC: d\r\n",
                ..EMPTY
            },
            "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 12\r\nContent-Type: text/html\r\n\
             Connection: close\r\nA: b\r\nC: d\r\n\r\n",
        ),
        (
            ResponseHead {
                framing: BodyFraming::Chunked,
                connection: ConnectionField::KeepAlive { idle_seconds: None },
                ..EMPTY
            },
            "HTTP/1.1 200 OK\r\nDate: today\r\nTransfer-Encoding: chunked\r\n\
             Connection: keep-alive\r\n\r\n",
        ),
        (
            ResponseHead {
                connection: ConnectionField::KeepAlive {
                    idle_seconds: Some(74),
                },
                fields: b"A: b\r\n",
                ..EMPTY
            },
            "HTTP/1.1 200 OK\r\nDate: today\r\nConnection: keep-alive\r\n\
             Keep-Alive: timeout=74\r\nA: b\r\n\r\n",
        ),
        (
            ResponseHead {
                framing: BodyFraming::UntilClose,
                content_type: b"text/html",
                ..EMPTY
            },
            "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Type: text/html\r\n\r\n",
        ),
        // A content type says nothing where there is no content.
        (
            ResponseHead {
                status: StatusCode::NO_CONTENT,
                content_type: b"text/html",
                ..EMPTY
            },
            "HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n",
        ),
        // RFC 9112 §4: the space before an empty reason phrase stands.
        (
            ResponseHead {
                status: StatusCode::from(299),
                ..EMPTY
            },
            "HTTP/1.1 299 \r\nDate: today\r\n\r\n",
        ),
    ];
    for (head, want) in table {
        let mut out = Vec::from("before ");
        head.encode(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!("before {want}"));
    }
}

#[test]
fn the_framing_of_a_body_depends_on_status_length_and_version() {
    use BodyFraming::{Chunked, Length, None, UntilClose};
    use Version::{Http10, Http11};
    let table = [
        (200, BodyLength::Known(0), Http11, Length(0)),
        (200, BodyLength::Known(9), Http10, Length(9)),
        (200, BodyLength::Chunked, Http11, Chunked),
        (200, BodyLength::Chunked, Http10, UntilClose),
        (204, BodyLength::Known(9), Http11, None),
        (304, BodyLength::Chunked, Http10, None),
        (205, BodyLength::Known(9), Http11, Length(0)),
        (205, BodyLength::Chunked, Http11, Length(0)),
    ];
    for (status, body, version, want) in table {
        let got = BodyFraming::of(StatusCode::from(status), body, version);
        assert_eq!(got, want, "{status} {body:?} {version:?}");
    }
}

#[test]
fn a_number_is_pushed_as_format_prints_it() {
    for number in [
        0,
        1,
        9,
        10,
        99,
        100,
        1234,
        10_000_000,
        u64::MAX - 1,
        u64::MAX,
    ] {
        let mut out = Vec::new();
        push_decimal(&mut out, number);
        assert_eq!(out, number.to_string().into_bytes());
    }
}

#[test]
fn a_chunk_size_is_hexadecimal() {
    let table = [
        (1, "1\r\n"),
        (10, "a\r\n"),
        (255, "ff\r\n"),
        (16 * 1024, "4000\r\n"),
    ];
    for (size, want) in table {
        assert_eq!(chunk_size_line(size), want);
    }
}
