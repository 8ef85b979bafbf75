//! `Builder::answer`: a handler called without a port. What it returns is what a client of a port
//! receives.

use crate::support::client::Client;
use crate::support::recorder::{recorder, Fact, Recorder, Totals};
use crate::support::server::site;
use crate::support::{GET, SOON};
use hardstop::{
    Answer, Builder, CancelToken, CloseReason, Error, Event, Phase, Request, Response, Server,
    StatusCode, Upgraded,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::Duration;

const UPGRADE: &str =
    "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Answers as the tests of sockets do, and in further ways.
fn handle(request: &mut Request<'_>) -> Result<Response, Error> {
    Ok(match request.path() {
        "/echo" => Response::upgrade("echo", |mut stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }),
        "/panicking-closure" => Response::upgrade("echo", |mut stream| {
            stream.write_all(b"hello").unwrap();
            panic!("on purpose");
        }),
        "/chunks" => Response::stream(|body| {
            body.write_all(b"hello, ")?;
            body.flush()?;
            body.write_all(b"world")
        }),
        "/panicking-body" => Response::stream(|body| {
            body.write_all(b"hello")?;
            body.flush()?;
            panic!("on purpose");
        }),
        "/short" => Response::reader(&b"hell"[..], Some(5)),
        "/large" => Response::text("x".repeat(1 << 20)),
        "/invalid" => Response::text("hello").with_header("a b", "c"),
        "/empty" => StatusCode::NO_CONTENT.into(),
        _ => return site(request),
    })
}

/// The status code and the body.
fn said(answer: &Answer) -> (u16, String) {
    (answer.status().as_u16(), answer.text().into_owned())
}

fn all_bytes(answers: &[Answer]) -> Vec<u8> {
    answers.iter().flat_map(Answer::bytes).copied().collect()
}

/// The text without its `Date` lines.
fn undated(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("Date: ")).collect()
}

fn observed(builder: Builder) -> (Builder, Recorder) {
    let (hook, facts) = recorder();
    (builder.on_event(hook), facts)
}

/// Sends the bytes to a port, ends the sending side, and reads everything.
fn over_a_port(builder: Builder, bytes: &[u8]) -> (Vec<u8>, Vec<Fact>) {
    let (builder, facts) = observed(builder);
    let server = builder.bind("127.0.0.1:0").unwrap().spawn(handle).unwrap();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    (received, facts.take_connection())
}

#[test]
fn an_answer_is_what_a_client_of_a_port_receives() {
    let table: [(&str, &[u16], &str); 30] = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[200], "a request"),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /c HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200, 200],
            "pipelined requests, and a HEAD among them",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\
             GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "a request after the last one",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            &[200],
            "a body",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200],
            "a body in chunks, and a request behind it",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
             GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 200],
            "a body that the handler does not read",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nhello",
            &[400],
            "a body that ends early",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nhello",
            &[200],
            "an unread body that ends early",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
            &[400],
            "what is no chunk",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n123456789012345678901",
            &[413],
            "a body beyond its limit",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            &[400],
            "a client that waits for a 100, and ends then",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n\
             hello",
            &[200],
            "a client that does not wait for the 100",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            &[200],
            "a client that waits for a 100 and gets the response",
        ),
        ("GET / HTTP/1.0\r\n\r\n", &[200], "HTTP/1.0"),
        (
            "GET /chunks HTTP/1.0\r\n\r\n",
            &[200],
            "no length in HTTP/1.0",
        ),
        (
            "GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "a stream",
        ),
        (
            "HEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "the head of a stream",
        ),
        (
            "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "a large response",
        ),
        ("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", &[204], "no body"),
        (
            "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "a stream that fails",
        ),
        (
            "GET /short HTTP/1.1\r\nHost: x\r\n\r\n",
            &[500],
            "a reader that ends early",
        ),
        (
            "GET /invalid HTTP/1.1\r\nHost: x\r\n\r\n",
            &[500],
            "an invalid response",
        ),
        (
            "GET /panicking-body HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200],
            "a panic in a stream",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /\r\n\r\n",
            &[200, 400],
            "what is no request, behind one",
        ),
        ("GET / HTTP/1.1\r\n\r\n", &[400], "no Host"),
        ("HEAD / HTTP/1.1\r\n\r\n", &[400], "a HEAD that is refused"),
        (
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            &[400],
            "an empty Host, as over TCP",
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\n", &[400], "a part of a head"),
        ("\r\n", &[], "an empty line"),
        ("", &[], "nothing"),
    ];
    let settings = || Server::builder().max_body_bytes(20);
    for (bytes, statuses, reason) in table {
        let (builder, facts) = observed(settings());
        let answers = builder.answer(bytes, handle).unwrap();
        let got: Vec<u16> = answers.iter().map(|it| it.status().as_u16()).collect();
        assert_eq!(got, statuses, "{reason}");
        let (received, reported) = over_a_port(settings(), bytes.as_bytes());
        assert_eq!(
            undated(&all_bytes(&answers)),
            undated(&received),
            "{reason}"
        );
        assert_eq!(facts.so_far(), reported, "{reason}");
    }
}

#[test]
fn an_upgrade_is_what_a_client_of_a_port_receives() {
    let panicking = UPGRADE.replace("/echo", "/panicking-closure");
    for (request, reply, reason) in [
        (UPGRADE, "what follows\r\n\r\n", CloseReason::Completed),
        (&panicking, "hello", CloseReason::HandlerPanicked),
    ] {
        let bytes = format!("{request}what follows\r\n\r\n");
        let (builder, facts) = observed(Server::builder());
        let answers = builder.answer(&bytes, handle).unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(said(&answers[0]), (101, String::from(reply)));
        assert_eq!(answers[0].header("Upgrade"), Some("echo"));
        assert!(answers[0]
            .bytes()
            .ends_with(format!("\r\n\r\n{reply}").as_bytes()));
        assert_eq!(facts.reason(1), reason);
        let (received, reported) = over_a_port(Server::builder(), bytes.as_bytes());
        assert_eq!(undated(answers[0].bytes()), undated(&received));
        assert_eq!(facts.so_far(), reported);
    }
}

#[test]
fn a_panic_of_the_handler_goes_on_once_the_connection_has_ended() {
    struct Odd;
    let request = "GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let (builder, facts) = observed(Server::builder());
    let panicked = catch_unwind(AssertUnwindSafe(|| builder.answer(request, handle)));
    let panic = match panicked {
        Ok(_) => panic!("an assertion in a handler fails no test"),
        Err(panic) => panic,
    };
    let text = panic.downcast_ref::<&str>().copied();
    let (received, reported) = over_a_port(Server::builder(), request.as_bytes());
    assert!(received.starts_with(b"HTTP/1.1 500 "));
    assert_eq!(facts.so_far(), reported);
    let told = reported.into_iter().find_map(|fact| match fact {
        Fact::HandlerPanicked(_, text) => Some(text),
        _ => None,
    });
    assert_eq!(told.as_deref(), text);
    // What a panic carries comes whole, whatever it is.
    let panicked = catch_unwind(|| {
        Server::builder().answer(request, |_: &mut Request<'_>| -> Response {
            std::panic::panic_any(Odd)
        })
    });
    assert!(panicked.err().unwrap().is::<Odd>());
}

#[test]
fn what_follows_an_upgrade_is_no_response_whatever_the_method() {
    for written in ["\u{1}hi", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        let bytes = UPGRADE.replacen("GET", "HEAD", 1);
        let handler = |_: &mut Request<'_>| {
            Response::upgrade("echo", move |mut stream| {
                stream.write_all(written.as_bytes()).unwrap();
            })
        };
        let answers = Server::builder().answer(bytes, handler).unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(said(&answers[0]), (101, String::from(written)));
    }
}

#[test]
fn an_answer_has_the_decoded_body_and_the_bytes() {
    let bytes = "GET /chunks HTTP/1.1\r\nHost: x\r\n\r\nHEAD /large HTTP/1.1\r\nHost: x\r\n\r\n\
                 GET /broken HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = Server::builder().answer(bytes, handle).unwrap();
    assert_eq!(answers.len(), 3);
    let (chunks, head, broken) = (&answers[0], &answers[1], &answers[2]);
    assert_eq!(chunks.text(), "hello, world");
    assert_eq!(chunks.body(), b"hello, world");
    let coded = b"\r\n\r\n7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n";
    assert!(chunks.bytes().ends_with(coded), "{chunks:?}");
    assert!(chunks.is_whole());
    assert_eq!(chunks.header("transfer-encoding"), Some("chunked"));
    assert!(chunks.headers().iter().any(|(name, _)| name == "Date"));
    assert_eq!(head.body(), b"");
    assert_eq!(head.header("Content-Length"), Some("1048576"));
    assert!(head.is_whole());
    assert!(!broken.is_whole());
    let printed = format!("{chunks:?}");
    assert!(
        printed.contains("hello, world") && printed.contains("chunked"),
        "{printed}"
    );
}

#[test]
fn a_100_is_in_the_bytes_and_no_answer() {
    let bytes =
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let answers = Server::builder().answer(bytes, handle).unwrap();
    let start = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\n";
    assert!(answers[0].bytes().starts_with(start), "{answers:?}");
    assert_eq!(
        said(&answers[0]),
        (
            400,
            String::from("400 Bad Request: the request ended early\n")
        )
    );
}

#[test]
fn a_handler_may_borrow_and_is_called_on_the_callers_thread() {
    let brightness = AtomicU8::new(50);
    let threads = Mutex::new(Vec::new());
    let bytes = [GET, GET].concat().into_bytes();
    let answers = Server::builder().answer(bytes, |_| {
        threads.lock().unwrap().push(thread::current().id());
        brightness.fetch_add(1, SeqCst).to_string()
    });
    let texts: Vec<String> = answers
        .unwrap()
        .iter()
        .map(|it| it.text().into_owned())
        .collect();
    assert_eq!(texts, ["50", "51"]);
    assert_eq!(threads.into_inner().unwrap(), [thread::current().id(); 2]);
}

#[test]
fn the_settings_hold_as_on_a_port() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(90));
    let form = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 7\r\n\r\na=1&b=2";
    let kept = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
    let read_form = |request: &mut Request<'_>| -> Result<Response, Error> {
        if request.method() == "POST" {
            request.body().read_form()?;
        }
        Ok(Response::text("hello"))
    };
    let status = |builder: Builder, bytes: &str| {
        builder.answer(bytes, read_form).unwrap()[0]
            .status()
            .as_u16()
    };
    assert_eq!(status(Server::builder(), &long), 200);
    assert_eq!(status(Server::builder().max_head_bytes(64), &long), 414);
    assert_eq!(status(Server::builder().max_headers(1), kept), 431);
    assert_eq!(status(Server::builder(), form), 200);
    assert_eq!(status(Server::builder().max_form_fields(1), form), 413);
    let builder = Server::builder().idle_timeout(Duration::from_secs(10));
    let answers = builder.answer(kept, read_form).unwrap();
    assert_eq!(answers[0].header("Keep-Alive"), Some("timeout=9"));
}

#[test]
fn an_invalid_setting_fails_as_on_a_port() {
    let builders: [fn() -> Builder; 4] = [
        || Server::builder().max_connections(0),
        || Server::builder().idle_timeout(Duration::ZERO),
        || Server::builder().max_head_bytes(1),
        || Server::builder().stack_size(1),
    ];
    for builder in builders {
        let error = builder().answer(GET, handle).unwrap_err();
        let on_a_port = builder().bind("127.0.0.1:0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), on_a_port.to_string());
    }
}

#[test]
fn the_settings_of_a_transport_or_a_file_are_no_obstacle() {
    let (builder, facts) = observed(Server::builder().socket_mode(0o600));
    let builder =
        builder.transport(|_, _| Err::<TcpStream, _>(io::Error::from(ErrorKind::Other).into()));
    let request = "GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = builder.answer(request, handle).unwrap();
    assert_eq!(said(&answers[0]), (200, String::from("hello")));
    assert_eq!(facts.reason(1), CloseReason::PeerClosed);
}

#[test]
fn events_go_to_the_hook_and_the_last_one_before_the_call_returns() {
    let (builder, facts) = observed(Server::builder());
    let answers = builder.answer(GET, handle).unwrap();
    let totals = Totals {
        requests: 1,
        received: GET.len() as u64,
        sent: answers[0].bytes().len() as u64,
    };
    let want = [
        Fact::Opened(1),
        Fact::Request(1, String::from("GET /")),
        Fact::Responded(1, 200, 5),
        Fact::Closed(1, CloseReason::PeerClosed, totals),
    ];
    assert_eq!(facts.so_far(), want);
}

#[test]
fn the_client_has_an_address_of_this_machine_and_the_number_1() {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let opened = Arc::clone(&peers);
    let builder = Server::builder().on_event(move |event| {
        if let Event::Opened { peer, .. } = event {
            opened.lock().unwrap().push(*peer);
        }
    });
    let answers = builder.answer(GET, |request| {
        format!("{:?} {}", request.peer_addr(), request.connection_id())
    });
    assert_eq!(answers.unwrap()[0].text(), "Some(127.0.0.1:0) 1");
    let want: SocketAddr = "127.0.0.1:0".parse().unwrap();
    assert_eq!(*peers.lock().unwrap(), [Some(want)]);
}

#[test]
fn the_client_stays_and_a_token_fires_when_the_call_returns() {
    let kept: Mutex<Option<CancelToken>> = Mutex::new(None);
    let answers = Server::builder().answer(GET, |request| {
        let token = request.cancel_token();
        let fired = [
            request.is_disconnected(),
            token.is_cancelled(),
            token.is_draining(),
            token.wait_timeout(Duration::from_millis(1)),
            token.wait_for_stop(Duration::from_millis(1)),
        ];
        *kept.lock().unwrap() = Some(token);
        format!("{fired:?}")
    });
    assert_eq!(
        answers.unwrap()[0].text(),
        "[false, false, false, false, false]"
    );
    let token = kept.into_inner().unwrap().unwrap();
    assert!(token.is_cancelled() && token.is_draining());
    assert!(token.wait_timeout(SOON));
}

#[test]
fn a_handle_acts_on_its_own_server() {
    let server = Server::bind("127.0.0.1:0").unwrap().spawn(handle).unwrap();
    let other = Client::answered(server.local_addr());
    let handle = server.handle();
    let answers = Server::builder().answer(GET, |request| {
        let closed = handle.close(request.connection_id());
        let cut = handle.destroy();
        let token = request.cancel_token();
        let ended = handle.wait_timeout(SOON);
        format!("{closed} {cut} {ended} {}", token.is_cancelled())
    });
    // The number 1 is that of the other client there. It is the only one.
    assert_eq!(answers.unwrap()[0].text(), "true 0 true false");
    assert_eq!(handle.phase(), Phase::Destroyed);
    drop(other);
}

#[test]
fn an_upgraded_stream_has_no_socket_and_takes_timeouts() {
    let (sender, checked) = mpsc::channel();
    let sender = Mutex::new(sender);
    let answers = Server::builder().answer(UPGRADE, |_| {
        let sender = sender.lock().unwrap().clone();
        Response::upgrade("echo", move |stream: Upgraded| {
            let mut stream = stream.into_tcp().unwrap_err();
            let zero = Some(Duration::ZERO);
            let refused = [
                stream.set_timeouts(zero, None).is_err(),
                stream.set_timeouts(None, zero).is_err(),
            ];
            let second = stream.set_timeouts(None, Some(Duration::from_secs(1)));
            sender.send((refused, second.is_ok())).unwrap();
        })
    });
    assert_eq!(
        answers.unwrap()[0].status(),
        StatusCode::SWITCHING_PROTOCOLS
    );
    let checked = checked.recv_timeout(SOON).unwrap();
    assert_eq!(checked, ([true, true], true));
}

#[test]
fn a_stream_that_is_kept_is_cut_when_the_call_returns() {
    let kept: Arc<Mutex<Option<Upgraded>>> = Arc::default();
    let (builder, facts) = observed(Server::builder());
    let answers = builder.answer(format!("{UPGRADE}more"), |_| {
        let kept = Arc::clone(&kept);
        Response::upgrade("echo", move |mut stream| {
            stream.write_all(b"hello").unwrap();
            *kept.lock().unwrap() = Some(stream);
        })
    });
    assert_eq!(answers.unwrap()[0].text(), "hello");
    let mut stream = kept.lock().unwrap().take().unwrap();
    let read = stream.read(&mut [0]).unwrap_err();
    let written = stream.write(b"more").unwrap_err();
    assert_eq!(read.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(written.kind(), ErrorKind::ConnectionAborted);
    drop(stream);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[test]
fn a_call_within_a_call_is_on_its_own() {
    let answers = Server::builder().answer(GET, |request| {
        let inner = Server::builder().answer(GET, |_| "inner").unwrap();
        format!("{} in {}", inner[0].text(), request.path())
    });
    assert_eq!(answers.unwrap()[0].text(), "inner in /");
}
