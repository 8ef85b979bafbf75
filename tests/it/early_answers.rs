//! Responses that a handler returns before its request has been received whole.
//!
//! RFC 9112 §9.3 and §9.6: a proxy may send another client's request on such a connection, and the
//! server would take it for the rest of the body. So no such response is sent without `Connection:
//! close`.

use crate::support::client::Client;
use crate::support::recorder::{recorder, Fact};
use crate::support::server::observed;
use crate::support::{until, GET, SOON};
use hardstop::{CloseReason, Error, Request, Response, Server};
use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Every way to answer without reading the body.
const WAYS: [&str; 12] = [
    "text",
    "empty",
    "no-content",
    "large",
    "error",
    "panic",
    "io-error",
    "too-large",
    "stream",
    "file",
    "upgrade",
    "not-sendable",
];

fn answer(request: &mut Request<'_>) -> Result<Response, Error> {
    Ok(match request.path().trim_start_matches('/') {
        "text" => Response::text("hello"),
        "empty" => Response::new(200),
        "no-content" => Response::new(204),
        "large" => Response::bytes("text/plain", vec![b'x'; 100_000]),
        "error" => return Err(Error::new(404, "no such thing")),
        "panic" => panic!("on purpose"),
        "io-error" => return Err(io::Error::from(io::ErrorKind::NotFound).into()),
        "too-large" => {
            request.body().set_limit(3);
            Response::text(request.body().read_to_text()?)
        }
        "stream" => Response::stream(|body| body.write_all(b"hello")),
        "file" => Response::file(File::open("Cargo.toml")?)?,
        "upgrade" => Response::upgrade("echo", drop),
        "not-sendable" => Response::text("hello").with_header("a b", "c"),
        other => panic!("there is no way {other:?}"),
    })
}

/// The headers that frame the body, and what the client sends of the body at first and later.
const BODIES: [(&str, &str, &str); 7] = [
    ("Content-Length: 224\r\n", "", "x"),
    ("Content-Length: 5\r\n", "hell", "o"),
    ("Transfer-Encoding: chunked\r\n", "", "2\r\nhi\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\n", "2\r\nh", "i\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n", "\r\n"),
    ("Content-Length: 300000\r\n", "hello", "x"),
    ("Expect: 100-continue\r\nContent-Length: 5\r\n", "", "hello"),
];

fn head(method: &str, way: &str, fields: &str) -> String {
    format!("{method} /{way} HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: upgrade\r\n{fields}\r\n")
}

/// The length of the body that these headers declare, if they do.
fn declared(fields: &str) -> Option<usize> {
    let (_, length) = fields.split_once("Content-Length: ")?;
    length.trim().parse().ok()
}

#[test]
fn no_response_without_close_leaves_before_its_request_has_been_received_whole() {
    let builder = Server::builder().body_timeout(Duration::from_millis(100));
    let server = builder.bind("127.0.0.1:0").unwrap().spawn(answer).unwrap();
    let addr = server.local_addr();
    for way in WAYS {
        thread::scope(|scope| {
            for method in ["POST", "HEAD"] {
                for (fields, first, _) in BODIES {
                    scope.spawn(move || {
                        let case = format!("{method} {way} with {fields:?} and {first:?}");
                        let mut client = Client::connect(addr);
                        client.say(&head(method, way, fields));
                        client.say(first);
                        let response = client.head_response();
                        if response.status == 100 {
                            return; // its handler reads the body, so it is received whole or the answer is an error
                        }
                        let connection = response.header("connection").unwrap_or_default();
                        assert!(connection.contains("close"), "{case}: {}", response.head);
                        let _ = client.stream.shutdown(Shutdown::Write); // so the server need not linger
                        client.expect_end();
                    });
                }
            }
        });
    }
}

#[test]
fn a_small_unread_rest_is_received_and_the_connection_persists() {
    let (hook, facts) = recorder();
    let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
    let running = server.unwrap().spawn(answer).unwrap();
    let mut id = 0;
    for way in WAYS {
        for (fields, first, rest) in BODIES {
            id += 1;
            let mut client = Client::connect(running.local_addr());
            client.say(&head("POST", way, fields));
            client.say(first);
            facts.wait_for(|fact| matches!(fact, Fact::Request(number, _) if *number == id));
            let rest = match declared(fields) {
                Some(length) => rest.repeat((length - first.len()) / rest.len()),
                None => String::from(rest),
            };
            let _ = client.stream.write_all(rest.as_bytes()); // it may have been answered and closed
            let mut response = client.response();
            if response.status == 100 {
                response = client.response();
            }
            if response
                .header("connection")
                .map_or(false, |value| value.contains("close"))
            {
                client.expect_end();
                continue;
            }
            let is_small = declared(fields).map_or(true, |length| length < 300_000);
            assert!(
                is_small && !fields.contains("Expect"),
                "{way} with {fields:?} went on"
            );
            client.say(&GET.replace("/ ", "/text "));
            assert_eq!(client.response().text(), "hello", "{way} with {fields:?}");
        }
    }
}

/// Regression: Traffic Server sent the next client's request on such a connection, and its
/// beginning was taken for the body.
#[test]
fn a_request_after_an_unread_body_is_not_taken_for_that_body() {
    let running = Server::bind("127.0.0.1:0")
        .unwrap()
        .spawn(|_| "ok")
        .unwrap();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = Client::connect(running.local_addr());
    client.say(&format!(
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        smuggled.len()
    ));
    let connection = running.handle();
    until("the request is being handled", || {
        let open = connection.connections();
        open.iter().any(|info| info.requests == 1)
    });
    client.say(smuggled);
    assert_eq!(client.response().text(), "ok");
    client.say(GET);
    assert_eq!(client.response().text(), "ok");
    drop(client);
    running.destroy();
    assert!(running.join());
}

#[test]
fn an_unread_rest_of_up_to_256_kib_is_received() {
    let running = Server::bind("127.0.0.1:0")
        .unwrap()
        .spawn(|_| "ok")
        .unwrap();
    for (length, goes_on) in [(262_144, true), (262_145, false)] {
        for chunked in [false, true] {
            let mut client = Client::connect(running.local_addr());
            let body = vec![b'x'; length];
            if chunked {
                client.say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
                client.say(&format!("{length:x}\r\n"));
            } else {
                client.say(&format!(
                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                ));
            }
            client.say_bytes(&body);
            if chunked {
                client.say("\r\n0\r\n\r\n");
            }
            let response = client.response();
            assert_eq!(
                response.header("connection").is_none(),
                goes_on,
                "{length}, chunked: {chunked}"
            );
        }
    }
}

/// Neither a byte now and then nor silence holds a connection for longer than `body_timeout`.
#[test]
fn a_dripping_rest_is_awaited_for_the_body_timeout_at_most() {
    for chunked in [false, true] {
        let builder = Server::builder()
            .body_timeout(Duration::from_millis(300))
            .min_rate(None);
        let (server, events) = observed(builder, |_| "ok");
        let mut client = Client::connect(server.local_addr());
        if chunked {
            client.say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        } else {
            client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        }
        let is_answered = Arc::new(AtomicBool::new(false));
        let drips = {
            let is_answered = Arc::clone(&is_answered);
            let mut stream = client.stream.try_clone().unwrap();
            thread::spawn(move || {
                let drop = if chunked { "1\r\nx\r\n" } else { "x" };
                while !is_answered.load(SeqCst) && stream.write_all(drop.as_bytes()).is_ok() {
                    thread::sleep(Duration::from_millis(10));
                }
            })
        };
        let response = client.response();
        is_answered.store(true, SeqCst);
        assert_eq!(
            response.header("connection").as_deref(),
            Some("close"),
            "chunked: {chunked}"
        );
        assert_eq!(response.text(), "ok");
        drips.join().unwrap();
        drop(client);
        assert_eq!(
            events.take_reason(),
            CloseReason::BodyTimeout,
            "chunked: {chunked}"
        );
    }
}

#[test]
fn destroy_does_not_wait_for_the_rest_of_an_unread_body() {
    let (server, events) = observed(Server::builder(), |_| "ok");
    let mut client = Client::connect(server.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234");
    events.take_until(|fact| matches!(fact, Fact::Request(..)));
    assert_eq!(server.destroy(), 1);
    client.expect_end();
    assert!(server.wait_timeout(SOON), "a connection is left");
    assert_eq!(events.take_reason(), CloseReason::Destroyed);
}

/// Regression: the drain waited for the rest, for as long as its grace, and the client got no
/// answer.
#[test]
fn drain_does_not_wait_for_the_rest_of_an_unread_body() {
    let (server, events) = observed(Server::builder(), |_| "ok");
    let mut client = Client::connect(server.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234");
    events.take_until(|fact| matches!(fact, Fact::Request(..)));
    server.drain();
    let response = client.response();
    assert_eq!(response.text(), "ok");
    assert_eq!(response.header("connection").as_deref(), Some("close"));
    drop(client);
    assert!(server.wait_timeout(SOON), "a connection is left");
    assert_eq!(events.take_reason(), CloseReason::Drained);
}

/// A handler that ends its connection does not wait for a body that it has no use for.
#[test]
fn a_response_with_close_does_not_wait_for_the_rest_of_a_small_body() {
    let (running, _) = observed(Server::builder(), |_| Response::text("early").with_close());
    let mut client = Client::connect(running.local_addr());
    client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().text(), "early");
}
