//! Hooks and handshakes that fail.

use super::*;

#[test]
fn a_failing_transport_hook_ends_its_connection_with_its_error() {
    let hook = |_, id: ConnectionId| match u64::from(id) {
        1 => Err("no certificate for that".into()),
        _ => Err::<TcpStream, _>(io::Error::new(ErrorKind::Other, "or that").into()),
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    for (number, why) in [(1, "no certificate for that"), (2, "or that")] {
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET);
        peer.expect_cut();
        let told = events.take_connection();
        assert_eq!(
            told[..2],
            [
                Fact::Opened(number),
                Fact::TransportFailed(number, String::from(why))
            ]
        );
        assert!(
            matches!(
                told[2..],
                [Fact::Closed(_, CloseReason::TransportFailed, _)]
            ),
            "{told:?}"
        );
    }
}

#[test]
fn a_failed_handshake_ends_its_connection() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd), echo);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(GET); // plain bytes, not a handshake
        peer.expect_cut();
        assert_eq!(peer.heard, "");
        let told = events.take_connection();
        assert_eq!(told[1], Fact::TransportFailed(1, String::from("no hello")));
        assert!(
            matches!(
                told[2..],
                [Fact::Closed(_, CloseReason::TransportFailed, _)]
            ),
            "{told:?}"
        );
        drop(Peer::silent(running.local_addr(), PLAIN)); // closed before the handshake
        events.take_until(|fact| matches!(fact, Fact::TransportFailed(..)));
        events.take_until_closed(CloseReason::TransportFailed);
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(LAST);
        assert_eq!(statuses(peer.hear_all()), [200]);
    }
}

#[test]
fn a_panicking_transport_hook_ends_only_its_connection() {
    let hook = |tcp: TcpStream, id: ConnectionId| {
        assert_ne!(u64::from(id), 1, "on purpose");
        Ok(Wrapper::new(tcp, SCRAMBLED)?)
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    Peer::silent(running.local_addr(), SCRAMBLED).expect_cut();
    let told = events.take_connection();
    let message =
        matches!(&told[1], Fact::HandlerPanicked(1, message) if message.contains("on purpose"));
    assert!(message, "{told:?}");
    assert!(
        matches!(
            told[2..],
            [Fact::Closed(_, CloseReason::HandlerPanicked, _)]
        ),
        "{told:?}"
    );
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(LAST);
    assert_eq!(statuses(peer.hear_all()), [200]);
}
