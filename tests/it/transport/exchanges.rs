//! Requests and responses over transports, and their orderly ends.

use super::*;

#[test]
fn every_kind_of_request_and_response_goes_through_every_transport() {
    for (odd, name) in ALL {
        let (running, events) = observed(over(odd), echo);
        let mut peer = Peer::connect(running.local_addr(), odd);
        for _ in 0..3 {
            peer.heard.clear();
            peer.say(GET);
            assert!(
                peer.hear("hello from /").starts_with("HTTP/1.1 200 OK\r\n"),
                "{name}"
            );
        }
        peer.heard.clear();
        let body = "0123456789".repeat(10_000);
        let length = body.len();
        peer.say(&format!(
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert!(peer.hear("0123456789").len() > 10, "{name}");
        peer.say("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.say("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
        peer.hear("hello world");
        peer.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        peer.say(&GET.repeat(100));
        peer.say(LAST);
        let heard = peer.hear_all();
        assert_eq!(statuses(heard), [200; 105], "{name}");
        assert!(heard.contains(&format!("\r\n\r\n{body}HTTP/1.1")), "{name}");
        assert!(
            heard.contains(&format!("\r\n\r\n{}HTTP/1.1", "x".repeat(300_000))),
            "{name}"
        );
        assert!(
            heard.contains("\r\n999,\r\n0\r\n\r\nHTTP/1.1"),
            "{name}: {heard}"
        );
        assert!(heard.ends_with("hello from /last<goodbye>"), "{name}");
        drop(peer); // or the server would linger
        let told = events.take_connection();
        assert!(
            matches!(
                told.last(),
                Some(Fact::Closed(_, CloseReason::Completed, _))
            ),
            "{name}: {told:?}"
        );
        let opened = told.iter().filter(|fact| matches!(fact, Fact::Opened(_)));
        assert_eq!(opened.count(), 1, "{name}");
    }
}

#[test]
fn the_goodbye_of_a_transport_comes_last_at_every_orderly_end() {
    type Set = fn(Builder) -> Builder;
    type Act = fn(&mut Peer, &Running);
    let as_ever: Set = |builder| builder;
    let ends: [(Set, Act, CloseReason, &[u16]); 10] = [
        (
            as_ever,
            |peer, _| peer.say(LAST),
            CloseReason::Completed,
            &[200],
        ),
        (
            as_ever,
            |peer, _| peer.say("nonsense\r\n\r\n"),
            CloseReason::Refused(400.into()),
            &[400],
        ),
        (
            as_ever,
            |peer, _| {
                peer.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
                peer.say(&"x".repeat(2_000_000));
            },
            CloseReason::Refused(413.into()),
            &[413],
        ),
        (
            as_ever,
            |peer, running| {
                peer.say(GET);
                until_state(&running.handle(), ConnectionState::Idle);
                running.drain();
            },
            CloseReason::Drained,
            &[200],
        ),
        (
            as_ever,
            |_, running| running.drain(),
            CloseReason::Drained,
            &[],
        ),
        (
            as_ever,
            |peer, _| {
                peer.say(GET);
                peer.hear("hello from /");
                peer.tcp.shutdown(Shutdown::Write).unwrap();
            },
            CloseReason::PeerClosed,
            &[200],
        ),
        (
            |builder| builder.idle_timeout(SHORT),
            |_, _| {},
            CloseReason::IdleTimeout,
            &[],
        ),
        (
            |builder| builder.idle_timeout(SHORT * 10),
            |peer, _| peer.say(GET),
            CloseReason::IdleTimeout,
            &[200],
        ),
        (
            |builder| builder.header_timeout(SHORT * 10),
            |peer, _| peer.say("GET / HTTP/1.1\r\nHo"),
            CloseReason::HeadTimeout,
            &[408],
        ),
        (
            |builder| builder.body_timeout(SHORT),
            |peer, _| peer.say(HALF_BODY),
            CloseReason::BodyTimeout,
            &[408],
        ),
    ];
    let buffers = Odd {
        buffers: true,
        ..LAZY
    };
    for odd in [EAGER, buffers] {
        check_at_once(ends, |(set, act, reason, answers)| {
            let (running, events) = observed(set(over(odd)), echo);
            let mut peer = Peer::connect(running.local_addr(), odd);
            act(&mut peer, &running);
            let heard = peer.hear_all();
            assert_eq!(statuses(heard), answers, "{reason:?}");
            assert!(heard.ends_with(GOODBYE), "{reason:?}: {heard}");
            assert_eq!(heard.matches(GOODBYE).count(), 1, "{reason:?}: {heard}");
            drop(peer); // or the server would linger
            assert_eq!(events.take_reason(), reason);
        });
    }
}

#[test]
fn a_client_over_the_limit_gets_503_through_the_transport() {
    check_at_once([EAGER, LAZY], |odd| {
        let (running, events) = observed(over(odd).max_connections(1), site);
        let mut busy = Peer::connect(running.local_addr(), odd);
        busy.say(HALF_BODY);
        until_state(&running.handle(), ConnectionState::Handling);
        let mut refused = Peer::connect(running.local_addr(), odd);
        let heard = refused.hear_all();
        assert_eq!(statuses(heard), [503]);
        assert!(
            heard.contains("\r\nRetry-After: 1\r\n") && heard.ends_with(GOODBYE),
            "{heard}"
        );
        events.take_until_closed(CloseReason::Busy);
        busy.say("56789");
        busy.hear("123456789");
    });
}

#[test]
fn an_https_target_needs_a_transport() {
    let request = "GET https://x/there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (running, _) = observed(over(PLAIN), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert!(peer
        .hear_all()
        .ends_with("\r\n\r\nhello from /there<goodbye>"));
    let (running, _) = observed(Server::builder(), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say(request);
    assert_eq!(statuses(peer.hear_all()), [421]);
}

#[test]
fn a_host_may_differ_from_the_target_in_the_default_port_of_its_scheme() {
    let table = [
        ("https://x:443", "x", 200, "the port of https"),
        ("https://x", "x:443", 200, "on the other side"),
        ("https://x:", "x:443", 200, "an empty one"),
        ("HTTPS://X:443", "x", 200, "in another case"),
        ("https://[::1]:443", "[::1]", 200, "behind an IPv6 address"),
        ("https://x:80", "x", 400, "the port of http"),
        ("https://x", "x:80", 400, "on the other side"),
        ("https://x:443", "", 400, "an empty Host"),
        ("http://x:80", "x", 200, "http, over the same transport"),
        ("http://x:443", "x", 400, "http with the port of https"),
    ];
    let (running, _) = observed(over(PLAIN), echo);
    for (target, host, status, why) in table {
        let mut peer = Peer::connect(running.local_addr(), PLAIN);
        let head = format!("GET {target}/ HTTP/1.1\r\nHost: {host}\r\n");
        peer.say(&format!("{head}Connection: close\r\n\r\n"));
        assert_eq!(statuses(peer.hear_all()), [status], "{why}");
    }
}

#[test]
fn a_transport_over_tcp_does_not_make_an_empty_host_valid() {
    let (running, _) = observed(over(PLAIN), echo);
    let mut peer = Peer::connect(running.local_addr(), PLAIN);
    peer.say("GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n");
    assert_eq!(statuses(peer.hear_all()), [400]);
}

#[test]
fn the_transport_hook_gets_the_connection_id() {
    let (sender, told) = mpsc::channel();
    let sender = Mutex::new(sender);
    let hook = move |tcp, id| {
        sender.lock().unwrap().send(id).unwrap();
        Ok(Wrapper::new(tcp, PLAIN)?)
    };
    let builder = Server::builder().transport(hook);
    let (running, _) = observed(builder, |request| {
        u64::from(request.connection_id()).to_string()
    });
    for number in 1..4 {
        let mut peer = Peer::connect(running.local_addr(), PLAIN);
        peer.say(LAST);
        assert!(peer
            .hear_all()
            .ends_with(&format!("\r\n\r\n{number}<goodbye>")));
        assert_eq!(u64::from(told.recv_timeout(SOON).unwrap()), number);
    }
}
