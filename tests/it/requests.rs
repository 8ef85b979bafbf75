//! The request as a handler sees it: routes, segments, queries, headers and cookies.

use crate::support::client::Client;
use crate::support::server::{observed, serve};
use hardstop::{Error, Request, Response, Server};
use std::net::SocketAddr;

/// Sends a request line and more fields. Returns the body of the response.
fn ask(addr: SocketAddr, line: &str, fields: &str) -> String {
    let mut client = Client::connect(addr);
    client.say(&format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    client.response().text()
}

fn page(req: &mut Request<'_>) -> Result<Response, Error> {
    match req.route() {
        ("GET", "/page") => Ok(Response::text("a page").with_header("X-Method", req.method())),
        ("GET", "/stream") => Ok(Response::stream(|_| panic!("a body is made"))),
        ("POST", "/page") => Ok(Response::new(204)),
        _ => Err(Error::new(404, "there is no such page")),
    }
}

#[test]
fn head_reaches_what_get_answers() {
    let (server, events) = observed(Server::builder(), page);
    let table = [
        ("GET /page", 200, Some("GET"), "the page"),
        (
            "HEAD /page",
            200,
            Some("HEAD"),
            "the method stays as it was sent",
        ),
        ("HEAD /stream", 200, None, "no body is made"),
        (
            "HEAD /%70age?q",
            200,
            Some("HEAD"),
            "the path is decoded, without its query",
        ),
        ("HEAD /other", 404, None, "a page that is not there"),
        ("POST /page", 204, None, "other methods stay"),
        ("head /page", 404, None, "methods have a case"),
        ("PUT /page", 404, None, "there is none for this method"),
    ];
    for (line, want, method, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.head_response();
        assert_eq!(answer.status, want, "{line}: {why}");
        assert_eq!(
            answer.header("X-Method").as_deref(),
            method,
            "{line}: {why}"
        );
    }
    let mut client = Client::connect(server.local_addr());
    client.say("HEAD /page HTTP/1.1\r\nHost: x\r\n\r\nGET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = client.head_response().header("Content-Length");
    assert_eq!(length.as_deref(), Some("6"), "as for GET");
    assert_eq!(
        client.response().text(),
        "a page",
        "no body was sent before it"
    );
    server.destroy();
    server.join();
    let panicked = |fact: &_| format!("{fact}").contains("panicked");
    assert!(!events.so_far().iter().any(panicked));
}

#[test]
fn segments_outlive_the_borrow_of_their_request() {
    let server = serve(|req| -> Result<String, Error> {
        let segments = req.segments();
        let body = req.body().read_to_text()?; // needs the request itself
        Ok(format!("{:?} {body}", segments.collect::<Vec<_>>()))
    });
    let text = ask(server.local_addr(), "GET /devices/a%2Fb/?c/d", "");
    assert_eq!(text, r#"["devices", "a/b", ""] "#);
}

#[test]
fn query_values_and_pairs_come_decoded_and_in_their_order() {
    let server = serve(|req| {
        let values: Vec<_> = req.query_values("a b").collect();
        let pairs: Vec<_> = req.query_pairs().collect();
        format!("{values:?} {pairs:?}")
    });
    let table = [
        ("", r#"[] []"#, "no query"),
        ("?", r#"[] []"#, "an empty one"),
        ("?&&", r#"[] []"#, "empty pairs"),
        ("?a+b=1", r#"["1"] [("a b", "1")]"#, "one"),
        (
            "?a+b=2&c=%26&a%20b=1&a+b",
            r#"["2", "1", ""] [("a b", "2"), ("c", "&"), ("a b", "1"), ("a b", "")]"#,
            "several",
        ),
        (
            "?A+B=1&=x",
            r#"[] [("A B", "1"), ("", "x")]"#,
            "other names",
        ),
        (
            "?a+b=100%&a+b=%ff",
            "[\"100%\", \"\u{fffd}\"] [(\"a b\", \"100%\"), (\"a b\", \"\u{fffd}\")]",
            "what cannot be decoded",
        ),
    ];
    for (query, want, why) in table {
        let text = ask(server.local_addr(), &format!("GET /{query}"), "");
        assert_eq!(text, want, "{query:?}: {why}");
    }
}

#[test]
fn all_values_of_a_header_come_in_their_order() {
    let server = serve(|req| {
        let name = String::from("accept"); // need not live as long as the request
        let texts: Vec<_> = req.headers().get_all(&name).collect();
        let bytes = req.headers().get_all_bytes(&name).count();
        format!("{texts:?} {bytes}")
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nAccept: a/b, c/d\r\nX: y\r\nACCEPT:\r\n");
    client.say_bytes(b"Accept: \xff\r\naccept: e/f \r\n\r\n");
    assert_eq!(client.response().text(), r#"["a/b, c/d", "", "e/f"] 4"#);
}

#[test]
fn cookie_returns_the_first_value_if_it_is_text() {
    let server = serve(|req| {
        let values = ["a", "b", "c"].map(|name| req.cookie(name));
        format!("{values:?}")
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nCookie: x=1; A=2; a=\"3\"\r\n");
    client.say_bytes(b"cookie: a=4; b=\xff; b=5; c=\xc3\xa9\r\n\r\n");
    let want = "[Some(\"\\\"3\\\"\"), None, Some(\"\u{e9}\")]";
    assert_eq!(client.response().text(), want);
}

#[test]
fn a_cookie_that_was_set_comes_back_as_it_was_set() {
    let server = serve(|req| match req.cookie("lamp") {
        Some(value) => Response::text(value.to_owned()),
        None => {
            let cookie = "lamp=\"a+b%20==\"; Path=/; HttpOnly; SameSite=Strict";
            Response::text("").with_header("Set-Cookie", cookie)
        }
    });
    let addr = server.local_addr();
    let mut client = Client::connect(addr);
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let set = client.response().header("Set-Cookie").unwrap();
    let (pair, _) = set.split_once(';').unwrap();
    let text = ask(addr, "GET /", &format!("Cookie: theme=dark; {pair}\r\n"));
    assert_eq!(text, "\"a+b%20==\"");
}

#[test]
fn cookies_come_in_their_order_and_only_those_of_the_name() {
    let server = serve(|req| format!("{:?}", req.cookies("lamp").collect::<Vec<_>>()));
    let table = [
        ("", "[]", "no cookie"),
        ("Cookie: lamp=on\r\n", r#"["on"]"#, "one"),
        (
            "Cookie: Lamp=a; lamp=b; lamps=c\r\nCookie: lamp=\"d\"\r\n",
            r#"["b", "\"d\""]"#,
            "others, and a second field with quotes, which are kept",
        ),
        (
            "Cookie: lamp=\u{e9}; lamp=x\r\n",
            "[\"\u{e9}\", \"x\"]",
            "UTF-8",
        ),
    ];
    for (fields, expected, reason) in table {
        let text = ask(server.local_addr(), "GET /", fields);
        assert_eq!(text, expected, "{reason}");
    }
}
