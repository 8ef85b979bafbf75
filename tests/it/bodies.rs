//! Request bodies: their length, how they are read, and what happens to unread ones.

mod unread;

use crate::support::client::Client;
use crate::support::dialogue::{dialogue, last_words, statuses, undated};
use crate::support::server::{observed, serve};
use crate::support::SOON;
use hardstop::{CloseReason, Error, Request, Response, Running, Server, StatusCode};
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Reads the body in the way that the path names, and sends it back.
fn echo(req: &mut Request<'_>) -> Result<Response, Error> {
    let path = req.path().to_string();
    let body = req.body();
    Ok(match path.as_str() {
        "/vec" => Response::bytes("a/b", body.read_to_vec()?),
        "/text" => Response::text(body.read_to_text()?),
        "/form" => Response::text(format!("{:?}", body.read_form()?)),
        "/len" => Response::text(format!("{:?} {}", body.len(), body.is_empty())),
        "/io" => {
            let mut copied = Vec::new();
            io::copy(body, &mut copied)?;
            Response::bytes("a/b", copied)
        }
        "/megabytes" => {
            let mut copied = Vec::new();
            let mut piece = vec![0; 1 << 20];
            loop {
                match body.read(&mut piece)? {
                    0 => break,
                    n => copied.extend_from_slice(&piece[..n]),
                }
            }
            Response::bytes("a/b", copied)
        }
        "/bytewise" => {
            let mut copied = Vec::new();
            let mut byte = [0];
            while body.read(&mut byte)? > 0 {
                assert_eq!(body.read(&mut []).unwrap(), 0, "nothing was asked for");
                copied.extend_from_slice(&byte);
            }
            assert_eq!(body.read(&mut byte)?, 0, "the end stays the end");
            Response::bytes("a/b", copied)
        }
        "/one" => {
            body.read_exact(&mut [0])?;
            Response::text("one")
        }
        "/swallow" => {
            body.set_limit(2);
            let failed = body.read_to_vec().is_err();
            body.set_limit(u64::MAX); // a higher limit does not undo the failure
            let again = body
                .read(&mut [0])
                .map_err(|error| Error::from(error).status());
            Response::text(format!("{failed} {again:?}"))
        }
        "/limit9" => {
            body.set_limit(9);
            Response::bytes("a/b", body.read_to_vec()?)
        }
        "/limit2M" => {
            body.set_limit(2 << 20);
            Response::text(body.read_to_vec()?.len().to_string())
        }
        _ => Response::text("unread"),
    })
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
}

fn fixed(path: &str, body: &str) -> String {
    post(path, &format!("Content-Length: {}\r\n", body.len()), body)
}

fn chunked(path: &str, body: &str) -> String {
    post(path, "Transfer-Encoding: chunked\r\n", body)
}

const GET: &str = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_body_arrives_whole_however_it_is_read() {
    let server = serve(echo);
    let chunks = "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
    for path in ["/vec", "/text", "/io", "/bytewise"] {
        let mut client = Client::connect(server.local_addr());
        for request in [fixed(path, "hello world"), chunked(path, chunks)] {
            client.say(&request);
            assert_eq!(client.response().text(), "hello world", "{path}");
        }
        client.say(&(fixed(path, "") + &chunked(path, "0\r\n\r\n")));
        assert_eq!(client.response().text(), "", "{path}");
        assert_eq!(client.response().text(), "", "{path}");
    }
}

#[test]
fn a_large_body_arrives_whole_in_both_framings() {
    let server = serve(echo);
    let body: String = (0..170_000).map(|n| format!("{n:06}")).collect();
    let chunked_by = |bytes: usize| {
        let mut chunks = String::new();
        for (n, piece) in body.as_bytes().chunks(bytes).enumerate() {
            let piece = std::str::from_utf8(piece).unwrap();
            // Sizes in both cases, and with more digits than needed.
            let size = if n % 2 == 0 {
                format!("{:x}", piece.len())
            } else {
                format!("{:08X}", piece.len())
            };
            chunks += &format!("{size}\r\n{piece}\r\n");
        }
        chunks + "0\r\n\r\n"
    };
    let (small, large) = (chunked_by(7777), chunked_by(300_000));
    for path in ["/vec", "/io", "/megabytes"] {
        for request in [
            fixed(path, &body),
            chunked(path, &small),
            chunked(path, &large),
        ] {
            let mut client = Client::connect(server.local_addr());
            client.say(&request);
            client.say(GET);
            assert_eq!(client.response().text(), body, "{path}");
            assert_eq!(client.response().text(), "unread", "{path}: the next one");
        }
    }
}

#[test]
fn a_body_may_be_split_anywhere() {
    let server = serve(echo);
    let chunks = "a;x=\"y;z\"\r\n0123456789\r\nB ;q\r\nabcdefghijk\r\n00;e\r\nA: b\r\nC: d\r\n\r\n";
    for path in ["/io", "/bytewise"] {
        let request = fixed(path, "0123456789") + &chunked(path, chunks) + GET;
        let whole = undated(&last_words(server.local_addr(), &[request.as_bytes()]));
        assert_eq!(statuses(&whole), [200, 200, 200], "{whole}");
        for body in [
            "\r\n\r\n0123456789HTTP",
            "\r\n\r\n0123456789abcdefghijkHTTP",
            "unread",
        ] {
            assert!(whole.contains(body), "{whole}");
        }
        for at in 1..request.len() {
            let (first, second) = request.as_bytes().split_at(at);
            let said = undated(&last_words(server.local_addr(), &[first, second]));
            assert_eq!(said, whole, "split at {at}");
        }
        let single: Vec<&[u8]> = request.as_bytes().chunks(1).collect();
        assert_eq!(undated(&last_words(server.local_addr(), &single)), whole);
    }
}

#[test]
fn a_form_is_read_as_names_and_values() {
    let server = serve(echo);
    let form = "application/x-www-form-urlencoded";
    let table = [
        (form, "", 200, "[]"),
        (
            form,
            "a=1&b=x+y%26z",
            200,
            r#"[("a", "1"), ("b", "x y&z")]"#,
        ),
        (
            form,
            "a&=b&&a=",
            200,
            r#"[("a", ""), ("", "b"), ("a", "")]"#,
        ),
        (
            "Application/X-WWW-Form-Urlencoded ; charset=utf-8",
            "a=b",
            200,
            r#"[("a", "b")]"#,
        ),
        ("text/plain", "a=b", 415, ""),
        ("", "a=b", 415, ""),
    ];
    for (content_type, body, status, want) in table {
        let mut client = Client::connect(server.local_addr());
        let fields = format!(
            "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
            body.len()
        );
        client.say(&post("/form", &fields, body));
        let answer = client.response();
        assert_eq!(answer.status, status, "{content_type}");
        if status == 200 {
            assert_eq!(answer.text(), want);
        }
    }
    let said = last_words(server.local_addr(), &[fixed("/form", "a=b").as_bytes()]);
    assert_eq!(statuses(&said), [415], "no type at all");
}

#[test]
fn a_text_body_is_utf_8() {
    let server = serve(echo);
    let mut client = Client::connect(server.local_addr());
    client.say_bytes(b"POST /text HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n\xff");
    assert_eq!(client.response().status, 400);
}

#[test]
fn a_body_knows_the_length_that_was_declared() {
    let server = serve(echo);
    let mut client = Client::connect(server.local_addr());
    client.say("GET /len HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "Some(0) true");
    client.say(&fixed("/len", "abc"));
    assert_eq!(client.response().text(), "Some(3) false");
    client.say(&chunked("/len", "0\r\n\r\n"));
    assert_eq!(client.response().text(), "None false");
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let (server, events) = observed(Server::builder().max_body_bytes(10), echo);
    let table = [
        (fixed("/vec", "0123456789"), 200, "exactly the limit"),
        (fixed("/vec", "0123456789a"), 413, "one more"),
        (fixed("/io", "0123456789a"), 413, "through io::copy"),
        (fixed("/text", "0123456789a"), 413, "as text"),
        (
            chunked("/vec", "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"),
            200,
            "in chunks",
        ),
        (
            chunked("/vec", "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n"),
            413,
            "in chunks",
        ),
        (
            chunked("/io", "b\r\n0123456789a\r\n0\r\n\r\n"),
            413,
            "in one chunk",
        ),
        (
            chunked("/vec", "ffffffffffffffff\r\n"),
            413,
            "the largest chunk",
        ),
        (
            post("/vec", "Content-Length: 18446744073709551615\r\n", ""),
            413,
            "the largest",
        ),
        (fixed("/limit9", "012345678"), 200, "a limit of its own"),
        (fixed("/limit9", "0123456789"), 413, "a lower one"),
        (fixed("/limit2M", "0123456789a"), 200, "a higher one"),
    ];
    for (request, want, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&request);
        let answer = client.response();
        assert_eq!(answer.status, want, "{why}");
        if want == 413 {
            assert_eq!(
                answer.header("Connection").as_deref(),
                Some("close"),
                "{why}"
            );
            client.expect_end();
            let failed = events.take_failure();
            assert!(failed.starts_with("the body is larger than "), "{failed}");
        }
    }
}

#[test]
fn the_default_limit_is_a_mebibyte() {
    let server = serve(echo);
    for (length, want) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
        let mut client = Client::connect(server.local_addr());
        client.say(&post("/vec", &format!("Content-Length: {length}\r\n"), ""));
        if want == 200 {
            client.say_bytes(&vec![b'a'; length]);
        }
        assert_eq!(client.response().status, want);
    }
    let mut client = Client::connect(server.local_addr());
    client.say(&fixed("/limit2M", &"a".repeat(2 << 20)));
    assert_eq!(client.response().text(), "2097152");
}

#[test]
fn chunk_sizes_extensions_and_trailers_are_bounded() {
    let server = serve(echo);
    let long = "e".repeat(5000);
    let many = "A: b\r\n".repeat(2000);
    let table = [
        (format!("2;{long}\r\nhi\r\n0\r\n\r\n"), "an extension"),
        (format!("2;{long}"), "an extension without an end"),
        (
            "1;eeeeeeee\r\na\r\n".repeat(1000) + "0\r\n\r\n",
            "many extensions",
        ),
        (format!("0\r\nA: {long}\r\n\r\n"), "a trailer"),
        (format!("0\r\n{many}\r\n"), "many trailers"),
        ("0".repeat(5000), "a size"),
    ];
    for (chunks, why) in table {
        let said = dialogue(server.local_addr(), chunked("/vec", &chunks));
        assert_eq!(statuses(&said), [400], "{why}");
    }
}

#[test]
fn a_body_that_ends_early_is_an_error() {
    let server = serve(echo);
    let lines = "0\r\nA: b\r\n\r\n";
    let whole = format!("5\r\nhello\r\n{lines}");
    for request in [fixed("/io", "hello"), chunked("/io", &whole)] {
        let head = request.find("\r\n\r\n").unwrap() + 4;
        for at in head..request.len() {
            let said = last_words(server.local_addr(), &[&request.as_bytes()[..at]]);
            assert_eq!(statuses(&said), [400], "ended after {:?}", &request[..at]);
            assert!(said.contains("the request ended early"), "{said}");
        }
    }
}

#[test]
fn a_failed_body_keeps_failing() {
    let server = serve(echo);
    for (request, status) in [
        (chunked("/swallow", "2\r\nhi\r\nx\r\n"), 400),
        (fixed("/swallow", "abc"), 413),
    ] {
        let said = dialogue(server.local_addr(), request + GET);
        assert_eq!(statuses(&said), [200], "{said}");
        let want = format!("true Err(StatusCode({status}))");
        assert!(said.ends_with(&want), "{said}");
        assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    }
}

#[test]
fn a_response_arrives_while_a_large_body_is_still_being_sent() {
    let server = serve(echo);
    let mut client = Client::connect(server.local_addr());
    client.say(&post("/", "Content-Length: 300000\r\n", ""));
    client.say_bytes(&vec![b'a'; 299_999]);
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "unread"));
    client.expect_end();
}

#[test]
fn a_body_can_be_read_piece_by_piece_as_it_arrives() {
    let (server, seen) = half_reader();
    let mut client = Client::connect(server.local_addr());
    client.say(&post("/", "Content-Length: 4\r\n", "ab"));
    assert_eq!(seen.recv_timeout(SOON).unwrap(), *b"ab");
    client.say("cd");
    assert_eq!(seen.recv_timeout(SOON).unwrap(), *b"cd");
    assert_eq!(client.response().status, 200);
}

/// A server that sends each half of a body to the test as soon as it has it.
fn half_reader() -> (Running, std::sync::mpsc::Receiver<[u8; 2]>) {
    let (tell, seen) = std::sync::mpsc::sync_channel(9);
    let server = serve(move |req| {
        for _ in 0..2 {
            let mut half = [0; 2];
            req.body().read_exact(&mut half)?;
            tell.send(half).unwrap();
        }
        Ok::<_, Error>("")
    });
    (server, seen)
}
