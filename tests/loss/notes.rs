//! The notes of each request, and of each round.

use super::support::SOON;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The complete and right response. `goes_on`: it had no `Connection: close`.
    Whole {
        goes_on: bool,
    },
    /// A 503 with `Retry-After`.
    SentAway,
    /// The connection was refused.
    Refused,
    /// The connection ended before the first byte of a response.
    Nothing,
    Truncated,
    /// Anything that must not happen in any case.
    Wrong(String),
}

#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) number: usize,
    pub(crate) port: u16,
    /// The stamps when `connect` had returned, and when the request had been written.
    pub(crate) connected: usize,
    pub(crate) sent: usize,
    pub(crate) end: End,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) stamp: usize,
    /// Whether its token had fired when the handler was entered.
    pub(crate) is_told: bool,
}

/// One server with its clients, from its start to its stop.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) addr: SocketAddr,
    pub(crate) stamps: AtomicUsize,
    pub(crate) numbers: AtomicUsize,
    pub(crate) answered: AtomicUsize,
    /// The number of responses after which the server is stopped.
    pub(crate) enough: usize,
    pub(crate) stopper: Thread,
    /// Set before a destroy, which may reset connections after their response.
    pub(crate) is_over: AtomicBool,
    pub(crate) notes: Mutex<Vec<Note>>,
    pub(crate) calls: Mutex<Vec<Call>>,
    /// The ports of the clients whose `Opened` event was reported.
    pub(crate) opened: Arc<Mutex<Vec<u16>>>,
}

impl Round {
    pub(crate) fn stamp(&self) -> usize {
        self.stamps.fetch_add(1, SeqCst)
    }

    pub(crate) fn next_number(&self) -> usize {
        self.numbers.fetch_add(1, SeqCst)
    }

    pub(crate) fn note(&self, note: Note) {
        if matches!(note.end, End::Whole { .. })
            && self.answered.fetch_add(1, SeqCst) + 1 == self.enough
        {
            self.stopper.unpark();
        }
        locked(&self.notes).push(note);
    }

    pub(crate) fn wait_for_load(&self) {
        let began = Instant::now();
        while self.answered.load(SeqCst) < self.enough {
            thread::park_timeout(SOON);
            assert!(began.elapsed() < SOON, "the clients are not answered");
        }
    }
}

impl Note {
    /// The note of the next request on the same connection.
    pub(crate) fn next(&self, round: &Round) -> Note {
        let (number, sent, end) = (round.next_number(), usize::MAX, End::Nothing);
        Note {
            number,
            sent,
            end,
            ..*self
        }
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
