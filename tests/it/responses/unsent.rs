//! Responses that fail before anything of them has left: the client gets an error instead.

use super::*;
use crate::support::server::bring;
use hardstop::ConnectionState;

type Make = fn() -> Response;

fn failed<T>(text: &'static str) -> io::Result<T> {
    Err(io::Error::new(ErrorKind::Other, text))
}

/// Responses that fail with nothing left, their status codes and bodies, and the reported errors.
const FAILING: [(Make, u16, &str, &str); 11] = [
    (
        || Response::stream(|_| failed("at once")),
        500,
        "",
        "at once",
    ),
    (
        || {
            Response::stream(|w| {
                w.write_all(b"abc")?; // it is collected
                failed("after three bytes")
            })
        },
        500,
        "",
        "after three bytes",
    ),
    (
        || {
            Response::stream(|w| {
                // As much as is collected. Sent behind the head, it would not all fit.
                w.write_all(&[b'a'; 16 * 1024])?;
                failed("after 16 KiB")
            })
        },
        500,
        "",
        "after 16 KiB",
    ),
    (
        || Response::stream(|_| Err(Error::new(404, "no such log").into())),
        404,
        "404 Not Found: no such log\n",
        "no such log",
    ),
    (
        || {
            Response::stream(|_| failed("odd"))
                .with_status(201)
                .with_header("X", "y")
        },
        500,
        "",
        "odd",
    ),
    (
        || Response::reader(Failing(b""), None),
        500,
        "",
        "the disk is gone",
    ),
    (
        || Response::reader(Failing(b""), 9),
        500,
        "",
        "the disk is gone",
    ),
    (
        || Response::reader(Failing(b"abc"), 9),
        500,
        "",
        "the disk is gone",
    ),
    (
        || Response::reader(io::empty(), 1),
        500,
        "",
        "the response's reader ended before its length",
    ),
    (
        || Response::reader(&b"abc"[..], 9),
        500,
        "",
        "the response's reader ended before its length",
    ),
    (
        || Response::reader(Forbidden, None),
        403,
        "403 Forbidden: not yours\n",
        "not yours",
    ),
];

/// A reader that fails with a status code of its own.
struct Forbidden;

impl Read for Forbidden {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(Error::new(403, "not yours").into())
    }
}

#[test]
fn a_response_that_fails_before_anything_has_left_becomes_an_error() {
    for (make, status, body, why) in FAILING {
        let (server, events) = observed(Server::builder(), move |req| match req.path() {
            "/fails" => make(),
            _ => Response::text("fine"),
        });
        let mut client = Client::connect(server.local_addr());
        let fails = "GET /fails HTTP/1.1\r\nHost: x\r\n\r\n";
        client.say(&format!("{GET}{fails}{GET}{fails}"));
        for _ in 0..2 {
            assert_eq!(client.response().text(), "fine", "{why}");
            let answer = client.response();
            assert_eq!(answer.status, status, "{why}");
            let generic = "500 Internal Server Error\n";
            let body = if body.is_empty() { generic } else { body };
            assert_eq!(answer.text(), body, "{why}");
            assert_eq!(answer.header("Connection"), None, "{why}: it goes on");
            assert_eq!(answer.header("Transfer-Encoding"), None, "{why}");
            assert_eq!(
                answer.header("X"),
                None,
                "{why}: nothing is left of the first"
            );
        }
        let line = String::from("GET /fails");
        let length = u64::try_from(if body.is_empty() { 26 } else { body.len() }).unwrap();
        for _ in 0..2 {
            events.take_until(|fact| *fact == Fact::Request(1, line.clone()));
            assert_eq!(events.take(), Fact::RequestFailed(1, String::from(why)));
            assert_eq!(events.take(), Fact::Responded(1, status, length));
        }
    }
}

#[test]
fn a_response_that_fails_unsent_keeps_an_http_1_0_connection_only_if_that_was_asked_for() {
    let server = serve(|req| match req.path() {
        "/fails" => Response::stream(|_| failed("at once")),
        _ => Response::text("fine"),
    });
    let asked = "GET /fails HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let said = dialogue(
        server.local_addr(),
        format!("{asked}GET / HTTP/1.0\r\n\r\n"),
    );
    assert_eq!(statuses(&said), [500, 200], "{said}");
    let said = dialogue(server.local_addr(), "GET /fails HTTP/1.0\r\n\r\n".repeat(2));
    assert_eq!(statuses(&said), [500], "{said}");
    assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    assert!(
        said.ends_with("\r\n\r\n500 Internal Server Error\n"),
        "{said}"
    );
}

#[test]
fn a_response_that_fails_unsent_ends_its_connection_if_it_would_have_ended_it() {
    let server = serve(|_| Response::stream(|_| failed("at once")).with_close());
    let close = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let unread = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n";
    for request in [GET, close, unread] {
        let mut client = Client::connect(server.local_addr());
        client.say(request);
        let answer = client.response();
        assert_eq!(answer.status, 500, "{request}");
        assert_eq!(answer.header("Connection").as_deref(), Some("close"));
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        client.expect_end();
    }
}

#[test]
fn a_response_that_fails_unsent_leaves_the_rest_of_a_request_body_out() {
    let server = serve(|req| match req.path() {
        "/fails" => Response::stream(|_| failed("at once")),
        _ => Response::text("fine"),
    });
    let mut client = Client::connect(server.local_addr());
    client.say("POST /fails HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n");
    client.say("GET /none HTTP/1.1\r\nHost: x\r\nX: 6789\r\n\r\n");
    client.say(GET);
    assert_eq!(client.response().status, 500);
    assert_eq!(client.response().text(), "fine");
}

#[test]
fn an_error_that_cannot_be_a_response_becomes_500() {
    for status in [42, 101, 600] {
        let (server, events) = observed(Server::builder(), move |_| {
            Response::stream(move |_| Err(Error::new(status, "odd").into()))
        });
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2 {
            client.say(GET);
            assert_eq!(client.response().status, 500, "{status}");
            assert_eq!(events.take_failure(), "odd");
            let why = "the status code is not from 200 to 599";
            assert_eq!(events.take_failure(), why);
        }
    }
}

#[test]
fn a_panic_before_anything_has_left_is_a_500_and_ends_its_connection() {
    /// A reader that panics when it is read.
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose");
        }
    }
    let table: [Make; 4] = [
        || Response::stream(|_| panic!("on purpose")),
        || {
            Response::stream(|w| {
                w.write_all(b"abc")?;
                panic!("on purpose")
            })
        },
        || Response::reader(Panics, None),
        || Response::reader(Panics, 9),
    ];
    for make in table {
        let (server, events) = observed(Server::builder(), move |req| match req.path() {
            "/panics" => make(),
            _ => Response::text("fine"),
        });
        let panics = "GET /panics HTTP/1.1\r\nHost: x\r\n\r\n";
        let said = dialogue(server.local_addr(), format!("{GET}{panics}{GET}"));
        assert_eq!(statuses(&said), [200, 500], "{said}");
        assert!(
            said.ends_with("\r\n\r\n500 Internal Server Error\n"),
            "{said}"
        );
        assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
        assert_eq!(events.take_panic(), "on purpose");
        assert_eq!(events.take(), Fact::Responded(1, 500, 26));
        assert_eq!(events.take_reason(), CloseReason::HandlerPanicked);
    }
}

#[test]
fn a_cut_before_anything_has_left_is_no_error_response() {
    for panics in [false, true] {
        let (server, events) = observed(Server::builder(), move |req| {
            let token = req.cancel_token();
            Response::stream(move |_| {
                assert!(token.wait_timeout(SOON), "it is cut");
                assert!(!panics, "on purpose");
                failed("cut")
            })
        });
        let state = ConnectionState::Responding;
        let mut client = bring(&server.handle(), server.local_addr(), GET, state);
        server.destroy();
        if panics {
            assert_eq!(events.take_panic(), "on purpose");
        } else {
            assert_eq!(events.take_failure(), "cut");
        }
        let last = events.take();
        assert!(
            matches!(last, Fact::Closed(_, CloseReason::Destroyed, _)),
            "{last:?} and no `Responded`"
        );
        client.expect_end();
    }
}
