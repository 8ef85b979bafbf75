//! Timeouts and rates over a transport.

use super::*;

#[test]
fn a_stalled_handshake_ends_after_the_header_timeout() {
    for odd in [EAGER, LAZY] {
        let (running, events) = observed(over(odd).header_timeout(SHORT), echo);
        Peer::silent(running.local_addr(), odd).expect_cut();
        let told = events.take_connection();
        let wanted = matches!(told[1..], [Fact::Closed(_, CloseReason::HeadTimeout, _)]);
        assert!(wanted, "no failure of the transport: {told:?}");
    }
}

/// Each byte arrives within the socket's timeout, so only the deadline of the whole call ends it.
#[test]
fn a_dripping_record_does_not_hold_a_connection() {
    // On a busy machine, a byte may come much later than `SHORT` after the one before.
    const LIMIT: Duration = Duration::from_secs(1);
    type Set = fn(Builder) -> Builder;
    let begin = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n";
    let head = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    let head = &format!("{head}{}", "x".repeat(RECORD - 1 - head.len()));
    let drips: [(Set, &str, CloseReason); 3] = [
        (
            |builder| builder.idle_timeout(LIMIT),
            "",
            CloseReason::IdleTimeout,
        ),
        (
            |builder| builder.header_timeout(LIMIT),
            head,
            CloseReason::HeadTimeout,
        ),
        (
            |builder| builder.body_timeout(LIMIT),
            begin,
            CloseReason::BodyTimeout,
        ),
    ];
    check_at_once(drips, |(set, before, reason)| {
        let (running, events) = observed(set(over(RECORDS)), echo);
        let mut peer = Peer::connect(running.local_addr(), RECORDS);
        peer.say(before);
        let took = peer.drip(&peer.encoded(&"x".repeat(RECORD * 2)));
        println!("{reason:?} after {took:?}");
        assert!(took < SOON, "{took:?}");
        events.take_until_closed(reason);
    });
}

#[test]
fn a_dripping_handshake_does_not_hold_a_connection() {
    let hook = |mut tcp: TcpStream, _| {
        tcp.read_exact(&mut [0; 1000])?;
        Ok(tcp)
    };
    let builder = Server::builder().transport(hook);
    let (running, events) = observed(builder.header_timeout(Duration::from_millis(300)), echo);
    let took = Peer::silent(running.local_addr(), PLAIN).drip(&[0; 1000]);
    println!("{took:?}");
    assert!(took < SOON, "{took:?}");
    events.take_until_closed(CloseReason::HeadTimeout);
}

#[test]
fn a_slow_reader_of_a_response_does_not_hold_a_connection() {
    let (sender, ended) = mpsc::channel();
    let sender = Mutex::new(sender);
    let builder = over(SCRAMBLED).write_timeout(Duration::from_millis(300));
    let (running, events) = observed(builder.min_rate(None), move |_| {
        let sender = sender.lock().unwrap().clone();
        Response::stream(move |body| loop {
            if let Err(error) = body.write_all(&[b'x'; 65536]) {
                let _ = sender.send(());
                return Err(error);
            }
        })
    });
    let mut peer = Peer::connect(running.local_addr(), SCRAMBLED);
    peer.say(GET);
    let began = Instant::now();
    while ended.try_recv().is_err() {
        assert!(began.elapsed() < SOON, "it still writes");
        let _ = peer.tcp.read(&mut [0; 100]).unwrap();
        thread::sleep(SHORT);
    }
    println!("{:?}", began.elapsed());
    events.take_until_closed(CloseReason::WriteTimeout);
}

/// A goodbye has the same timeout as any other write, whatever ended the connection.
#[test]
fn a_slow_reader_of_a_goodbye_does_not_hold_a_connection() {
    struct Talkative(TcpStream);
    impl Read for Talkative {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Write for Talkative {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Talkative {
        fn drop(&mut self) {
            while self.0.write_all(&[b'x'; 65536]).is_ok() {}
        }
    }
    check_at_once(["", LAST], |say| {
        let builder = Server::builder().transport(|tcp, _| Ok(Talkative(tcp)));
        let builder = builder.idle_timeout(SHORT).write_timeout(SHORT * 6);
        let (running, events) = observed(builder, echo);
        let mut peer = Peer::silent(running.local_addr(), PLAIN);
        peer.say(say);
        let mut piece = vec![0; 1 << 20];
        let began = Instant::now();
        while peer.tcp.read(&mut piece).map_or(false, |n| n > 0) {
            assert!(
                began.elapsed() < SOON,
                "it still says goodbye after {say:?}"
            );
            thread::sleep(SHORT);
        }
        events.take_reason();
    });
}

/// A system may end a wait a moment early, so the end of a handshake's time is one tick earlier.
#[test]
fn a_transport_that_hides_its_timeout_has_taken_too_long() {
    let hook = |mut tcp: TcpStream, _| {
        let _ = tcp.read(&mut [0]); // as a transport that takes a timeout for something else
        Ok(tcp)
    };
    for _ in 0..5 {
        let builder = Server::builder().transport(hook);
        let (running, events) = observed(builder.header_timeout(SHORT), echo);
        let _peer = Peer::silent(running.local_addr(), PLAIN);
        events.take_until_closed(CloseReason::HeadTimeout);
    }
}

#[test]
fn a_handshake_may_have_less_time_than_a_tick() {
    let builder = Server::builder().transport(|tcp, _| Ok(tcp));
    let (running, _) = observed(builder.header_timeout(Duration::from_millis(1)), echo);
    // A busy machine may be too slow for that now and then.
    let is_served = (0..100).any(|_| {
        let mut tcp = Peer::silent(running.local_addr(), PLAIN).tcp;
        let mut answer = String::new();
        // A handshake that has taken too long ends these with a failure.
        let _ = tcp.write_all(LAST.as_bytes());
        let _ = tcp.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    });
    assert!(is_served);
}
