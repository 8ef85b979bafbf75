use super::super::super::config::{Builder, Config};
use super::super::super::error::Error;
use super::super::super::event::{CloseReason, ConnectionId, Event};
use super::super::super::lifecycle::{Entry, Registration, Reported};
use super::super::super::server::Server;
use super::super::request::Request;
use super::super::response::Response;
use super::super::transport::Transport;
use super::{serve_over, Handler};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a test and its transport share: what the client says, what it has got, and which call will
/// fail.
#[derive(Default)]
struct Wire {
    input: Vec<&'static [u8]>,
    output: Vec<u8>,
    /// Whether a write takes all that there is; and how much there was, each time.
    takes_all: bool,
    writes: Vec<usize>,
    /// When each attempt to write began, as its deadline has it.
    began: Vec<Instant>,
    /// For how long it might wait.
    limits: Vec<Option<Duration>>,
    /// All that the read timeout was set to.
    timeouts: Vec<Option<Duration>>,
    /// For how many bytes each read had room.
    room: Vec<usize>,
    calls: usize,
    failing: usize,
    error: Option<ErrorKind>,
    /// From which call on signals interrupt every read and write. Zero: never.
    interrupted_from: usize,
    /// The error of every write.
    write_error: Option<ErrorKind>,
    /// How long each write takes, and each read.
    write_time: Duration,
    read_time: Duration,
    /// How many reads time out between the input and its end.
    stalls: usize,
    /// Whether the writing side has been shut down; and how many reads there were afterwards.
    is_shut: bool,
    reads_after_end: usize,
    /// How many responses were reported.
    responded: usize,
}

impl Wire {
    /// Makes a client that says this, and takes each write whole.
    fn taking_all(input: Vec<&'static [u8]>) -> Wire {
        Wire {
            input,
            takes_all: true,
            ..Wire::default()
        }
    }

    /// Counts a call, and fails it if it is the one. Only reads and writes can be interrupted.
    fn call(&mut self, transfers: bool) -> io::Result<()> {
        self.calls += 1;
        if transfers && self.interrupted_from != 0 && self.calls >= self.interrupted_from {
            return Err(ErrorKind::Interrupted.into());
        }
        match self.error {
            Some(ErrorKind::Interrupted) if !transfers => Ok(()),
            Some(kind) if self.calls == self.failing => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

struct Client(Arc<Mutex<Wire>>);

impl Transport for Client {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        wire.reads_after_end += usize::from(wire.is_shut);
        wire.room.push(buf.len());
        thread::sleep(wire.read_time);
        wire.call(true)?;
        let piece = match wire.input.first() {
            Some(piece) => *piece,
            None if wire.stalls > 0 => {
                wire.stalls -= 1;
                return Err(ErrorKind::WouldBlock.into());
            }
            None => return Ok(0),
        };
        let n = piece.len().min(buf.len());
        buf[..n].copy_from_slice(&piece[..n]);
        wire.input[0] = &piece[n..];
        wire.input.retain(|piece| !piece.is_empty());
        Ok(n)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        thread::sleep(wire.write_time);
        wire.call(true)?;
        if let Some(kind) = wire.write_error {
            return Err(kind.into());
        }
        wire.writes.push(bytes.len());
        let n = bytes
            .len()
            .min(if wire.takes_all { usize::MAX } else { 700 });
        wire.output.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn send_within(
        &mut self,
        bytes: &[u8],
        began: Instant,
        limit: Option<Duration>,
    ) -> io::Result<usize> {
        {
            let mut wire = self.0.lock().unwrap();
            wire.began.push(began);
            wire.limits.push(limit);
        }
        self.send(bytes)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut wire = self.0.lock().unwrap();
        wire.timeouts.push(timeout);
        wire.call(false)
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.0.lock().unwrap().call(false)
    }

    fn shut_down(&mut self, _: Shutdown) {
        let mut wire = self.0.lock().unwrap();
        wire.is_shut = true;
        let _ = wire.call(false);
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        Err(self)
    }
}

const DIALOGUE: [&[u8]; 7] = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe",
    b"llo",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    b"5\r\nhello\r",
    b"\n0\r\n\r\nGET /d HTTP/1.1\r\nHo",
    b"st: x\r\nConnection: close\r\n\r\n",
    b"more",
];

/// Answers with more than one write takes.
fn answer(request: &mut Request<'_>) -> Result<Response, Error> {
    let text = request.path().repeat(900) + &request.body().read_to_text()?;
    Ok(Response::stream(move |body| {
        body.write_all(text.as_bytes())?;
        body.flush()
    }))
}

/// Answers once the body has been read, with a buffer of this size.
fn read_whole(request: &mut Request<'_>, size: usize) -> Response {
    let mut piece = vec![0; size];
    while request.body().read(&mut piece).unwrap() > 0 {}
    "read".into()
}

/// Has what the client says answered; gives why the connection ended, which was told once.
fn serve_wire(wire: Wire) -> (Wire, CloseReason) {
    serve_wire_with(wire, &|request| answer(request).into())
}

/// Serves as [`serve_wire`] does, with another handler.
fn serve_wire_with(wire: Wire, handler: &Handler<'_>) -> (Wire, CloseReason) {
    serve_wire_as(Server::builder(), wire, handler)
}

/// Serves as [`serve_wire_with`] does, with other settings.
fn serve_wire_as(builder: Builder, wire: Wire, handler: &Handler<'_>) -> (Wire, CloseReason) {
    let told = Arc::new(Mutex::new((0, Vec::new())));
    let events = Arc::clone(&told);
    let responded = Arc::new(Mutex::new(0));
    let responses = Arc::clone(&responded);
    let builder = builder.on_event(move |event| {
        *responses.lock().unwrap() += usize::from(matches!(event, Event::Responded { .. }));
        let mut told = events.lock().unwrap();
        told.0 += usize::from(matches!(event, Event::Opened { .. }));
        if let Event::Closed { reason, .. } = event {
            told.1.push(*reason);
        }
    });
    let events = builder.hooks.events.clone();
    let server = builder.bind("127.0.0.1:0").unwrap();
    let entry = Entry::new(
        ConnectionId(1),
        Some(server.local_addr()),
        false,
        Arc::default(),
    );
    let registration = Registration {
        registry: server.handle().registry,
        entry: Arc::new(entry),
        events,
        reported: Reported::Nothing,
    };
    let wire = Arc::new(Mutex::new(wire));
    let client = Client(Arc::clone(&wire));
    let open = |_: &Registration| -> Result<Box<dyn Transport>, CloseReason> {
        let set_up = client.0.lock().unwrap().call(false);
        set_up.or(Err(CloseReason::SetupFailed))?;
        Ok(Box::new(client))
    };
    serve_over(open, registration, handler);
    let told = told.lock().unwrap();
    assert_eq!((told.0, told.1.len()), (1, 1), "opened and closed once");
    let mut wire = mem::take(&mut *wire.lock().unwrap());
    wire.responded = *responded.lock().unwrap();
    (wire, told.1[0])
}

/// What the client got, without dates, why it ended, and after how many calls.
fn converse(failing: usize, error: Option<ErrorKind>) -> (String, CloseReason, usize) {
    let (wire, reason) = serve_wire(Wire {
        input: DIALOGUE.to_vec(),
        failing,
        error,
        ..Wire::default()
    });
    let text = String::from_utf8(wire.output).unwrap();
    let lines = text.split_inclusive("\r\n");
    let undated = lines.filter(|line| !line.starts_with("Da")).collect();
    (undated, reason, wire.calls)
}

#[test]
fn any_failing_io_call_ends_the_connection_exactly_once() {
    let (whole, reason, calls) = converse(0, None);
    assert_eq!(reason, CloseReason::Completed);
    assert_eq!(whole.matches("HTTP/1.1 200 OK\r\n").count(), 4);
    assert_eq!(whole.matches("HTTP/1.1 100 Continue\r\n").count(), 1);
    use ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
    for kind in [ConnectionReset, WouldBlock, TimedOut] {
        for failing in 1..=calls {
            let (said, reason, _) = converse(failing, Some(kind));
            let of = format!("{kind:?} of call {failing}: {reason:?}");
            // A body that cannot be read is answered, and so is a slow head. Nothing follows that.
            let refusal = ["HTTP/1.1 408", "HTTP/1.1 500"];
            let at = refusal.iter().find_map(|line| said.find(line));
            let (said, refusal) = said.split_at(at.unwrap_or(said.len()));
            assert!(whole.starts_with(said), "{of}");
            let ends = ["\r\n0\r\n\r\n", "100 Continue\r\n\r\n"];
            let is_whole = said.is_empty() || ends.iter().any(|end| said.ends_with(end));
            assert!(refusal.is_empty() || is_whole, "{of} stands in a hole");
            assert!(
                refusal.is_empty() || refusal.contains("\r\nConnection: close\r\n"),
                "{of}"
            );
            assert!(refusal.matches("\n").count() <= 6, "{of}");
            assert_eq!(reason == CloseReason::SetupFailed, failing == 1, "{of}");
            assert_eq!(reason == CloseReason::Completed, said == whole, "{of}");
        }
    }
}

/// Regression: when the `100 Continue` could not be written, the 500 that followed was reported,
/// though it could not leave.
#[test]
fn a_response_after_a_failed_write_is_not_reported() {
    let post: &[u8] =
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let (wire, reason) = serve_wire(Wire {
        input: vec![post],
        // After the opening, the setting of a timeout and the read of the head.
        failing: 4,
        error: Some(ErrorKind::ConnectionReset),
        ..Wire::default()
    });
    assert_eq!(reason, CloseReason::PeerLost);
    assert_eq!(wire.output, b"");
    assert_eq!(wire.responded, 0);
}

/// Regression: the closure got a stream that still had one of HTTP's timeouts.
#[test]
fn a_stream_whose_timeouts_cannot_be_removed_is_not_handed_over() {
    // After the opening, the setting of a timeout, the read of the head and the write of the 101.
    for failing in [5, 6] {
        let wire = Wire {
            input: vec![b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"],
            failing,
            error: Some(ErrorKind::InvalidInput),
            ..Wire::default()
        };
        let handler = |_: &mut Request<'_>| Response::upgrade("a", |_| panic!("handed over"));
        let (wire, reason) = serve_wire_with(wire, &handler);
        assert_eq!(reason, CloseReason::SetupFailed, "call {failing}");
        assert!(wire.output.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(wire.calls, failing);
    }
}

/// It did, so that it could stay for twice the idle timeout, and was the last to be evicted.
#[test]
fn an_empty_line_does_not_renew_the_idle_timeout() {
    for line in [b"\r\n".as_slice(), b"\n"] {
        let (wire, reason) = serve_wire(Wire {
            input: vec![line],
            ..Wire::default()
        });
        assert_eq!(reason, CloseReason::PeerClosed);
        let idle = Config::default().idle_timeout;
        assert_eq!(wire.timeouts.len(), 2);
        assert!(
            wire.timeouts[0] == idle && wire.timeouts[1] < idle,
            "{:?}",
            wire.timeouts
        );
    }
}

#[test]
fn pipelined_requests_take_turns_in_the_memory_of_two_heads() {
    let long = format!("/{}", "a".repeat(300));
    let mut requests = String::new();
    for target in [&*long, &*long, "/", "/", "/", "/"] {
        requests += &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let room = Mutex::new(Vec::new());
    let handler = |request: &mut Request<'_>| {
        room.lock().unwrap().push(request.head.target.capacity());
        Response::text("")
    };
    let answers = Server::builder().answer(requests, handler).unwrap();
    assert_eq!(answers.len(), 6);
    let room = room.into_inner().unwrap();
    assert!(room.iter().all(|bytes| *bytes >= 301), "{room:?}");
}

#[test]
fn a_large_response_leaves_with_its_head_in_one_write() {
    let target = "a".repeat(59);
    let request =
        format!("GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes();
    let input = vec![&*request.leak()];
    let (wire, reason) = serve_wire(Wire::taking_all(input));
    assert_eq!(reason, CloseReason::Completed);
    let large: Vec<usize> = wire
        .writes
        .iter()
        .copied()
        .filter(|bytes| *bytes > 5)
        .collect();
    let ends = "\r\n0\r\n\r\n".len(); // of the chunk, which the handler flushes, and of the body
    assert_eq!(
        large,
        [16 * 1024, wire.output.len() - 16 * 1024 - ends],
        "{:?}",
        wire.writes
    );
}

/// Regression: the time of the lingering end began before the rest of the response had left, and
/// was over when that had taken long. The end came at once, and reset the connection.
#[test]
fn a_connection_lingers_after_a_rest_that_took_long_to_leave() {
    let request: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (wire, reason) = serve_wire(Wire {
        input: vec![request, b"more"],
        takes_all: true,
        write_time: Duration::from_millis(1100),
        ..Wire::default()
    });
    assert_eq!(reason, CloseReason::Completed);
    assert!(wire.reads_after_end > 0);
}

#[test]
fn the_input_buffer_starts_with_1_kib_and_grows_once_a_read_has_filled_it() {
    let short: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let long = format!(
        "GET / HTTP/1.1\r\nA: {}\r\nHost: x\r\n\r\n",
        "a".repeat(2000)
    );
    let (wire, reason) = serve_wire(Wire::taking_all(vec![
        short,
        &*long.into_bytes().leak(),
        short,
    ]));
    assert_eq!(reason, CloseReason::PeerClosed);
    assert_eq!(wire.responded, 3);
    assert_eq!(wire.room, [1024, 1024, 3072, 4096, 4096]);
}

#[test]
fn pipelined_requests_get_a_larger_input_buffer() {
    let (wire, _) = serve_wire(Wire::taking_all(vec![
        &*b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100).leak(),
    ]));
    assert_eq!(wire.responded, 100);
    assert_eq!(wire.room[0], 1024);
    assert!(wire.room[1] > 4000, "{:?}", wire.room);
}

#[test]
fn small_chunks_are_read_ahead_by_16_kib() {
    let head: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n";
    let next = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunks = "a\r\n1\r\n".repeat(2000) + "a\r\n0\r\n\r\n" + next;
    let wire = Wire::taking_all(vec![head, &*chunks.into_bytes().leak()]);
    let (wire, _) = serve_wire_with(wire, &|request| {
        let mut piece = vec![0; 20_000];
        let mut bytes = 0;
        loop {
            match request.body().read(&mut piece) {
                Ok(0) => return Response::text(bytes.to_string()),
                Ok(n) => {
                    assert!(piece[..n].iter().all(|byte| *byte == b'a'));
                    bytes += n;
                }
                Err(error) => return Error::from(error).into(),
            }
        }
    });
    let output = String::from_utf8(wire.output).unwrap();
    assert!(
        output.contains("\r\n\r\n2001HTTP/1.1 200 OK\r\n"),
        "{output}"
    );
    // The head, the body with the next request, and the end.
    assert_eq!(wire.room, [1024, 1 + 16 * 1024, 1024]);
}

mod failures;
mod limits;
mod waits;
