//! Versions of responses: the `ETag` and the `Last-Modified` that they have, or do not have.

use super::conditional::{ask, assert_header, file_of, seconds, serve_file};
use crate::support::client::Client;
use crate::support::server::{observed, serve};
use crate::support::temp_file::TempFile;
use hardstop::{http_date, Error, Response, Server};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
fn a_tag_without_quotes_is_reported_and_not_sent() {
    let (server, events) = observed(Server::builder(), |req| {
        let tag = req.query().unwrap_or_default();
        let response = Response::text("hello").with_header("ETag", tag);
        response.conditional(req)
    });
    let mut client = Client::connect(server.local_addr());
    for (tag, status) in [
        ("\"3-2\"", 200),
        ("W/\"3-2\"", 200),
        ("\"\"", 200),
        ("3-2", 500),
        ("'3-2'", 500),
        ("\"3-2", 500),
        ("w/\"3-2\"", 500),
        ("\"3\"-2\"", 500),
    ] {
        let line = format!("GET /?{tag}");
        assert_eq!(ask(&mut client, &line, "").status, status, "{tag}");
        if status == 500 {
            let why = "the ETag of the response is not in double quotes";
            assert_eq!(events.take_failure(), why, "{tag}");
            client = Client::connect(server.local_addr()); // an invalid response ends its connection
        }
    }
}
