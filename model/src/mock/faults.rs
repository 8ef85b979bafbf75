//! Calls of the library that the system refuses.
//!
//! Each call that can fail asks here first, and one of them does: the n-th of a run, in one of three
//! manners. Closing cannot fail in std, and what the clients and the checks do is not counted.

use super::kernel::{self, with, World};
use super::network::{Kind, Network, EINVAL, EMFILE};
use std::io;
use std::net::SocketAddr;

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const ENOBUFS: i32 = 105;
const ECONNABORTED: i32 = 103;
const ECONNRESET: i32 = 104;
const ENOTCONN: i32 = 107;
const ETIMEDOUT: i32 = 110;

/// In how many manners each call can fail.
pub const MANNERS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Accept,
    Clone,
    Shutdown,
    SetTimeout,
    SetMode,
    SetNodelay,
    Spawn,
    Read,
    Peek,
    Write,
}

/// What comes with an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    Nothing,
    /// The connection is lost. Nothing happens to a listener.
    Reset,
    /// The first client in the accept queue is lost.
    Abort,
}

struct Failure {
    errno: i32,
    effect: Effect,
    /// How many calls of its kind fail, one after the other.
    times: usize,
}

/// How a call fails.
fn failure(call: Call, manner: usize) -> Failure {
    use Effect::{Abort, Nothing, Reset};
    let (errno, effect, times) = match (call, manner) {
        (Call::Accept, 0) => (EMFILE, Nothing, 1),
        (Call::Accept, 1) => (ECONNABORTED, Abort, 1),
        (Call::Accept, _) => (EINTR, Nothing, 1),
        // Both are tried again, so that one failure shows little.
        (Call::Clone, _) => (EMFILE, Nothing, manner + 1),
        (Call::Spawn, _) => (EAGAIN, Nothing, manner + 1),
        // The client has just gone; or the system refuses, as none does, and the socket lives on.
        (Call::Shutdown, 0) => (ENOTCONN, Reset, 1),
        (Call::Shutdown, _) => (ENOBUFS, Nothing, manner),
        // macOS refuses options of a connection that is lost.
        (Call::SetTimeout | Call::SetMode | Call::SetNodelay, 0) => (EINVAL, Reset, 1),
        (Call::SetTimeout | Call::SetMode | Call::SetNodelay, _) => (ENOBUFS, Nothing, manner),
        (Call::Read | Call::Peek | Call::Write, 0) => (ECONNRESET, Reset, 1),
        (Call::Read | Call::Peek | Call::Write, 1) => (EINTR, Nothing, 1),
        (Call::Read | Call::Peek | Call::Write, _) => (ETIMEDOUT, Reset, 1),
    };
    Failure {
        errno,
        effect,
        times,
    }
}

#[derive(Default)]
pub struct Faults {
    /// The call that fails, counted from 1, and the manner in which it does.
    plan: Option<(usize, usize)>,
    /// How many calls there have been.
    pub calls: usize,
    /// The kind of the call that has failed, and how many more of that kind will.
    next: Option<(Call, usize)>,
    /// The calls that have failed.
    pub struck: Vec<Strike>,
}

/// A call that has failed.
#[derive(Clone, Debug)]
pub struct Strike {
    pub call: Call,
    pub errno: i32,
    pub on_listener: bool,
    pub was_nonblocking: bool,
    /// The client whose connection it was, or who was lost in the queue.
    pub client: Option<SocketAddr>,
}

impl Strike {
    pub fn is_out_of_descriptors(&self) -> bool {
        self.errno == EMFILE
    }

    /// Whether a client was lost in the accept queue.
    pub fn is_abort(&self) -> bool {
        self.errno == ECONNABORTED && self.client.is_some()
    }

    /// Whether the call must be repeated, or can be done without, so that no client loses anything.
    pub fn is_harmless(&self) -> bool {
        let is_repeated = self.errno == EINTR;
        let is_option = self.call == Call::SetNodelay && self.errno == ENOBUFS;
        is_repeated || is_option || self.on_listener && !matches!(self.call, Call::Accept)
    }

    /// Whether a timeout could not be set on a socket with which nothing is wrong.
    pub fn is_missing_timeout(&self) -> bool {
        self.call == Call::SetTimeout && self.errno == ENOBUFS && !self.on_listener
    }

    /// Whether a live connection could not be shut down.
    pub fn leaves_open(&self) -> bool {
        self.call == Call::Shutdown && self.errno == ENOBUFS && !self.on_listener
    }
}

impl Faults {
    /// Has the n-th call from now on fail. None does if that is zero.
    pub fn plan(&mut self, number: usize, manner: usize) {
        self.plan = Some((number, manner));
    }

    /// Whether a call on the connection of this client has failed.
    pub fn have_hit(&self, client: SocketAddr) -> bool {
        self.struck
            .iter()
            .any(|strike| strike.client == Some(client))
    }

    fn ask(
        &mut self,
        call: Call,
        socket: Option<usize>,
        net: &mut Network,
        woken: &mut Vec<usize>,
    ) -> io::Result<()> {
        let Some((number, manner)) = self.plan else {
            return Ok(());
        };
        self.calls += 1;
        let failure = failure(call, manner);
        let more = match self.next {
            Some((kind, more)) if kind == call => more,
            None if self.calls == number => failure.times,
            _ => return Ok(()),
        };
        self.next = Some((call, more - 1)).filter(|(_, more)| *more > 0);
        let client = match failure.effect {
            Effect::Abort => socket.and_then(|id| net.abort_first(id, woken)),
            _ => socket.and_then(|id| net.client_of(id)),
        };
        if let Some(id) = socket {
            if failure.effect == Effect::Reset {
                net.reset(id, woken);
            }
            if call == Call::Shutdown {
                net.refuse_shutdown(id);
            }
        }
        let modes = socket.map(|id| net.socket(id));
        self.struck.push(Strike {
            call,
            errno: failure.errno,
            on_listener: matches!(
                modes.as_ref().map(|socket| &socket.kind),
                Some(Kind::Listener(_))
            ),
            was_nonblocking: modes.is_some_and(|socket| socket.is_nonblocking),
            client,
        });
        Err(io::Error::from_raw_os_error(failure.errno))
    }
}

/// Asks whether this call of the library may go on.
pub fn ask(call: Call, socket: Option<usize>) -> io::Result<()> {
    let is_client = socket.is_some_and(|id| with(|world| world.net.socket(id).is_client));
    if is_client || kernel::is_quiet() {
        return Ok(());
    }
    let mut woken = Vec::new();
    let asked = with(|world| {
        let World { faults, net, .. } = world;
        faults.ask(call, socket, net, &mut woken)
    });
    kernel::wake_all(&mut woken);
    if let Err(error) = &asked {
        kernel::log(|| format!("{call:?} of {socket:?} fails: {error}"));
    }
    asked
}
