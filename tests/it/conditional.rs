//! Conditional responses and ranges: what leaves, and with which headers. Which condition leads to
//! what is tested in `src/proto/conditional/tests.rs`.

use crate::support::client::{Answer, Client};
use crate::support::dialogue::dialogue;
use crate::support::server::{observed, serve};
use crate::support::temp_file::TempFile;
use hardstop::{Error, Response, Running, Server};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sends a request with these fields, each with its line end, over a kept-alive connection.
pub(super) fn ask(client: &mut Client, line: &str, fields: &str) -> Answer {
    client.say(&format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    if line.starts_with("HEAD") {
        client.head_response()
    } else {
        client.response()
    }
}

/// Asserts that the answer has this header, or none of this name.
pub(super) fn assert_header(answer: &Answer, name: &str, want: Option<&str>) {
    let prefix = format!("\n{}:", name.to_lowercase());
    let count = answer.head.to_lowercase().matches(&prefix).count();
    assert!(count <= 1, "{name} is there twice: {}", answer.head);
    assert_eq!(
        answer.header(name).as_deref(),
        want,
        "{name} in {}",
        answer.head
    );
}

/// A file that was last modified at that time.
pub(super) fn file_of(name: &str, bytes: &[u8], modified: SystemTime) -> TempFile {
    let file = TempFile::new(name, bytes);
    let opened = File::options().write(true).open(&file.0).unwrap();
    opened.set_modified(modified).unwrap();
    file
}

pub(super) fn seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A server that sends a file, with its conditions and ranges.
pub(super) fn serve_file(path: PathBuf) -> Running {
    serve(move |req| {
        let response = Response::file(File::open(&path)?)?;
        Ok::<_, Error>(response.conditional(req))
    })
}

#[test]
fn a_download_of_a_file_is_resumed() {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let file = file_of("resumed", &bytes, seconds(784_111_777));
    let server = serve_file(file.0.clone());
    let mut client = Client::connect(server.local_addr());
    let whole = ask(&mut client, "GET /", "");
    let tag = whole.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    assert!(whole.body == bytes);
    let same_version = format!("If-Range: {tag}\r\n");
    let table = [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, 299_000),
        ("bytes=100000-100009", 100_000, 10),
        ("bytes=299999-", 299_999, 1),
        ("bytes=-5", 299_995, 5),
        ("bytes=0-", 0, 300_000),
        ("bytes=131072-262143", 131_072, 131_072),
    ];
    for (range, first, length) in table {
        for condition in [
            "",
            &same_version,
            "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        ] {
            let fields = format!("Range: {range}\r\n{condition}");
            let part = ask(&mut client, "GET /", &fields);
            assert_eq!(part.status, 206, "{fields}");
            assert!(part.body == bytes[first..first + length], "{fields}");
            let last = first + length - 1;
            let content_range = format!("bytes {first}-{last}/300000");
            assert_header(&part, "Content-Range", Some(&content_range));
            assert_header(&part, "Content-Length", Some(&length.to_string()));
            for name in [
                "ETag",
                "Last-Modified",
                "Accept-Ranges",
                "Content-Type",
                "Connection",
            ] {
                let want = whole.header(name); // RFC 9110 §15.3.7: what the 200 would have
                assert_header(&part, name, want.as_deref());
            }
        }
    }
    for fields in [
        "Range: bytes=5-\r\nIf-Range: \"another\"\r\n",
        "Range: bytes=0-1,3-4\r\n",
    ] {
        let answer = ask(&mut client, "GET /", fields);
        assert_eq!(answer.status, 200, "{fields}");
        assert!(answer.body == bytes, "{fields}");
        assert_header(&answer, "Content-Range", None);
    }
    let head = ask(&mut client, "HEAD /", "Range: bytes=5-\r\n");
    assert_eq!(head.status, 200);
    for name in [
        "Content-Length",
        "ETag",
        "Last-Modified",
        "Accept-Ranges",
        "Content-Type",
    ] {
        assert_header(&head, name, whole.header(name).as_deref());
    }
    client.say("GET / HTTP/1.0\r\nRange: bytes=-5\r\n\r\n");
    let part = client.response();
    assert_eq!((part.status, &part.body[..]), (206, &bytes[299_995..]));
}

#[test]
fn a_part_of_bytes_in_memory_is_sent() {
    type Make = fn() -> Response;
    let table: [Make; 4] = [
        || Response::bytes("a/b", &b"0123456789"[..]),
        || Response::bytes("a/b", b"0123456789".to_vec()),
        || Response::text("0123456789"),
        || Response::json(String::from("0123456789")),
    ];
    for make in table {
        let server = serve(move |req| make().conditional(req));
        let mut client = Client::connect(server.local_addr());
        let whole = ask(&mut client, "GET /", "");
        let tag = whole.header("etag").unwrap();
        assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
        assert_header(&whole, "Accept-Ranges", Some("bytes"));
        assert_header(&whole, "Last-Modified", None);
        for (range, text, content_range) in [
            ("0-3", "0123", "bytes 0-3/10"),
            ("4-", "456789", "bytes 4-9/10"),
            ("-1", "9", "bytes 9-9/10"),
        ] {
            let fields = format!("Range: bytes={range}\r\nIf-Range: {tag}\r\n");
            let part = ask(&mut client, "GET /", &fields);
            assert_eq!((part.status, part.text().as_str()), (206, text), "{range}");
            assert_header(&part, "Content-Range", Some(content_range));
            assert_header(&part, "ETag", Some(&tag));
        }
        let fields = format!("If-None-Match: {tag}\r\n");
        assert_eq!(ask(&mut client, "GET /", &fields).status, 304);
        assert_eq!(ask(&mut client, "HEAD /", &fields).status, 304);
        let nothing = ask(&mut client, "GET /", "Range: bytes=10-\r\n");
        assert_eq!((nothing.status, nothing.text().as_str()), (416, ""));
        assert_header(&nothing, "Content-Type", None);
    }
    // A body without bytes has no part.
    let server = serve(|req| Response::text("").conditional(req));
    let answer = ask(
        &mut Client::connect(server.local_addr()),
        "GET /",
        "Range: bytes=0-\r\n",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[test]
fn a_stream_whose_client_has_it_is_not_run() {
    let server = serve(|req| {
        let response = Response::stream(|_| panic!("it is run"));
        response.with_header("ETag", "\"v1\"").conditional(req)
    });
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        assert_eq!(
            ask(&mut client, "GET /", "If-None-Match: \"v1\"\r\n").status,
            304
        );
        assert_eq!(
            ask(&mut client, "GET /", "If-Match: \"v2\"\r\n").status,
            412
        );
    }
}

#[test]
fn each_outcome_has_the_headers_that_belong_to_it() {
    let server = serve(|req| {
        let response = Response::bytes("video/mp4", &b"0123456789"[..])
            .with_header("Cache-Control", "max-age=60")
            .with_header("Content-Disposition", "attachment")
            .with_header("Content-Encoding", "x")
            .with_header("Content-Language", "en")
            .with_header("Content-Location", "/a")
            .with_header("Content-Security-Policy", "sandbox")
            .with_header("ETag", "\"v1\"")
            .with_header("Expires", "0")
            .with_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            .with_header("Set-Cookie", "a=b")
            .with_header("Vary", "Accept");
        response
            .conditional(req)
            .with_header("After", "the call")
            .with_header("Content-Type", "video/webm")
    });
    let mut client = Client::connect(server.local_addr());
    // The statuses of the outcomes that have the header, for each header.
    let table: [(&str, &str, &[u16]); 17] = [
        ("Accept-Ranges", "bytes", &[200, 206, 304, 412, 416]),
        ("After", "the call", &[200, 206, 304, 412, 416]),
        ("Cache-Control", "max-age=60", &[200, 206, 304]),
        ("Content-Disposition", "attachment", &[200, 206]),
        ("Content-Encoding", "x", &[200, 206]),
        ("Content-Language", "en", &[200, 206]),
        ("Content-Location", "/a", &[200, 206, 304]),
        (
            "Content-Security-Policy",
            "sandbox",
            &[200, 206, 304, 412, 416],
        ),
        ("Content-Type", "video/webm", &[200, 206, 412, 416]),
        ("ETag", "\"v1\"", &[200, 206, 304]),
        ("Expires", "0", &[200, 206, 304]),
        (
            "Last-Modified",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            &[200, 206, 304],
        ),
        ("Set-Cookie", "a=b", &[200, 206, 304, 412, 416]),
        ("Vary", "Accept", &[200, 206, 304, 412, 416]),
        ("Content-Range", "bytes 2-4/10", &[206]),
        ("Content-Length", "3", &[206]),
        ("Transfer-Encoding", "chunked", &[]),
    ];
    let outcomes = [
        ("", 200, "0123456789"),
        ("Range: bytes=2-4\r\n", 206, "234"),
        ("If-None-Match: \"v1\"\r\n", 304, ""),
        ("If-Match: \"v2\"\r\n", 412, ""),
        ("Range: bytes=10-\r\n", 416, ""),
    ];
    for (fields, status, text) in outcomes {
        let answer = ask(&mut client, "GET /", fields);
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
        for (name, value, statuses) in table {
            let got = answer.header(name);
            if statuses.contains(&status) {
                assert_header(&answer, name, Some(value));
            } else {
                assert_ne!(got.as_deref(), Some(value), "{name} of {status}");
            }
        }
        match status {
            304 => assert_header(&answer, "Content-Length", None),
            412 => assert_header(&answer, "Content-Length", Some("0")),
            416 => assert_header(&answer, "Content-Range", Some("bytes */10")),
            _ => {}
        }
    }
}

#[test]
fn only_a_successful_get_or_head_is_conditional() {
    let server = serve(|req| {
        let status = req.query().unwrap_or("200").parse::<u16>().unwrap();
        let response = Response::text("0123456789").with_status(status);
        response.conditional(req)
    });
    let mut client = Client::connect(server.local_addr());
    let fields = "If-None-Match: *\r\nRange: bytes=1-2\r\n";
    let table = [
        ("POST /", 200),
        ("PUT /", 200),
        ("get /", 200),
        ("GET /?404", 404),
        ("GET /?201", 201),
        ("GET /?206", 206),
    ];
    for (line, status) in table {
        let answer = ask(&mut client, line, fields);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, "0123456789"),
            "{line}"
        );
        for name in ["ETag", "Accept-Ranges", "Content-Range"] {
            assert_header(&answer, name, None);
        }
    }
    assert_eq!(ask(&mut client, "GET /", fields).status, 304);
    assert_eq!(ask(&mut client, "HEAD /", fields).status, 304);
}

#[test]
fn an_invalid_header_is_refused_whatever_the_condition() {
    let server = serve(|req| Response::text("").with_header("A", "\n").conditional(req));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(
        ask(&mut client, "GET /", "If-None-Match: *\r\n").status,
        500
    );
}

#[test]
fn an_own_accept_ranges_turns_ranges_off() {
    let server = serve(|req| {
        let response = Response::text("0123456789").with_header("Accept-Ranges", "none");
        response.conditional(req)
    });
    let mut client = Client::connect(server.local_addr());
    let answer = ask(&mut client, "GET /", "Range: bytes=1-2\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    assert_header(&answer, "Accept-Ranges", Some("none"));
    assert_eq!(
        ask(&mut client, "GET /", "If-None-Match: *\r\n").status,
        304
    );
}

#[test]
fn a_file_that_shrinks_cuts_its_part() {
    let file = file_of("part-shrinks", &vec![b'a'; 300_000], seconds(784_111_777));
    let path = file.0.clone();
    let (server, events) = observed(Server::builder(), move |req| {
        let response = Response::file(File::open(&path)?)?.conditional(req);
        File::options().write(true).open(&path)?.set_len(200_000)?;
        Ok::<_, Error>(response)
    });
    let fields = "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=100000-\r\n\r\n";
    let said = dialogue(server.local_addr(), fields);
    assert!(said.starts_with("HTTP/1.1 206 "), "{said}");
    assert!(said.contains("\r\nContent-Length: 200000\r\n"), "{said}");
    let (_, sent) = said.split_once("\r\n\r\n").unwrap();
    assert!(sent == "a".repeat(100_000), "it is not what was there");
    assert!(events
        .take_failure()
        .starts_with("the response's reader ended"));
}
