//! How much is read or written at a time, or at most.

use super::*;

/// The client's system takes a short body at once, so no reset can come before it.
#[test]
fn a_connection_lingers_only_after_a_body_of_more_than_4_kib() {
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (length, lingers) in [(4096, false), (4097, true)] {
        let wire = Wire::taking_all(vec![request]);
        let handler = |_: &mut Request<'_>| Response::bytes("text/plain", vec![b'x'; length]);
        let (wire, reason) = serve_wire_with(wire, &handler);
        assert_eq!(reason, CloseReason::Completed);
        assert_eq!(wire.is_shut, lingers, "{length} bytes");
    }
}

/// Only a client that has asked for the end, and said all that it will say, sends nothing more.
#[test]
fn a_connection_lingers_unless_the_request_was_the_clients_last_word() {
    let table: [(&[u8], bool, &str); 5] = [
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            false,
            "it was",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            true,
            "the handler wants the end",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            true,
            "some clients send an empty line after a POST",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
            true,
            "a body is to come",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nmore",
            true,
            "it has sent more",
        ),
    ];
    for (request, lingers, reason) in table {
        let wire = Wire::taking_all(vec![request]);
        let (wire, _) = serve_wire_with(wire, &|_| Response::text("last").with_close());
        assert_eq!(wire.is_shut, lingers, "{reason}");
    }
}

#[test]
fn a_lingering_connection_reads_16_mib_at_most() {
    const MIB: usize = 1024 * 1024;
    let request: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let more: &[u8] = vec![b'x'; MIB].leak();
    let mut input = vec![request];
    input.resize(1 + 20, more);
    let (wire, reason) = serve_wire(Wire::taking_all(input));
    assert_eq!(reason, CloseReason::Completed);
    let left: usize = wire.input.iter().map(|piece| piece.len()).sum();
    let read = 20 * MIB - left;
    let largest = wire.room.iter().max().unwrap();
    assert!(
        (16 * MIB..16 * MIB + largest).contains(&read),
        "{read} bytes"
    );
}

#[test]
fn a_large_body_is_written_in_pieces_of_512_kib() {
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let wire = Wire::taking_all(vec![request]);
    let handler = |_: &mut Request<'_>| Response::bytes("text/plain", vec![b'x'; 2 << 20]);
    let (wire, _) = serve_wire_with(wire, &handler);
    assert_eq!(wire.writes.iter().max(), Some(&(512 * 1024)));
    assert_eq!(wire.writes.len(), 5, "the head with 16 KiB, and the rest");
}

/// A reader with an end far away, which notes for how many bytes it is asked.
struct NotedReader(Arc<Mutex<Vec<usize>>>, usize);

impl Read for NotedReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(buf.len());
        let n = buf.len().min(self.1);
        self.1 -= n;
        buf[..n].fill(b'x');
        Ok(n)
    }
}

#[test]
fn a_reader_is_asked_for_128_kib_at_a_time() {
    const LENGTH: usize = 300_000;
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for is_known in [true, false] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let wire = Wire::taking_all(vec![request]);
        let handler = |_: &mut Request<'_>| {
            let reader = NotedReader(Arc::clone(&asked), LENGTH);
            if is_known {
                Response::reader(reader, LENGTH as u64)
            } else {
                Response::reader(reader, None)
            }
        };
        let (wire, _) = serve_wire_with(wire, &handler);
        assert!(wire.output.len() > LENGTH);
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|room| *room == 128 * 1024), "{asked:?}");
    }
}

#[test]
fn the_input_buffer_doubles_while_a_head_does_not_fit() {
    let long = format!(
        "GET / HTTP/1.1\r\nA: {}\r\nHost: x\r\n\r\n",
        "a".repeat(10_000)
    );
    let (wire, _) = serve_wire(Wire::taking_all(vec![&*long.into_bytes().leak()]));
    assert_eq!(wire.responded, 1);
    assert_eq!(wire.room[..4], [1024, 3072, 4096, 8192]);
}

/// A body that is read past the buffer leaves the buffer as large as it was.
#[test]
fn a_body_that_goes_past_the_input_buffer_does_not_shrink_it() {
    let head = format!(
        "POST / HTTP/1.1\r\nA: {}\r\nHost: x\r\nContent-Length: 8192\r\n\r\n",
        "a".repeat(2000)
    );
    let next: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let wire = Wire::taking_all(vec![&*head.into_bytes().leak(), &[b'x'; 8192], next]);
    let (wire, _) = serve_wire_with(wire, &|request| read_whole(request, 8192));
    assert_eq!(wire.responded, 2);
    assert_eq!(wire.room, [1024, 3072, 8192, 4096, 4096]);
}

#[test]
fn only_what_follows_a_small_chunk_is_read_with_it() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (length, room) in [(0x4000, 0x8000), (0x4001, 0x4001)] {
        let begun = format!("{head}{length:x}\r\n").into_bytes();
        let chunk = vec![b'x'; length];
        let wire = Wire::taking_all(vec![&*begun.leak(), chunk.leak(), b"\r\n0\r\n\r\n"]);
        let (wire, _) = serve_wire_with(wire, &|request| read_whole(request, 50_000));
        assert_eq!(wire.room[..2], [1024, room]);
    }
}

#[test]
fn the_responses_to_pipelined_requests_leave_together() {
    let wire = Wire::taking_all(vec![&*b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        .repeat(20)
        .leak()]);
    let (wire, _) = serve_wire_with(wire, &|_| "short".into());
    assert_eq!(wire.responded, 20);
    assert_eq!(wire.writes.len(), 1, "{:?}", wire.writes);
}

#[test]
fn small_writes_of_a_body_leave_16_kib_at_a_time() {
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let wire = Wire::taking_all(vec![request]);
    let handler = |_: &mut Request<'_>| {
        Response::stream(|body| {
            for _ in 0..5 {
                body.write_all(&[b'x'; 4096])?;
            }
            Ok(())
        })
    };
    let (wire, _) = serve_wire_with(wire, &handler);
    let output = String::from_utf8(wire.output).unwrap();
    let (_, body) = output.split_once("\r\n\r\n").unwrap();
    let (first, second) = ("x".repeat(0x4000), "x".repeat(0x1000));
    let expected = format!("4000\r\n{first}\r\n1000\r\n{second}\r\n0\r\n\r\n");
    assert_eq!(body, expected);
}
