//! Request lines, fields, and how long a connection lasts.

use crate::client::Client;
use crate::wire::{dialogue, last_words, observed, serve, statuses, undated, wait_for};
use hardstop::{Response, Running, Server, Version};
use std::net::SocketAddr;

/// Answers with what it has understood of the request line.
fn mirror() -> Running {
    serve(|req| {
        let version = match req.version() {
            Version::Http10 => "1.0",
            _ => "1.1",
        };
        let (method, path, query) = (req.method(), req.path(), req.query());
        format!("{method} {path} {query:?} {version}")
    })
}

/// Sends a request line and a Host; gives the status code, and the body if it is 200 or the reason.
fn ask(addr: SocketAddr, line: &str) -> (u16, String) {
    let mut client = Client::connect(addr);
    client.say(&format!("{line}\r\nHost: x\r\n\r\n"));
    let answer = client.response();
    (answer.status, answer.text())
}

#[test]
fn a_method_reaches_the_handler_as_it_was_sent() {
    let server = mirror();
    let table = [
        ("GET", 200, "a known one"),
        ("get", 200, "methods have a case"),
        ("BREW", 200, "an unknown one"),
        ("M-SEARCH", 200, "with a sign"),
        ("!#$%&'*+-.^_`|~09", 200, "every sign of a token"),
        ("connect", 200, "not CONNECT"),
        ("CONNECT", 501, "this is no proxy"),
        ("G(T", 400, "no token"),
        ("G\u{e9}T", 400, "not ASCII"),
        ("", 400, "none"),
    ];
    for (method, want, why) in table {
        let (status, text) = ask(server.local_addr(), &format!("{method} / HTTP/1.1"));
        assert_eq!(status, want, "{method:?}: {why}");
        if want == 200 {
            assert_eq!(text, format!("{method} / None 1.1"), "{why}");
        }
    }
    let (status, _) = ask(server.local_addr(), "CONNECT example.org:443 HTTP/1.1");
    assert_eq!(status, 501, "CONNECT with an authority");
}

#[test]
fn a_target_is_split_into_a_path_and_a_query() {
    let server = mirror();
    let table = [
        ("GET /", "/ None", "the root"),
        ("GET /a/b", "/a/b None", "a path"),
        ("GET /a?", "/a Some(\"\")", "an empty query is one"),
        ("GET /a?b=c?d", "/a Some(\"b=c?d\")", "the first ? counts"),
        ("GET /%61%20b", "/a b None", "decoded"),
        ("GET /a%2Fb%3Fc", "/a/b?c None", "decoded, not split again"),
        ("GET /%2541", "/%41 None", "decoded once"),
        ("GET /%C3%A9", "/\u{e9} None", "UTF-8"),
        ("GET /%FF", "/\u{fffd} None", "not UTF-8"),
        ("GET /%00", "/\0 None", "a NUL"),
        ("GET /a+b", "/a+b None", "a plus is a plus in a path"),
        ("GET /a/../b", "/a/../b None", "dots stay"),
        ("GET //a", "//a None", "slashes stay"),
        ("GET /a?%20", "/a Some(\"%20\")", "a query stays as it came"),
        ("GET /:@!$&'()*,;=-._~", "/:@!$&'()*,;=-._~ None", "signs"),
        ("GET /?a[]={|}^`\\", "/ Some(\"a[]={|}^`\\\\\")", "browsers"),
        ("GET http://x/a?b", "/a Some(\"b\")", "absolute"),
        (
            "GET HTTP://X/a",
            "/a None",
            "schemes and hosts have no case",
        ),
        ("GET https://x/a", "/a None", "behind a TLS terminator"),
        ("GET http://x", "/ None", "absolute without a path"),
        (
            "GET http://x?b",
            "/ Some(\"b\")",
            "absolute with a query only",
        ),
        (
            "GET /?u=http://y/",
            "/ Some(\"u=http://y/\")",
            "an URL inside",
        ),
        ("OPTIONS *", "* None", "the server as a whole"),
    ];
    for (line, want, why) in table {
        let (status, text) = ask(server.local_addr(), &format!("{line} HTTP/1.1"));
        assert_eq!(status, 200, "{line:?}: {why}, {text}");
        let method = line.split(' ').next().unwrap();
        assert_eq!(text, format!("{method} {want} 1.1"), "{line:?}: {why}");
    }
}

#[test]
fn a_target_that_is_none_is_refused() {
    let server = mirror();
    let table = [
        ("GET a", "no slash"),
        ("GET *", "only for OPTIONS"),
        ("OPTIONS *a", "more than an asterisk"),
        ("OPTIONS *?a", "an asterisk has no query"),
        ("GET ?a", "no path"),
        ("GET ", "empty"),
        ("GET /a#b", "a fragment"),
        ("GET /a?b#c", "a fragment after a query"),
        ("GET /<", "a byte that must be encoded"),
        ("GET /a\"b", "a quote"),
        ("GET /a\\b", "a backslash in a path"),
        ("GET /a{b", "a brace in a path"),
        ("GET /\u{e9}", "not ASCII"),
        ("GET /?\u{e9}", "not ASCII in a query"),
        ("GET /%", "half an encoding"),
        ("GET /%4", "two thirds of an encoding"),
        ("GET /%4g", "no hexadecimal digit"),
        ("GET /?%zz", "the same in a query"),
        ("GET /a\tb", "a tab"),
        ("GET http://y/", "not the Host"),
        ("GET http://x:81/", "not the Host's port"),
        ("GET http:///a", "an empty authority"),
        ("GET http://u@x/", "user information"),
        ("GET http://x:99999/", "no port"),
        ("GET ftp://x/", "another scheme"),
        ("GET x:80", "an authority"),
    ];
    for (line, why) in table {
        let (status, text) = ask(server.local_addr(), &format!("{line} HTTP/1.1"));
        assert_eq!(status, 400, "{line:?}: {why}, {text}");
    }
}

#[test]
fn a_query_value_is_decoded_as_forms_are() {
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
    ];
    for (query, want, why) in table {
        let (_, text) = ask(server.local_addr(), &format!("GET /{query} HTTP/1.1"));
        assert_eq!(text, want, "{query:?}: {why}");
    }
}

#[test]
fn only_http_1_is_served() {
    let server = mirror();
    let table = [
        ("HTTP/1.1", 200, "GET / None 1.1"),
        ("HTTP/1.0", 200, "GET / None 1.0"),
        ("HTTP/1.2", 200, "GET / None 1.1"),
        ("HTTP/1.9", 200, "GET / None 1.1"),
        ("HTTP/2.0", 505, ""),
        ("HTTP/0.9", 505, ""),
        ("HTTP/3.0", 505, ""),
        ("http/1.1", 400, ""),
        ("HTTP/1", 400, ""),
        ("HTTP/1.", 400, ""),
        ("HTTP/1.10", 400, ""),
        ("HTTP/11.1", 400, ""),
        ("HTTP/1,1", 400, ""),
        ("HTTP/1.x", 400, ""),
        ("HTTPS/1.1", 400, ""),
        ("HTTP/1.1 ", 400, ""),
        (" HTTP/1.1", 400, ""),
        ("", 400, ""),
    ];
    for (version, want, body) in table {
        let (status, text) = ask(server.local_addr(), &format!("GET / {version}"));
        assert_eq!(status, want, "{version:?}");
        assert!(text.ends_with(body), "{version:?}: {text}");
    }
    assert_eq!(ask(server.local_addr(), "GET /").0, 400, "HTTP/0.9");
    assert_eq!(ask(server.local_addr(), "GET\t/\tHTTP/1.1").0, 400, "tabs");
}

#[test]
fn a_request_has_one_valid_host() {
    let server = mirror();
    let table = [
        ("1.1", "", 400, "none"),
        ("1.0", "", 200, "none, as HTTP/1.0 had none"),
        ("1.1", "Host:\r\n", 200, "an empty one"),
        ("1.1", "HOST: X\r\n", 200, "names have no case"),
        ("1.1", "Host: a.b-c:80\r\n", 200, "a port"),
        ("1.1", "Host: a:\r\n", 200, "an empty port"),
        ("1.1", "Host: 127.0.0.1:80\r\n", 200, "IPv4"),
        ("1.1", "Host: [::1]\r\n", 200, "IPv6"),
        ("1.1", "Host: [::1]:80\r\n", 200, "IPv6 and a port"),
        ("1.1", "Host: a%20b\r\n", 200, "encoded"),
        ("1.1", "Host: a\r\nHost: a\r\n", 400, "two"),
        ("1.0", "Host: a\r\nHost: a\r\n", 400, "two"),
        ("1.1", "Host: a, b\r\n", 400, "a list"),
        ("1.1", "Host: a b\r\n", 400, "a space"),
        ("1.1", "Host: a/b\r\n", 400, "a path"),
        ("1.1", "Host: u@a\r\n", 400, "user information"),
        ("1.1", "Host: a:b\r\n", 400, "no port"),
        ("1.1", "Host: a:+80\r\n", 400, "a signed port"),
        ("1.1", "Host: a:65536\r\n", 400, "a port that is too large"),
        ("1.1", "Host: a:80:80\r\n", 400, "two ports"),
        ("1.1", "Host: [::1\r\n", 400, "an open bracket"),
        ("1.1", "Host: [a]\r\n", 400, "no IPv6"),
        ("1.1", "Host: [::1]80\r\n", 400, "no colon"),
        ("1.1", "Host: http://a\r\n", 400, "an URL"),
        ("1.0", "Host: a b\r\n", 400, "what is sent must be valid"),
    ];
    for (version, host, want, why) in table {
        let request = format!("GET / HTTP/{version}\r\n{host}\r\n");
        let said = last_words(server.local_addr(), &[request.as_bytes()]);
        assert_eq!(statuses(&said), [want], "{host:?}: {why}");
    }
}

#[test]
fn a_field_is_a_name_a_colon_and_a_value() {
    let server = serve(|req| {
        let value = req.headers().get_bytes("x").map(<[u8]>::to_vec);
        Response::bytes("a/b", value.unwrap_or_default())
    });
    let table: [(&[u8], u16, &[u8], &str); 25] = [
        (b"x: a", 200, b"a", "one space"),
        (b"x:a", 200, b"a", "no space"),
        (b"X: \t a b \t", 200, b"a b", "white space around it"),
        (b"x:", 200, b"", "an empty value"),
        (b"x: a\tb", 200, b"a\tb", "a tab inside"),
        (b"x: caf\xe9", 200, b"caf\xe9", "not UTF-8"),
        (b"x: a\r\nx: b", 200, b"a", "the first one"),
        (b"x: a:b", 200, b"a:b", "the first colon splits"),
        (b"!#$%&'*+-.^_`|~: a", 200, b"", "every sign of a token"),
        (b"x : a", 400, b"", "a space before the colon"),
        (b"x\t: a", 400, b"", "a tab before the colon"),
        (b" x: a", 400, b"", "a space in front"),
        (b"y: a\r\n x: b", 400, b"", "a folded line"),
        (b"y: a\r\n\tb", 400, b"", "a line folded with a tab"),
        (b"x", 400, b"", "no colon"),
        (b": a", 400, b"", "no name"),
        (b"x y: a", 400, b"", "a space in the name"),
        (b"x(y): a", 400, b"", "no token"),
        (b"caf\xe9: a", 400, b"", "a name that is not ASCII"),
        (b"x: a\0b", 400, b"", "a NUL"),
        (b"x: a\x7fb", 400, b"", "a DEL"),
        (b"x: a\x1bb", 400, b"", "an escape"),
        (b"x: a\rb", 400, b"", "a bare CR"),
        (b"x: a\nb: c", 400, b"", "a bare LF"),
        (b"x: a\r\r\nb: c", 400, b"", "a CR too many"),
    ];
    for (field, want, value, why) in table {
        let request = [b"GET / HTTP/1.1\r\nHost: x\r\n", field, b"\r\n\r\n"].concat();
        let mut client = Client::connect(server.local_addr());
        client.say_bytes(&request);
        let answer = client.response();
        assert_eq!(answer.status, want, "{why}");
        if want == 200 {
            assert_eq!(answer.body, value, "{why}");
        }
    }
    let said = dialogue(server.local_addr(), "GET / HTTP/1.1\nHost: x\n\n");
    assert_eq!(statuses(&said), [400], "lines that end with LF");
    let said = dialogue(server.local_addr(), "GET / HTTP/1.1\r\n Host: x\r\n\r\n");
    assert_eq!(statuses(&said), [400], "white space after the request line");
}

#[test]
fn a_value_that_is_not_text_is_no_text() {
    let server = serve(|req| format!("{:?} {:?}", req.header("X"), req.header("Y")));
    let mut client = Client::connect(server.local_addr());
    client.say_bytes(b"GET / HTTP/1.1\r\nHost: x\r\nx: \xff\r\ny: \xc3\xa9\r\n\r\n");
    assert_eq!(client.response().text(), "None Some(\"\u{e9}\")");
}

#[test]
fn both_sides_can_end_a_connection_after_a_response() {
    let server = serve(|req| match req.path() {
        "/end" => Response::text("").closing(),
        "/field" => Response::text("").with_header("connection", "Close"),
        _ => Response::text(""),
    });
    let (none, close, keep) = (None, Some("close"), Some("keep-alive"));
    let table = [
        ("/", "1.1", "", none, "goes on"),
        ("/", "1.1", "Connection: keep-alive\r\n", none, "needless"),
        ("/", "1.1", "Connection: close\r\n", close, "the client"),
        ("/", "1.1", "connection: CLOSE\r\n", close, "no case"),
        ("/", "1.1", "Connection: x, close\r\n", close, "in a list"),
        (
            "/",
            "1.1",
            "Connection: x\r\nConnection: close\r\n",
            close,
            "in a second field",
        ),
        (
            "/",
            "1.1",
            "Connection: keep-alive, close\r\n",
            close,
            "close is stronger",
        ),
        ("/", "1.1", "Connection: closed\r\n", none, "another word"),
        ("/", "1.0", "", close, "HTTP/1.0 ends"),
        (
            "/",
            "1.0",
            "Connection: Keep-Alive\r\n",
            keep,
            "unless it is asked not to",
        ),
        (
            "/",
            "1.0",
            "Connection: keep-alive, close\r\n",
            close,
            "close is stronger",
        ),
        ("/end", "1.1", "", close, "the handler"),
        ("/field", "1.1", "", close, "the handler, by the field"),
        (
            "/end",
            "1.0",
            "Connection: keep-alive\r\n",
            close,
            "the handler",
        ),
    ];
    for (target, version, field, want, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "GET {target} HTTP/{version}\r\nHost: x\r\n{field}\r\n"
        ));
        let answer = client.response();
        assert_eq!(
            answer.header("Connection").as_deref(),
            want,
            "{field:?}: {why}"
        );
        if want == close {
            client.expect_end();
        } else {
            client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().status, 200, "{field:?}: {why}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = mirror();
    let mut client = Client::connect(server.local_addr());
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.say(&(0..500).map(request).collect::<String>());
    for n in 0..500 {
        assert_eq!(client.response().text(), format!("GET /{n} None 1.1"));
    }
}

#[test]
fn nothing_is_answered_after_the_last_response() {
    let server = mirror();
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let said = dialogue(server.local_addr(), last.repeat(3));
    assert_eq!(statuses(&said), [200]);
    let broken = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let said = dialogue(server.local_addr(), broken.repeat(2));
    assert_eq!(statuses(&said), [200, 400], "a refusal is the last word");
}

#[test]
fn it_does_not_matter_where_a_head_is_split() {
    let server = mirror();
    for request in [
        "\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    ] {
        let whole = undated(&last_words(server.local_addr(), &[request.as_bytes()]));
        assert!(whole.starts_with("HTTP/1.1 "), "{whole}");
        for at in 1..request.len() {
            let (first, second) = request.as_bytes().split_at(at);
            let said = undated(&last_words(server.local_addr(), &[first, second]));
            assert_eq!(said, whole, "split at {at}");
        }
    }
}

#[test]
fn one_empty_line_may_stand_before_a_request() {
    let server = mirror();
    let request = "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let said = last_words(server.local_addr(), &[request.repeat(2).as_bytes()]);
    assert_eq!(statuses(&said), [200, 200]);
    let said = dialogue(server.local_addr(), format!("\r\n{request}"));
    assert_eq!(statuses(&said), [400], "two");
    let said = dialogue(server.local_addr(), &request[1..]);
    assert_eq!(statuses(&said), [400], "a bare LF");
}

#[test]
fn another_protocol_is_told_so_at_once() {
    let server = mirror();
    let table: [(&[u8], u16, &str); 4] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400, "SSH"),
        (b"\0\0\0\0", 400, "zeros"),
    ];
    for (bytes, want, why) in table {
        let said = dialogue(server.local_addr(), bytes);
        assert_eq!(statuses(&said), [want], "{why}");
    }
}

#[test]
fn a_refusal_says_why_in_one_line_and_ends_the_connection() {
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
        let (failed, why) = (wait_for(&events, "Failed"), text.trim_end());
        assert!(why.ends_with(&failed["Failed ".len()..]), "{failed}: {why}");
        let closed = format!("Closed Refused(StatusCode({want}))");
        assert_eq!(wait_for(&events, "Closed"), closed);
    }
}
