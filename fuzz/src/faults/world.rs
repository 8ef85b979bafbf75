//! The world around one connection: the two scripts, what they do to the server, and what has been seen.
//!
//! Everything happens on one thread: a stop is called from inside the call that the script names. So nothing races, and
//! an input always has the same result. No call into the library is made while this file's lock is held.

use super::handler::Given;
use super::script::{is_timeout, Act, Script, Step};
use crate::hardstop::lifecycle::{Handle, Registration, Work};
use crate::hardstop::sys::listener::{Accept, Accepted};
use crate::hardstop::{CancelToken, CloseReason, ConnectionState, Event, Upgraded};
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// What has happened, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fact {
    /// The server has reported an event.
    Reported(Report),
    /// A call of the handler has begun.
    Called,
    /// A stop has cut the connection, for this reason.
    Cut(CloseReason),
    /// A drain has begun.
    Drain,
    /// The transport has failed to write. The connection can send nothing more.
    SendFailed,
    /// The transport has failed to write for the user of an upgraded stream.
    UpgradedSendFailed,
    /// The transport has failed to read, or to set a timeout.
    ReceiveFailed,
    /// A read or write has timed out. This comes in addition to its failure.
    TimedOut,
    /// The transport has read the end of the input.
    InputEnded,
    /// The handler, a body, or the user of an upgraded stream panics.
    UserPanic,
    /// The transport panics.
    WirePanic,
    /// The event hook panics.
    HookPanic,
}

/// An event, as far as it is the same in every run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Report {
    Opened,
    Request,
    Responded {
        status: u16,
        bytes: u64,
    },
    Upgraded,
    TransportFailed,
    RequestFailed,
    HandlerPanicked,
    HookPanicked,
    Closed {
        reason: CloseReason,
        requests: u64,
        received: u64,
        sent: u64,
    },
}

impl Fact {
    pub(super) fn report(&self) -> Option<&Report> {
        match self {
            Fact::Reported(report) => Some(report),
            _ => None,
        }
    }
}

impl Report {
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Report::Closed { .. })
    }
}

#[derive(Default)]
pub(super) struct State {
    /// What the transport's calls do, and what the user's code does.
    pub(super) wire_script: Script,
    pub(super) user_script: Script,
    pub(super) facts: Vec<Fact>,
    pub(super) calls: Vec<Given>,
    pub(super) input: Vec<u8>,
    /// How much of the input has been read.
    pub(super) received: usize,
    pub(super) output: Vec<u8>,
    /// What the user of an upgraded stream has written to it.
    pub(super) upgraded_output: Vec<u8>,
    pub(super) is_upgraded: bool,
    /// The calls of the transport.
    pub(super) wire_calls: usize,
    /// Whether nothing of the library would catch a panic.
    is_outside: bool,
    /// An upgraded stream that outlives its closure.
    kept: Option<Upgraded>,
    is_cut: bool,
    is_stopped: bool,
    is_closed: bool,
    /// The client that the listener accepts next.
    arriving: Option<TcpStream>,
    server: Option<Handle>,
    /// The other end of the connection's socket, which carries no bytes. It shows whether the socket has been shut down.
    peer: Option<UnixStream>,
}

#[derive(Default)]
pub(super) struct World(Mutex<State>);

impl World {
    pub(super) fn new(wire_script: Script, user_script: Script, input: &[u8]) -> World {
        World(Mutex::new(State {
            wire_script,
            user_script,
            input: input.to_vec(),
            ..State::default()
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn into_state(self) -> State {
        self.0.into_inner().unwrap()
    }

    pub(super) fn note(&self, fact: Fact) {
        self.state().facts.push(fact);
    }

    /// Records that the transport has failed to write.
    pub(super) fn note_send_failure(&self, kind: ErrorKind) {
        if self.state().is_upgraded {
            self.note(Fact::UpgradedSendFailed);
        } else {
            self.note_failure(Fact::SendFailed, kind);
        }
    }

    /// Records that the transport has failed to read, or to do anything but write.
    pub(super) fn note_receive_failure(&self, kind: ErrorKind) {
        self.note_failure(Fact::ReceiveFailed, kind);
    }

    fn note_failure(&self, failure: Fact, kind: ErrorKind) {
        self.note(failure);
        if is_timeout(kind) {
            self.note(Fact::TimedOut);
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    pub(super) fn set_server(&self, server: Option<Handle>) {
        let old = std::mem::replace(&mut self.state().server, server);
        drop(old);
    }

    pub(super) fn keep(&self, stream: Upgraded) {
        self.state().kept = Some(stream);
    }

    pub(super) fn take_kept(&self) -> Option<Upgraded> {
        self.state().kept.take()
    }

    /// Called when the connection's thread has ended.
    pub(super) fn leave_library(&self) {
        let mut state = self.state();
        state.is_outside = true;
        // A panic of the closure that has the stream ends the connection.
        let has_panicked = |fact: &Fact| matches!(fact, Fact::UserPanic | Fact::WirePanic);
        state.is_cut |= state.facts.iter().any(has_panicked);
    }

    fn server(&self) -> Handle {
        self.state().server.clone().unwrap()
    }

    /// Records that the server is about to be stopped, or has been.
    pub(super) fn note_stop(&self) {
        self.state().is_stopped = true;
    }

    /// Connects a client, and has the accept loop's own code register it. Returns its socket and registration.
    pub(super) fn connect(&self) -> (TcpStream, Registration, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        // After a transport's goodbye, the library reads from the socket itself. It finds the end there.
        far.shutdown(Shutdown::Write).unwrap();
        self.state().arriving = Some(TcpStream::from(OwnedFd::from(near)));
        let server = self.server();
        let work = server.registry.next_work(0);
        assert!(matches!(work, Work::Spawn));
        let job = server.registry.first_job().expect("a client in the queue");
        (job.stream, job.registration, far)
    }

    /// Connects the client whose connection is observed.
    pub(super) fn connect_first(&self) -> (TcpStream, Registration) {
        let (stream, registration, far) = self.connect();
        self.state().peer = Some(far);
        (stream, registration)
    }

    /// Takes the next step of the user's code. Stops are called here, and panics begin here.
    pub(super) fn user_step(&self) -> Step {
        let step = self.state().user_script.next_step();
        match step {
            Step::Before(act) | Step::After(act) => self.act(act),
            Step::Panic if self.may_panic() => {
                self.note(Fact::UserPanic);
                resume_unwind(Box::new("the script says so"));
            }
            _ => {}
        }
        step
    }

    /// Returns whether a panic now would be caught by the library.
    pub(super) fn may_panic(&self) -> bool {
        !thread::panicking() && !self.state().is_outside
    }

    /// Checks a request's token.
    pub(super) fn check_token(&self, token: &CancelToken) {
        let state = self.state();
        assert_eq!(token.is_cancelled(), state.is_cut, "{:?}", state.facts);
        assert_eq!(token.is_draining(), state.is_stopped, "{:?}", state.facts);
    }

    /// Calls a stop, and checks what it returns.
    pub(super) fn act(&self, act: Act) {
        let server = self.server();
        let shown = server.connections();
        let state = shown.first().map(|info| info.state);
        let (is_open, is_stopped) = {
            let state = self.state();
            (!state.is_closed && !state.is_cut, state.is_stopped)
        };
        let awaits_request = matches!(
            state,
            Some(ConnectionState::New | ConnectionState::Handshake | ConnectionState::Idle)
        );
        match act {
            Act::Destroy => {
                self.expect_cut(is_open, CloseReason::Destroyed);
                assert_eq!(server.destroy(), usize::from(is_open));
                self.state().is_stopped = true;
            }
            Act::Close => {
                self.expect_cut(is_open, CloseReason::ClosedByHandle);
                let id = shown.first().map(|info| info.id);
                assert_eq!(
                    id.is_some_and(|id| server.close(id)),
                    is_open && id.is_some()
                );
            }
            Act::CloseIdle => {
                self.expect_cut(is_open && awaits_request, CloseReason::ClosedIdle);
                assert_eq!(server.close_idle(), usize::from(is_open && awaits_request));
            }
            Act::Drain => {
                self.note(Fact::Drain);
                server.drain();
                self.state().is_stopped = true;
            }
            Act::Evict if is_stopped => {}
            Act::Evict => self.evict(&server, is_open, state),
        }
        if self.is_cut() {
            self.check_socket_is_shut();
        }
    }

    /// Has another client come, for whom the connection makes room if it may.
    fn evict(&self, server: &Handle, is_open: bool, state: Option<ConnectionState>) {
        drop(self.connect());
        // A connection that has been cut and runs nothing of the user's is not listed any more.
        let is_evicted = state.is_some() && server.connections().is_empty();
        let (may_go, must_go) = match state {
            Some(ConnectionState::Idle | ConnectionState::Closing) => (true, true),
            Some(ConnectionState::New | ConnectionState::Handshake | ConnectionState::Head) => {
                (true, false) // not at once
            }
            _ => (false, false),
        };
        assert!(is_evicted || !must_go || !is_open, "nobody makes room");
        assert!(!is_evicted || may_go, "{state:?} makes room");
        self.expect_cut(is_evicted && is_open, CloseReason::Evicted);
    }

    /// Records a cut that is about to happen, or has happened.
    fn expect_cut(&self, is_expected: bool, reason: CloseReason) {
        if is_expected {
            let mut state = self.state();
            state.is_cut = true;
            state.facts.push(Fact::Cut(reason));
        }
    }

    fn check_socket_is_shut(&self) {
        let state = self.state();
        let mut peer = state.peer.as_ref().unwrap();
        let read = peer.read(&mut [0]);
        assert!(
            matches!(read, Ok(0)),
            "the socket is open: {:?}",
            state.facts
        );
    }

    /// Records the beginning of a handler call.
    pub(super) fn begin_call(&self) {
        let mut state = self.state();
        assert!(
            !state.is_cut && !state.is_closed,
            "a handler is called after a cut: {:?}",
            state.facts
        );
        state.facts.push(Fact::Called);
    }

    /// The event hook.
    pub(super) fn report(&self, event: &Event) {
        // If the hook panicked then, the process would end.
        assert!(!thread::panicking(), "the hook is called during a panic");
        let report = match event {
            Event::Opened { .. } => Report::Opened,
            Event::Request { .. } => Report::Request,
            Event::Responded { status, bytes, .. } => Report::Responded {
                status: status.as_u16(),
                bytes: *bytes,
            },
            Event::Upgraded { .. } => Report::Upgraded,
            Event::TransportFailed { .. } => Report::TransportFailed,
            Event::RequestFailed { .. } => Report::RequestFailed,
            Event::HandlerPanicked { .. } => Report::HandlerPanicked,
            Event::HookPanicked { .. } => Report::HookPanicked,
            Event::Closed {
                reason,
                requests,
                received,
                sent,
                ..
            } => Report::Closed {
                reason: *reason,
                requests: *requests,
                received: *received,
                sent: *sent,
            },
            other => panic!("{other:?}"),
        };
        let is_end = report.is_closed();
        self.note(Fact::Reported(report));
        if is_end {
            self.state().is_closed = true;
            self.check_socket_is_shut();
        }
        let step = self.state().user_script.next_step();
        match step {
            Step::Before(act) | Step::After(act) => self.act(act),
            Step::Panic => {
                self.note(Fact::HookPanic);
                resume_unwind(Box::new("the script says so"));
            }
            _ => {}
        }
    }
}

/// A listener that accepts the clients of a world.
pub(super) struct Door(pub(super) Arc<World>);

impl Accept for Door {
    fn accept(&self) -> io::Result<Accepted> {
        match self.0.state().arriving.take() {
            Some(stream) => Ok((stream, None)),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}
