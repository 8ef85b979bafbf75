//! Responses: what a handler returns, and what is sent.

mod early;
mod errors;
mod failures;
mod files;
mod layers;
mod parts;
mod readers;
mod unsent;

use crate::support::client::Client;
use crate::support::dialogue::{dialogue, last_words, statuses};
use crate::support::recorder::Fact;
use crate::support::server::{observed, serve};
use crate::support::{GET, SHORT, SOON};
use hardstop::{CloseReason, Error, Response, Running, Server, StatusCode};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server that answers every request with what `make` returns.
fn always<R: Into<Response>>(make: impl Fn() -> R + Send + Sync + 'static) -> Running {
    serve(move |_| make())
}

fn request(method: &str, version: &str) -> String {
    format!("{method} / HTTP/{version}\r\nHost: x\r\n\r\n")
}

/// A reader that fails at the end of its bytes.
struct Failing(&'static [u8]);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0 {
            [] => Err(io::Error::new(ErrorKind::Other, "the disk is gone")),
            _ => self.0.read(buf),
        }
    }
}

#[test]
fn everything_that_converts_into_a_response_can_be_returned() {
    type Make = fn() -> Response;
    let (text, binary) = ("text/plain; charset=utf-8", "application/octet-stream");
    let table: [(Make, u16, &str, &str); 24] = [
        (|| Response::new(200), 200, "", ""),
        (|| Response::new(StatusCode::NOT_FOUND), 404, "", ""),
        (|| Response::text("caf\u{e9}"), 200, text, "caf\u{e9}"),
        (|| Response::text(String::from("a")), 200, text, "a"),
        (
            || Response::html("<p>"),
            200,
            "text/html; charset=utf-8",
            "<p>",
        ),
        (|| Response::json("{}"), 200, "application/json", "{}"),
        (|| Response::bytes("a/b", &b"a"[..]), 200, "a/b", "a"),
        (|| Response::bytes("a/b", vec![97]), 200, "a/b", "a"),
        (|| Response::reader(&b"abc"[..], 3), 200, binary, "abc"),
        (|| Response::reader(&b"abc"[..], None), 200, binary, "abc"),
        (
            || Response::stream(|w| w.write_all(b"abc")),
            200,
            binary,
            "abc",
        ),
        (|| Response::redirect("/there"), 303, "", ""),
        (|| Response::text("a").with_status(418), 418, text, "a"),
        (|| "a".into(), 200, text, "a"),
        (|| String::from("a").into(), 200, text, "a"),
        (
            || StatusCode::NOT_FOUND.into(),
            404,
            text,
            "404 Not Found\n",
        ),
        (|| Ok::<_, Error>("a").into(), 200, text, "a"),
        (
            || Error::new(404, "no such device").into(),
            404,
            text,
            "404 Not Found: no such device\n",
        ),
        (
            || Error::new(502, "no answer").into(),
            502,
            text,
            "502 Bad Gateway: no answer\n",
        ),
        (|| Error::new(599, "odd").into(), 599, text, "599: odd\n"),
        // Regressions: a colon with nothing behind it, and a space with nothing behind it.
        (|| Error::new(404, "").into(), 404, text, "404 Not Found\n"),
        (|| Error::new(599, "").into(), 599, text, "599\n"),
        (|| StatusCode::from(599).into(), 599, text, "599\n"),
        (
            || Error::from(io::Error::from(Error::new(404, ""))).into(),
            404,
            text,
            "404 Not Found\n",
        ),
    ];
    for (make, status, content_type, body) in table {
        let server = always(make);
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2 {
            client.say(&request("GET", "1.1"));
            let answer = client.response();
            assert_eq!(answer.status, status, "{}", answer.head);
            assert_eq!(
                answer.header("Content-Type").unwrap_or_default(),
                content_type
            );
            assert_eq!(answer.text(), body);
            assert_eq!(make().status(), StatusCode::from(status));
        }
    }
}

#[test]
fn a_status_line_has_its_reason_or_none() {
    let table = [
        (200, "200 OK"),
        (404, "404 Not Found"),
        (418, "418 "),
        (422, "422 Unprocessable Content"),
        (451, "451 Unavailable For Legal Reasons"),
        (502, "502 Bad Gateway"),
        (511, "511 Network Authentication Required"),
        (599, "599 "),
    ];
    for (status, want) in table {
        let server = always(move || Response::new(status));
        let said = last_words(server.local_addr(), &[request("GET", "1.1").as_bytes()]);
        assert!(said.starts_with(&format!("HTTP/1.1 {want}\r\n")), "{said}");
    }
}

#[test]
fn a_response_of_known_length_has_a_content_length() {
    type Make = fn() -> Response;
    let table: [(Make, &str); 5] = [
        (|| Response::new(200), "0"),
        (|| Response::text("caf\u{e9}"), "5"),
        (
            || Response::reader(io::repeat(b'a').take(100_000), 100_000),
            "100000",
        ),
        (|| Response::reader(io::empty(), 0), "0"),
        (|| Response::new(404), "0"),
    ];
    for (make, want) in table {
        let server = always(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&request("GET", "1.1").repeat(2));
        for _ in 0..2 {
            let answer = client.response();
            assert_eq!(answer.header("Content-Length").as_deref(), Some(want));
            assert_eq!(answer.header("Transfer-Encoding"), None);
            assert_eq!(answer.body.len().to_string(), want);
        }
    }
}

#[test]
fn head_gets_the_same_head_and_no_body() {
    type Make = fn() -> Response;
    let table: [Make; 5] = [
        || Response::text("hello").with_header("X", "y"),
        || Response::reader(Failing(b""), 9),
        || Response::stream(|_| panic!("called for HEAD")),
        || Response::new(404),
        || Response::new(204),
    ];
    for make in table {
        let server = always(move || make().with_header("Server", "x"));
        let mut client = Client::connect(server.local_addr());
        client.say(&request("HEAD", "1.1"));
        let head = client.head_response();
        client.say(&request("HEAD", "1.1"));
        let again = client.head_response();
        assert_eq!(head.status, again.status, "framing is intact");
        assert_eq!(head.header("Connection"), None);
    }
    let server = always(|| Response::text("hello").with_header("X", "y"));
    let mut client = Client::connect(server.local_addr());
    let undated = |head: &str| {
        head.lines()
            .filter(|l| !l.starts_with("Date"))
            .collect::<String>()
    };
    client.say(&request("HEAD", "1.1"));
    let head = client.head_response();
    client.say(&request("GET", "1.1"));
    let answer = client.response();
    assert_eq!(undated(&head.head), undated(&answer.head));
    assert_eq!(answer.text(), "hello");
    client.say(&(request("HEAD", "1.1") + &request("GET", "2.0")));
    assert_eq!(client.head_response().status, 200);
    assert_eq!(client.response().status, 505, "a refusal after a HEAD");
}

#[test]
fn a_response_that_cannot_have_a_body_has_none() {
    for status in [204, 304] {
        let server = serve(move |req| match req.path() {
            "/stream" => Response::stream(|_| panic!("there is no body")).with_status(status),
            _ => Response::text("body").with_status(status),
        });
        for target in ["/", "/stream"] {
            let mut client = Client::connect(server.local_addr());
            for _ in 0..2 {
                client.say(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
                let answer = client.head_response();
                assert_eq!(answer.status, status);
                for name in ["Content-Length", "Transfer-Encoding", "Content-Type"] {
                    assert_eq!(answer.header(name), None, "{name}");
                }
            }
        }
    }
    let server = always(|| Response::text("body").with_status(205));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        client.say(&request("GET", "1.1"));
        let answer = client.response();
        assert_eq!((answer.status, answer.body.len()), (205, 0));
        assert_eq!(answer.header("Content-Length").as_deref(), Some("0"));
    }
}

#[test]
fn a_stream_is_chunked_or_ends_with_its_http_1_0_connection() {
    let server = always(|| {
        Response::stream(|writer| {
            writer.write_all(b"")?;
            writer.write_all(b"hello ")?;
            writer.flush()?;
            writer.flush()?; // an empty chunk would end the body
            writer.write_all(b"world")
        })
    });
    let said = last_words(server.local_addr(), &[request("GET", "1.1").as_bytes()]);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(body, "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");

    let keep_alive = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let said = dialogue(server.local_addr(), keep_alive);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nConnection: close"), "{head}");
    assert!(!head.contains("Transfer-Encoding"), "{head}");
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(body, "hello world");
}

#[test]
fn a_large_stream_arrives_whole() {
    let whole: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let copy = whole.clone();
    let server = serve(move |req| {
        let bytes = copy.clone();
        match req.path() {
            "/reader" => Response::reader(io::Cursor::new(bytes), None),
            "/length" => Response::reader(io::Cursor::new(bytes), 4_000_000),
            "/small" => Response::stream(move |w| {
                bytes.chunks(999).try_for_each(|piece| w.write_all(piece))
            }),
            _ => Response::stream(move |w| w.write_all(&bytes)),
        }
    });
    let mut client = Client::connect(server.local_addr());
    for path in ["/reader", "/length", "/small", "/large"] {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(client.response().body == whole, "{path}");
    }
}

#[test]
fn a_flush_sends_an_event_at_once() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(Some(gate));
    let server = serve(move |_| {
        let gate = gate.lock().unwrap().take().unwrap();
        let events = Response::stream(move |writer| {
            for n in 1..=3 {
                write!(writer, "data: {n}\n\n")?;
                writer.flush()?;
                gate.recv_timeout(SOON).expect("the client has not seen it");
            }
            Ok(())
        });
        events.with_header("Content-Type", "text/event-stream")
    });
    let mut tcp = TcpStream::connect(server.local_addr()).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    tcp.write_all(request("GET", "1.1").as_bytes()).unwrap();
    let mut said = String::new();
    for n in 1..=3 {
        // The closure sends the next event only after this one has been seen.
        while !said.ends_with(&format!("data: {n}\n\n\r\n")) {
            let mut piece = [0; 1024];
            let len = tcp.read(&mut piece).unwrap();
            assert!(len > 0, "{said}");
            said += std::str::from_utf8(&piece[..len]).unwrap();
        }
        go.send(()).unwrap();
    }
    assert!(
        said.contains("\r\nContent-Type: text/event-stream\r\n"),
        "{said}"
    );
}

#[test]
fn framing_headers_are_set_by_the_library_alone() {
    let server = always(|| {
        let response = Response::text("hello").with_header("Content-Length", "99");
        let response = response.with_header("transfer-encoding", "chunked");
        let reserved = ["DATE", "Connection", "Keep-Alive", "TE", "Proxy-Connection"];
        let set = |response: Response, name| response.with_header(name, "never");
        let response = reserved.into_iter().fold(response, set);
        response.with_header("X", "1").with_header("X", "2")
    });
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        client.say(&request("GET", "1.1"));
        let answer = client.response();
        assert_eq!(answer.text(), "hello");
        let head = answer.head.to_lowercase();
        for (field, times) in [
            ("\r\ncontent-length: 5\r\n", 1),
            ("\r\ncontent-length:", 1),
            ("\r\ntransfer-encoding:", 0),
            ("\r\ndate:", 1),
            ("never", 0),
            ("\r\nconnection:", 0),
            ("\r\nx: 1\r\nx: 2\r\n", 1),
        ] {
            assert_eq!(head.matches(field).count(), times, "{field:?} in {head}");
        }
    }
}

/// Regression: RFC 9110 §7.8 wants `Connection: upgrade` with the header. The header was sent
/// alone, and a handler could not add the option.
#[test]
fn an_upgrade_header_has_its_connection_option() {
    let server = always(|| Response::new(426).with_header("Upgrade", "h2c"));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        client.say(&request("GET", "1.1"));
        let head = client.response().head;
        assert!(
            head.contains("\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"),
            "{head}"
        );
    }
}

#[test]
fn a_close_option_in_a_list_ends_the_connection() {
    for value in ["close", "Close", " close\t", "x, close", "close,,x"] {
        let server = always(move || Response::text("").with_header("Connection", value));
        let mut client = Client::connect(server.local_addr());
        client.say(&request("GET", "1.1"));
        let head = client.response().head;
        assert!(
            head.contains("\r\nConnection: close\r\n"),
            "{value:?}: {head}"
        );
        client.expect_end();
    }
}

/// Regression: the second one was sent in addition to the first.
#[test]
fn a_second_content_type_replaces_the_first() {
    let server = always(|| {
        let response = Response::text("a").with_header("content-type", "a/b");
        response.with_header("Content-Type", "c/d")
    });
    let said = last_words(server.local_addr(), &[request("GET", "1.1").as_bytes()]);
    assert_eq!(
        said.to_lowercase().matches("\r\ncontent-type:").count(),
        1,
        "{said}"
    );
    assert!(said.contains("\r\nContent-Type: c/d\r\n"), "{said}");
}

#[test]
fn every_response_has_the_current_date() {
    let server = always(|| "");
    let mut client = Client::connect(server.local_addr());
    for line in [
        request("GET", "1.1"),
        String::from("GET / HTTP/1.1\r\n\r\n"),
    ] {
        client.say(&line);
        let date = client.response().header("Date").unwrap();
        let words: Vec<&str> = date.split(' ').collect();
        assert_eq!(date.len(), 29, "{date}");
        assert!(
            ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"].contains(&words[0]),
            "{date}"
        );
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month = months.iter().position(|each| *each == words[2]).unwrap();
        assert_eq!(words[5], "GMT", "{date}");
        let number = |text: &str| text.parse::<u64>().unwrap();
        // Counts the days one by one, in another way than the library does.
        let (day, year) = (number(words[1]), number(words[3]));
        let is_leap = |year| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let length = |month| match month {
            1 => 28 + u64::from(is_leap(year)),
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        let years: u64 = (1970..year)
            .map(|year| 365 + u64::from(is_leap(year)))
            .sum();
        let days = years + (0..month).map(length).sum::<u64>() + day - 1;
        let time: Vec<u64> = words[4].split(':').map(number).collect();
        let told = UNIX_EPOCH
            + Duration::from_secs(days * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]);
        let age = SystemTime::now().duration_since(told).unwrap();
        assert!(
            age < SOON + Duration::from_secs(1),
            "{date} was {age:?} ago"
        );
    }
}

#[test]
fn a_head_and_a_small_body_arrive_together() {
    let server = always(|| "hello");
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(server.local_addr()).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        tcp.write_all(request("GET", "1.1").as_bytes()).unwrap();
        let mut piece = [0; 4096];
        let n = tcp.read(&mut piece).unwrap();
        assert!(piece[..n].ends_with(b"\r\n\r\nhello"), "it came in pieces");
    }
}
