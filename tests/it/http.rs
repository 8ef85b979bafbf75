//! Requests beyond the tables in `cases.rs`: query values, connections closed by handlers, and
//! events.

use crate::support::client::Client;
use crate::support::server::{observed, serve};
use hardstop::{CloseReason, Response, Server};
use std::net::SocketAddr;
use std::time::Duration;

/// Sends a request line and a `Host`. Returns the status code, and the body if it is 200 or the
/// reason.
fn ask(addr: SocketAddr, line: &str) -> (u16, String) {
    let mut client = Client::connect(addr);
    client.say(&format!("{line}\r\nHost: x\r\n\r\n"));
    let answer = client.response();
    (answer.status, answer.text())
}

#[test]
fn query_values_are_decoded_like_forms() {
    let server = serve(|req| format!("{:?}", req.query_value("a b")));
    let table = [
        ("", "None", "no query"),
        ("?", "None", "an empty one"),
        ("?c=1", "None", "another name"),
        ("?a+b=1", "Some(\"1\")", "a plus is a space, in names too"),
        ("?a%20b=1", "Some(\"1\")", "percent-encoded"),
        ("?a%20b", "Some(\"\")", "no equals sign"),
        ("?a%20b=", "Some(\"\")", "nothing after it"),
        ("?a+b=1&a+b=2", "Some(\"1\")", "the first one"),
        (
            "?c&&a+b=x%26y%3Dz",
            "Some(\"x&y=z\")",
            "split, then decoded",
        ),
        ("?a+b=c=d", "Some(\"c=d\")", "the first equals sign splits"),
        ("?a+b=%C3%A9+%2B", "Some(\"\u{e9} +\")", "UTF-8"),
        ("?a+b=%ff", "Some(\"\u{fffd}\")", "not UTF-8"),
        ("?A+B=1", "None", "names have a case"),
        ("?a+b=100%", "Some(\"100%\")", "a percent sign alone stays"),
        (
            "?a+b=%u00e9",
            "Some(\"%u00e9\")",
            "so does what is no encoding",
        ),
        ("?a+b=%4&c", "Some(\"%4\")", "or half of one"),
        ("?a+b=%%41", "Some(\"%A\")", "what is encoded is decoded"),
        (
            "?a+b=<%22>\"",
            "Some(\"<\\\">\\\"\")",
            "quotes and angle brackets",
        ),
        (
            "?a+b=\u{e9}%C3%A9\u{20ac}",
            "Some(\"\u{e9}\u{e9}\u{20ac}\")",
            "UTF-8, encoded or not",
        ),
        (
            "?a+b=%C3\u{e9}",
            "Some(\"\u{fffd}\u{e9}\")",
            "half of an encoded character takes nothing of the next",
        ),
        ("?%=1&a+b=2", "Some(\"2\")", "an odd name before it"),
    ];
    for (query, want, why) in table {
        let (_, text) = ask(server.local_addr(), &format!("GET /{query} HTTP/1.1"));
        assert_eq!(text, want, "{query:?}: {why}");
    }
}

#[test]
fn header_returns_the_first_value_if_it_is_text() {
    let server = serve(|req| {
        let bytes = req.headers().get_bytes("X").map(<[u8]>::escape_ascii);
        let bytes = bytes.map(|bytes| bytes.to_string());
        let text = ["X", "Y", "Z"].map(|name| req.header(name));
        format!("{bytes:?} {text:?}")
    });
    let mut client = Client::connect(server.local_addr());
    client
        .say_bytes(b"GET / HTTP/1.1\r\nHost: x\r\nx: \xff\r\nX: b\r\ny: \xc3\xa9\r\nY: b\r\n\r\n");
    let want = "Some(\"\\\\xff\") [None, Some(\"\u{e9}\"), None]";
    assert_eq!(client.response().text(), want);
}

#[test]
fn a_handler_can_close_its_connection() {
    let server = serve(|req| match req.path() {
        "/end" => Response::text("").with_close(),
        "/field" => Response::text("").with_header("connection", "Close"),
        _ => Response::text(""),
    });
    let table = [
        ("/", "1.1", "", None, "it goes on"),
        ("/end", "1.1", "", Some("close"), "by the method"),
        ("/field", "1.1", "", Some("close"), "by the field"),
        (
            "/end",
            "1.0",
            "Connection: keep-alive\r\n",
            Some("close"),
            "whatever the client wants",
        ),
    ];
    for (target, version, field, want, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "GET {target} HTTP/{version}\r\nHost: x\r\n{field}\r\n"
        ));
        let connection = client.response().header("Connection");
        assert_eq!(connection.as_deref(), want, "{target}: {why}");
        if want.is_some() {
            client.expect_end();
        } else {
            client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().status, 200, "{target}: {why}");
        }
    }
}

#[test]
fn a_client_that_asks_for_keep_alive_is_told_how_long_it_may_be_idle() {
    let seconds = Duration::from_secs;
    let table = [
        (
            Some(seconds(75)),
            "1.1",
            "keep-alive",
            Some("timeout=74"),
            "by default",
        ),
        (
            Some(seconds(75)),
            "1.1",
            "x, Keep-Alive",
            Some("timeout=74"),
            "in a list",
        ),
        (
            Some(seconds(75)),
            "1.0",
            "Keep-Alive",
            Some("timeout=74"),
            "HTTP/1.0",
        ),
        (Some(seconds(75)), "1.1", "x", None, "it has not asked"),
        (
            Some(Duration::from_millis(5999)),
            "1.1",
            "keep-alive",
            Some("timeout=4"),
            "rounded down",
        ),
        (
            Some(seconds(2)),
            "1.1",
            "keep-alive",
            Some("timeout=1"),
            "the least",
        ),
        (
            Some(Duration::from_millis(1999)),
            "1.1",
            "keep-alive",
            None,
            "too short",
        ),
        (
            Some(Duration::from_millis(1999)),
            "1.0",
            "keep-alive",
            None,
            "too short, HTTP/1.0",
        ),
        (
            Some(Duration::from_millis(999)),
            "1.0",
            "keep-alive",
            None,
            "less than the second that is taken off",
        ),
        (None, "1.0", "keep-alive", None, "there is no timeout"),
        (
            Some(Duration::MAX),
            "1.1",
            "keep-alive",
            Some("timeout=86400"),
            "a day at most",
        ),
    ];
    for (idle, version, option, want, why) in table {
        let builder = Server::builder().idle_timeout(idle);
        let server = builder.bind("127.0.0.1:0").unwrap().spawn(|_| {
            let response = Response::text("").with_header("Keep-Alive", "timeout=9");
            response.with_header("Connection", "keep-alive, x")
        });
        let server = server.unwrap();
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "GET / HTTP/{version}\r\nHost: x\r\nConnection: {option}\r\n\r\n"
        ));
        let answer = client.response();
        let asked = option != "x";
        let connection = if asked { Some("keep-alive") } else { None };
        assert_eq!(answer.header("Connection").as_deref(), connection, "{why}");
        assert_eq!(answer.header("Keep-Alive").as_deref(), want, "{why}");
    }
}

#[test]
fn a_last_response_does_not_announce_keep_alive() {
    let server = serve(|_| Response::text("").with_close());
    for version in ["1.0", "1.1"] {
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "GET / HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
        ));
        let answer = client.response();
        assert_eq!(answer.header("Connection").as_deref(), Some("close"));
        assert_eq!(answer.header("Keep-Alive"), None);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve(|req| String::from(req.path()));
    let mut client = Client::connect(server.local_addr());
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.say(&(0..500).map(request).collect::<String>());
    for n in 0..500 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

#[test]
fn a_refusal_gives_its_reason_and_ends_the_connection() {
    let (server, events) = observed(Server::builder(), |_| "");
    let long = "a".repeat(20_000);
    let table = [
        ("GET / HTTP/1.1\r\n\r\n".to_string(), 400),
        (format!("GET /{long}"), 414),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n".to_string(),
            417,
        ),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}"), 431),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n".to_string(), 501),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_string(), 505),
    ];
    for (request, want) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&request);
        let answer = client.response();
        assert_eq!(answer.status, want);
        assert_eq!(
            answer.header("Connection").as_deref(),
            Some("close"),
            "{want}"
        );
        let content_type = answer.header("Content-Type");
        assert_eq!(
            content_type.as_deref(),
            Some("text/plain; charset=utf-8"),
            "{want}"
        );
        let text = answer.text();
        assert!(
            text.starts_with(&format!("{want} ")) && text.contains(": "),
            "{text:?}"
        );
        assert!(
            text.ends_with('\n') && text.lines().count() == 1,
            "{text:?}"
        );
        client.expect_end();
        drop(client); // or the server would linger
        let failed = events.take_failure();
        assert!(text.trim_end().ends_with(&failed), "{failed}: {text}");
        assert_eq!(events.take_reason(), CloseReason::Refused(want.into()));
    }
}
