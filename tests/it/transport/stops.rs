//! Stops of handshakes, and of connections over a transport.

use super::*;

type Stop = fn(&Handle) -> usize;

/// A server whose handshake never ends: it reads more than the client sends, or writes more than
/// the client reads. In the second case it reports when the next write is going to block.
fn never_ready(reads: bool) -> (Running, Recorder, Receiver<()>) {
    let (sender, full) = mpsc::sync_channel(9);
    let hook = move |mut tcp: TcpStream, _| {
        if reads {
            loop {
                tcp.read_exact(&mut [0; 65536])?;
            }
        }
        tcp.set_nonblocking(true)?;
        while tcp.write(&[0; 65536]).is_ok() {}
        tcp.set_nonblocking(false)?;
        let _ = sender.send(()); // not every test waits for it
        loop {
            tcp.write_all(&[0; 65536])?;
        }
        #[allow(unreachable_code, reason = "it says of which type the hook would be")]
        Ok(tcp)
    };
    let (running, events) = observed(Server::builder().transport(hook), echo);
    (running, events, full)
}

#[test]
fn destroy_cuts_a_handshake() {
    for reads in [true, false] {
        let (running, events, full) = never_ready(reads);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        if !reads {
            full.recv_timeout(SOON).unwrap();
        }
        let began = Instant::now();
        assert_eq!(running.destroy(), 1);
        peer.expect_cut();
        assert_ends(&running);
        println!("{:?}", began.elapsed());
        let told = events.take_connection();
        let wanted = matches!(told[1..], [Fact::Closed(_, CloseReason::Destroyed, _)]);
        assert!(wanted, "no failure of the transport: {told:?}");
    }
}

/// Regression: the end of the reading side did not wake a blocked write, so the handshake lasted
/// for its `header_timeout`.
#[test]
fn drain_ends_a_handshake_blocked_in_a_write() {
    let (running, events, full) = never_ready(false);
    let mut peer = Peer::silent(running.local_addr(), PLAIN);
    until_state(&running.handle(), ConnectionState::Handshake);
    full.recv_timeout(SOON).unwrap();
    running.drain();
    peer.expect_cut();
    assert_ends(&running);
    let told = events.take_connection();
    assert!(
        matches!(told[1..], [Fact::Closed(_, CloseReason::Drained, _)]),
        "{told:?}"
    );
}

#[test]
fn close_idle_and_close_cut_a_handshake() {
    let stops: [(Stop, CloseReason); 2] = [
        (Handle::close_idle, CloseReason::ClosedIdle),
        (
            |handle| usize::from(handle.close(handle.connections()[0].id)),
            CloseReason::ClosedByHandle,
        ),
    ];
    for (stop, reason) in stops {
        let (running, events, _full) = never_ready(true);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        assert_eq!(stop(&running.handle()), 1);
        peer.expect_cut();
        let told = events.take_connection();
        assert!(
            matches!(told[1..], [Fact::Closed(_, why, _)] if why == reason),
            "{reason:?}: {told:?}"
        );
    }
}

#[test]
fn close_idle_and_close_cut_a_kept_connection_over_a_transport() {
    let stops: [(Stop, CloseReason); 2] = [
        (Handle::close_idle, CloseReason::ClosedIdle),
        (
            |handle| usize::from(handle.close(handle.connections()[0].id)),
            CloseReason::ClosedByHandle,
        ),
    ];
    for (stop, reason) in stops {
        let (running, events) = observed(over(EAGER), echo);
        let mut peer = Peer::connect(running.local_addr(), EAGER);
        peer.say(GET);
        peer.hear("hello from /");
        until_state(&running.handle(), ConnectionState::Idle);
        assert_eq!(stop(&running.handle()), 1);
        peer.expect_cut();
        events.take_until_closed(reason);
    }
}

#[test]
fn destroy_cuts_connections_over_a_transport_in_every_state() {
    let states = [
        ("", ConnectionState::New),
        ("GET / HT", ConnectionState::Head),
        (HALF_BODY, ConnectionState::Handling),
        (SLEEP, ConnectionState::Handling),
        (FLOOD, ConnectionState::Responding),
        (GET, ConnectionState::Idle),
    ];
    for odd in [EAGER, RECORDS] {
        for (say, state) in states {
            let (running, events) = observed(over(odd), site);
            let mut peer = Peer::connect(running.local_addr(), odd);
            peer.say(say);
            events.take_until(|fact| matches!(fact, Fact::Opened(_))); // a connection without a thread ends without events
            until_state(&running.handle(), state);
            assert_eq!(running.destroy(), 1, "{state:?}");
            peer.expect_cut();
            assert_ends(&running);
            events.take_until_closed(CloseReason::Destroyed);
        }
    }
}

#[test]
fn drain_gives_a_handshake_one_second() {
    check_at_once([EAGER, LAZY], |odd| {
        let (running, events) = observed(over(odd), echo);
        let mut silent = Peer::silent(running.local_addr(), odd);
        until_state(&running.handle(), ConnectionState::Handshake);
        let mut late = Peer::silent(running.local_addr(), odd);
        until("both are in the handshake", || {
            let open = running.connections();
            let shakes = |info: &&_| {
                matches!(
                    info,
                    hardstop::ConnectionInfo {
                        state: ConnectionState::Handshake,
                        ..
                    }
                )
            };
            open.iter().filter(shakes).count() == 2
        });
        running.drain();
        late.shake();
        late.say(GET);
        let heard = late.hear_all();
        assert_eq!(statuses(heard), [200]);
        assert!(
            heard.contains("\r\nConnection: close\r\n") && heard.ends_with(GOODBYE),
            "{heard}"
        );
        silent.expect_cut();
        assert_ends(&running);
        events.take_until_closed(CloseReason::Drained);
    });
}

#[test]
fn shutdown_cuts_a_handshake_at_its_deadline() {
    for reads in [true, false] {
        let (running, events, _full) = never_ready(reads);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        until_state(&running.handle(), ConnectionState::Handshake);
        assert_eq!(running.shutdown(SHORT), Outcome::Destroyed { cut: 1 });
        peer.expect_cut();
        assert_ends(&running);
        events.take_until_closed(CloseReason::Destroyed);
    }
}

#[test]
fn dropping_the_owner_cuts_handshakes() {
    let (running, events, _full) = never_ready(true);
    let handle = running.handle();
    let mut peer = Peer::silent(running.local_addr(), PLAIN);
    until_state(&handle, ConnectionState::Handshake);
    drop(running);
    peer.expect_cut();
    assert!(handle.wait_timeout(SOON));
    events.take_until_closed(CloseReason::Destroyed);
}
