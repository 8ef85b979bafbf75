//! Waits: signals that interrupt them, and what is kept while a connection waits.

use super::*;

#[test]
fn an_interrupted_read_or_write_is_retried() {
    let (whole, _, calls) = converse(0, None);
    for failing in 1..=calls {
        let (said, reason, _) = converse(failing, Some(ErrorKind::Interrupted));
        assert_eq!((said, reason), (whole.clone(), CloseReason::Completed));
    }
}

#[test]
fn an_interrupted_write_keeps_its_deadline() {
    let mut interrupted_writes = 0;
    for failing in 1..10 {
        let wire = Wire {
            input: vec![b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
            takes_all: true,
            failing,
            error: Some(ErrorKind::Interrupted),
            ..Wire::default()
        };
        let (wire, _) = serve_wire_with(wire, &|_| "short".into());
        if let [first, again] = wire.began[..] {
            interrupted_writes += 1;
            assert_eq!(first, again, "call {failing}");
        }
    }
    assert_eq!(interrupted_writes, 1);
}

/// Regression: each signal began the wait anew, and a client could stay for ever.
#[test]
fn a_storm_of_signals_renews_no_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(10);
    let builder = || {
        Server::builder()
            .idle_timeout(TIMEOUT)
            .header_timeout(TIMEOUT)
            .body_timeout(TIMEOUT)
            .write_timeout(TIMEOUT)
    };
    let mut missing = vec![
        CloseReason::IdleTimeout,
        CloseReason::HeadTimeout,
        CloseReason::BodyTimeout,
        CloseReason::WriteTimeout,
    ];
    let (_, _, calls) = converse(0, None);
    for interrupted_from in 1..=calls {
        let wire = Wire {
            input: DIALOGUE.to_vec(),
            interrupted_from,
            ..Wire::default()
        };
        let (_, reason) = serve_wire_as(builder(), wire, &|request| answer(request).into());
        missing.retain(|each| *each != reason);
        if missing.is_empty() {
            return;
        }
    }
    panic!("no wait ended as {missing:?}");
}

#[test]
fn each_response_has_all_of_the_write_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    // What a response earns is next to nothing, and each write spends some milliseconds.
    let builder = Server::builder().write_timeout(TIMEOUT).min_rate(u32::MAX);
    let wire = Wire {
        input: vec![request; 3],
        takes_all: true,
        write_time: Duration::from_millis(5),
        ..Wire::default()
    };
    let (wire, _) = serve_wire_as(builder, wire, &|_| "short".into());
    assert_eq!(wire.limits, [Some(TIMEOUT); 3]);
}

/// Regression: a write that outlasted its limit counted for no longer than that. One to a socket
/// lasts for a tick at least, and one to a transport of the user's for up to the write timeout.
#[test]
fn a_write_that_outlasts_its_limit_counts_whole() {
    // Each write takes 700 bytes in 20 ms. At the least rate, they would take 0.7 ms.
    let builder = Server::builder().write_timeout(Duration::from_millis(10));
    let wire = Wire {
        input: vec![b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
        write_time: Duration::from_millis(20),
        ..Wire::default()
    };
    let (_, reason) = serve_wire_as(builder.min_rate(1_000_000), wire, &|_| {
        Response::bytes("a/b", vec![0; 100_000])
    });
    assert_eq!(reason, CloseReason::WriteTimeout);
}

/// A chunked request whose chunks are read ahead, in pieces. The first one ends in a chunk.
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n";

/// Regression: an idle connection kept the buffer that had held 16 KiB of chunks.
#[test]
fn an_idle_connection_gives_back_what_has_been_read_ahead() {
    let chunks = "x\r\n".to_owned() + &"1\r\nx\r\n".repeat(2700) + "1\r\n";
    let wire = Wire::taking_all(vec![
        CHUNKED,
        &*chunks.into_bytes().leak(),
        b"x\r\n0\r\n\r\n",
    ]);
    let (wire, _) = serve_wire_with(wire, &|request| read_whole(request, 20_000));
    assert_eq!(wire.responded, 1);
    assert_eq!(wire.room.last(), Some(&1024), "{:?}", wire.room);
}

/// Regression: the request behind a body was left in the buffer that the handler had read it into.
#[test]
fn a_handler_does_not_find_the_next_request_in_its_buffer() {
    let wire = Wire::taking_all(vec![
        CHUNKED,
        b"x\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n\r\n",
    ]);
    let (wire, _) = serve_wire_with(wire, &|request| {
        let mut piece = vec![b'.'; 8192];
        if request.path() == "/secret" {
            return "the next one".into();
        }
        assert_eq!(request.body().read(&mut piece).unwrap(), 1);
        assert_eq!(piece[0], b'x');
        assert!(piece[1..].iter().all(|byte| [0, b'.'].contains(byte)));
        "read".into()
    });
    let output = String::from_utf8(wire.output).unwrap();
    assert!(output.ends_with("the next one"), "{output}");
}

/// A client may pause for a while before it sends the rest of its body.
#[test]
fn a_timeout_of_one_read_does_not_end_a_lingering_close() {
    let request: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n";
    let lingering = |failing| Wire {
        input: vec![request, b"more", b"and more"],
        takes_all: true,
        failing,
        error: Some(ErrorKind::WouldBlock),
        ..Wire::default()
    };
    let handler = |_: &mut Request<'_>| Response::text("early");
    let (whole, _) = serve_wire_with(lingering(0), &handler);
    assert!(whole.is_shut);
    assert_eq!(whole.reads_after_end, 3, "two pieces and the end");
    let (paused, _) = serve_wire_with(lingering(whole.calls), &handler);
    assert_eq!(paused.reads_after_end, 4, "one of them has timed out");
}

#[test]
fn a_lingering_close_waits_only_for_what_is_left_of_its_time() {
    let second = Duration::from_secs(1);
    let request: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n";
    let builder = Server::builder().body_timeout(second);
    let wire = Wire::taking_all(vec![request]);
    let (wire, _) = serve_wire_as(builder, wire, &|_| "early".into());
    let last = wire.timeouts.last().unwrap().unwrap();
    assert!(last < second, "some of it has passed: {last:?}");
}
