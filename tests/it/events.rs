//! Events of a connection: its requests, its responses, its bytes and its times.

use crate::support::client::Client;
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::{bring, observed, site};
use crate::support::{until, GET, SHORT, SOON};
use hardstop::{
    ConnectionState, Error, Event, Handle, Request, Response, Running, Server, Version,
};
use std::io::{Read, Write};
use std::sync::mpsc::{self};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

/// Answers as [`site`] does, and more: `/stream`, `/long` and `/pipe` have no known length, `/reader`
/// has one.
fn pages(request: &mut Request<'_>) -> Result<Response, Error> {
    let path = String::from(request.path());
    Ok(match path.as_str() {
        "/stream" => Response::stream(|body| {
            for _ in 0..3 {
                body.write_all(b"abc")?;
                body.flush()?;
            }
            Ok(())
        }),
        "/long" => Response::stream(|body| body.write_all(&[b'x'; 300_000])),
        "/reader" => Response::reader(&b"1234567"[..], 7),
        "/pipe" => Response::reader((&b"1234"[..]).chain(&b"567"[..]), None),
        "/none" => Response::new(204),
        _ => site(request)?,
    })
}

fn recorded() -> (Running, Recorder) {
    observed(Server::builder().max_body_bytes(100), pages)
}

/// Takes the facts up to the end of a connection, one line each.
fn lines_to_the_end(facts: &Recorder) -> Vec<String> {
    facts
        .take_connection()
        .iter()
        .map(Fact::to_string)
        .collect()
}

#[test]
fn responded_and_closed_count_requests_and_bytes() {
    const LAST: &str = "Host: x\r\nConnection: close\r\n\r\n";
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{LAST}");
    let kept = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = |fields: &str, body: &str| {
        format!("POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n\r\n{body}")
    };
    let chunks = "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n";
    // What the client sends, the facts of each response, and of the end: the reason and the number
    // of requests.
    let table: [(String, &[&str], &str); 18] = [
        (get("/"), &["200, 5"], "Completed, 1"),
        (
            format!("HEAD / HTTP/1.1\r\n{LAST}"),
            &["200, 0"],
            "Completed, 1",
        ),
        (
            format!("HEAD /stream HTTP/1.1\r\n{LAST}"),
            &["200, 0"],
            "Completed, 1",
        ),
        (get("/stream"), &["200, 9"], "Completed, 1"),
        (get("/long"), &["200, 300000"], "Completed, 1"),
        (
            String::from("GET /stream HTTP/1.0\r\n\r\n"),
            &["200, 9"],
            "Completed, 1",
        ),
        (get("/reader"), &["200, 7"], "Completed, 1"),
        (get("/pipe"), &["200, 7"], "Completed, 1"),
        (get("/none"), &["204, 0"], "Completed, 1"),
        (get("/panic"), &["500, 26"], "HandlerPanicked, 1"),
        (
            post("Content-Length: 7", "abcdefg"),
            &["200, 7"],
            "Completed, 1",
        ),
        (
            post("Transfer-Encoding: chunked", chunks),
            &["200, 7"],
            "Completed, 1",
        ),
        (
            post("Expect: 100-continue\r\nContent-Length: 1", "a"),
            &["200, 1"],
            "Completed, 1",
        ),
        (
            post("Content-Length: 101", &"x".repeat(101)),
            &["413, REFUSAL"],
            "Refused(StatusCode(413)), 1",
        ),
        (
            kept("/") + &kept("/stream") + &get("/none"),
            &["200, 5", "200, 9", "204, 0"],
            "Completed, 3",
        ),
        (
            String::from("nonsense\r\n\r\n"),
            &["400, REFUSAL"],
            "Refused(StatusCode(400)), 0",
        ),
        (
            String::from("GET / HTTP/1.1\r\n\r\n"),
            &["400, REFUSAL"],
            "Refused(StatusCode(400)), 0",
        ),
        (
            kept("/") + &kept("/reader") + "nonsense\r\n\r\n",
            &["200, 5", "200, 7", "400, REFUSAL"],
            "Refused(StatusCode(400)), 2",
        ),
    ];
    let (running, facts) = recorded();
    for (number, (say, responses, end)) in (1..).zip(table) {
        let mut client = Client::connect(running.local_addr());
        client.say(&say);
        let mut got = Vec::new();
        client.stream.read_to_end(&mut got).unwrap();
        drop(client);
        let text = String::from_utf8_lossy(&got);
        let refusal = text.rsplit("\r\n").next().unwrap().len();
        let lines = lines_to_the_end(&facts);
        let responded = lines.iter().filter(|line| line.contains(" responded "));
        let want = responses.iter().map(|response| {
            format!("{number} responded {response}").replace("REFUSAL", &refusal.to_string())
        });
        assert!(
            responded.eq(want.collect::<Vec<_>>().iter()),
            "{say:?}: {lines:?}"
        );
        let closed = format!("{number} closed {end}, {}, {}", say.len(), got.len());
        assert_eq!(lines.last(), Some(&closed), "{say:?}");
    }
}

#[test]
fn a_lost_client_gets_no_responded_event_and_a_closed_event_with_its_counters() {
    let (running, facts) = recorded();
    let say = "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = Client::connect(running.local_addr());
    client.say(say);
    client.take(1_000_000);
    drop(client); // with unread bytes, so this is a reset
    let lines = lines_to_the_end(&facts);
    assert_eq!(lines[..2], ["1 opened", "1 asked GET /flood"]);
    let last = lines.last().unwrap().strip_prefix("1 closed PeerLost, 1, ");
    let (received, sent) = last.expect(&lines[2]).split_once(", ").unwrap();
    assert_eq!(received, say.len().to_string());
    assert!(sent.parse::<usize>().unwrap() >= 1_000_000, "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("responded")),
        "{lines:?}"
    );

    // The client leaves within a head, so no request has been made.
    drop(bring(
        &running.handle(),
        running.local_addr(),
        "GET / HT",
        ConnectionState::Head,
    ));
    let lines = lines_to_the_end(&facts);
    assert!(lines.last().unwrap().contains(", 0, 8, "), "{lines:?}");

    // The client leaves within a body, with an unread response before it.
    let say = format!(
        "{GET}{}",
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"
    );
    let client = bring(
        &running.handle(),
        running.local_addr(),
        &say,
        ConnectionState::Handling,
    );
    client.stream.peek(&mut [0]).unwrap();
    until("it has been read", || {
        let open = running.connections();
        open.iter().any(|info| info.requests == 2)
    });
    drop(client);
    let lines = lines_to_the_end(&facts);
    let want = format!("3 closed PeerLost, 2, {}, ", say.len());
    assert!(lines.last().unwrap().starts_with(&want), "{lines:?}");
}

#[test]
fn a_connection_without_requests_is_reported_too() {
    let (running, facts) = recorded();
    drop(Client::connect(running.local_addr()));
    assert_eq!(
        lines_to_the_end(&facts),
        ["1 opened", "1 closed PeerClosed, 0, 0, 0"]
    );
}

#[test]
fn event_times_cover_the_response_and_the_connection() {
    let (sender, times) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        let time = match event {
            Event::Responded { time, .. } => *time,
            Event::Closed { duration, .. } => *duration,
            _ => return,
        };
        let _ = sender.send(time); // the test may have ended
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request| match request.path() {
        "/handler" => {
            request.cancel_token().wait_timeout(SHORT * 4);
            Response::text("slow")
        }
        _ => {
            let token = request.cancel_token();
            Response::stream(move |body| {
                token.wait_timeout(SHORT * 4);
                body.write_all(b"slow")
            })
        }
    });
    let running = running.unwrap();
    let addr = running.local_addr();
    let began = Instant::now();
    let mut client = bring(
        &running.handle(),
        addr,
        "GET /handler HT",
        ConnectionState::Head,
    );
    thread::sleep(SHORT * 4); // a slow client
    client.say("TP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "slow");
    let slow_handler = times.recv_timeout(SOON).unwrap();
    thread::sleep(SHORT * 4); // again
    client.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "slow");
    let slow_stream = times.recv_timeout(SOON).unwrap();
    drop(client);
    let open = times.recv_timeout(SOON).unwrap();
    assert!(open <= began.elapsed());
    assert!(slow_handler >= SHORT * 4 && slow_stream >= SHORT * 4);
    // The times of responses include neither the wait for a request nor the wait for the rest of
    // its head.
    assert!(
        open >= slow_handler + slow_stream + SHORT * 8,
        "{open:?}, {slow_handler:?}, {slow_stream:?}"
    );
}

#[test]
fn the_request_event_has_the_head_as_received() {
    let (sender, told) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Request {
            method,
            target,
            version,
            headers,
            ..
        } = event
        {
            let fields = headers
                .iter()
                .map(|(name, value)| (name.into(), value.to_vec()));
            let fields: Vec<(String, Vec<u8>)> = fields.collect();
            sender
                .send((method.clone(), target.clone(), *version, fields))
                .unwrap();
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say_bytes(b"PUT /a%20b?c=%64 HTTP/1.1\r\nhOST: x\r\nA:  b\xff \r\nA: c\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let (method, target, version, fields) = told.recv_timeout(SOON).unwrap();
    assert_eq!((method.as_str(), target.as_str()), ("PUT", "/a%20b?c=%64"));
    assert_eq!(version, Version::Http11);
    let field = |name: &str, value: &[u8]| (String::from(name), value.to_vec());
    assert_eq!(
        fields,
        [field("hOST", b"x"), field("A", b"b\xff"), field("A", b"c")]
    );
}

/// A server whose event hook can call its handle, with a record of the events.
fn with_hook(react: impl Fn(&Handle, &Event) + Send + Sync + 'static) -> (Running, Recorder) {
    let (record, facts) = recorder();
    let handle = Arc::new(OnceLock::<Handle>::new());
    let cell = Arc::clone(&handle);
    let builder = Server::builder().on_event(move |event| {
        record(event);
        react(cell.get().unwrap(), event);
    });
    let server = builder.bind("127.0.0.1:0").unwrap();
    handle.set(server.handle()).unwrap();
    (server.spawn(pages).unwrap(), facts)
}

#[test]
fn a_connection_is_no_longer_open_when_closed_is_reported() {
    let (sender, answers) = mpsc::channel();
    let (running, _facts) = with_hook(move |handle, event| {
        if let Event::Closed { id, .. } = event {
            let answer = (handle.close(*id), handle.connection_count());
            sender.send(answer).unwrap();
        }
    });
    drop(Client::answered(running.local_addr()));
    assert_eq!(answers.recv_timeout(SOON), Ok((false, 0)));
}

#[test]
fn a_bad_request_behind_a_response_whose_hook_cuts_the_connection_is_not_answered() {
    let (running, facts) = with_hook(|handle, event| {
        if let Event::Responded { id, .. } = event {
            assert!(handle.close(*id));
        }
    });
    let mut client = Client::connect(running.local_addr());
    client.say(&format!("{GET}bad\r\n\r\n"));
    client.expect_end();
    let ends = lines_to_the_end(&facts).split_off(2);
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert_eq!(ends[0], "1 responded 200, 5");
    assert!(
        ends[1].starts_with("1 closed ClosedByHandle, 1, "),
        "{ends:?}"
    );
}
