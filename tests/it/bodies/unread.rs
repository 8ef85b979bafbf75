//! Unread bodies, and `100 Continue`, which announces to a client that its body is being read.

use super::*;

#[test]
fn a_large_or_broken_unread_body_ends_the_connection() {
    let (server, events) = observed(Server::builder(), echo);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let size = format!("{:x}", smuggled.len());
    let bad = CloseReason::Refused(StatusCode::BAD_REQUEST);
    let table = [
        (
            post("/", "Content-Length: 262145\r\n", smuggled),
            CloseReason::Completed,
        ),
        (
            post("/one", "Content-Length: 1000000\r\n", smuggled),
            CloseReason::Completed,
        ),
        (
            chunked("/", &format!("40001\r\n{smuggled}")),
            CloseReason::Completed,
        ),
        (
            chunked("/", &format!("{size}\r\n{smuggled}\r\n3ffff\r\n")),
            CloseReason::Completed,
        ),
        (
            chunked("/", &format!("{size}\r\n{smuggled}x\r\n0\r\n\r\n")),
            bad,
        ),
        (chunked("/", &format!("x\r\n{smuggled}\r\n0\r\n\r\n")), bad),
    ];
    for (request, reason) in table {
        let said = dialogue(server.local_addr(), request.clone() + GET);
        assert_eq!(statuses(&said), [200], "{request:?}: {said}");
        assert!(
            said.contains("\r\nConnection: close\r\n"),
            "{request:?}: {said}"
        );
        assert_eq!(events.take_reason(), reason, "{request:?}");
    }
}

/// A reset would discard the response while it is on its way.
#[test]
fn a_client_may_keep_sending_briefly_after_the_last_response() {
    let (server, events) = observed(Server::builder(), echo);
    let head = post("/", "Content-Length: 100000000\r\n", "");
    for endless in [false, true] {
        let mut tcp = TcpStream::connect(server.local_addr()).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.set_write_timeout(Some(SOON)).unwrap();
        tcp.write_all(head.as_bytes()).unwrap();
        let mut said = String::new();
        tcp.read_to_string(&mut said).unwrap();
        assert!(said.ends_with("\r\n\r\nunread"), "{said}");
        for _ in 0..100 {
            tcp.write_all(&[b'a'; 1000]).unwrap();
        }
        while endless && tcp.write_all(&[b'a'; 100_000]).is_ok() {}
        drop(tcp);
        assert_eq!(events.take_reason(), CloseReason::Completed);
    }
}

/// Regression: a response without `Connection: close` ended the connection when the unread body was
/// larger than the limit on bodies. Either the response announces the end, or the connection
/// persists.
#[test]
fn an_unread_body_over_the_limit_ends_the_connection_only_if_the_response_says_so() {
    let (server, events) = observed(Server::builder().max_body_bytes(10), echo);
    let mut client = Client::connect(server.local_addr());
    client.say(&fixed("/", "0123456789abcdef"));
    let answer = client.response();
    assert_eq!(answer.status, 200);
    if answer.header("Connection").is_none() {
        client.say(GET);
        assert_eq!(client.response().status, 200);
        drop(client);
    } else {
        client.expect_end();
        assert_eq!(events.take_reason(), CloseReason::Completed);
    }
}

#[test]
fn an_unread_small_body_is_not_taken_for_a_request() {
    let server = serve(echo);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for path in ["/", "/one"] {
        let mut client = Client::connect(server.local_addr());
        for body in [smuggled.to_string(), smuggled.repeat(1000)] {
            client.say(&fixed(path, &body));
            assert_eq!(client.response().status, 200);
            client.say(&fixed("/vec", "next"));
            assert_eq!(client.response().text(), "next");
        }
    }
}

#[test]
fn a_100_continue_is_sent_when_the_body_is_read() {
    let server = serve(echo);
    for path in ["/vec", "/io", "/bytewise"] {
        for (framing, body) in [
            ("Content-Length: 2", "hi"),
            ("Transfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n"),
        ] {
            let mut client = Client::connect(server.local_addr());
            client.say(&post(
                path,
                &format!("Expect: 100-Continue\r\n{framing}\r\n"),
                "",
            ));
            let interim = client.head_response();
            assert_eq!(interim.head, "HTTP/1.1 100 Continue\r\n\r\n");
            client.say(body);
            let answer = client.response();
            assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
            client.say(GET);
            assert_eq!(client.response().status, 200, "it goes on");
        }
    }
}

#[test]
fn no_100_continue_is_sent_for_a_body_that_is_not_read() {
    let server = serve(echo);
    let expect =
        |path, fields: &str, body| post(path, &format!("Expect: 100-continue\r\n{fields}"), body);
    let table = [
        (
            expect("/", "Content-Length: 2\r\n", ""),
            200,
            true,
            "not read",
        ),
        (
            expect("/", "Transfer-Encoding: chunked\r\n", ""),
            200,
            true,
            "not read",
        ),
        (
            expect("/vec", "Content-Length: 2000000\r\n", ""),
            413,
            true,
            "too large",
        ),
        (
            expect("/vec", "Content-Length: 0\r\n", ""),
            200,
            false,
            "no body",
        ),
        (expect("/vec", "", ""), 200, false, "no body"),
        (
            expect("/vec", "Content-Length: 2\r\n", "hi"),
            200,
            false,
            "it has not waited",
        ),
        (
            post("/vec", "Content-Length: 2\r\n", "hi"),
            200,
            false,
            "it does not wait",
        ),
    ];
    for (request, want, closes, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&request);
        let answer = client.response();
        assert_eq!(answer.status, want, "{why}");
        assert_eq!(answer.header("Connection").is_some(), closes, "{why}");
        if closes {
            client.expect_end();
        } else {
            client.say(GET);
            assert_eq!(client.response().status, 200, "{why}");
        }
    }
}

#[test]
fn an_http_1_0_client_gets_no_100_continue() {
    let server = serve(echo);
    let mut client = Client::connect(server.local_addr());
    client.say("POST /vec HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    client.say("hi");
    assert_eq!(client.response().status, 200);
}
