//! Clients that reset, leave half-way, never read or never stop: each comes to its end, and nobody else notices.

use crate::client::{recorder, until, Client, Fact, Facts, GET, SOON};
use crate::lifecycle::{assert_ends, bring, serve, site, Gate, FLOOD, HALF_BODY, LONG, SHORT, SLEEP};
use crate::wire::{last_words, statuses};
use hardstop::{CloseReason, ConnectionInfo, ConnectionState, Response, Running, Server, StatusCode};
use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

/// Ends a connection over bytes that have not been read, which makes it a reset.
fn reset(client: Client) {
    client.stream.peek(&mut [0]).expect("an answer has come");
}

/// The server answers others, and its first connection has had one end, for this reason.
fn assert_goes_on(running: &Running, facts: &Facts, want: CloseReason, why: &str) {
    assert_eq!(facts.reason(1), want, "{why}");
    let mut other = Client::connect(running.local_addr());
    other.say(GET);
    assert_eq!(other.response().status, 200, "{why}");
    running.destroy();
    assert_ends(running);
    let ends = |fact: &&Fact| matches!(fact, Fact::Closed(1, _));
    assert_eq!(facts.so_far().iter().filter(ends).count(), 1, "{why}");
}

#[test]
fn a_reset_in_the_middle_of_anything_is_told_as_what_it_is() {
    use CloseReason::{Completed, PeerClosed, PeerLost};
    use ConnectionState::{Closing, Handling, Head, Idle, Responding};
    let chunks = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n12";
    let expects = "POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let unread = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n";
    let table = [
        (String::from(GET), Idle, PeerClosed, "between two requests"),
        (format!("{GET}\r\n"), Idle, PeerClosed, "after an empty line"),
        (format!("{GET}GET / HT"), Head, PeerLost, "in a head"),
        (format!("{GET}{HALF_BODY}"), Handling, PeerLost, "in a body"),
        (format!("{GET}{chunks}"), Handling, PeerLost, "in a chunk"),
        (String::from(expects), Handling, PeerLost, "when it may go on"),
        (String::from(FLOOD), Responding, PeerLost, "in a response"),
        (GET.repeat(9) + FLOOD, Responding, PeerLost, "in a pipelined batch"),
        (String::from(unread), Closing, Completed, "after the last response"),
    ];
    for (say, state, want, why) in table {
        let (running, facts) = serve(Server::builder());
        reset(bring(&running.handle(), running.local_addr(), &say, state));
        assert_goes_on(&running, &facts, want, why);
    }
}

/// Each was told as the end of a last response, which it was not.
#[test]
fn an_unread_body_that_does_not_come_whole_is_told() {
    type Leave = fn(Client);
    let table: [(Leave, CloseReason, &str); 3] = [
        (reset, CloseReason::PeerLost, "a reset"),
        (|client| client.stream.shutdown(Shutdown::Write).unwrap(), CloseReason::PeerLost, "its own end"),
        (|mut client| client.expect_end(), CloseReason::BodyTimeout, "silence"),
    ];
    for (leave, want, why) in table {
        let (running, facts) = serve(Server::builder().body_timeout(Duration::from_millis(500)));
        let mut client = Client::connect(running.local_addr());
        // The first answer leaves when the rest of the second request is awaited.
        client.say(&format!("{GET}POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"));
        client.stream.peek(&mut [0]).unwrap();
        leave(client);
        assert_goes_on(&running, &facts, want, why);
    }
}

/// The handler cannot see it, unless it reads or writes.
#[test]
fn a_reset_while_the_handler_runs_is_told_when_its_answer_is_sent() {
    for (field, why) in [("", "an answer"), ("Connection: close\r\n", "the last answer")] {
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
        client.stream.peek(&mut [0]).unwrap(); // or both answers would leave together
        client.say(&format!("GET /gate HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
        arrivals.recv_timeout(SOON).unwrap();
        reset(client);
        open.send(()).unwrap();
        assert_goes_on(&running, &facts, CloseReason::PeerLost, why);
    }
}

#[test]
fn a_client_that_is_gone_before_it_is_accepted_leaves_the_server_as_it_was() {
    let (hook, facts) = recorder();
    let builder = Server::builder().on_event(hook);
    let server = builder.bind("127.0.0.1:0").unwrap();
    drop(Client::connect(server.local_addr()));
    let running = server.spawn(site).unwrap();
    assert_goes_on(&running, &facts, CloseReason::PeerClosed, "it came and went");
}

#[test]
fn a_client_that_has_ended_its_own_side_gets_its_answers() {
    use CloseReason::{Completed, PeerClosed};
    let bad = CloseReason::Refused(StatusCode::BAD_REQUEST);
    let post = |body: &str| format!("POST /body HTTP/1.1\r\nHost: x\r\n{body}");
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let table = [
        (String::new(), vec![], PeerClosed, "nothing"),
        (String::from("\r\n"), vec![], PeerClosed, "an empty line"),
        (String::from(GET), vec![200], PeerClosed, "a request"),
        (String::from(last), vec![200], Completed, "the last request"),
        (GET.repeat(3), vec![200; 3], PeerClosed, "three requests"),
        (GET.repeat(10_000), vec![200; 10_000], PeerClosed, "a flood"),
        (post("Content-Length: 2\r\n\r\nhi"), vec![200], PeerClosed, "a body"),
        (String::from("G"), vec![400], bad, "half a head"),
        (String::from(&GET[..GET.len() - 1]), vec![400], bad, "nearly a head"),
        (String::from(GET) + "GET", vec![200, 400], bad, "one, and half a head"),
        (post("Content-Length: 3\r\n\r\nhi"), vec![400], bad, "half a body"),
        (post("Content-Length: 3\r\n\r\n"), vec![400], bad, "no body"),
        (post("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"), vec![400], bad, "no last chunk"),
        (post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"), vec![100, 400], bad, "no body, and it may go on"),
    ];
    for (say, want, reason, why) in table {
        let (running, facts) = serve(Server::builder());
        let said = last_words(running.local_addr(), &[say.as_bytes()]);
        assert_eq!(statuses(&said), want, "{why}");
        assert_goes_on(&running, &facts, reason, why);
    }
}

#[test]
fn a_client_that_has_ended_its_own_side_gets_a_large_answer_whole() {
    const LENGTH: usize = 20_000_000;
    let running = crate::wire::serve(|request| match request.path() {
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
fn ten_thousand_pipelined_requests_are_answered_in_their_order() {
    let running = crate::wire::serve(|request| String::from(request.path()));
    let mut client = Client::connect(running.local_addr());
    let request = |n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests: String = (0..10_000).map(request).collect();
    client.say(&requests); // and only then reads
    for n in 0..10_000 {
        assert_eq!(client.response().text(), format!("/{n}"));
    }
}

/// Others are answered meanwhile, and a stop does not wait for it.
#[test]
fn a_pipelining_flood_whose_answers_are_not_read_is_ended() {
    type End = fn(&Running);
    let table: [(Duration, End, CloseReason); 2] = [
        (SHORT, |_| {}, CloseReason::WriteTimeout),
        (LONG, |running| assert_eq!(running.destroy(), 2), CloseReason::Destroyed),
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
                let _ = flood.stream.write_all(GET.repeat(10_000).as_bytes()); // it is cut in the middle
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

/// They linger for a second, on threads of their own.
#[test]
fn refused_clients_that_do_not_read_hold_nobody_up() {
    for _ in 0..10 {
        let (running, facts) = serve(Server::builder().max_connections(1));
        let (handle, addr) = (running.handle(), running.local_addr());
        let _busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        let busy = handle.connections()[0].id;
        let began = Instant::now();
        let mut refused = Vec::new();
        for id in 2..10 {
            let mut client = Client::connect(addr);
            let _ = client.stream.write_all(&[b'x'; 100_000]); // its second may be over
            refused.push(client);
            facts.wait_for(|fact| *fact == Fact::Opened(id));
        }
        Client::connect(addr).expect_end(); // there are eight already
        assert!(handle.close(busy));
        facts.reason(1);
        let mut new = Client::connect(addr);
        new.say(GET);
        assert_eq!(new.response().status, 200, "a place was free");
        let told = facts.so_far();
        if began.elapsed() < Duration::from_millis(900) {
            assert!(told.contains(&Fact::TurnedAway), "{told:?}");
            let ended = |fact: &Fact| matches!(fact, Fact::Closed(2..=9, _));
            assert!(!told.iter().any(ended), "somebody did not linger: {told:?}");
            return;
        } // else they have had their second, on a machine that is busy
    }
    panic!("it has taken a second, ten times");
}

/// It was reset, as the server had closed behind the response while most of that was still on its way.
#[test]
fn a_last_response_arrives_though_its_client_says_more() {
    let large = "x".repeat(300_000);
    let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |_| large.clone()).unwrap();
    let head = "Host: x\r\nConnection: close\r\n\r\n";
    for first in ["GET / HTTP/1.1", "GET / HTTP/1.0", "POST / HTTP/1.0"] {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{first}\r\n{head}"));
        let sent = |info: &ConnectionInfo| info.state == ConnectionState::Closing;
        assert_eq!(client.head_response().status, 200);
        until("all has been sent", || running.handle().connections().iter().all(sent));
        client.say("\r\n");
        client.take(300_000);
    }
}
