//! Upgraded connections over a transport.

use super::*;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server that upgrades every request to this closure, and sends its tokens to the test.
fn upgrades(odd: Odd, with: fn(Upgraded)) -> (Running, Recorder, Receiver<CancelToken>) {
    let (sender, tokens) = mpsc::channel();
    let sender = Mutex::new(sender);
    let (running, events) = observed(over(odd), move |request| {
        sender.lock().unwrap().send(request.cancel_token()).unwrap();
        Response::upgrade("echo", with)
    });
    (running, events, tokens)
}

/// Sends everything back, until the end or an error.
fn echo_raw(mut upgraded: Upgraded) {
    let mut piece = [0; 1000];
    while let Ok(n @ 1..) = upgraded.read(&mut piece) {
        let _ = upgraded.write_all(&piece[..n]);
    }
}

#[test]
fn an_upgrade_goes_through_every_transport() {
    for (odd, name) in ALL {
        let (running, events, _tokens) = upgrades(odd, echo_raw);
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(&format!("{UPGRADE}early")); // received along with the head
        assert!(peer.hear("early").starts_with("HTTP/1.1 101 "), "{name}");
        peer.say("later");
        peer.hear("later");
        peer.tcp.shutdown(Shutdown::Write).unwrap();
        assert!(
            peer.hear_all().ends_with("\r\n\r\nearlylater<goodbye>"),
            "{name}"
        );
        assert_eq!(events.take_reason(), CloseReason::Completed, "{name}");
    }
}

#[test]
fn destroy_cuts_an_upgraded_connection_over_a_transport() {
    let (running, events, tokens) = upgrades(EAGER, echo_raw);
    let mut peer = Peer::connect(running.local_addr(), EAGER);
    peer.say(UPGRADE);
    let token = tokens.recv_timeout(SOON).unwrap();
    until_state(&running.handle(), ConnectionState::Upgraded);
    assert_eq!(running.destroy(), 1);
    assert!(token.wait_timeout(LONG));
    peer.expect_cut();
    assert_ends(&running);
    events.take_until_closed(CloseReason::Destroyed);
}

#[test]
fn into_tcp_fails_over_a_transport() {
    let (running, _events, _tokens) = upgrades(SCRAMBLED, |upgraded| {
        let Err(mut upgraded) = upgraded.into_tcp() else {
            panic!("its bytes are not the socket's");
        };
        let mut begun = [0; 5];
        upgraded.read_exact(&mut begun).unwrap();
        upgraded.write_all(&begun).unwrap();
    });
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(&format!("{UPGRADE}early"));
    assert!(peer.hear_all().ends_with("\r\n\r\nearly<goodbye>"));
}

/// The timeouts of HTTP do not apply. A short read timeout only lets the reader look up now and
/// then.
#[test]
fn an_upgraded_connection_may_receive_a_record_slowly() {
    let (running, _events, _tokens) = upgrades(RECORDS, |mut upgraded| {
        upgraded
            .set_timeouts(Some(SHORT * 2), Some(SHORT * 2))
            .unwrap();
        let mut piece = [0; RECORD];
        let n = loop {
            match upgraded.read(&mut piece) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                read => break read.unwrap(),
            }
        };
        upgraded.write_all(&piece[..n]).unwrap();
    });
    let mut peer = Peer::connect(running.local_addr(), RECORDS);
    peer.say(UPGRADE);
    peer.hear("\r\n\r\n");
    for byte in peer.encoded(&"x".repeat(RECORD - 1)) {
        peer.tcp.write_all(&[byte]).unwrap();
        thread::sleep(SHORT / 2);
    }
    assert!(peer.hear_all().ends_with("x<goodbye>"));
}
