//! Ranges and conditional requests.

use super::*;

#[test]
fn a_range_is_served_as_rfc_9110_has_it() {
    let site = Site::new("ranges", |root| {
        write(root.join("ten"), "0123456789", 784_111_777);
        write(root.join("empty"), "", 784_111_777);
        fs::write(root.join("new"), "0123456789").unwrap();
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        File::options()
            .write(true)
            .open(root.join("new"))
            .unwrap()
            .set_modified(tomorrow)
            .unwrap();
    });
    let whole = (200, "0123456789", None);
    // A client that ignores the status would append a text to what it has of the file.
    let none = (416, "", Some("bytes */10"));
    let table = [
        ("bytes=0-0", (206, "0", Some("bytes 0-0/10"))),
        ("bytes=2-5", (206, "2345", Some("bytes 2-5/10"))),
        ("Bytes=2-5", (206, "2345", Some("bytes 2-5/10"))),
        ("bytes=7-", (206, "789", Some("bytes 7-9/10"))),
        ("bytes=0-", (206, "0123456789", Some("bytes 0-9/10"))),
        (
            "bytes=9-99999999999999999999999",
            (206, "9", Some("bytes 9-9/10")),
        ),
        ("bytes=-3", (206, "789", Some("bytes 7-9/10"))),
        (
            "bytes=-99999999999999999999999",
            (206, "0123456789", Some("bytes 0-9/10")),
        ),
        ("bytes=-0", none),
        ("bytes=10-", none),
        ("bytes=10-20", none),
        ("bytes=99999999999999999999999-", none),
        ("bytes=5-2", whole),
        ("bytes=11-10", whole),
        ("bytes=-", whole),
        ("bytes=", whole),
        ("bytes=+1-2", whole),
        ("bytes=1-+2", whole),
        ("bytes=--2", whole),
        ("bytes=0-1,3-4", whole),
        ("bytes=0-1,", whole),
        ("bytes=a-b", whole),
        ("bytes=0x1-2", whole),
        ("lines=0-1", whole),
        ("bytes 0-1", whole),
        ("0-1", whole),
    ];
    for (range, (status, body, content_range)) in table {
        let answer = site.ask("GET /ten", &format!("Range: {range}\r\n"));
        let got = (answer.status, answer.text(), answer.header("content-range"));
        assert_eq!(
            got,
            (status, String::from(body), content_range.map(String::from)),
            "{range}"
        );
        let head = site.ask("HEAD /ten", &format!("Range: {range}\r\n"));
        assert_eq!(
            (head.status, head.header("content-length").as_deref()),
            (200, Some("10")),
            "RFC 9110 §14.2"
        );
    }
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        let answer = site.ask("GET /empty", &format!("Range: {range}\r\n"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, ""),
            "{range}"
        );
    }
    let tag = site.get("/ten").header("etag").unwrap();
    let weak = site.get("/new").header("etag").unwrap();
    assert!(weak.starts_with("W/\""), "{weak}");
    let date = site.get("/new").header("last-modified").unwrap();
    let tomorrow = fs::metadata(site.place.join("root/new"))
        .unwrap()
        .modified()
        .unwrap();
    assert_ne!(date, hardstop::http_date(tomorrow), "RFC 9110 §8.8.2.1");
    let table = [
        ("/ten", tag.as_str(), 206),
        ("/ten", "Sun, 06 Nov 1994 08:49:37 GMT", 206),
        ("/ten", "Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("/ten", "\"another\"", 200),
        ("/ten", "*", 200),
        ("/ten", "nonsense", 200),
        ("/new", weak.as_str(), 200),
        ("/new", weak.trim_start_matches("W/"), 200),
        ("/new", date.as_str(), 200),
    ];
    for (path, validator, status) in table {
        let answer = site.ask(
            &format!("GET {path}"),
            &format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n"),
        );
        assert_eq!(answer.status, status, "{path} {validator}");
    }
}

#[test]
fn an_unmodified_file_is_not_sent_again() {
    let site = Site::new("conditions", |root| {
        write(root.join("file"), "old", 784_111_777);
    });
    let first = site.get("/file");
    let tag = first.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let modified = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let table = [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: W/{tag}\r\n"), 304),
        (format!("If-None-Match: \"a\", {tag} ,\"b\"\r\n"), 304),
        (format!("If-None-Match: \"a, b\", {tag}\r\n"), 304),
        (
            format!("If-None-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"),
            304,
        ),
        (String::from("If-None-Match: *\r\n"), 304),
        (String::from("If-None-Match: \"a\"\r\n"), 200),
        (format!("If-None-Match: {}\r\n", tag.trim_matches('"')), 200),
        (format!("If-None-Match: \"a\"\r\n{modified}"), 200),
        (
            format!("{modified}If-None-Match: {tag}\r\nRange: bytes=0-0\r\n"),
            304,
        ),
        (String::from(modified), 304),
        (
            String::from("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n"),
            304,
        ),
        (
            String::from("If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n"),
            304,
        ),
        (
            String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
            304,
        ),
        (
            String::from("If-Modified-Since: Mon, 05 Dec 1994 00:00:00 GMT\r\n"),
            304,
        ),
        (
            String::from("If-Modified-Since: Sun, 01 Jan 1995 00:00:00 GMT\r\n"),
            304,
        ),
        (
            String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Mon, 31 Oct 1994 23:59:59 GMT\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Fri, 31 Dec 1993 23:59:59 GMT\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Sun, 6 Nov 2094 08:49:37 GMT\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Sun, 06 anF 2094 08:49:37 GMT\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Sun, 06 Nov 2094 08:49:37 UTC\r\n"),
            200,
        ),
        (
            String::from("If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT;\r\n"),
            200,
        ),
        (String::from("If-Modified-Since: 2094-11-06\r\n"), 200),
        (
            String::from("If-Modified-Since: Sün, 06 Nov 2094 08:49:37 GM\r\n"),
            200,
        ),
    ];
    for (fields, status) in &table {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(&format!("{method} /file"), fields);
            assert_eq!(answer.status, *status, "{method} {fields}");
            assert_eq!(answer.header("etag").as_ref(), Some(&tag));
        }
    }

    let unmodified = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let table = [
        (format!("If-Match: {tag}\r\n"), 200),
        (
            format!("If-Match: \"a\", {tag}\r\nRange: bytes=0-0\r\n"),
            206,
        ),
        (String::from("If-Match: *\r\n"), 200),
        (String::from("If-Match: \"a\"\r\nRange: bytes=0-0\r\n"), 412),
        (format!("If-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"), 412),
        (format!("If-Match: {tag}\r\nIf-None-Match: {tag}\r\n"), 304),
        (format!("If-Match: \"a\"\r\n{unmodified}"), 412),
        (String::from(unmodified), 200),
        (
            String::from("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"),
            412,
        ),
        (String::from("If-Unmodified-Since: 1970-01-01\r\n"), 200),
    ];
    for (fields, status) in &table {
        assert_eq!(site.ask("GET /file", fields).status, *status, "{fields}");
    }

    // A file that has just been written may change again within the resolution of its time. So its
    // tag is weak, and changes later.
    fs::write(site.place.join("root/file"), "new").unwrap();
    let new = site.get("/file").header("etag").unwrap();
    assert!(new.starts_with("W/\""), "{new}");
    assert_eq!(
        site.ask("GET /file", &format!("If-None-Match: {new}\r\n"))
            .status,
        304
    );
    assert_eq!(
        site.ask("GET /file", &format!("If-None-Match: {tag}\r\n"))
            .status,
        200
    );
    assert_eq!(
        site.ask("GET /file", &format!("If-Match: {new}\r\n"))
            .status,
        412,
        "it may be another one"
    );
    assert_eq!(site.ask("GET /file", modified).status, 200);
    let file = File::options()
        .write(true)
        .open(site.place.join("root/file"))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3))
        .unwrap();
    assert_eq!(
        site.ask("GET /file", &format!("If-None-Match: {new}\r\n"))
            .status,
        200
    );
}

#[test]
fn dates_match_the_calendar() {
    let table = [
        (86_400, "Fri, 02 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_677_628_800, "Wed, 01 Mar 2023 00:00:00 GMT"),
        (1_735_603_200, "Tue, 31 Dec 2024 00:00:00 GMT"),
        (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
        (1_761_955_199, "Fri, 31 Oct 2025 23:59:59 GMT"),
    ];
    let site = Site::new("dates", |root| {
        for (seconds, _) in table {
            write(root.join(seconds.to_string()), "text", seconds);
        }
    });
    for (seconds, date) in table {
        assert_eq!(
            site.get(&format!("/{seconds}"))
                .header("last-modified")
                .as_deref(),
            Some(date)
        );
    }
}
