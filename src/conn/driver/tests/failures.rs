//! Writes that fail, transfers that take too long, and what is kept in a wait or read ahead.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Responses without a body collect in the output until it is full. If that cannot be written, the
/// connection ends, whatever was to be added: no handler is called any more, and the refusal of a
/// bad request is no reason.
#[test]
fn a_failed_write_of_collected_responses_ends_the_connection() {
    // Of about 700 bytes, so that 24 of them are more than the 16 KiB that are collected.
    const FULL: usize = 24;
    let handler = |_: &mut Request<'_>| Response::new(204).with_header("A", "a".repeat(630));
    for requests in 0..FULL + 5 {
        let input = GET.repeat(requests) + "bad\r\n\r\n";
        let wire = Wire {
            // One read takes all of it.
            input: vec![&*input.into_bytes().leak()],
            write_error: Some(ErrorKind::ConnectionReset),
            ..Wire::default()
        };
        let (wire, reason) = serve_wire_with(wire, &handler);
        let want = if requests < FULL {
            (CloseReason::Refused(400.into()), requests + 1)
        } else {
            (CloseReason::PeerLost, FULL)
        };
        assert_eq!((reason, wire.responded), want, "{requests} requests");
        assert_eq!(wire.output, b"");
    }
}

/// Reads a body with this buffer.
fn read_with(mut buffer: Vec<u8>, request: &mut Request<'_>) -> Response {
    let mut bytes = 0;
    loop {
        match request.body().read(&mut buffer) {
            Ok(0) => return Response::text(format!("{bytes} bytes")),
            Ok(n) => bytes += n,
            Err(error) => return Error::from(error).into(),
        }
    }
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n";

#[test]
fn a_stalled_body_is_408_whatever_the_size_of_the_reads() {
    for size in [1, 100, 10_000] {
        let wire = Wire {
            input: vec![POST, b"abc"],
            takes_all: true,
            stalls: 1,
            ..Wire::default()
        };
        let (wire, reason) = serve_wire_with(wire, &|request| read_with(vec![0; size], request));
        assert_eq!(reason, CloseReason::BodyTimeout, "{size}");
        assert!(wire.output.starts_with(b"HTTP/1.1 408 "), "{size}");
    }
}

#[test]
fn no_body_is_read_once_its_100_continue_could_not_be_written() {
    let post: &[u8] =
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\nExpect: 100-continue\r\n\r\n";
    for size in [1, 10_000] {
        let wire = Wire {
            input: vec![post, b"abc"],
            write_error: Some(ErrorKind::ConnectionReset),
            ..Wire::default()
        };
        let (wire, reason) = serve_wire_with(wire, &|request| read_with(vec![0; size], request));
        assert_eq!(reason, CloseReason::PeerLost, "{size}");
        assert_eq!((wire.room.len(), wire.responded), (1, 0), "{size}");
    }
}

/// The credit of an upload is twice its timeout. This handler spends nearly all of it, and leaves
/// the rest of the body, for which there is no more than what is left.
#[test]
fn the_rest_of_a_body_has_what_its_handler_has_left_of_the_credit() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let wire = Wire {
        input: vec![POST, b"a", b"b", b"c"],
        takes_all: true,
        stalls: 1,
        read_time: Duration::from_millis(120),
        ..Wire::default()
    };
    let builder = Server::builder().body_timeout(TIMEOUT).min_rate(1_000_000);
    let (wire, reason) = serve_wire_as(builder, wire, &|request| {
        request.body().read_exact(&mut [0; 3]).unwrap();
        "read".into()
    });
    assert_eq!(reason, CloseReason::BodyTimeout);
    let output = String::from_utf8(wire.output).unwrap();
    assert!(output.ends_with("\r\n\r\nread"), "{output}");
    assert!(output.contains("\r\nConnection: close\r\n"), "{output}");
    // The head, three bytes, and one wait for more. Then the client ends its side.
    assert_eq!(wire.room.len(), 6);
}

/// The shortest timeouts, and a rate of which each byte is next to nothing. Only waits that are too
/// short for the system's clocks can overdraw that, and by no more than a second.
fn impatient() -> Builder {
    const MOMENT: Duration = Duration::from_millis(1);
    let builder = Server::builder().body_timeout(MOMENT).write_timeout(MOMENT);
    builder.min_rate(u32::MAX)
}

#[test]
fn a_body_that_drips_faster_than_clocks_can_tell_does_not_go_on_for_ever() {
    let drops = vec![&b"x"[..]; 3000];
    let wire = Wire {
        input: [vec![POST], drops].concat(),
        takes_all: true,
        read_time: Duration::from_millis(1),
        ..Wire::default()
    };
    let handler = |request: &mut Request<'_>| read_with(vec![0; 1], request);
    let (wire, reason) = serve_wire_as(impatient(), wire, &handler);
    assert_eq!(reason, CloseReason::BodyTimeout);
    assert!(wire.output.starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_response_that_drips_faster_than_clocks_can_tell_does_not_go_on_for_ever() {
    let wire = Wire {
        input: vec![GET.as_bytes()],
        write_time: Duration::from_millis(1),
        ..Wire::default()
    };
    // A write takes 700 bytes.
    let handler = |_: &mut Request<'_>| Response::text("x".repeat(3000 * 700));
    let (_, reason) = serve_wire_as(impatient(), wire, &handler);
    assert_eq!(reason, CloseReason::WriteTimeout);
}

/// One empty line before a request is ignored, and two are refused. The memory of a long head is
/// given back before a wait, but not what has already come of the next one.
#[test]
fn the_part_of_a_head_that_follows_a_long_one_is_kept_in_the_wait() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(5000));
    let first: &[u8] = (long + "\r\n").into_bytes().leak();
    let second: &[u8] = format!("\r\n{GET}").into_bytes().leak();
    let whole: &[u8] = [first, second].concat().leak();
    for input in [vec![whole], vec![first, second]] {
        let wire = Wire::taking_all(input);
        let (_, reason) = serve_wire_with(wire, &|_| "short".into());
        assert_eq!(reason, CloseReason::Refused(400.into()));
    }
}

/// Only small chunks are worth a copy of what comes behind them, which would be kept in memory.
#[test]
fn nothing_is_read_ahead_of_a_large_chunk() {
    let head: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n";
    let body: &[u8] = ("x".repeat(20_000) + "\r\n0\r\n\r\n").into_bytes().leak();
    let wire = Wire::taking_all(vec![head, body]);
    let handler = |request: &mut Request<'_>| read_with(vec![0; 100_000], request);
    let (wire, _) = serve_wire_with(wire, &handler);
    assert!(wire.output.ends_with(b"\r\n\r\n20000 bytes"));
    // The head, and the chunk without the line behind it.
    assert_eq!(wire.room[..2], [1024, 20_000]);
}
