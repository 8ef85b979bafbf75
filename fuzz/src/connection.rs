//! A whole connection over an in-memory transport.
//!
//! 1. The handler calls, the reported events and the response bytes do not depend on how reads and writes are split. Only
//!    a `100 Continue` may be missing, if the body has already arrived.
//! 2. Requests begin where the naive parser finds them, and nowhere else. Bytes after a refused request are never parsed.
//! 3. A response without `Connection: close` is not sent before its request has been received completely.
//! 4. Each handler call has one well-formed response. A refusal adds one more response, which is the last one and has
//!    `Connection: close`.

mod answers;
mod handler;

use self::answers::{answers, Answer};
use self::handler::{handle, Call, MAX_BODY_BYTES};
use crate::hardstop::config::EventHook;
use crate::hardstop::conn::{serve_over, Transport};
use crate::hardstop::lifecycle::{Entry, Registration, Reported};
use crate::hardstop::{Builder, CloseReason, ConnectionId, Event, Request, Server, StatusCode};
use crate::naive::{self, End};
use crate::plan;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Small enough for the fuzzer to reach.
const MAX_HEAD_BYTES: usize = 512;
const MAX_HEADERS: usize = 8;

pub fn connection(input: &[u8]) {
    let (sizes, bytes) = plan(input);
    let whole = run(bytes, vec![usize::MAX], false);
    let pieces = run(bytes, sizes.take(256).collect(), true);
    assert_eq!(
        whole, pieces,
        "the result differs between one piece and several"
    );
    check(&whole, bytes);
}

/// The observable results of a connection.
#[derive(Debug, PartialEq)]
struct Run {
    calls: Vec<Call>,
    answers: Vec<Answer>,
    reported: Vec<String>,
    reason: CloseReason,
}

/// Serves a client that sends these bytes, closes its sending side and reads everything.
fn run(bytes: &[u8], sizes: Vec<usize>, interrupts: bool) -> Run {
    let output = Arc::new(Mutex::new(Output::default()));
    let transport = Wire {
        input: bytes.to_vec(),
        sizes,
        reads: 0,
        writes: 0,
        interrupts,
        interrupted: false,
        output: Arc::clone(&output),
    };
    let (server, events) = server();
    let registration = Registration {
        registry: server.handle().registry,
        entry: Arc::new(Entry::new(
            ConnectionId(1),
            Some(server.local_addr()),
            false,
            Arc::default(),
        )),
        events: events.clone(),
        reported: Reported::Nothing,
    };
    REPORTED.lock().unwrap().clear();
    let calls = Mutex::new(Vec::new());
    let handler = |request: &mut Request<'_>| handle(request, &calls);
    let open =
        |_: &Registration| -> Result<Box<dyn Transport>, CloseReason> { Ok(Box::new(transport)) };
    serve_over(open, registration, &handler);

    let (calls, output) = (calls.into_inner().unwrap(), output.lock().unwrap());
    let (reported, reasons): (Vec<_>, Vec<_>) = REPORTED.lock().unwrap().drain(..).unzip();
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    let [reason] = reasons[..] else {
        panic!("there must be one `Closed` event: {reported:?}");
    };
    let opened = reported.iter().filter(|it| it.starts_with("Opened"));
    assert_eq!(opened.count(), 1, "{reported:?}");
    assert!(reported[0].starts_with("Opened"), "{reported:?}");
    assert!(
        reported[reported.len() - 1].starts_with("Closed"),
        "{reported:?}"
    );
    Run {
        answers: answers(&output.bytes, &calls),
        calls,
        reported,
        reason,
    }
}

/// The events that the server reported, with the reason of a `Closed` event. libFuzzer calls a target on one thread.
static REPORTED: Mutex<Vec<(String, Option<CloseReason>)>> = Mutex::new(Vec::new());

/// Returns a server that is bound once and never run, and its event hook.
fn server() -> &'static (Server, EventHook) {
    static SERVER: OnceLock<(Server, EventHook)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let builder = Builder::default()
            .max_head_bytes(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .max_body_bytes(MAX_BODY_BYTES)
            .on_event(|event| {
                let reason = match event {
                    Event::Closed { reason, .. } => Some(*reason),
                    _ => None,
                };
                // Durations, and the bytes of a `100 Continue`, differ from run to run.
                let reported = match event {
                    Event::Responded { status, bytes, .. } => format!("Responded {status} {bytes}"),
                    Event::Closed {
                        reason,
                        requests,
                        received,
                        ..
                    } => {
                        format!("Closed {reason:?} {requests} {received}")
                    }
                    event => format!("{event:?}"),
                };
                REPORTED.lock().unwrap().push((reported, reason));
            });
        let events = builder.hooks.events.clone();
        (builder.bind("127.0.0.1:0").unwrap(), events)
    })
}

/// A transport that limits reads to these sizes, and writes to sixteen times these sizes. Each call may be interrupted
/// once.
struct Wire {
    input: Vec<u8>,
    sizes: Vec<usize>,
    reads: usize,
    writes: usize,
    interrupts: bool,
    interrupted: bool,
    output: Arc<Mutex<Output>>,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    ended: bool,
}

impl Wire {
    fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = self.interrupts && !self.interrupted;
        match self.interrupted {
            true => Err(ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }
}

impl Transport for Wire {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        let size = self.sizes[self.reads % self.sizes.len()];
        self.reads += 1;
        assert!(
            !buf.is_empty(),
            "an empty buffer would read as the end of the stream"
        );
        let n = size.min(buf.len()).min(self.input.len());
        buf[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        let size = self.sizes[self.writes % self.sizes.len()];
        self.writes += 1;
        let n = size.saturating_mul(16).min(bytes.len());
        let mut output = self.output.lock().unwrap();
        assert!(!output.ended, "a write after the shutdown");
        output.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shut_down(&mut self, direction: Shutdown) {
        self.output.lock().unwrap().ended |= direction != Shutdown::Read;
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        Err(self)
    }
}

/// A request as the naive parser finds it, with the part of its body that was sent.
struct Sent<'a> {
    head: naive::Head<'a>,
    body: Vec<u8>,
    end: End,
    keep_alive: bool,
    asks_keep_alive: bool,
}

/// Returns the requests up to the one that ends the connection, by its own terms or because its body is incomplete. Also
/// returns the bytes that follow, if they must be refused.
fn requests(mut bytes: &[u8]) -> (Vec<Sent<'_>>, Option<&[u8]>) {
    let mut requests = Vec::new();
    // An empty line does not begin a request.
    while !matches!(bytes, b"" | b"\r" | b"\r\n" | b"\n") {
        let Some((head, length)) = naive::head(bytes, MAX_HEAD_BYTES, MAX_HEADERS) else {
            return (requests, Some(bytes));
        };
        let Some(terms) = naive::terms(&head, false) else {
            return (requests, Some(bytes));
        };
        bytes = &bytes[length..];
        let (body, end) = match terms.length {
            None => naive::chunked(bytes),
            Some(n) => match usize::try_from(n).ok().filter(|n| *n <= bytes.len()) {
                Some(n) => (bytes[..n].to_vec(), End::Whole(n)),
                None => (bytes.to_vec(), End::Early),
            },
        };
        let keep_alive = terms.keep_alive;
        requests.push(Sent {
            head,
            body,
            end,
            keep_alive,
            asks_keep_alive: terms.asks_keep_alive,
        });
        match end {
            End::Whole(n) if keep_alive => bytes = &bytes[n..],
            _ => break,
        }
    }
    (requests, None)
}

fn check(run: &Run, bytes: &[u8]) {
    let (requests, refused) = requests(bytes);
    assert!(
        run.calls.len() <= requests.len(),
        "a call without a request: {run:?}"
    );
    for (call, sent) in run.calls.iter().zip(&requests) {
        call.check(&sent.head, &sent.body, sent.end);
    }
    let (answered, refusals) = run.answers.split_at(run.calls.len());
    let answers = answered.iter().zip(&run.calls).zip(&requests);
    for ((answer, call), sent) in answers {
        assert_eq!(answer.status, call.status, "{run:?}");
        assert!(answer.closes || sent.keep_alive, "{run:?}");
        let is_received = matches!(sent.end, End::Whole(_));
        assert!(
            answer.closes || is_received,
            "the request has not been received completely: {run:?}"
        );
        let stays = sent.asks_keep_alive && !answer.closes;
        assert_eq!(answer.stays, stays, "{run:?}");
    }
    let last = run.answers.last();
    let goes_on = last.is_none_or(|last| !last.closes);
    for answer in run.answers.iter().rev().skip(1) {
        assert!(answer.is_whole && !answer.closes, "not the last: {run:?}");
    }
    let count = |name: &str| {
        run.reported
            .iter()
            .filter(|it| it.starts_with(name))
            .count()
    };
    assert_eq!(count("Request {"), run.calls.len(), "{run:?}");
    let wholes = run.answers.iter().filter(|answer| answer.is_whole);
    match run.reason {
        CloseReason::ResponseFailed => assert!(last.is_some_and(|last| last.may_be_cut)),
        _ => assert_eq!(count("Responded "), wholes.count(), "{run:?}"),
    }
    // Every request before the end of the connection was handled.
    let all_called = run.calls.len() == requests.len();
    match refusals {
        [] => {
            let last = run.calls.len().checked_sub(1);
            let last = last.map(|at| (&run.calls[at], &requests[at]));
            let failed = last.is_some_and(|(call, _)| call.failed());
            let broke_off = last.is_some_and(|(_, sent)| sent.end == End::Early);
            let is_malformed = last.is_some_and(|(_, sent)| sent.end == End::Refused);
            match run.reason {
                CloseReason::PeerClosed => {
                    assert!(goes_on && all_called && refused.is_none(), "{run:?}")
                }
                CloseReason::PeerLost => assert!(!goes_on && broke_off, "{run:?}"),
                CloseReason::Completed => assert!(!goes_on, "{run:?}"),
                CloseReason::Refused(_) => assert!(!goes_on && (failed || is_malformed), "{run:?}"),
                CloseReason::ResponseFailed => {}
                _ => panic!("{run:?}"),
            }
        }
        [refusal] => {
            let said = StatusCode::from(refusal.status);
            assert_eq!(run.reason, CloseReason::Refused(said), "{run:?}");
            assert!([400, 414, 417, 421, 431, 501, 505].contains(&refusal.status));
            assert!(refusal.closes && refusal.is_whole, "{run:?}");
            assert!(all_called, "{run:?}");
            let refused = refused.expect("a valid request was refused");
            let is_head = naive::without_empty_line(refused).starts_with(b"HEAD ");
            assert_eq!(refusal.body.is_empty(), is_head, "{run:?}");
        }
        more => panic!("{} refusals: {run:?}", more.len()),
    }
}
