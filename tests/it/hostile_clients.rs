//! Clients that reset, leave half-way, never read or never stop: each connection ends, and no other
//! client notices.

use crate::support::client::Client;
use crate::support::dialogue::{last_words, statuses};
use crate::support::gate::Gate;
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::{
    assert_ends, bring, serve, serve_site, site, FLOOD, HALF_BODY, SLEEP,
};
use crate::support::{until, GET, LONG, SHORT, SOON};
use hardstop::{
    CloseReason, ConnectionInfo, ConnectionState, Response, Running, Server, StatusCode,
};
use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

/// Closes a connection with unread bytes, which makes the system send a reset.
fn reset(client: Client) {
    client.stream.peek(&mut [0]).expect("an answer has come");
}

/// Asserts that the server answers other clients, and that its first connection was closed once,
/// for this reason.
fn assert_goes_on(running: &Running, facts: &Recorder, want: CloseReason, why: &str) {
    assert_eq!(facts.reason(1), want, "{why}");
    let mut other = Client::connect(running.local_addr());
    other.say(GET);
    assert_eq!(other.response().status, 200, "{why}");
    running.destroy();
    assert_ends(running);
    let ends = |fact: &&Fact| matches!(fact, Fact::Closed(1, ..));
    assert_eq!(facts.so_far().iter().filter(ends).count(), 1, "{why}");
}

#[test]
fn a_reset_in_any_state_is_reported_with_its_reason() {
    use CloseReason::{Completed, PeerClosed, PeerLost};
    use ConnectionState::{Closing, Handling, Head, Idle, Responding};
    let chunks = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n12";
    let expects =
        "POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let unread = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n";
    let table = [
        (String::from(GET), Idle, PeerClosed, "between two requests"),
        (
            format!("{GET}\r\n"),
            Idle,
            PeerClosed,
            "after an empty line",
        ),
        (format!("{GET}\n"), Idle, PeerClosed, "after a line end"),
        (format!("{GET}GET / HT"), Head, PeerLost, "in a head"),
        (format!("{GET}{HALF_BODY}"), Handling, PeerLost, "in a body"),
        (format!("{GET}{chunks}"), Handling, PeerLost, "in a chunk"),
        (
            String::from(expects),
            Handling,
            PeerLost,
            "when it may go on",
        ),
        (String::from(FLOOD), Responding, PeerLost, "in a response"),
        (
            GET.repeat(9) + FLOOD,
            Responding,
            PeerLost,
            "in a pipelined batch",
        ),
        (
            String::from(unread),
            Closing,
            Completed,
            "after the last response",
        ),
    ];
    for (say, state, want, why) in table {
        let (running, facts) = serve_site(Server::builder());
        reset(bring(&running.handle(), running.local_addr(), &say, state));
        assert_goes_on(&running, &facts, want, why);
    }
}

/// Regression: each of these was reported as the end of a last response.
#[test]
fn an_incomplete_unread_body_is_reported() {
    type Leave = fn(Client);
    let table: [(Leave, CloseReason, &str); 3] = [
        (reset, CloseReason::PeerLost, "a reset"),
        (
            |client| client.stream.shutdown(Shutdown::Write).unwrap(),
            CloseReason::PeerLost,
            "its own end",
        ),
        (
            |mut client| client.expect_end(),
            CloseReason::BodyTimeout,
            "silence",
        ),
    ];
    for (leave, want, why) in table {
        let (running, facts) =
            serve_site(Server::builder().body_timeout(Duration::from_millis(500)));
        let mut client = Client::connect(running.local_addr());
        // The first response is sent when the server waits for the rest of the second request.
        client.say(&format!(
            "{GET}POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"
        ));
        client.stream.peek(&mut [0]).unwrap();
        leave(client);
        assert_goes_on(&running, &facts, want, why);
    }
}

/// A handler that neither reads nor writes cannot see the reset.
#[test]
fn a_reset_during_a_handler_is_reported_when_its_response_is_sent() {
    for (field, why) in [
        ("", "an answer"),
        ("Connection: close\r\n", "the last answer"),
    ] {
        let (gate, arrivals, open) = Gate::new();
        let (hook, facts) = recorder();
        let server = Server::builder().on_event(hook).bind("127.0.0.1:0");
        let running = server.unwrap().spawn(move |request| {
            if request.path() == "/gate" {
                gate.pass();
            }
            "hello"
        });
        let running = running.unwrap();
        let mut client = Client::connect(running.local_addr());
        client.say(GET);
        client.stream.peek(&mut [0]).unwrap(); // or both responses would leave together
        client.say(&format!("GET /gate HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
        arrivals.recv_timeout(SOON).unwrap();
        reset(client);
        open.send(()).unwrap();
        assert_goes_on(&running, &facts, CloseReason::PeerLost, why);
    }
}

#[test]
fn a_client_that_leaves_before_accept_does_no_harm() {
    let (hook, facts) = recorder();
    let builder = Server::builder().on_event(hook);
    let server = builder.bind("127.0.0.1:0").unwrap();
    drop(Client::connect(server.local_addr()));
    let running = server.spawn(site).unwrap();
    assert_goes_on(
        &running,
        &facts,
        CloseReason::PeerClosed,
        "it came and went",
    );
}

#[test]
fn a_half_closed_client_gets_its_responses() {
    use CloseReason::{Completed, PeerClosed};
    let bad = CloseReason::Refused(StatusCode::BAD_REQUEST);
    let post = |body: &str| format!("POST /body HTTP/1.1\r\nHost: x\r\n{body}");
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let table = [
        (String::new(), vec![], PeerClosed, "nothing"),
        (String::from("\r\n"), vec![], PeerClosed, "an empty line"),
        (String::from("\n"), vec![], PeerClosed, "a line end alone"),
        (
            format!("{GET}\n"),
            vec![200],
            PeerClosed,
            "a request and a line end, as `echo` sends it",
        ),
        (String::from(GET), vec![200], PeerClosed, "a request"),
        (String::from(last), vec![200], Completed, "the last request"),
        (GET.repeat(3), vec![200; 3], PeerClosed, "three requests"),
        (GET.repeat(10_000), vec![200; 10_000], PeerClosed, "a flood"),
        (
            post("Content-Length: 2\r\n\r\nhi"),
            vec![200],
            PeerClosed,
            "a body",
        ),
        (String::from("G"), vec![400], bad, "half a head"),
        (
            String::from(&GET[..GET.len() - 1]),
            vec![400],
            bad,
            "nearly a head",
        ),
        (
            String::from(GET) + "GET",
            vec![200, 400],
            bad,
            "one, and half a head",
        ),
        (
            post("Content-Length: 3\r\n\r\nhi"),
            vec![400],
            bad,
            "half a body",
        ),
        (post("Content-Length: 3\r\n\r\n"), vec![400], bad, "no body"),
        (
            post("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
            vec![400],
            bad,
            "no last chunk",
        ),
        (
            post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
            vec![100, 400],
            bad,
            "no body, and it may go on",
        ),
    ];
    for (say, want, reason, why) in table {
        let (running, facts) = serve_site(Server::builder());
        let said = last_words(running.local_addr(), &[say.as_bytes()]);
        assert_eq!(statuses(&said), want, "{why}");
        assert_goes_on(&running, &facts, reason, why);
    }
}

#[test]
fn a_half_closed_client_gets_a_large_response_whole() {
    const LENGTH: usize = 20_000_000;
    let running = serve(|request| match request.path() {
        "/bytes" => Response::bytes("a/b", vec![b'x'; LENGTH]),
        _ => Response::stream(|body| body.write_all(&vec![b'x'; LENGTH])),
    });
    for path in ["/bytes", "/stream"] {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.response().body.len(), LENGTH, "{path}");
        client.expect_end();
    }
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order() {
    let running = serve(|request| String::from(request.path()));
    let mut client = Client::connect(running.local_addr());
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests: String = (0..10_000).map(request).collect();
    client.say(&requests); // and only then reads
    for n in 0..10_000 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

/// Other clients are answered meanwhile, and a stop does not wait for the flood.
#[test]
fn an_unread_pipelining_flood_is_ended() {
    type End = fn(&Running);
    let table: [(Duration, End, CloseReason); 2] = [
        (SHORT, |_| {}, CloseReason::WriteTimeout),
        (
            LONG,
            |running| assert_eq!(running.destroy(), 2),
            CloseReason::Destroyed,
        ),
    ];
    for (write_timeout, end, want) in table {
        let (hook, facts) = recorder();
        let builder = Server::builder().write_timeout(write_timeout);
        let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
        let running = server.spawn(|_| Response::bytes("a/b", vec![b'x'; 10_000]));
        let running = running.unwrap();
        let mut flood = Client::connect(running.local_addr());
        let mut other = Client::connect(running.local_addr());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = flood.stream.write_all(GET.repeat(10_000).as_bytes()); // the flood is cut half-way
            });
            for _ in 0..100 {
                other.say(GET);
                assert_eq!(other.response().body.len(), 10_000);
            }
            end(&running);
            assert_eq!(facts.reason(1), want);
        });
        flood.expect_end();
        running.destroy();
        assert_ends(&running);
    }
}

/// Refused connections linger for a second, on threads of their own.
#[test]
fn refused_clients_that_do_not_read_delay_no_other() {
    for _ in 0..10 {
        let (running, facts) = serve_site(Server::builder().max_connections(1));
        let (handle, addr) = (running.handle(), running.local_addr());
        let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let busy = handle.connections()[0].id;
        let began = Instant::now();
        let mut refused = Vec::new();
        for id in 2..10 {
            let mut client = Client::connect(addr);
            let _ = client.stream.write_all(&[b'x'; 100_000]); // its grace of a second may be over
            refused.push(client);
            facts.wait_for(|fact| *fact == Fact::Opened(id));
        }
        Client::connect(addr).expect_end(); // eight refusals are in progress already
        assert!(handle.close(busy));
        facts.reason(1);
        let mut new = Client::connect(addr);
        new.say(GET);
        assert_eq!(new.response().status, 200, "a place was free");
        let told = facts.so_far();
        if began.elapsed() < Duration::from_millis(900) {
            assert!(told.contains(&Fact::Rejected), "{told:?}");
            let ended = |fact: &Fact| matches!(fact, Fact::Closed(2..=9, ..));
            assert!(!told.iter().any(ended), "a client did not linger: {told:?}");
            return;
        } // else they lingered for their second, on a busy machine
    }
    panic!("it has taken a second, ten times");
}

/// Regression: the server closed the socket behind the response while most of it was still on its
/// way, so the client's next bytes caused a reset.
#[test]
fn a_last_response_arrives_while_its_client_keeps_sending() {
    let large = "x".repeat(300_000);
    let running = Server::bind("127.0.0.1:0")
        .unwrap()
        .spawn(move |_| large.clone())
        .unwrap();
    let head = "Host: x\r\nConnection: close\r\n\r\n";
    for first in ["GET / HTTP/1.1", "GET / HTTP/1.0", "POST / HTTP/1.0"] {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{first}\r\n{head}"));
        let sent = |info: &ConnectionInfo| info.state == ConnectionState::Closing;
        assert_eq!(client.head_response().status, 200);
        until("all has been sent", || {
            running.connections().iter().all(sent)
        });
        client.say("\r\n");
        client.take(300_000);
    }
}

/// Regression: on Apple's systems, a client over IPv6 that reset before it was accepted held up the
/// next ones, or ended the server. `.ci/extra/imitations` has Linux do as they do.
#[test]
fn clients_that_left_before_they_were_accepted_hold_up_nobody() {
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let server = match Server::bind(addr) {
            Ok(server) => server,
            Err(error) => {
                println!("not tested: {error}");
                continue;
            }
        };
        let addr = server.local_addr();
        let mut first = Client::connect(addr);
        for _ in 0..40 {
            drop(Client::connect(addr));
        }
        let mut last = Client::connect(addr);
        let running = server.spawn(site).unwrap();
        for client in [&mut first, &mut last] {
            client.say(GET);
            assert_eq!(client.response().status, 200);
        }
        running.destroy();
        assert_ends(&running);
    }
}
