//! What carries a connection's bytes: its socket, and perhaps what the user's transport makes of it.
//!
//! 1. The socket stays in the map whatever is wrapped around it: a stop cuts that, and every call into the transport ends.
//! 2. A socket's timeout does not bound a call that reads or writes more than once, as TLS does for a record: so the
//!    accept loop watches such calls, and cuts a connection whose call has not returned in time.
//! 3. On Windows a shutdown does not wake a read or write that is blocked already: so none blocks for longer than a tick.
//!    The functions at the end see to that.

use super::super::registry::{shut_down, Registration};
use super::super::{life::Life, stream::OUTPUT_BYTES, CloseReason, ConnectionId, ConnectionState, Event};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use std::{sync::Arc, thread};

/// `None` waits for ever.
pub(crate) type Timeout = Option<Duration>;

/// The errors of a timeout, on Unix and on Windows.
pub(crate) const TIMEOUTS: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// How much too early a system may end a wait: a tick of its clock.
const EARLY: Duration = Duration::from_millis(16);

/// Tests and the fuzzer have one of their own, which breaks wherever they want.
pub(crate) trait Transport: Send {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn set_read_timeout(&mut self, timeout: Timeout) -> io::Result<()>;
    fn set_write_timeout(&mut self, timeout: Timeout) -> io::Result<()>;
    fn shut_down(&mut self, direction: Shutdown);
    /// The socket, if nothing stands between it and the bytes.
    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>>;
}

/// What the hook of [`Builder::transport`](super::super::Builder::transport) makes of a socket.
pub(crate) trait Wrapped: Read + Write + Send {}

impl<T: Read + Write + Send> Wrapped for T {}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Hook = dyn Fn(TcpStream, ConnectionId) -> Result<Box<dyn Wrapped>, BoxError>;
/// That hook and all that is done around it, so that a program without one has no code for it.
pub(crate) type Wrap = Box<dyn Fn(&TcpStream, &Registration) -> Result<Box<dyn Wrapped>, CloseReason> + Send + Sync>;

pub(crate) struct Socket {
    tcp: TcpStream,
    /// Dropping it says goodbye. What comes then is read from the socket, to be thrown away.
    wrapped: Option<Box<dyn Wrapped>>,
    life: Arc<Life>,
    read_timeout: Timeout,
    write_timeout: Timeout,
}

impl Socket {
    /// Gives the socket the modes that bound every wait, and has the transport make its handshake.
    pub(crate) fn open(tcp: TcpStream, of: &Registration) -> Result<Box<dyn Transport>, CloseReason> {
        let (config, life) = (&of.handle.registry.config, Arc::clone(&of.life));
        let write_timeout = config.write_timeout;
        let set_up = || {
            if cfg!(not(target_os = "linux")) {
                tcp.set_nonblocking(false)?; // it may have inherited the listener's mode
            }
            let _ = tcp.set_nodelay(true); // only speed is lost without it
            tcp.set_write_timeout(write_timeout)
        };
        set_up().or(Err(CloseReason::SetupFailed))?;
        let wrapped = config.transport.as_ref().map(|wrap| wrap(&tcp, of)).transpose()?;
        Ok(Box::new(Socket { tcp, wrapped, life, read_timeout: None, write_timeout }))
    }
}

/// Calls the hook, which is watched, and has what it returns make its handshake.
pub(crate) fn wrap(tcp: &TcpStream, of: &Registration, hook: &Hook) -> Result<Box<dyn Wrapped>, CloseReason> {
    let (config, life) = (&of.handle.registry.config, &of.life);
    let clone = tcp.set_read_timeout(config.header_timeout).and_then(|()| tcp.try_clone());
    let clone = clone.or(Err(CloseReason::SetupFailed))?;
    life.enter(ConnectionState::Handshake)?;
    let _watch = life.watch(config.header_timeout);
    let began = Instant::now();
    let is_late = |limit: Duration| began.elapsed() >= limit.max(EARLY.saturating_mul(2)).saturating_sub(EARLY);
    let made = hook(clone, life.id).and_then(|mut made| {
        flush(&mut made)?; // a lazy one makes its handshake now
        if config.header_timeout.map_or(false, is_late) {
            // rustls may be silent about a read that has timed out.
            return Err(io::Error::from(ErrorKind::TimedOut).into());
        }
        Ok(made)
    });
    made.map_err(|error| match error.downcast_ref::<io::Error>() {
        Some(late) if TIMEOUTS.contains(&late.kind()) => CloseReason::HeadTimeout,
        _ if life.end_reason().is_some() => CloseReason::Destroyed,
        _ => {
            config.tell(|| Event::TransportFailed { id: life.id, error });
            CloseReason::TransportFailed
        }
    })
}

impl Transport for Socket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (life, timeout, tcp) = (&self.life, self.read_timeout, &mut self.tcp);
        let is_ended = || life.end_reason().is_some(); // also by a drain, which ends the reading side
        let n = match &mut self.wrapped {
            Some(wrapped) => {
                let _watch = life.watch(timeout);
                patiently(timeout, is_ended, |_| wrapped.read(buf))
            }
            None if cfg!(windows) => patiently(timeout, is_ended, |_| tcp.peek(&mut [0]).and_then(|_| tcp.read(buf))),
            None => tcp.read(buf),
        }?;
        life.count(n, 0);
        Ok(n)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (life, timeout, tcp) = (&self.life, self.write_timeout, &mut self.tcp);
        let n = match &mut self.wrapped {
            Some(wrapped) => {
                let piece = bytes.get(..OUTPUT_BYTES).unwrap_or(bytes);
                let _watch = life.watch(timeout);
                wrapped.write(piece).and_then(|n| flush(wrapped).and(Ok(n)))
            }
            None if cfg!(windows) => patiently(timeout, || life.is_cut(), |began| write_at_once(tcp, bytes, began)),
            None => tcp.write(bytes),
        }?;
        life.count(0, n);
        Ok(n)
    }

    fn set_read_timeout(&mut self, timeout: Timeout) -> io::Result<()> {
        self.read_timeout = timeout;
        let tick = timeout.map_or(TICK, |timeout| timeout.min(TICK));
        self.tcp.set_read_timeout(if cfg!(windows) { Some(tick) } else { timeout })
    }

    fn set_write_timeout(&mut self, timeout: Timeout) -> io::Result<()> {
        self.write_timeout = timeout;
        self.tcp.set_write_timeout(timeout)
    }

    fn shut_down(&mut self, direction: Shutdown) {
        if direction == Shutdown::Write {
            let _watch = self.life.watch(self.write_timeout);
            self.wrapped = None;
        }
        shut_down(&self.tcp, direction);
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        if self.wrapped.is_some() {
            return Err(self);
        }
        if cfg!(windows) {
            let _ = self.tcp.set_read_timeout(self.read_timeout); // without the tick
        }
        Ok(self.tcp)
    }
}

/// A write is not done again because its flush was interrupted.
fn flush(wrapped: &mut dyn Wrapped) -> io::Result<()> {
    loop {
        match wrapped.flush() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}

/// How long a read blocks at most on Windows, and how long a write sleeps there that finds no room.
const TICK: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_millis(10);

/// Reads or writes. On Windows: again after each tick, until something moves or the timeout is over; or until the
/// connection has been told to end, which then is its end.
fn patiently(
    timeout: Timeout,
    is_told: impl Fn() -> bool,
    mut once: impl FnMut(Instant) -> io::Result<usize>,
) -> io::Result<usize> {
    let began = Instant::now();
    loop {
        let is_told = is_told(); // before the last try: what has come by then is taken
        match once(began) {
            Err(error) if cfg!(windows) && TIMEOUTS.contains(&error.kind()) => match timeout {
                _ if is_told => return Ok(0),
                Some(timeout) if began.elapsed() >= timeout => return Err(error),
                _ => {}
            },
            moved => return moved,
        }
    }
}

/// Writes what the system takes now, or naps. A write that Windows lets time out may have sent a part of it untold.
fn write_at_once(tcp: &mut TcpStream, bytes: &[u8], began: Instant) -> io::Result<usize> {
    tcp.set_nonblocking(true)?;
    let written = tcp.write(bytes);
    tcp.set_nonblocking(false)?;
    if written.is_err() {
        thread::sleep(began.elapsed().min(NAP)); // which doubles with the time that it has waited
    }
    written
}
