//! The transport: it follows the script of its world, directly or below the library's own socket.

use super::script::Step;
use super::world::{Fact, World};
use crate::hardstop::conn::Transport;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// More calls than any input needs. A connection that makes more would never end.
const MAX_CALLS: usize = 100_000;

pub(super) struct Wire {
    world: Arc<World>,
    /// The socket, if nothing stands between it and the bytes.
    tcp: Option<TcpStream>,
    /// Whether the writing side has been shut down.
    is_ended: bool,
    /// Whether a write has failed.
    has_failed: bool,
}

impl Wire {
    pub(super) fn new(world: &Arc<World>, tcp: Option<TcpStream>) -> Wire {
        Wire {
            world: Arc::clone(world),
            tcp,
            is_ended: false,
            has_failed: false,
        }
    }

    /// Takes the next step. Calls a stop that comes before the transfer, and panics if the script says so.
    fn begin(&self) -> Step {
        take_step(&self.world)
    }

    /// Calls a stop that comes after the transfer.
    pub(super) fn end(&self, step: Step) {
        if let Step::After(act) = step {
            self.world.act(act);
        }
    }

    fn receive_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "it would read as the end of the stream");
        let step = self.begin();
        let most = match step {
            Step::Failed(kind) => {
                self.world.note_receive_failure(kind);
                return Err(kind.into());
            }
            Step::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Step::Zero => 0,
            Step::Short(most) => most,
            _ => usize::MAX,
        };
        let mut state = self.world.state();
        let from = state.received;
        let n = most.min(buf.len()).min(state.input.len() - from);
        buf[..n].copy_from_slice(&state.input[from..from + n]);
        state.received += n;
        if n == 0 {
            state.facts.push(Fact::InputEnded);
        }
        drop(state);
        self.end(step);
        Ok(n)
    }

    fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_upgraded = self.world.state().is_upgraded;
        assert!(!bytes.is_empty() || is_upgraded, "an empty write");
        assert!(!self.is_ended, "a write after the end of the writing side");
        assert!(!self.has_failed || is_upgraded, "a write after a failure");
        let step = self.begin();
        let most = match step {
            Step::Failed(kind) => return self.fail_to_send(kind),
            Step::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Step::Zero if !bytes.is_empty() => {
                self.has_failed = true;
                self.world.note_send_failure(ErrorKind::WriteZero);
                return Ok(0);
            }
            Step::Short(most) => most,
            _ => usize::MAX,
        };
        // A cut has shut the socket down.
        if self.world.is_cut() {
            return self.fail_to_send(ErrorKind::BrokenPipe);
        }
        let n = most.min(bytes.len());
        self.world.state().output.extend_from_slice(&bytes[..n]);
        self.end(step);
        Ok(n)
    }

    fn fail_to_send(&mut self, kind: ErrorKind) -> io::Result<usize> {
        self.has_failed = true;
        self.world.note_send_failure(kind);
        Err(kind.into())
    }

    /// Sets a timeout, which the script may have fail. It does not panic: this is no call into the user's code.
    fn set_timeout(&self) -> io::Result<()> {
        let step = next_step(&self.world);
        self.end(step);
        if let Step::Failed(kind) = step {
            self.world.note_receive_failure(kind);
            return Err(kind.into());
        }
        Ok(())
    }
}

/// Takes the next step of a call into a transport, up to its transfer: a stop that comes before it, or a panic.
pub(super) fn take_step(world: &World) -> Step {
    let step = next_step(world);
    if matches!(step, Step::Panic) && world.may_panic() {
        world.note(Fact::WirePanic);
        resume_unwind(Box::new("the script says so"));
    }
    step
}

/// Takes the next step, and calls a stop that comes before the transfer.
fn next_step(world: &World) -> Step {
    let step = {
        let mut state = world.state();
        state.wire_calls += 1;
        let calls = state.wire_calls;
        assert!(calls < MAX_CALLS, "the connection does not end");
        state.wire_script.next_step()
    };
    if let Step::Before(act) = step {
        world.act(act);
    }
    step
}

impl Transport for Wire {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.receive_some(buf)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_some(bytes)
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.set_timeout()
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.set_timeout()
    }

    fn shut_down(&mut self, direction: Shutdown) {
        let step = self.begin();
        self.is_ended |= direction != Shutdown::Read;
        self.end(step);
    }

    fn into_tcp(mut self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        match self.tcp.take() {
            Some(tcp) => Ok(tcp),
            None => Err(self),
        }
    }
}

/// Below the library's own socket, as the user's transport.
impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.receive_some(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_some(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let step = self.begin();
        self.end(step);
        match step {
            Step::Failed(kind) => {
                self.has_failed = true;
                self.world.note_send_failure(kind);
                Err(kind.into())
            }
            Step::Interrupted => Err(ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let step = self.begin();
        self.end(step);
    }
}
