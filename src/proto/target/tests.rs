use super::super::head::{Head, HeadLimits};
use super::{is_authority, is_query_char};

#[test]
fn an_authority_is_a_host_with_an_optional_port() {
    let good = [
        "a",
        "a.b",
        "a:1",
        "a:",
        "1.2.3.4:65535",
        "[::1]",
        "[::1]:80",
        "a%2Fb",
        "a_b~!$&'()*+,;=",
    ];
    let bad = [
        "",
        ":",
        ":1",
        "a:b",
        "a:-1",
        "a:+1",
        "a:65536",
        "a:1:2",
        "[",
        "[]",
        "[::1",
        "[::1]1",
        "[1.2.3.4]",
        "::1",
        "a b",
        "a/",
        "a@b",
        "a%2",
        "a?b",
        "a#b",
        "\u{e9}",
        "[::1%25eth0]",
    ];
    for text in good {
        assert!(is_authority(text.as_bytes()), "{text:?}");
    }
    for text in bad {
        assert!(!is_authority(text.as_bytes()), "{text:?}");
    }
}

/// Returns the path and the segments of a request line's target.
fn path_and_segments(method: &str, target: &str) -> (String, Vec<String>) {
    let limits = HeadLimits {
        bytes: 1000,
        fields: 1,
        https: true,
    };
    let mut head = Head::default();
    let text = format!("{method} {target} HTTP/1.1\r\n\r\n");
    let parsed = head.parse(text.as_bytes(), limits);
    assert!(matches!(parsed, Ok(Some(_))), "{target}");
    let segments = head.segments().map(String::from).collect();
    (head.path.clone(), segments)
}

#[test]
fn a_path_is_split_into_segments_before_it_is_decoded() {
    let table: [(&str, &str, &[&str], &str); 26] = [
        ("GET", "/", &[""], "the root"),
        ("GET", "/a", &["a"], "one"),
        ("GET", "/a/b/c", &["a", "b", "c"], "three"),
        ("GET", "/a/", &["a", ""], "a slash at the end"),
        ("GET", "//", &["", ""], "slashes alone"),
        ("GET", "//a//b", &["", "a", "", "b"], "empty ones"),
        ("GET", "/a%2Fb", &["a/b"], "an encoded slash"),
        ("GET", "/a%2fb/%2F/c", &["a/b", "/", "c"], "in some of them"),
        ("GET", "/%2F", &["/"], "alone"),
        ("GET", "/a%252Fb", &["a%2Fb"], "decoded once"),
        ("GET", "/a+b%20c", &["a+b c"], "a plus is no space"),
        ("GET", "/./../a", &[".", "..", "a"], "dot segments"),
        ("GET", "/a/%2e%2E", &["a", ".."], "encoded dot segments"),
        ("GET", "/a/..%2fb", &["a", "../b"], "a slash behind dots"),
        ("GET", "/%5C", &["\\"], "a backslash"),
        ("GET", "/%C3%A9", &["\u{e9}"], "UTF-8"),
        (
            "GET",
            "/%C3/%A9",
            &["\u{fffd}", "\u{fffd}"],
            "split in a character",
        ),
        (
            "GET",
            "/%3F%23/a?/b",
            &["?#", "a"],
            "the query is no part of it",
        ),
        ("GET", "/a;b=c/[|]^", &["a;b=c", "[|]^"], "other characters"),
        (
            "GET",
            "/http://h/a",
            &["http:", "", "h", "a"],
            "an address in it",
        ),
        (
            "GET",
            "http://h/a%2Fb/c?d/e",
            &["a/b", "c"],
            "in absolute form",
        ),
        (
            "GET",
            "HTTPS://h:1",
            &[""],
            "an absolute form without a path",
        ),
        ("GET", "http://h?/a", &[""], "with a query"),
        ("OPTIONS", "*", &[], "the server as a whole"),
        ("OPTIONS", "http://h", &[], "the same, in absolute form"),
        ("OPTIONS", "/*", &["*"], "a path of a star"),
    ];
    for (method, target, want, why) in table {
        let (path, segments) = path_and_segments(method, target);
        assert_eq!(segments, want, "{why}");
        let joined = segments.join("/");
        let rest = path.strip_prefix('/');
        assert_eq!(joined, rest.unwrap_or_default(), "{why}: with the path");
    }
}

#[test]
fn a_query_may_have_what_clients_leave_unencoded_and_nothing_that_ends_it() {
    for char in "%\"<>{}|\\^`\u{e9}".chars() {
        assert!(is_query_char(char), "{char:?}");
    }
    for char in " #\t\r\n\0\u{7f}\u{9b}".chars() {
        assert!(!is_query_char(char), "{char:?}");
    }
}
