//! A whole connection over a transport in memory.
//!
//! 1. However the bytes are cut, and the writes too, the same handlers are called, the same is told and the same sent.
//!    Only a `100 Continue` may be missing, where the body has come by then.
//! 2. Requests begin where the naive parser says, and nowhere else: what follows a refused one is never one.
//! 3. No response without `Connection: close` leaves before its request has been received whole.
//! 4. Each call has one well-formed response. A refusal is one more, the last one, and says so.

mod answers;
mod handler;

use self::answers::{answers, Answer};
use self::handler::{handle, Call, MAX_BODY_BYTES};
use crate::hardstop::connection::serve_over;
use crate::hardstop::life::Life;
use crate::hardstop::registry::Registration;
use crate::hardstop::transport::{Timeout, Transport};
use crate::hardstop::{Builder, CloseReason, ConnectionId, Event, Request, Server, StatusCode};
use crate::naive::{self, End};
use crate::plan;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

/// Small enough for the fuzzer to reach.
const MAX_HEAD_BYTES: usize = 512;
const MAX_HEADERS: usize = 8;

pub fn connection(input: &[u8]) {
    let (sizes, bytes) = plan(input);
    let whole = run(bytes, vec![usize::MAX], false);
    let pieces = run(bytes, sizes.take(256).collect(), true);
    assert_eq!(whole, pieces, "in one piece, and in pieces");
    check(&whole, bytes);
}

/// What has come of a connection.
#[derive(Debug, PartialEq)]
struct Run {
    calls: Vec<Call>,
    answers: Vec<Answer>,
    told: Vec<String>,
    reason: CloseReason,
}

/// Serves a client that sends these bytes, ends its side, and reads everything.
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
    let registration =
        Registration { handle: server().handle(), life: Arc::new(Life::new(ConnectionId(1), None, false)), why: None };
    TOLD.lock().unwrap().clear();
    let calls = Mutex::new(Vec::new());
    let handler = |request: &mut Request<'_>| handle(request, &calls);
    let open = |_: &Registration| -> Result<Box<dyn Transport>, CloseReason> { Ok(Box::new(transport)) };
    serve_over(open, registration, &handler);

    let (calls, output) = (calls.into_inner().unwrap(), output.lock().unwrap());
    let (told, reasons): (Vec<_>, Vec<_>) = TOLD.lock().unwrap().drain(..).unzip();
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    let [reason] = reasons[..] else {
        panic!("not one end: {told:?}");
    };
    let opened = told.iter().filter(|it| it.starts_with("Opened"));
    assert_eq!(opened.count(), 1, "{told:?}");
    assert!(told[0].starts_with("Opened"), "{told:?}");
    assert!(told[told.len() - 1].starts_with("Closed"), "{told:?}");
    Run { answers: answers(&output.bytes, &calls), calls, told, reason }
}

/// What the server's hook was told, and the reason if it was an end. libFuzzer calls a target on one thread.
static TOLD: Mutex<Vec<(String, Option<CloseReason>)>> = Mutex::new(Vec::new());

/// Bound once, and never run.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Builder::default()
            .max_head_bytes(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .max_body_bytes(MAX_BODY_BYTES)
            .on_event(|event| {
                let reason = match event {
                    Event::Closed { reason, .. } => Some(*reason),
                    _ => None,
                };
                // What takes time, and how many bytes an answer to `Expect` had, differs from run to run.
                let told = match event {
                    Event::Responded { status, bytes, .. } => format!("Responded {status} {bytes}"),
                    Event::Closed { reason, requests, received, .. } => {
                        format!("Closed {reason:?} {requests} {received}")
                    }
                    event => format!("{event:?}"),
                };
                TOLD.lock().unwrap().push((told, reason));
            });
        server.bind("127.0.0.1:0").unwrap()
    })
}

/// A transport whose reads are cut to these sizes, and its writes to sixteen times these; each may be interrupted once.
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
        assert!(!buf.is_empty(), "it would be taken for the end");
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
        assert!(!output.ended, "that side has been shut down");
        output.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn set_read_timeout(&mut self, _: Timeout) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Timeout) -> io::Result<()> {
        Ok(())
    }

    fn shut_down(&mut self, direction: Shutdown) {
        self.output.lock().unwrap().ended |= direction != Shutdown::Read;
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        Err(self)
    }
}

/// A request as the naive parser finds it, with as much of its body as has come.
struct Sent<'a> {
    head: naive::Head<'a>,
    body: Vec<u8>,
    end: End,
    keep_alive: bool,
}

/// The requests up to the first that is the last, by itself or because its body does not end; and what comes next, if
/// that must be refused.
fn requests(mut bytes: &[u8]) -> (Vec<Sent<'_>>, Option<&[u8]>) {
    let mut requests = Vec::new();
    // An empty line in front begins nothing.
    while !b"\r\n".starts_with(bytes) {
        let Some((head, length)) = naive::head(bytes, MAX_HEAD_BYTES, MAX_HEADERS) else {
            return (requests, Some(bytes));
        };
        let Some(terms) = naive::terms(&head) else {
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
        requests.push(Sent { head, body, end, keep_alive });
        match end {
            End::Whole(n) if keep_alive => bytes = &bytes[n..],
            _ => break,
        }
    }
    (requests, None)
}

fn check(run: &Run, bytes: &[u8]) {
    let (requests, refused) = requests(bytes);
    assert!(run.calls.len() <= requests.len(), "one too many: {run:?}");
    for (call, sent) in run.calls.iter().zip(&requests) {
        call.check(&sent.head, &sent.body, sent.end);
    }
    let (answered, refusals) = run.answers.split_at(run.calls.len());
    let answers = answered.iter().zip(&run.calls).zip(&requests);
    for ((answer, call), sent) in answers {
        assert_eq!(answer.status, call.status, "{run:?}");
        assert!(answer.closes || sent.keep_alive, "{run:?}");
        let is_received = matches!(sent.end, End::Whole(_));
        assert!(answer.closes || is_received, "the request has not been received whole: {run:?}");
        let is_old = sent.head.minor == 0;
        assert_eq!(answer.stays, is_old && !answer.closes, "{run:?}");
    }
    let last = run.answers.last();
    let goes_on = last.is_none_or(|last| !last.closes);
    for answer in run.answers.iter().rev().skip(1) {
        assert!(answer.is_whole && !answer.closes, "not the last: {run:?}");
    }
    let count = |name: &str| run.told.iter().filter(|it| it.starts_with(name)).count();
    assert_eq!(count("Request {"), run.calls.len(), "{run:?}");
    let wholes = run.answers.iter().filter(|answer| answer.is_whole);
    match run.reason {
        CloseReason::ResponseFailed => assert!(last.is_some_and(|last| last.may_be_cut)),
        _ => assert_eq!(count("Responded "), wholes.count(), "{run:?}"),
    }
    // As far as the connection went on, everything was seen.
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
            let refused = refused.expect("it was a good one");
            let refused = refused.strip_prefix(b"\r\n").unwrap_or(refused);
            let is_head = refused.starts_with(b"HEAD ");
            assert_eq!(refusal.body.is_empty(), is_head, "{run:?}");
        }
        more => panic!("{} refusals: {run:?}", more.len()),
    }
}
