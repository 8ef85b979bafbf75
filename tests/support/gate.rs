//! A gate where a handler, a hook or a transport waits for the test.

use super::LONG;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Mutex;

/// A gate where a handler waits for the test, whatever its token says.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Mutex<Sender<()>>,
    opened: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, the channel that reports each arrival, and the channel that lets one arrival pass.
    pub(crate) fn new() -> (Gate, Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (open, opened)) = (mpsc::channel(), mpsc::channel());
        let (arrived, opened) = (Mutex::new(arrived), Mutex::new(opened));
        (Gate { arrived, opened }, arrivals, open)
    }

    pub(crate) fn pass(&self) {
        let _ = self.arrived.lock().unwrap().send(()); // the test may not wait for arrivals
        let _ = self.opened.lock().unwrap().recv_timeout(LONG); // a dropped sender opens the gate for all
    }
}
