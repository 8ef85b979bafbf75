//! Promise 11: each `Opened` event is followed by one `Closed` event with the reason.

use crate::support::client::Client;
use crate::support::recorder::Fact;
use crate::support::server::{assert_ends, bring, serve_site, site, FLOOD, HALF_BODY, SLEEP};
use crate::support::{check_at_once, until, GET, SHORT};
use hardstop::{Builder, CloseReason, ConnectionState, Handle, Server, StatusCode};
use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

#[test]
fn each_opened_is_followed_by_one_closed() {
    let (running, facts) = serve_site(Server::builder().max_connections(30));
    let (handle, addr) = (running.handle(), running.local_addr());
    let says = [
        "",
        "GET / HT",
        GET,
        HALF_BODY,
        FLOOD,
        SLEEP,
        "nonsense\r\n\r\n",
    ];
    let panics = "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n";
    let closes = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut kept = Vec::new();
    for round in 0..8 {
        for say in says.into_iter().chain([panics, closes]) {
            if let Ok(mut client) = Client::try_connect(addr) {
                let _ = client.stream.write_all(say.as_bytes()); // the client may be refused
                if round % 2 == 0 {
                    kept.push(client);
                }
            }
        }
    }
    until("several have ended", || {
        let ends = |fact: &Fact| matches!(fact, Fact::Closed(..));
        facts.so_far().iter().filter(|fact| ends(fact)).count() > 20
    });
    handle.close_idle();
    handle.destroy();
    assert_ends(&running);
    let (mut open, mut ended) = (HashSet::new(), HashSet::new());
    for fact in facts.so_far() {
        match fact {
            Fact::Opened(id) => assert!(open.insert(id) && !ended.contains(&id), "{id} twice"),
            Fact::Closed(id, ..) => assert!(open.remove(&id) && ended.insert(id), "{id} not open"),
            Fact::Request(id, _) | Fact::Responded(id, ..) | Fact::HandlerPanicked(id, _) => {
                assert!(
                    open.contains(&id),
                    "{id} was reported while it was not open"
                );
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// Sets up the builder.
type Configure = fn(Builder) -> Builder;

/// Acts on a connection. A client that is returned is kept open.
type Act = fn(&Handle, Client) -> Option<Client>;

#[test]
fn closed_gives_the_reason() {
    let leave: Act = |_, _| None;
    let stay: Act = |_, client| Some(client);
    let other = |builder: Builder| builder;
    let rows: [(CloseReason, Configure, &str, ConnectionState, Act); 14] = [
        (
            CloseReason::PeerClosed,
            other,
            "",
            ConnectionState::New,
            leave,
        ),
        (
            CloseReason::PeerClosed,
            other,
            GET,
            ConnectionState::Idle,
            leave,
        ),
        (
            CloseReason::PeerLost,
            other,
            FLOOD,
            ConnectionState::Responding,
            leave,
        ),
        (
            CloseReason::IdleTimeout,
            |builder| builder.idle_timeout(SHORT * 20),
            "",
            ConnectionState::New,
            stay,
        ),
        (
            CloseReason::IdleTimeout,
            |builder| builder.idle_timeout(SHORT * 20),
            GET,
            ConnectionState::Idle,
            stay,
        ),
        (
            CloseReason::HeadTimeout,
            |builder| builder.header_timeout(SHORT * 20),
            "GET / HT",
            ConnectionState::Head,
            leave_after_end,
        ),
        (
            CloseReason::BodyTimeout,
            |builder| builder.body_timeout(SHORT * 20),
            HALF_BODY,
            ConnectionState::Handling,
            leave_after_end,
        ),
        (
            CloseReason::WriteTimeout,
            |builder| builder.write_timeout(SHORT * 20),
            FLOOD,
            ConnectionState::Responding,
            stay,
        ),
        (
            CloseReason::Destroyed,
            other,
            SLEEP,
            ConnectionState::Handling,
            |handle, client| {
                assert_eq!(handle.destroy(), 1);
                Some(client)
            },
        ),
        (
            CloseReason::Drained,
            other,
            GET,
            ConnectionState::Idle,
            |handle, client| {
                handle.drain();
                Some(client)
            },
        ),
        (
            CloseReason::Drained,
            other,
            "GET / HT",
            ConnectionState::Head,
            |handle, mut client| {
                handle.drain();
                client.say("TP/1.1\r\nHost: x\r\n\r\n");
                Some(client)
            },
        ),
        (
            CloseReason::ClosedIdle,
            other,
            GET,
            ConnectionState::Idle,
            |handle, client| {
                assert_eq!(handle.close_idle(), 1);
                Some(client)
            },
        ),
        (
            CloseReason::ClosedByHandle,
            other,
            SLEEP,
            ConnectionState::Handling,
            |handle, client| {
                assert!(handle.close(handle.connections()[0].id));
                Some(client)
            },
        ),
        (
            CloseReason::Evicted,
            |builder| builder.max_connections(1),
            GET,
            ConnectionState::Idle,
            |handle, client| {
                let addr = client.stream.peer_addr().unwrap();
                drop(bring(handle, addr, GET, ConnectionState::Idle));
                Some(client)
            },
        ),
    ];
    check_at_once(rows, |(want, configure, say, state, act)| {
        let (running, facts) = serve_site(configure(Server::builder()));
        let client = bring(&running.handle(), running.local_addr(), say, state);
        let _kept = act(&running.handle(), client);
        assert_eq!(facts.reason(1), want, "{say:?}");
    });
}

fn leave_after_end(_: &Handle, mut client: Client) -> Option<Client> {
    client.response();
    client.expect_end();
    None
}

#[test]
fn closed_gives_the_reason_for_a_last_response() {
    let rows = [
        (
            CloseReason::Completed,
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ),
        (CloseReason::Completed, "GET / HTTP/1.0\r\n\r\n"),
        (
            CloseReason::Refused(StatusCode::BAD_REQUEST),
            "nonsense\r\n\r\n",
        ),
        (
            CloseReason::HandlerPanicked,
            "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            CloseReason::ResponseFailed,
            "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
    ];
    let (running, facts) = serve_site(Server::builder());
    for (id, (want, say)) in (1..).zip(rows) {
        let mut client = Client::connect(running.local_addr());
        client.say(say);
        client.expect_end();
        drop(client);
        assert_eq!(facts.reason(id), want, "{say:?}");
    }
}

#[test]
fn closed_is_reported_after_the_owner_is_dropped() {
    let seen = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&seen);
    let builder = Server::builder().on_event(move |event| {
        if matches!(Fact::of(event), Fact::Closed(..)) {
            flag.store(true, SeqCst);
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(site).unwrap();
    let _client = bring(
        &running.handle(),
        running.local_addr(),
        GET,
        ConnectionState::Idle,
    );
    drop(running);
    until("the event comes after the owner is gone", || {
        seen.load(SeqCst)
    });
}
