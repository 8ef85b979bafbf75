//! A recorder of what a server's event hook is told.

use super::until;
use hardstop::{CloseReason, Event};
use std::cell::RefCell;
use std::sync::mpsc::{self, Receiver};
use std::sync::Mutex;

/// What an event said, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Opened(u64),
    Request(u64),
    Responded(u64),
    HandlerPanicked(u64, String),
    Closed(u64, CloseReason),
    HookPanicked(String),
    AcceptFailed,
    SpawnFailed,
    Rejected,
    Other,
}

impl Fact {
    pub(crate) fn of(event: &Event) -> Fact {
        match event {
            Event::Opened { id, .. } => Fact::Opened(u64::from(*id)),
            Event::Request { id, .. } => Fact::Request(u64::from(*id)),
            Event::Responded { id, .. } => Fact::Responded(u64::from(*id)),
            Event::HandlerPanicked { id, message, .. } => Fact::HandlerPanicked(u64::from(*id), message.clone()),
            Event::Closed { id, reason, .. } => Fact::Closed(u64::from(*id), *reason),
            Event::HookPanicked { message, .. } => Fact::HookPanicked(message.clone()),
            Event::AcceptFailed { .. } => Fact::AcceptFailed,
            Event::SpawnFailed { .. } => Fact::SpawnFailed,
            Event::Rejected { .. } => Fact::Rejected,
            _ => Fact::Other,
        }
    }
}

/// All that a server has told, in its order.
#[derive(Debug)]
pub(crate) struct Facts {
    incoming: Receiver<Fact>,
    seen: RefCell<Vec<Fact>>,
}

impl Facts {
    /// What has been told so far.
    pub(crate) fn so_far(&self) -> Vec<Fact> {
        self.seen.borrow_mut().extend(self.incoming.try_iter());
        self.seen.borrow().clone()
    }

    /// The first such fact, whether it is told already or comes soon.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Fact) -> bool) -> Fact {
        let mut found = None;
        until("a fact is told", || {
            found = self.so_far().into_iter().find(&wanted);
            found.is_some()
        });
        found.unwrap()
    }

    /// Why the connection with that number ended.
    pub(crate) fn reason(&self, number: u64) -> CloseReason {
        match self.wait_for(|fact| matches!(fact, Fact::Closed(id, _) if *id == number)) {
            Fact::Closed(_, reason) => reason,
            other => panic!("only `Closed` was asked for, not {other:?}"),
        }
    }
}

/// A hook for `Builder::on_event`, and what it records.
pub(crate) fn recorder() -> (impl Fn(&Event) + Send + Sync + 'static, Facts) {
    let (sender, incoming) = mpsc::channel();
    let sender = Mutex::new(sender);
    let seen = RefCell::default();
    let hook = move |event: &Event| {
        let _ = sender.lock().unwrap().send(Fact::of(event)); // the test may have ended
    };
    (hook, Facts { incoming, seen })
}
