//! How long a client is spared that holds a place and asks for nothing, and that every place and
//! refusal is counted.

use crate::support::client::Client;
use crate::support::recorder::Fact;
use crate::support::server::{assert_ends, bring, serve_site, HALF_BODY, SLEEP};
use crate::support::{check_at_once, until, GET};
use hardstop::{Builder, CloseReason, ConnectionInfo, ConnectionState, Handle, Server};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

/// A transport whose handshake is the client's first byte.
fn with_handshake(builder: Builder) -> Builder {
    builder.transport(|mut tcp: TcpStream, _| {
        tcp.read_exact(&mut [0])?;
        Ok(tcp)
    })
}

fn only(handle: &Handle) -> ConnectionInfo {
    handle.connections().remove(0)
}

/// Regression: each head, and the silence after a handshake, had a second of its own. As many
/// clients as there are places kept all others out, with a byte a second from each.
#[test]
fn no_act_of_a_client_renews_the_second_for_its_first_request() {
    // What it says first, what it says when its second is over, and its state after that.
    let table = [
        (GET, "G", ConnectionState::Head, "the first byte of a head"),
        ("", "G", ConnectionState::Head, "the same after silence"),
        ("", "\r\nG", ConnectionState::Head, "an empty line before"),
        (
            HALF_BODY,
            "56789G",
            ConnectionState::Head,
            "the end of a body",
        ),
        (GET, "", ConnectionState::Idle, "silence after a response"),
        ("", "h", ConnectionState::New, "the end of a handshake"),
    ];
    check_at_once(table, |(first, then, state, why)| {
        let mut builder = Server::builder().max_connections(1);
        let shakes_hands = then == "h";
        if shakes_hands {
            builder = with_handshake(builder);
        }
        let (running, facts) = serve_site(builder);
        let mut holder = Client::connect(running.local_addr());
        holder.say(first);
        until(why, || !running.connections().is_empty());
        until("its second is over", || {
            only(&running.handle()).opened.elapsed() > Duration::from_millis(1100)
        });
        holder.say(then);
        until(why, || only(&running.handle()).state == state);
        let mut other = Client::connect(running.local_addr());
        if shakes_hands {
            other.say("h");
        }
        other.say(GET);
        assert_eq!(other.response().status, 200, "{why}");
        assert_eq!(facts.reason(1), CloseReason::Evicted, "{why}");
        running.destroy();
        assert_ends(&running);
    });
}

/// A keep-alive client that sends the end of a request and the beginning of the next one at once
/// has no second for that, however new it is.
#[test]
fn a_head_after_a_request_makes_room_at_once() {
    let (running, facts) = serve_site(Server::builder().max_connections(1));
    let mut holder = Client::connect(running.local_addr());
    holder.say(&format!("{GET}G"));
    assert_eq!(holder.response().status, 200);
    until("the next head has begun", || {
        only(&running.handle()).state == ConnectionState::Head
    });
    let _other = Client::answered(running.local_addr());
    assert_eq!(facts.reason(1), CloseReason::Evicted);
}

#[test]
fn a_client_that_has_just_connected_is_spared() {
    let is_spared = (0..10).any(|_| {
        let (running, _) = serve_site(Server::builder().max_connections(1));
        let mut new = Client::connect(running.local_addr());
        new.say("G");
        let mut other = Client::connect(running.local_addr());
        other.say(GET);
        let is_refused = other.response().status == 503;
        if is_refused {
            new.say(&GET[1..]);
            assert_eq!(new.response().status, 200);
        }
        is_refused // else its second was over, on a busy machine
    });
    assert!(is_spared);
}

/// The server keeps counts. One that is too high would refuse everybody, one that is too low would
/// serve more clients than there are places.
#[test]
fn every_end_of_a_connection_frees_exactly_one_place() {
    type End = fn(&Handle, Client);
    let table: [(&str, ConnectionState, End, &str); 6] = [
        (
            GET,
            ConnectionState::Idle,
            |_, client| drop(client),
            "the client leaves",
        ),
        (
            HALF_BODY,
            ConnectionState::Handling,
            |_, client| drop(client),
            "it leaves in a body",
        ),
        (
            "G",
            ConnectionState::Head,
            |handle, _| assert!(handle.close(only(handle).id)),
            "a close",
        ),
        (
            GET,
            ConnectionState::Idle,
            |handle, _| assert_eq!(handle.close_idle(), 1),
            "close_idle",
        ),
        (
            "\0",
            ConnectionState::Closing,
            |_, client| drop(client),
            "a refused request",
        ),
        (
            SLEEP,
            ConnectionState::Handling,
            |handle, _| {
                assert!(handle.close(only(handle).id));
            },
            "a cut while its handler runs",
        ),
    ];
    let (running, facts) = serve_site(Server::builder().max_connections(1));
    let (handle, addr) = (running.handle(), running.local_addr());
    let mut number = 0;
    for (say, state, end, why) in table {
        let client = bring(&handle, addr, say, state);
        number += 1;
        end(&handle, client);
        facts.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == number));
        let mut busy = bring(&handle, addr, SLEEP, ConnectionState::Handling);
        number += 1;
        let busy_number = number;
        // One more than can be refused at a time.
        for _ in 0..9 {
            let mut refused = Client::connect(addr);
            assert_eq!(refused.response().status, 503, "{why}");
            drop(refused);
            number += 1;
            facts.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == number));
        }
        assert!(handle.close(only(&handle).id));
        busy.expect_end();
        facts.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == busy_number));
    }
    running.destroy();
    assert_ends(&running);
}
