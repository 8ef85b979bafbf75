//! Conditional responses and ranges: what leaves, and with which headers. Which condition leads to
//! what is tested in `src/proto/conditional/tests.rs`.

use super::files::TempFile;
use super::*;
use crate::support::client::Answer;
use hardstop::http_date;

/// Sends a request with these fields, each with its line end, over a kept-alive connection.
fn ask(client: &mut Client, line: &str, fields: &str) -> Answer {
    client.say(&format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    if line.starts_with("HEAD") {
        client.head_response()
    } else {
        client.response()
    }
}

/// Asserts that the answer has this header, or none of this name.
fn assert_header(answer: &Answer, name: &str, want: Option<&str>) {
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
fn file_of(name: &str, bytes: &[u8], modified: SystemTime) -> TempFile {
    let file = TempFile::new(name, bytes);
    let opened = File::options().write(true).open(&file.0).unwrap();
    opened.set_modified(modified).unwrap();
    file
}

fn seconds(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A server that sends a file, with its conditions and ranges.
fn serve_file(path: PathBuf) -> Running {
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
fn bytes_have_the_tag_of_their_content() {
    let server = serve(|req| {
        let text = String::from(req.query().unwrap_or_default());
        Response::text(text).conditional(req)
    });
    let mut client = Client::connect(server.local_addr());
    let mut tag = |text: &str| ask(&mut client, &format!("GET /?{text}"), "").header("etag");
    assert_eq!(tag("abc"), tag("abc"));
    let tags = [tag(""), tag("a"), tag("b"), tag("aa"), tag("ab"), tag("ba")];
    for (position, each) in tags.iter().enumerate() {
        assert!(each.is_some());
        assert!(!tags[..position].contains(each), "{tags:?}");
    }
}

#[test]
fn validators_of_the_handler_are_used_instead_of_made_ones() {
    let file = file_of("own", b"0123456789", seconds(1_000_000_000));
    let path = file.0.clone();
    let server = serve(move |req| {
        let response = match req.path() {
            "/file" => Response::file(File::open(&path)?)?,
            "/stream" => Response::stream(|body| body.write_all(b"0123456789")),
            _ => Response::text("0123456789"),
        };
        let response = response
            .with_header("etag", "\"own\"")
            .with_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        Ok::<_, Error>(response.conditional(req))
    });
    let mut client = Client::connect(server.local_addr());
    let table = [
        ("", 200, 200),
        ("If-None-Match: \"own\"\r\n", 304, 304),
        ("If-None-Match: \"other\"\r\n", 200, 200),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            304,
            304,
        ),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
            200,
            200,
        ),
        ("If-Match: \"other\"\r\n", 412, 412),
        ("Range: bytes=1-2\r\nIf-Range: \"own\"\r\n", 206, 200),
        ("Range: bytes=1-2\r\nIf-Range: \"other\"\r\n", 200, 200),
        ("Range: bytes=10-\r\n", 416, 200),
    ];
    for (fields, status, status_of_stream) in table {
        for (path, want) in [
            ("/file", status),
            ("/text", status),
            ("/stream", status_of_stream),
        ] {
            let answer = ask(&mut client, &format!("GET {path}"), fields);
            assert_eq!(answer.status, want, "{path} {fields}");
            if [200, 206, 304].contains(&want) {
                assert_header(&answer, "ETag", Some("\"own\""));
                assert_header(
                    &answer,
                    "Last-Modified",
                    Some("Sun, 06 Nov 1994 08:49:37 GMT"),
                );
            }
        }
    }
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
        ("Content-Disposition", "attachment", &[200, 206, 304]),
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
fn ranges_of_a_file_begin_at_its_position() {
    let file = file_of("position", b"0123456789", seconds(784_111_777));
    let path = file.0.clone();
    let server = serve(move |req| {
        let mut opened = File::open(&path)?;
        let position = req.query().unwrap_or("0").parse().unwrap();
        opened.seek(SeekFrom::Start(position))?;
        Ok::<_, Error>(Response::file(opened)?.conditional(req))
    });
    let mut client = Client::connect(server.local_addr());
    let table = [
        ("/?4", "bytes=1-2", 206, "56", Some("bytes 1-2/6")),
        ("/?4", "bytes=0-", 206, "456789", Some("bytes 0-5/6")),
        ("/?4", "bytes=-1", 206, "9", Some("bytes 5-5/6")),
        ("/?4", "bytes=6-", 416, "", Some("bytes */6")),
        ("/?20", "bytes=0-", 200, "", None),
    ];
    for (path, range, status, text, content_range) in table {
        let answer = ask(
            &mut client,
            &format!("GET {path}"),
            &format!("Range: {range}\r\n"),
        );
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{path} {range}"
        );
        assert_header(&answer, "Content-Range", content_range);
    }
    let tag = ask(&mut client, "GET /?4", "").header("etag");
    assert_ne!(
        tag,
        ask(&mut client, "GET /?0", "").header("etag"),
        "another content"
    );
}

#[test]
fn a_file_that_has_just_been_modified_has_a_weak_tag() {
    let now = SystemTime::now();
    let old = now - Duration::from_secs(10);
    let file = file_of("new", b"0123456789", now);
    let server = serve_file(file.0.clone());
    let mut client = Client::connect(server.local_addr());
    let set_modified = |time| {
        let opened = File::options().write(true).open(&file.0).unwrap();
        opened.set_modified(time).unwrap();
    };
    set_modified(now + Duration::from_secs(3600));
    let future = ask(&mut client, "GET /", "");
    let tag = future.header("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    // RFC 9110 §8.8.2.1: the date is not in the future.
    let sent = [0, 1, 2, 3, 4, 5].map(|late| http_date(now + Duration::from_secs(late)));
    assert!(sent.contains(&future.header("last-modified").unwrap()));
    let if_range = |validator: &str| format!("Range: bytes=1-\r\nIf-Range: {validator}\r\n");
    assert_eq!(
        ask(&mut client, "GET /", &format!("If-None-Match: {tag}\r\n")).status,
        304
    );
    assert_eq!(
        ask(&mut client, "GET /", &format!("If-Match: {tag}\r\n")).status,
        412
    );
    assert_eq!(ask(&mut client, "GET /", &if_range(&tag)).status, 200);
    assert_eq!(ask(&mut client, "GET /", "Range: bytes=1-\r\n").status, 206);

    set_modified(old);
    let settled = ask(&mut client, "GET /", "");
    let tag = settled.header("etag").unwrap();
    assert!(tag.starts_with('"'), "{tag}");
    assert_header(&settled, "Last-Modified", Some(&http_date(old)));
    assert_eq!(ask(&mut client, "GET /", &if_range(&tag)).status, 206);
    assert_eq!(
        ask(&mut client, "GET /", &if_range(&http_date(old))).status,
        206
    );
}

#[test]
fn a_new_version_of_a_file_has_another_tag() {
    let file = file_of("versions", b"0123456789", seconds(784_111_777));
    let server = serve_file(file.0.clone());
    let mut client = Client::connect(server.local_addr());
    let first = ask(&mut client, "GET /", "").header("etag").unwrap();
    let versions: [(&[u8], Duration); 3] = [
        (b"9876543210", Duration::from_secs(784_111_778)),
        (b"9876543210", Duration::new(784_111_777, 100)),
        (b"01234567890", Duration::from_secs(784_111_777)),
    ];
    for (bytes, modified) in versions {
        std::fs::write(&file.0, bytes).unwrap();
        let opened = File::options().write(true).open(&file.0).unwrap();
        opened.set_modified(UNIX_EPOCH + modified).unwrap();
        let fields = format!("Range: bytes=1-2\r\nIf-Range: {first}\r\n");
        let answer = ask(&mut client, "GET /", &fields);
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, bytes),
            "{modified:?}"
        );
        assert_eq!(
            ask(&mut client, "GET /", &format!("If-None-Match: {first}\r\n")).status,
            200
        );
        assert_eq!(
            ask(&mut client, "GET /", &format!("If-Match: {first}\r\n")).status,
            412
        );
    }
}

/// Many images of file systems have one of these times for each file, so it says nothing.
#[test]
fn a_file_without_a_recorded_time_has_no_validators() {
    for (name, modified) in [
        ("zero", UNIX_EPOCH),
        ("one", UNIX_EPOCH + Duration::from_secs(1)),
        ("before", UNIX_EPOCH - Duration::from_secs(100)),
    ] {
        let file = file_of(name, b"0123456789", modified);
        let server = serve_file(file.0.clone());
        let mut client = Client::connect(server.local_addr());
        let answer = ask(&mut client, "GET /", "Range: bytes=1-2\r\n");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (206, "12"),
            "{name}"
        );
        assert_header(&answer, "ETag", None);
        assert_header(&answer, "Last-Modified", None);
        let date = http_date(modified);
        for fields in [
            format!("If-Modified-Since: {date}\r\n"),
            format!("Range: bytes=1-2\r\nIf-Range: {date}\r\n"),
        ] {
            assert_eq!(
                ask(&mut client, "GET /", &fields).status,
                200,
                "{name} {fields}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_and_files_without_a_size_have_no_ranges_and_no_validators() {
    let empty = file_of("empty", b"", seconds(784_111_777));
    let pipe = std::env::temp_dir().join(format!("hardstop-{}-fifo", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let place = TempFile(pipe);
    let table = [
        (PathBuf::from("/proc/self/stat"), None),
        (empty.0.clone(), Some("")),
        (place.0.clone(), Some("of a pipe")),
    ];
    for (path, want) in table {
        let is_pipe = path == place.0;
        let server = serve_file(path.clone());
        let mut client = Client::connect(server.local_addr());
        for fields in [
            "Range: bytes=1-2\r\n",
            "If-Modified-Since: Sun, 06 Nov 2044 08:49:37 GMT\r\n",
        ] {
            client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
            if is_pipe {
                // Opening waits for the other side.
                let mut writer = File::options().write(true).open(&path).unwrap();
                writer.write_all(b"of a pipe").unwrap();
            }
            let answer = client.response();
            assert_eq!(answer.status, 200, "{path:?} {fields}");
            match want {
                Some(text) => assert_eq!(answer.text(), text, "{path:?} {fields}"),
                None => assert!(answer.body.len() > 50, "{path:?} {fields}"),
            }
            for name in ["ETag", "Last-Modified", "Accept-Ranges", "Content-Range"] {
                assert_header(&answer, name, None);
            }
        }
    }
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
