//! A recorder of the events that a server reports.

use super::{until, SOON};
use hardstop::{CloseReason, Event};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::mpsc::{self, Receiver};
use std::sync::Mutex;

/// One event, with everything in it that a test can expect: neither times nor addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Opened(u64),
    /// The method and the target, with a space between them.
    Request(u64, String),
    /// The status code, and the size of the body.
    Responded(u64, u16, u64),
    /// The new protocol.
    Upgraded(u64, String),
    TransportFailed(u64, String),
    RequestFailed(u64, String),
    HandlerPanicked(u64, String),
    Closed(u64, CloseReason, Totals),
    HookPanicked(String),
    AcceptFailed,
    SpawnFailed,
    Rejected,
    Other(String),
}

/// The counters of a connection that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Fact {
    pub(crate) fn of(event: &Event) -> Fact {
        match event {
            Event::Opened { id, .. } => Fact::Opened(u64::from(*id)),
            Event::Request {
                id, method, target, ..
            } => Fact::Request(u64::from(*id), format!("{method} {target}")),
            Event::Responded {
                id, status, bytes, ..
            } => Fact::Responded(u64::from(*id), status.as_u16(), *bytes),
            Event::Upgraded { id, protocol, .. } => {
                Fact::Upgraded(u64::from(*id), protocol.clone())
            }
            Event::TransportFailed { id, error, .. } => {
                Fact::TransportFailed(u64::from(*id), error.to_string())
            }
            Event::RequestFailed { id, error, .. } => {
                Fact::RequestFailed(u64::from(*id), error.to_string())
            }
            Event::HandlerPanicked { id, message, .. } => {
                Fact::HandlerPanicked(u64::from(*id), message.clone())
            }
            Event::Closed {
                id,
                reason,
                requests,
                received,
                sent,
                ..
            } => {
                let totals = Totals {
                    requests: *requests,
                    received: *received,
                    sent: *sent,
                };
                Fact::Closed(u64::from(*id), *reason, totals)
            }
            Event::HookPanicked { message, .. } => Fact::HookPanicked(message.clone()),
            Event::AcceptFailed { .. } => Fact::AcceptFailed,
            Event::SpawnFailed { .. } => Fact::SpawnFailed,
            Event::Rejected { .. } => Fact::Rejected,
            other => Fact::Other(format!("{other:?}")),
        }
    }
}

/// A line for each event, such as `1 responded 200, 5`.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Opened(id) => write!(f, "{id} opened"),
            Fact::Request(id, line) => write!(f, "{id} asked {line}"),
            Fact::Responded(id, status, bytes) => write!(f, "{id} responded {status}, {bytes}"),
            Fact::Upgraded(id, protocol) => write!(f, "{id} upgraded to {protocol}"),
            Fact::TransportFailed(id, error) => write!(f, "{id} transport failed: {error}"),
            Fact::RequestFailed(id, error) => write!(f, "{id} failed: {error}"),
            Fact::HandlerPanicked(id, message) => write!(f, "{id} panicked: {message}"),
            Fact::Closed(
                id,
                reason,
                Totals {
                    requests,
                    received,
                    sent,
                },
            ) => {
                write!(f, "{id} closed {reason:?}, {requests}, {received}, {sent}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// Everything that a server has reported, in its order.
///
/// Some methods look at all of it, again and again. Others take it: each fact once, from the first
/// one on.
#[derive(Debug)]
pub(crate) struct Recorder {
    incoming: Receiver<Fact>,
    seen: RefCell<Vec<Fact>>,
    taken: Cell<usize>,
}

/// A hook for `Builder::on_event`, and the recorder of what it is called with.
pub(crate) fn recorder() -> (impl Fn(&Event) + Send + Sync + 'static, Recorder) {
    let (sender, incoming) = mpsc::channel();
    let sender = Mutex::new(sender);
    let hook = move |event: &Event| {
        let _ = sender.lock().unwrap().send(Fact::of(event)); // the test may have ended
    };
    (
        hook,
        Recorder {
            incoming,
            seen: RefCell::default(),
            taken: Cell::default(),
        },
    )
}

impl Recorder {
    /// Returns everything reported so far, whether it has been taken or not.
    pub(crate) fn so_far(&self) -> Vec<Fact> {
        self.seen.borrow_mut().extend(self.incoming.try_iter());
        self.seen.borrow().clone()
    }

    /// Waits for the first such fact. It may have been reported, and taken, already.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Fact) -> bool) -> Fact {
        let mut found = None;
        until("a fact is reported", || {
            found = self.so_far().into_iter().find(&wanted);
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for the end of the connection with that number, and returns the reason.
    pub(crate) fn reason(&self, number: u64) -> CloseReason {
        match self.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == number)) {
            Fact::Closed(_, reason, _) => reason,
            other => panic!("only `Closed` was asked for, not {other:?}"),
        }
    }

    /// Takes the next fact; waits for it.
    pub(crate) fn take(&self) -> Fact {
        let n = self.taken.get();
        if self.so_far().len() == n {
            let fact = self.incoming.recv_timeout(SOON);
            let fact = fact.unwrap_or_else(|error| {
                panic!("nothing follows {:?}: {error}", self.seen.borrow())
            });
            self.seen.borrow_mut().push(fact);
        }
        self.taken.set(n + 1);
        self.seen.borrow()[n].clone()
    }

    /// Takes facts up to the first such one, which it returns.
    pub(crate) fn take_until(&self, wanted: impl Fn(&Fact) -> bool) -> Fact {
        loop {
            let fact = self.take();
            if wanted(&fact) {
                return fact;
            }
        }
    }

    /// Takes facts up to the end of a connection, and returns the reason.
    pub(crate) fn take_reason(&self) -> CloseReason {
        match self.take_until(|fact| matches!(fact, Fact::Closed(..))) {
            Fact::Closed(_, reason, _) => reason,
            other => panic!("only `Closed` was asked for, not {other:?}"),
        }
    }

    /// Takes facts up to the end of a connection for that reason.
    pub(crate) fn take_until_closed(&self, why: CloseReason) {
        self.take_until(|fact| matches!(fact, Fact::Closed(_, reason, _) if *reason == why));
    }

    /// Takes facts up to a request that has failed, and returns the error.
    pub(crate) fn take_failure(&self) -> String {
        match self.take_until(|fact| matches!(fact, Fact::RequestFailed(..))) {
            Fact::RequestFailed(_, error) => error,
            other => panic!("only `RequestFailed` was asked for, not {other:?}"),
        }
    }

    /// Takes facts up to a handler that has panicked, and returns the message.
    pub(crate) fn take_panic(&self) -> String {
        match self.take_until(|fact| matches!(fact, Fact::HandlerPanicked(..))) {
            Fact::HandlerPanicked(_, message) => message,
            other => panic!("only `HandlerPanicked` was asked for, not {other:?}"),
        }
    }

    /// Takes facts up to the end of a connection, and returns them all.
    pub(crate) fn take_connection(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        while !matches!(facts.last(), Some(Fact::Closed(..))) {
            facts.push(self.take());
        }
        facts
    }

    /// Returns what has been reported and not been taken.
    pub(crate) fn not_taken(&self) -> Vec<Fact> {
        self.so_far().split_off(self.taken.get())
    }
}
