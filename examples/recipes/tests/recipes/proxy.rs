//! The reverse proxy.

use crate::support::client::Client;
use crate::support::dialogue::dialogue;
use crate::support::recorder::Recorder;
use crate::support::server::{observed, serve};
use crate::support::{until, LONG, SOON};
use hardstop::{Builder, CloseReason, Request, Response, Running, Server, StatusCode};
use hardstop_recipes::proxy::Proxy;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A running proxy.
struct Front {
    running: Running,
    facts: Recorder,
    proxy: Proxy,
}

impl Front {
    fn new(builder: Builder, upstream: SocketAddr, patience: Duration) -> Front {
        let proxy = Proxy::new(upstream, patience);
        let forwarder = proxy.clone();
        let (running, facts) = observed(builder, move |req| forwarder.forward(req));
        Front {
            running,
            facts,
            proxy,
        }
    }

    fn of(upstream: SocketAddr) -> Front {
        Front::new(Server::builder(), upstream, LONG)
    }

    fn client(&self) -> Client {
        Client::connect(self.running.local_addr())
    }
}

/// An upstream server that says what the test says, to one connection after the other.
struct Upstream(TcpListener);

impl Upstream {
    fn new() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Upstream(listener)
    }

    fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Accepts a connection, and reads until the text comes.
    fn accept(&self, end: &str) -> (TcpStream, String) {
        let mut accepted = None;
        until("the proxy connects", || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (mut stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let text = read_until(&mut stream, end);
        (stream, text)
    }

    /// Answers one request with these bytes, and ends the connection.
    fn answer_once(self, answer: &'static [u8]) -> SocketAddr {
        let addr = self.addr();
        thread::spawn(move || {
            let (mut stream, _) = self.accept("\r\n\r\n");
            stream.write_all(answer).unwrap();
        });
        addr
    }
}

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

/// The lines of a head, whose order does not matter.
fn sorted(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = head.trim_end().lines().map(str::to_lowercase).collect();
    lines.sort();
    lines
}

// Requests

#[test]
fn a_request_is_passed_on_without_hop_by_hop_headers() {
    let upstream = Upstream::new();
    let front = Front::of(upstream.addr());
    let mut client = front.client();
    client.say(
        "GET /a%20b?q=\"1\" HTTP/1.1\r\nHost: example.com:81\r\nConnection: close, X-Mine\r\n\
         Connection: x-other\r\nX-Mine: 1\r\nX-Other: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nUpgrade: websocket\r\n\
         Trailer: x\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\
         X-Forwarded-Proto: https\r\nVia: 1.0 other\r\nCookie: a=1\r\nAccept: text/html\r\n\
         X-Twice: 1\r\nX-Twice: 2\r\n\r\n",
    );
    let (mut stream, head) = upstream.accept("\r\n\r\n");
    let expected = "GET /a%20b?q=%221%22 HTTP/1.1\r\nHost: example.com:81\r\nCookie: a=1\r\n\
         Accept: text/html\r\nX-Twice: 1\r\nX-Twice: 2\r\nVia: 1.0 other\r\nVia: 1.1 hardstop\r\n\
         X-Forwarded-For: 127.0.0.1\r\n\r\n";
    assert_eq!(sorted(&head), sorted(expected));
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        .unwrap();
    assert_eq!(client.response().text(), "hi");
}

#[test]
fn targets_are_passed_on_in_origin_form() {
    let upstream = serve(|req: &mut Request<'_>| req.target().to_owned());
    let front = Front::of(upstream.local_addr());
    let cases = [
        ("GET", "/", 200, "/"),
        ("GET", "//x/../y?", 200, "//x/../y?"),
        ("GET", "/[]|^?%`{|}\\^'", 200, "/[]|^?%`{|}\\^'"),
        ("GET", "/?\"<>é", 200, "/?%22%3C%3E%C3%A9"),
        ("GET", "http://x/a?b", 200, "/a?b"),
        ("GET", "http://x?b", 200, "/?b"),
        ("GET", "http://x", 200, "/"),
        ("BREW", "/pot", 200, "/pot"),
        (
            "OPTIONS",
            "*",
            501,
            "501 Not Implemented: the proxy does not forward OPTIONS *\n",
        ),
    ];
    for (method, target, status, text) in cases {
        let mut client = front.client();
        client.say(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{target}"
        );
    }
}

#[test]
fn request_bodies_keep_their_framing() {
    let cases = [
        // What the client sends, and what the upstream server gets, both after the common lines.
        ("POST", "", "", "Content-Length: 0\r\n", ""),
        ("DELETE", "", "", "", ""),
        (
            "POST",
            "Content-Length: 0\r\n",
            "",
            "Content-Length: 0\r\n",
            "",
        ),
        (
            "POST",
            "Content-Length: 2\r\n",
            "hi",
            "Content-Length: 2\r\n",
            "hi",
        ),
        (
            "GET",
            "Content-Length: 2\r\n",
            "hi",
            "Content-Length: 2\r\n",
            "hi",
        ),
        (
            "PUT",
            "Content-Length: 2\r\nExpect: 100-continue\r\n",
            "hi",
            "Content-Length: 2\r\n",
            "hi",
        ),
        (
            "DELETE",
            "Transfer-Encoding: chunked\r\n",
            "2\r\nhi\r\n0\r\nX: trailer\r\n\r\n",
            "Transfer-Encoding: chunked\r\n",
            "2\r\nhi\r\n0\r\n\r\n",
        ),
    ];
    let upstream = Upstream::new();
    let front = Front::of(upstream.addr());
    for (method, header, body, passed_header, passed_body) in cases {
        let mut client = front.client();
        client.say(&format!(
            "{method} / HTTP/1.1\r\nHost: x\r\n{header}\r\n{body}"
        ));
        let (mut stream, head) = upstream.accept("\r\n\r\n");
        let expected = format!(
            "{method} / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\n\
             Via: 1.1 hardstop\r\n{passed_header}\r\n"
        );
        assert_eq!(sorted(&head), sorted(&expected), "{method} {header}");
        assert_eq!(read_until(&mut stream, passed_body), passed_body);
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = client.response();
        if answer.status == 100 {
            answer = client.response();
        }
        assert_eq!(answer.status, 204, "{method} {header}");
    }
}

#[test]
fn a_request_body_is_passed_on_while_it_comes() {
    for (header, first, second, passed) in [
        ("Content-Length: 4", "ab", "cd", "ab"),
        (
            "Transfer-Encoding: chunked",
            "2\r\nab\r\n",
            "2\r\ncd\r\n0\r\n\r\n",
            "2\r\nab\r\n",
        ),
    ] {
        let upstream = Upstream::new();
        let front = Front::of(upstream.addr());
        let mut client = front.client();
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n{first}"
        ));
        let (mut stream, _) = upstream.accept(&format!("\r\n\r\n{passed}"));
        client.say(second);
        read_until(&mut stream, second);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
            .unwrap();
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn a_request_body_that_fails_keeps_its_status() {
    let upstream = Upstream::new();
    let builder = Server::builder()
        .max_body_bytes(10)
        .body_timeout(Duration::from_millis(200));
    let front = Front::new(builder, upstream.addr(), LONG);
    let cases = [(11, false, 413), (10, false, 408), (10, true, 400)];
    for (length, ends, status) in cases {
        let mut client = front.client();
        client.say(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nab"
        ));
        if ends {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
        let (mut stream, _) = upstream.accept("\r\n\r\n");
        assert_eq!(client.response().status, status);
        // The upstream server sees that the body is not whole.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < length, "{rest:?}");
    }
}

#[test]
fn an_early_answer_to_a_body_that_is_still_sent_is_lost() {
    let upstream = Upstream::new();
    let front = Front::of(upstream.addr());
    let mut client = front.client();
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nx");
    let (mut stream, _) = upstream.accept("\r\n\r\n");
    stream
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    drop(stream); // a reset, as not all has been read
    client.say(&"x".repeat(199_999));
    assert_eq!(client.response().status, 502);
}

// Responses

#[test]
fn a_response_is_passed_on_without_hop_by_hop_headers() {
    let upstream = Upstream::new().answer_once(
        b"HTTP/1.1 207 Multi-Status\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\n\
          Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
          Proxy-Authenticate: Basic\r\nTrailer: x\r\nContent-Length: 2\r\n\r\nhi",
    );
    let front = Front::of(upstream);
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.text(), "hi");
    let date = format!("Date: {}", answer.header("date").unwrap());
    let expected = "HTTP/1.1 207 Multi-Status\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\n\
                    Set-Cookie: b=2\r\nETag: \"x\"";
    assert_eq!(
        sorted(&answer.head),
        sorted(&format!("{expected}\r\n{date}"))
    );
}

#[test]
fn responses_keep_their_status_and_length() {
    let upstream = serve(|req: &mut Request<'_>| match req.path() {
        "/text" => Response::text("hello"),
        "/chunks" => Response::stream(|body| body.write_all(b"hello")),
        "/moved-page" => Response::html("here")
            .with_status(302)
            .with_header("Location", "/x"),
        "/moved" => Response::redirect("/elsewhere"),
        "/missing" => StatusCode::NOT_FOUND.into(),
        "/broken" => StatusCode::INTERNAL_SERVER_ERROR.into(),
        "/none" => Response::new(204),
        "/same" => Response::new(304).with_header("ETag", "\"x\""),
        _ => Response::new(205),
    });
    let front = Front::of(upstream.local_addr());
    let paths = [
        "/text",
        "/chunks",
        "/moved",
        "/moved-page",
        "/missing",
        "/broken",
        "/none",
        "/same",
        "/reset",
    ];
    for method in ["GET", "HEAD"] {
        for path in paths {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let direct = dialogue(upstream.local_addr(), &request);
            let passed = dialogue(front.running.local_addr(), &request);
            let (direct_head, direct_body) = direct.split_once("\r\n\r\n").unwrap();
            let (passed_head, passed_body) = passed.split_once("\r\n\r\n").unwrap();
            let without_date = |head: &str| {
                let mut lines = sorted(head);
                lines.retain(|line| !line.starts_with("date: "));
                lines
            };
            assert_eq!(
                without_date(direct_head),
                without_date(passed_head),
                "{method} {path}"
            );
            assert_eq!(direct_body, passed_body, "{method} {path}");
        }
    }
}

#[test]
fn a_response_is_passed_on_while_it_comes() {
    let (send, events) = mpsc::channel::<&str>();
    let events = Mutex::new(Some(events));
    let upstream = serve(move |_: &mut Request<'_>| {
        let events = events.lock().unwrap().take().unwrap();
        Response::stream(move |body| {
            for event in events {
                body.write_all(event.as_bytes())?;
                body.flush()?;
            }
            Ok(())
        })
    });
    let front = Front::of(upstream.local_addr());
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    send.send("data: 1\n\n").unwrap();
    client.head_response();
    assert_eq!(client.take(14), b"9\r\ndata: 1\n\n\r\n");
    send.send("data: 2\n\n").unwrap();
    assert_eq!(client.take(14), b"9\r\ndata: 2\n\n\r\n");
    drop(send);
    assert_eq!(client.take(5), b"0\r\n\r\n");
}

#[test]
fn interim_responses_are_left_out() {
    let upstream = Upstream::new().answer_once(
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let front = Front::of(upstream);
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
    assert_eq!(answer.header("link"), None);
}

#[test]
fn a_body_that_ends_with_its_connection_is_passed_on() {
    let upstream = Upstream::new().answer_once(b"HTTP/1.0 200 OK\r\n\r\nall of it");
    let front = Front::of(upstream);
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.text(), "all of it");
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn what_is_no_response_gets_502() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "nothing"),
        (b"hello\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "half a head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "no body"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "no chunk",
        ),
        (
            b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            "an odd status",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "101",
        ),
    ];
    for (answer, reason) in cases {
        let front = Front::of(Upstream::new().answer_once(answer));
        let mut client = front.client();
        client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.status, 502, "{reason}: {}", answer.text());
    }
}

#[test]
fn a_body_that_breaks_off_later_ends_the_connection() {
    let upstream = Upstream::new();
    let front = Front::of(upstream.addr());
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let (mut stream, _) = upstream.accept("\r\n\r\n");
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        .unwrap();
    client.head_response();
    assert_eq!(client.take(7), b"2\r\nhi\r\n");
    drop(stream);
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0, "no last chunk");
    assert_eq!(front.facts.reason(1), CloseReason::ResponseFailed);
}

#[test]
fn an_upstream_server_that_is_not_there_gets_502() {
    let nobody = Upstream::new().addr();
    let front = Front::of(nobody);
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().status, 502);
    assert!(front.facts.take_failure().contains("upstream"));
}

#[test]
fn an_upstream_server_that_takes_too_long_gets_504() {
    for begin in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"] {
        let upstream = Upstream::new();
        let patience = Duration::from_millis(200);
        let front = Front::new(Server::builder(), upstream.addr(), patience);
        let mut client = front.client();
        client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let (mut stream, _) = upstream.accept("\r\n\r\n");
        stream.write_all(begin.as_bytes()).unwrap();
        assert_eq!(client.response().status, 504, "{begin}");
    }
}

// The end

#[test]
fn a_client_that_goes_away_ends_the_exchange_upstream() {
    let (upstream, facts) = observed(Server::builder(), |_: &mut Request<'_>| {
        Response::stream(|body| loop {
            body.write_all(&[b'x'; 65536])?;
        })
    });
    let front = Front::of(upstream.local_addr());
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.take(1_000_000);
    drop(client);
    facts.reason(1);
}

#[test]
fn a_destroy_ends_exchanges_in_every_state() {
    // What the client sends, what the upstream server then has, and what it says before it is
    // silent.
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\n\r\n",
            "",
            "waits for a response",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234",
            "in a response",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
            "1234",
            "",
            "in a request",
        ),
    ];
    for (request, received, begin, state) in cases {
        let upstream = Upstream::new();
        let front = Front::of(upstream.addr());
        let mut client = front.client();
        client.say(request);
        let (mut stream, _) = upstream.accept(received);
        stream.write_all(begin.as_bytes()).unwrap();
        if !begin.is_empty() {
            until("the response has begun", || {
                let open = front.running.handle().connections();
                open.iter()
                    .any(|each| format!("{:?}", each.state).contains("Responding"))
            });
        }
        let began = Instant::now();
        assert_eq!(front.running.destroy(), 1, "{state}");
        front.proxy.stop();
        client.expect_end();
        assert!(front.running.join(), "{state}");
        assert!(began.elapsed() < SOON, "{state}");
        // The upstream server is told as well.
        match stream.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{state}"),
        }
    }
}

#[test]
fn a_drain_lets_an_exchange_finish() {
    let upstream = Upstream::new();
    let front = Front::of(upstream.addr());
    let mut client = front.client();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let (mut stream, _) = upstream.accept("\r\n\r\n");
    front.running.handle().drain();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        .unwrap();
    assert_eq!(client.response().text(), "hi");
    client.expect_end();
    assert!(front.running.join());
}
