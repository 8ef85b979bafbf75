//! JSON in requests and responses.

use crate::support::client::Client;
use crate::support::server::observed;
use hardstop::{Error, Request, Response, Server};
use hardstop_recipes::json::{json, read_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Serialize)]
struct Receipt {
    text: String,
}

fn order(req: &mut Request<'_>) -> Result<Response, Error> {
    let Order { item, count } = read_json(req)?;
    json(&Receipt {
        text: format!("{count} of \"{item}\""),
    })
}

#[test]
fn a_document_is_read_and_answered() {
    let (server, _) = observed(Server::builder(), order);
    let mut client = Client::connect(server.local_addr());
    for content_type in ["application/json", "Application/JSON ; charset=utf-8"] {
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
             Content-Length: 24\r\n\r\n{{\"item\":\"tea\",\"count\":2}}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, 200, "{content_type}");
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("application/json")
        );
        assert_eq!(answer.text(), r#"{"text":"2 of \"tea\""}"#);
    }
}

#[test]
fn a_bad_request_gets_a_status_and_a_reason() {
    let cases = [
        // The content type, the body, the status, and what the reason has in it.
        ("application/json", "{\"item\":", 400, "line 1 column 8"),
        ("application/json", "{\"item\":3}", 400, "invalid type"),
        ("application/json", "{\"item\":\"tea\"}", 400, "`count`"),
        ("application/json", "", 400, "EOF"),
        ("text/plain", "{}", 415, "application/json"),
        ("application/jsonp", "{}", 415, "application/json"),
        ("", "{}", 415, "application/json"),
    ];
    let (server, _) = observed(Server::builder(), order);
    for (content_type, body, status, reason) in cases {
        let mut client = Client::connect(server.local_addr());
        let length = body.len();
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}

#[test]
fn a_deeply_nested_document_gets_400_and_not_an_overflow() {
    let (server, _) = observed(Server::builder(), |req: &mut Request<'_>| {
        read_json::<serde_json::Value>(req).map(|_| "read")
    });
    let body = "[".repeat(100_000);
    let mut client = Client::connect(server.local_addr());
    client.say(&format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = client.response();
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("recursion limit"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_body_that_fails_keeps_its_status() {
    let builder = Server::builder()
        .max_body_bytes(10)
        .body_timeout(Duration::from_millis(100));
    let (server, _) = observed(builder, order);
    for (length, status) in [(11, 413), (10, 408)] {
        let mut client = Client::connect(server.local_addr());
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{{"
        ));
        assert_eq!(client.response().status, status);
    }
}

/// What the page warns of.
#[test]
fn from_reader_turns_413_into_400() {
    let builder = Server::builder().max_body_bytes(10);
    let (server, _) = observed(builder, |req: &mut Request<'_>| {
        serde_json::from_reader(req.body())
            .map(|_: serde_json::Value| "read")
            .map_err(|error| Error::new(400, error.to_string()))
    });
    let mut client = Client::connect(server.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{");
    assert_eq!(client.response().status, 400);
}

#[test]
fn a_value_that_is_no_json_gets_500() {
    let (server, facts) = observed(Server::builder(), |_: &mut Request<'_>| {
        json(&BTreeMap::from([((1, 2), 3)]))
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().status, 500);
    assert!(facts.take_failure().contains("key must be a string"));
}
