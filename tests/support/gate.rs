//! A place where a handler, a hook or a transport waits for the test.

use super::LONG;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Mutex;

/// Where a handler waits for the test, deaf to its token.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Mutex<Sender<()>>,
    opened: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, what tells that a handler has come to it, and what lets one pass.
    pub(crate) fn new() -> (Gate, Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (open, opened)) = (mpsc::channel(), mpsc::channel());
        let (arrived, opened) = (Mutex::new(arrived), Mutex::new(opened));
        (Gate { arrived, opened }, arrivals, open)
    }

    pub(crate) fn pass(&self) {
        let _ = self.arrived.lock().unwrap().send(()); // nobody may be interested
        let _ = self.opened.lock().unwrap().recv_timeout(LONG); // dropped: open for all
    }
}
