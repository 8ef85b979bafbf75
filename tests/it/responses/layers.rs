//! Layers: code that looks at the response of a handler, and changes it.

use super::*;
use crate::support::recorder::{recorder, Recorder};
use hardstop::{BodyWriter, ResponseBody};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

/// An encoder, as a compressor would be: it marks each piece of data and each flush, and the end.
pub(super) struct Marked<W: Write>(pub(super) W);

impl<W: Write> Marked<W> {
    fn finish(mut self) -> io::Result<()> {
        self.0.write_all(b"]")
    }
}

impl<W: Write> Write for Marked<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write_all(b"<")?;
        self.0.write_all(data)?;
        self.0.write_all(b">")?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.write_all(b"|")?;
        self.0.flush()
    }
}

/// A layer that runs every body through the encoder when it is sent.
fn marked(response: Response) -> Response {
    let (response, body) = response.into_parts();
    response
        .with_header("Content-Encoding", "marked")
        .with_body(ResponseBody::stream(move |out: &mut BodyWriter<'_>| {
            let mut encoder = Marked(out);
            body.write_to(&mut encoder)?;
            encoder.finish()
        }))
}

/// A server whose handler makes the response, and marks it. It records its events.
fn marking(make: fn() -> Response) -> (Running, Recorder) {
    observed(Server::builder(), move |req| match req.path() {
        "/fine" => Response::text("fine"),
        _ => marked(make()),
    })
}

const FINE: &str = "GET /fine HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn every_kind_of_body_passes_a_streaming_layer() {
    type Make = fn() -> Response;
    let table: [(Make, &str); 5] = [
        (|| Response::text("abc"), "<abc>]"),
        (|| Response::new(200), "]"),
        (|| Response::stream(|out| write!(out, "{}", 1)), "<1>]"),
        (|| Response::reader(&b"abc"[..], 3), "<abc>]"),
        (|| Response::reader(&b"abc"[..], None), "<abc>|]"),
    ];
    for (make, want) in table {
        let (server, _) = marking(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&(request("GET", "1.1") + FINE));
        let answer = client.response();
        assert_eq!(answer.text(), want);
        assert_eq!(answer.header("Content-Length"), None);
        assert_eq!(answer.header("Content-Encoding").as_deref(), Some("marked"));
        assert_eq!(client.response().text(), "fine", "framing is intact");
    }
}

#[test]
fn a_layer_is_not_run_for_a_response_without_a_body() {
    type Make = fn() -> Response;
    let table: [(&str, Make); 3] = [
        ("HEAD", || Response::text("abc")),
        ("GET", || Response::text("abc").with_status(304)),
        ("GET", || Response::text("abc").with_status(204)),
    ];
    for (method, make) in table {
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&has_run);
        let server = serve(move |req| {
            let runs = Arc::clone(&runs);
            let (response, body) = make().into_parts();
            match req.path() {
                "/fine" => Response::text("fine"),
                _ => response.with_body(ResponseBody::stream(move |out| {
                    runs.store(true, SeqCst);
                    body.write_to(out)
                })),
            }
        });
        let mut client = Client::connect(server.local_addr());
        client.say(&(request(method, "1.1") + FINE));
        client.head_response();
        assert_eq!(client.response().text(), "fine", "framing is intact");
        assert!(!has_run.load(SeqCst));
    }
}

#[test]
fn a_body_that_fails_in_a_layer_fails_as_it_would_without() {
    type Make = fn() -> Response;
    let table: [(Make, u16, &str, &str); 4] = [
        (
            || Response::stream(|_| Err(Error::new(404, "no such log").into())),
            404,
            "404 Not Found: no such log\n",
            "no such log",
        ),
        (
            || Response::reader(Failing(b""), None),
            500,
            "500 Internal Server Error\n",
            "the disk is gone",
        ),
        (
            || Response::reader(Failing(b"abc"), 9),
            500,
            "500 Internal Server Error\n",
            "the disk is gone",
        ),
        (
            || Response::reader(&b"abc"[..], 9),
            500,
            "500 Internal Server Error\n",
            "the response's reader ended before its length",
        ),
    ];
    for (make, status, text, why) in table {
        let (server, events) = marking(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&(request("GET", "1.1") + FINE));
        let answer = client.response();
        assert_eq!(answer.status, status, "{why}");
        assert_eq!(answer.text(), text, "{why}");
        assert_eq!(answer.header("Content-Encoding"), None, "{why}");
        assert_eq!(events.take_failure(), why);
        assert_eq!(
            client.response().text(),
            "fine",
            "{why}: the connection goes on"
        );
    }
    // A part has left by then, and the client can tell that the rest is missing.
    let (server, events) = marking(|| Response::reader(Failing(b"abc"), None));
    let said = dialogue(server.local_addr(), request("GET", "1.1"));
    assert!(
        said.contains("200 OK") && !said.contains("\r\n0\r\n"),
        "{said}"
    );
    assert_eq!(events.take_failure(), "the disk is gone");
    assert_eq!(events.take_reason(), CloseReason::ResponseFailed);
}

#[test]
fn a_flush_of_a_streamed_body_passes_a_layer_at_once() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(Some(gate));
    let server = serve(move |_| {
        let gate = gate.lock().unwrap().take().unwrap();
        marked(Response::stream(move |out| {
            for _ in 0..3 {
                out.write_all(b"data")?;
                out.flush()?;
                gate.recv_timeout(SOON).expect("the client has not seen it");
            }
            Ok(())
        }))
    });
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    client.head_response();
    for _ in 0..3 {
        assert_eq!(client.line(), "7", "the size of a chunk");
        assert_eq!(client.line(), "<data>|");
        go.send(()).unwrap();
    }
    assert_eq!(client.line(), "1");
    assert_eq!(client.line(), "]");
}

#[test]
fn a_stream_in_a_layer_fails_when_its_connection_is_cut() {
    let (started, is_started) = sync_channel(1);
    let (ended, has_ended) = sync_channel(1);
    let server = serve(move |_| {
        let (started, ended) = (started.clone(), ended.clone());
        marked(Response::stream(move |out| {
            let _ = started.try_send(());
            let error = loop {
                if let Err(error) = out.write_all(&[b'x'; 65536]) {
                    break error;
                }
            };
            ended.send(Error::from(error).to_string()).unwrap();
            Err(ErrorKind::Other.into())
        }))
    });
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    is_started.recv_timeout(SOON).unwrap();
    server.destroy();
    let error = has_ended.recv_timeout(SOON).unwrap();
    assert_eq!(error, "the connection has been cut");
    client.expect_end();
}

#[test]
fn an_upgrade_passes_a_layer_whole() {
    let (hook, facts) = recorder();
    let server = Server::builder()
        .on_event(hook)
        .bind("127.0.0.1:0")
        .unwrap();
    let server = server.spawn(|_| {
        let upgrade = Response::upgrade("echo", |mut stream| {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        marked(upgrade)
            .with_body("a 101 has no body")
            .with_header("X", "y")
    });
    let server = server.unwrap();
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nping");
    let answer = client.head_response();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("X").as_deref(), Some("y"));
    assert_eq!(answer.header("Content-Length"), None);
    assert_eq!(answer.header("Transfer-Encoding"), None);
    assert_eq!(client.take(4), b"ping");
    client.expect_end();
    facts.wait_for(|fact| *fact == Fact::Upgraded(1, String::from("echo")));
}
