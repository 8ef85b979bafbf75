//! Compressed responses.

use crate::support::client::{Answer, Client};
use crate::support::dialogue::dialogue;
use crate::support::server::{observed, serve};
use crate::support::SOON;
use flate2::write::GzDecoder;
use hardstop::{CloseReason, Request, Server};
use hardstop_recipes::gzip::{accepts_gzip, compressed};
use std::io::{ErrorKind, Write};
use std::sync::{mpsc, Mutex};

fn decompress(bytes: &[u8]) -> String {
    let mut decoder = GzDecoder::new(Vec::new());
    decoder.write_all(bytes).unwrap();
    String::from_utf8(decoder.finish().unwrap()).unwrap()
}

fn assert_is_compressed(answer: &Answer) {
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/csv"));
}

#[test]
fn clients_that_take_gzip_are_recognized() {
    let cases = [
        // The header lines, the answer, and the reason.
        ("", false, "nothing is accepted by name"),
        ("Accept-Encoding: gzip", true, "by name"),
        ("Accept-Encoding: GZip", true, "codings have no case"),
        ("Accept-Encoding: x-gzip", true, "the old name"),
        ("Accept-Encoding: br, gzip;q=0.5", true, "with a weight"),
        ("Accept-Encoding: gzip ; q=0.001", true, "the least weight"),
        ("Accept-Encoding: gzip;q=0", false, "never"),
        ("Accept-Encoding: gzip;Q=0.000", false, "never"),
        ("Accept-Encoding: gzip;q=x", false, "no weight at all"),
        ("Accept-Encoding: *", true, "anything"),
        ("Accept-Encoding: *;q=0", false, "nothing else"),
        ("Accept-Encoding: gzip;q=0, *", false, "the name counts"),
        ("Accept-Encoding: *;q=0, gzip", true, "the name counts"),
        (
            "Accept-Encoding: br\r\nAccept-Encoding: gzip",
            true,
            "two lines",
        ),
        ("Accept-Encoding: gzippy, agzip", false, "other names"),
        ("Accept-Encoding: identity", false, "none, please"),
        ("Accept-Encoding:", false, "an empty list"),
    ];
    let server = serve(|req: &mut Request<'_>| accepts_gzip(req).to_string());
    for (lines, accepts, reason) in cases {
        let mut client = Client::connect(server.local_addr());
        client.say(
            &format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n")
                .replace("\r\n\r\n\r\n", "\r\n\r\n"),
        );
        assert_eq!(client.response().text(), accepts.to_string(), "{reason}");
    }
}

#[test]
fn a_response_is_compressed_and_whole() {
    let text = "1;2;3\n".repeat(100_000);
    let copy = text.clone();
    let server = serve(move |req: &mut Request<'_>| {
        let text = copy.clone();
        compressed(req, "text/csv", move |body| body.write_all(text.as_bytes()))
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = client.response();
    assert_is_compressed(&answer);
    assert!(answer.body.len() < text.len() / 50, "{}", answer.body.len());
    assert_eq!(decompress(&answer.body), text);

    // On the same connection, a client that takes none.
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(answer.text(), text);
}

#[test]
fn the_response_to_head_has_the_same_headers_and_no_body() {
    let server = serve(|req: &mut Request<'_>| {
        compressed(req, "text/csv", |_| panic!("nobody asks for a body"))
    });
    let mut client = Client::connect(server.local_addr());
    client.say("HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_is_compressed(&client.head_response());
    // What follows is the next response, and no body.
    client.say("HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_is_compressed(&client.head_response());
}

#[test]
fn an_event_is_sent_when_it_is_flushed() {
    let (send, events) = mpsc::channel::<&str>();
    let events = Mutex::new(Some(events));
    let server = serve(move |req: &mut Request<'_>| {
        let events = events.lock().unwrap().take().unwrap();
        compressed(req, "text/csv", move |body| {
            for event in events {
                body.write_all(event.as_bytes())?;
                body.flush()?;
            }
            Ok(())
        })
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut decoder = GzDecoder::new(Vec::new());
    let mut sent = String::new();
    let mut has_head = false;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        send.send(event).unwrap();
        sent += event;
        if !has_head {
            assert_is_compressed(&client.head_response());
            has_head = true;
        }
        // The next event is not sent before this one has arrived.
        while decoder.get_ref() != sent.as_bytes() {
            let size = usize::from_str_radix(&client.line(), 16).unwrap();
            decoder.write_all(&client.take(size)).unwrap();
            decoder.flush().unwrap();
            assert_eq!(client.line(), "");
        }
    }
    drop(send);
    server.shutdown(SOON);
}

#[test]
fn a_client_of_http_1_0_gets_no_gzip() {
    let server =
        serve(|req: &mut Request<'_>| compressed(req, "text/csv", |body| body.write_all(b"plain")));
    let said = dialogue(
        server.local_addr(),
        "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    assert!(said.ends_with("\r\n\r\nplain"), "{said}");
    assert!(!said.contains("Content-Encoding"), "{said}");
}

#[test]
fn a_failure_before_anything_has_left_is_a_plain_500() {
    let server = serve(|req: &mut Request<'_>| {
        compressed(req, "text/csv", |body| {
            body.write_all(&[b'x'; 10_000])?;
            Err(ErrorKind::NotFound.into())
        })
    });
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status, 500);
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.text(), "500 Internal Server Error\n");
}

#[test]
fn a_failure_later_leaves_out_the_last_chunk() {
    let (server, facts) = observed(Server::builder(), |req: &mut Request<'_>| {
        compressed(req, "text/csv", |body| {
            body.write_all(b"half")?;
            body.flush()?;
            Err(ErrorKind::NotFound.into())
        })
    });
    let said = dialogue(
        server.local_addr(),
        "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(!said.ends_with("\r\n0\r\n\r\n"), "{said}");
    assert_eq!(facts.reason(1), CloseReason::ResponseFailed);
}
