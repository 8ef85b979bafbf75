use super::super::super::error::BoxError;
use super::super::super::{ConnectionId, Headers, StatusCode, Version};
use super::*;
use std::io;
use std::time::Duration;

const ID: ConnectionId = ConnectionId(3);

fn request(target: &str) -> Event {
    Event::Request {
        id: ID,
        method: String::from("GET"),
        target: String::from(target),
        version: Version::Http11,
        headers: Headers::default(),
    }
}

fn failed(error: Error) -> Event {
    Event::RequestFailed { id: ID, error }
}

fn panicked(message: &str) -> Event {
    Event::HandlerPanicked {
        id: ID,
        message: String::from(message),
    }
}

fn io_error(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Other, text)
}

/// An error with a source, which has its own text alone, as it should be.
#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are lost")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn outer() -> Outer {
    Outer(io_error("the disk is gone"))
}

#[test]
fn every_event_is_displayed_as_a_line() {
    let peer = Some(SocketAddr::from(([127, 0, 0, 1], 50_000)));
    let closed = Event::Closed {
        id: ID,
        reason: CloseReason::IdleTimeout,
        requests: 2,
        received: 312,
        sent: 1208,
        duration: Duration::from_millis(4012),
    };
    let responded = Event::Responded {
        id: ID,
        status: StatusCode::OK,
        bytes: 1208,
        time: Duration::from_micros(1234),
    };
    let upgraded = Event::Upgraded {
        id: ID,
        protocol: String::from("websocket"),
    };
    let transport_failed = |error: BoxError| Event::TransportFailed { id: ID, error };
    let table: [(Event, &str); 26] = [
        (
            Event::Opened { id: ID, peer },
            "connection 3 opened by 127.0.0.1:50000",
        ),
        (Event::Opened { id: ID, peer: None }, "connection 3 opened"),
        (request("/a%20b?q=1"), "connection 3: GET /a%20b?q=1"),
        (responded, "connection 3: 200 OK, 1208 bytes, 1.2ms"),
        (upgraded, "connection 3: upgraded to websocket"),
        (
            transport_failed("no certificate".into()),
            "connection 3: the transport failed: no certificate",
        ),
        (
            transport_failed(outer().into()),
            "connection 3: the transport failed: the settings are lost: the disk is gone",
        ),
        (
            failed(Error::new(404, "no such device")),
            "connection 3: failed with 404: no such device",
        ),
        (
            failed(Error::new(404, "")),
            "connection 3: failed with 404 Not Found",
        ),
        (failed(Error::new(599, "")), "connection 3: failed with 599"),
        (
            failed(Error::Cut),
            "connection 3: failed: the connection has been cut",
        ),
        (
            failed(Error::from(io_error("the disk is gone"))),
            "connection 3: failed with 500: the disk is gone",
        ),
        (
            failed(Error::internal(outer())),
            "connection 3: failed with 500: the settings are lost: the disk is gone",
        ),
        (
            failed(Error::from(io::Error::new(io::ErrorKind::Other, outer()))),
            "connection 3: failed with 500: the settings are lost: the disk is gone",
        ),
        (
            failed(Error::internal(Outer(io::Error::new(
                io::ErrorKind::Other,
                outer(),
            )))),
            "connection 3: failed with 500: the settings are lost: the settings are lost: \
             the disk is gone",
        ),
        (
            panicked("on purpose"),
            "connection 3: the handler panicked: on purpose",
        ),
        (panicked(""), "connection 3: the handler panicked"),
        (
            closed,
            "connection 3 closed: idle_timeout has passed; requests: 2, bytes received: 312, \
             sent: 1208, open for 4.0s",
        ),
        (
            Event::AcceptFailed {
                error: io_error("too many open files"),
            },
            "a client was not accepted: too many open files",
        ),
        (
            Event::SpawnFailed {
                error: io_error("out of memory"),
            },
            "a connection got no thread: out of memory",
        ),
        (
            Event::Rejected { peer },
            "a client was rejected, as every place was taken: 127.0.0.1:50000",
        ),
        (
            Event::Rejected { peer: None },
            "a client was rejected, as every place was taken",
        ),
        (
            Event::HookPanicked {
                message: String::from("x"),
            },
            "the event hook panicked: x",
        ),
        (
            Event::HookPanicked {
                message: String::new(),
            },
            "the event hook panicked",
        ),
        (
            request("/caf\u{e9}?\\n"),
            "connection 3: GET /caf\u{e9}?\\\\n",
        ),
        (request("*"), "connection 3: GET *"),
    ];
    for (event, want) in table {
        assert_eq!(event.to_string(), want);
        assert_fails_if_cut_short(&event, want.len());
    }
}

/// Checks that an event fails as a text if its writer does, at whatever byte of it.
fn assert_fails_if_cut_short(event: &Event, length: usize) {
    /// Has room for so many bytes.
    struct Room(usize);

    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            match self.0.checked_sub(text.len()) {
                Some(rest) => self.0 = rest,
                None => return Err(fmt::Error),
            }
            Ok(())
        }
    }

    for room in 0..length {
        assert!(write!(Room(room), "{event}").is_err(), "{event}: {room}");
    }
    assert!(write!(Room(length), "{event}").is_ok(), "{event}");
}

#[test]
fn a_close_reason_is_displayed_in_a_few_words() {
    let reasons = [
        CloseReason::Completed,
        CloseReason::PeerClosed,
        CloseReason::PeerLost,
        CloseReason::IdleTimeout,
        CloseReason::HeadTimeout,
        CloseReason::BodyTimeout,
        CloseReason::WriteTimeout,
        CloseReason::Refused(StatusCode::from(413)),
        CloseReason::ResponseFailed,
        CloseReason::HandlerPanicked,
        CloseReason::Destroyed,
        CloseReason::Drained,
        CloseReason::ClosedIdle,
        CloseReason::ClosedByHandle,
        CloseReason::Evicted,
        CloseReason::Busy,
        CloseReason::SetupFailed,
        CloseReason::TransportFailed,
    ];
    let texts: Vec<String> = reasons.iter().map(CloseReason::to_string).collect();
    assert_eq!(texts[7], "a request was refused with 413");
    for (index, text) in texts.iter().enumerate() {
        assert!((7..=40).contains(&text.len()), "{text}");
        assert!(!texts[..index].contains(text), "two reasons are {text:?}");
    }
}

#[test]
fn an_event_stays_on_one_line_whatever_is_in_it() {
    let table = [
        ("a\r\nb", r"a\r\nb", "a line end"),
        ("a\n", r"a\n", "a line end as the last character"),
        (
            "\u{1b}[2Jx",
            r"\u{1b}[2Jx",
            "an escape sequence of a terminal",
        ),
        (
            "\u{9b}2Jx",
            r"\u{9b}2Jx",
            "the same in one character, which UTF-8 allows",
        ),
        ("\0\t\u{7f}\u{85}", r"\u{0}\t\u{7f}\u{85}", "other controls"),
        (
            "a\u{2028}b\u{2029}",
            r"a\u{2028}b\u{2029}",
            "line ends of Unicode",
        ),
        (
            "a\u{202e}b\u{2066}",
            r"a\u{202e}b\u{2066}",
            "a right-to-left override",
        ),
        ("\u{200f}\u{61c}", r"\u{200f}\u{61c}", "marks of direction"),
        (
            r"\u{1b}",
            r"\\u{1b}",
            "what only looks like an escaped control",
        ),
    ];
    for (text, want, why) in table {
        let error = || Box::<dyn std::error::Error + Send + Sync>::from(text);
        let events = [
            request(text),
            Event::Upgraded {
                id: ID,
                protocol: String::from(text),
            },
            failed(Error::new(400, text)),
            failed(Error::internal(text)),
            failed(Error::from(io_error(text))),
            failed(Error::internal(Outer(io_error(text)))),
            panicked(text),
            Event::TransportFailed {
                id: ID,
                error: error(),
            },
            Event::AcceptFailed {
                error: io_error(text),
            },
            Event::SpawnFailed {
                error: io_error(text),
            },
            Event::HookPanicked {
                message: String::from(text),
            },
        ];
        for event in events {
            let line = event.to_string();
            assert!(line.ends_with(want), "{why}: {line:?}");
            assert!(!line.chars().any(is_unprintable), "{why}: {line:?}");
        }
    }
}
