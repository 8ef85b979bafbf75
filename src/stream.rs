//! A connection's bytes: one buffer in each direction, and the clocks that bound every wait.
//!
//! 1. Output is collected and leaves before anything waits for input, so that the answers to pipelined requests leave
//!    together: while one of their handlers runs, those to the requests before it may still be here.
//! 2. A socket's timeouts are set only when they change: a request that comes in one piece costs one read, one write.
//! 3. What ends a transfer is named as the reason of an end; a read that timed out is `BodyTimeout`, of whatever.
//! 4. What was read too far stays in the buffer and is the next to be read.

use super::life::Life;
use super::registry::{shut_down, Registration};
use super::{Builder, CloseReason, ConnectionId, ConnectionState, Event};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What carries the bytes: a socket. Tests and the fuzzer have one of their own, which breaks wherever they want.
pub(crate) trait Transport: Send {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn set_read_timeout(&mut self, timeout: Timeout) -> io::Result<()>;
    fn set_write_timeout(&mut self, timeout: Timeout) -> io::Result<()>;
    fn shut_down(&mut self, direction: Shutdown);
    /// The socket, if nothing stands between it and the bytes.
    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>>;
}

/// What the hook of [`Builder::transport`] makes of a socket.
pub(crate) trait Wrapped: Read + Write + Send {}

impl<T: Read + Write + Send> Wrapped for T {}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Wrap =
    Box<dyn Fn(TcpStream, ConnectionId) -> Result<Box<dyn Wrapped>, BoxError> + Send + Sync>;

/// A connection's socket, and what the user's transport has made of it.
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
    pub(crate) fn open(tcp: TcpStream, of: &Registration) -> Result<Box<Socket>, CloseReason> {
        let config = &of.handle.registry.config;
        let mut socket = Box::new(Socket {
            tcp,
            wrapped: None,
            life: Arc::clone(&of.life),
            read_timeout: None,
            write_timeout: None,
        });
        let mut set_up = || {
            socket.tcp.set_nonblocking(false)?; // some systems let it inherit the listener's mode
            let _ = socket.tcp.set_nodelay(true); // only speed is lost without it
            socket.set_write_timeout(config.write_timeout)?;
            if config.transport.is_none() {
                return Ok(None);
            }
            socket.tcp.set_read_timeout(config.header_timeout)?; // for the handshake
            socket.tcp.try_clone().map(Some)
        };
        let clone: io::Result<_> = set_up();
        let clone = clone.or(Err(CloseReason::SetupFailed))?;
        if let (Some(wrap), Some(clone)) = (&config.transport, clone) {
            let (id, life) = (of.life.id, &of.life);
            life.enter(ConnectionState::Handshake)?;
            life.watch(config.header_timeout);
            let wrapped = wrap(clone, id).and_then(|mut wrapped| {
                wrapped.flush()?; // a lazy one makes its handshake now
                Ok(wrapped)
            });
            life.watch(None);
            let is_late = |error: &io::Error| TIMEOUTS.contains(&error.kind());
            socket.wrapped = Some(wrapped.map_err(|error| match error.downcast_ref() {
                Some(error) if is_late(error) => CloseReason::HeadTimeout,
                _ if life.end_reason().is_some() => CloseReason::Destroyed, // that is why it failed
                _ => {
                    config.tell(|| Event::TransportFailed { id, error });
                    CloseReason::TransportFailed
                }
            })?);
        }
        Ok(socket)
    }
}

impl Transport for Socket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (life, timeout) = (&*self.life, self.read_timeout);
        match &mut self.wrapped {
            None => {
                if cfg!(windows) {
                    patiently(life, timeout, &mut || self.tcp.peek(&mut [0]))?;
                }
                self.tcp.read(buf)
            }
            Some(wrapped) => {
                life.watch(timeout);
                let read = patiently(life, timeout, &mut || wrapped.read(buf));
                life.watch(None);
                read
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrapped = match &mut self.wrapped {
            None => return self.tcp.write(bytes),
            Some(wrapped) => wrapped,
        };
        self.life.watch(self.write_timeout);
        let mut sent = wrapped.write(bytes.get(..OUTPUT_BYTES).unwrap_or(bytes));
        while let Err(error) = wrapped.flush() {
            if error.kind() != ErrorKind::Interrupted {
                sent = sent.and(Err(error));
                break;
            }
        }
        self.life.watch(None);
        sent
    }

    fn set_read_timeout(&mut self, timeout: Timeout) -> io::Result<()> {
        self.read_timeout = timeout;
        let tick = timeout.map_or(TICK, |timeout| timeout.min(TICK));
        self.tcp
            .set_read_timeout(if cfg!(windows) { Some(tick) } else { timeout })
    }

    fn set_write_timeout(&mut self, timeout: Timeout) -> io::Result<()> {
        self.write_timeout = timeout;
        self.tcp.set_write_timeout(timeout)
    }

    fn shut_down(&mut self, direction: Shutdown) {
        if direction == Shutdown::Write {
            self.life.watch(self.write_timeout);
            self.wrapped = None;
            self.life.watch(None);
        }
        shut_down(&self.tcp, direction);
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        match self.wrapped {
            None => Ok(self.tcp),
            Some(_) => Err(self),
        }
    }
}

/// How long a read blocks at most on Windows, where a shutdown does not wake one that is blocked already.
const TICK: Duration = Duration::from_millis(100);

/// The errors of a timeout, on Unix and on Windows.
const TIMEOUTS: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// Reads again after each tick, on Windows, until there is something, the timeout is over, or a stop has come.
fn patiently(life: &Life, timeout: Timeout, read: &mut Once<'_>) -> io::Result<usize> {
    let began = Instant::now();
    loop {
        let is_over = !cfg!(windows)
            || life.end_reason().is_some()
            || timeout.map_or(false, |timeout| began.elapsed() >= timeout);
        match read() {
            Err(error) if !is_over && TIMEOUTS.contains(&error.kind()) => {}
            read => return read,
        }
    }
}

/// The size at which the input buffer starts; it grows while a head does not fit.
const INPUT_BYTES: usize = 4 * 1024;

/// How much output is collected before it is written.
pub(crate) const OUTPUT_BYTES: usize = 16 * 1024;

/// How far a transfer may fall behind its rate, in time blocked: at first, and at most after it has been faster.
const RATE_GRACE: Duration = Duration::from_secs(5);
const RATE_CREDIT: Duration = Duration::from_secs(30);

/// `None` waits for ever.
pub(crate) type Timeout = Option<Duration>;

pub(crate) struct Stream {
    transport: Box<dyn Transport>,
    pub(crate) life: Arc<Life>,
    /// What has been read; from `start` to `end` it has not been consumed.
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    /// What the socket's read timeout was last set to; outer `None`: never.
    read_timeout: Option<Timeout>,
    read_pace: Pace,
    write_pace: Pace,
    /// What writing has come to: behind a hole, nothing may follow.
    written: Result<(), CloseReason>,
}

impl Stream {
    pub(crate) fn new(transport: Box<dyn Transport>, config: &Builder, life: &Arc<Life>) -> Stream {
        let min_rate = config.min_rate.unwrap_or(0);
        Stream {
            transport,
            life: Arc::clone(life),
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            read_timeout: None,
            read_pace: Pace::new(min_rate),
            write_pace: Pace::new(min_rate),
            written: Ok(()),
        }
    }

    /// What has been read and not been consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Starts to measure the rates of a new request's body and of its response's.
    pub(crate) fn begin_exchange(&mut self) {
        (self.read_pace.left, self.write_pace.left) = (RATE_GRACE, RATE_GRACE);
        self.read_pace.note(self.buffered().len(), Duration::ZERO);
    }

    /// Gives memory back before a long wait.
    pub(crate) fn rest(&mut self) {
        self.output.shrink_to(1024);
        if self.input.len() > INPUT_BYTES && self.buffered().is_empty() {
            (self.input, self.start, self.end) = Default::default();
        }
    }

    /// Waits for more input and adds it to the buffer, which its readers bound; zero is the end of it.
    pub(crate) fn fill(&mut self, timeout: Timeout) -> Result<usize, CloseReason> {
        self.before_read(timeout)?;
        self.input.copy_within(self.start..self.end, 0); // little, as more is needed
        (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        if self.end == self.input.len() {
            let size = self.end.saturating_mul(2).max(INPUT_BYTES);
            self.input.resize(size, 0);
        }
        let free = self.input.get_mut(self.end..).unwrap_or_default();
        let mut read = || self.transport.receive(free);
        let n = self.read_pace.time(&mut read, CloseReason::BodyTimeout)?;
        self.end = self.end.saturating_add(n);
        self.life.count(n, 0);
        Ok(n)
    }

    /// Reads what is buffered, or else more; a large piece goes without the buffer between. Zero is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8], timeout: Timeout) -> Result<usize, CloseReason> {
        if self.buffered().is_empty() {
            if buf.len() >= INPUT_BYTES {
                self.before_read(timeout)?;
                let mut read = || self.transport.receive(buf);
                let n = self.read_pace.time(&mut read, CloseReason::BodyTimeout)?;
                self.life.count(n, 0);
                return Ok(n);
            }
            self.fill(timeout)?;
        }
        Ok(self.take(buf))
    }

    /// Moves what fits of what is buffered.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        let n = self.buffered().read(buf).unwrap_or(0); // a slice does not fail
        self.consume(n);
        n
    }

    /// Reads without a clock: first what is buffered.
    pub(crate) fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.buffered().is_empty() {
            return Ok(self.take(buf));
        }
        let n = self.transport.receive(buf)?;
        self.life.count(n, 0);
        Ok(n)
    }

    /// Writes without a clock and without collecting.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.transport.send(bytes)?;
        self.life.count(0, n);
        Ok(n)
    }

    pub(crate) fn set_timeouts(&mut self, read: Timeout, write: Timeout) -> io::Result<()> {
        self.transport.set_read_timeout(read)?;
        self.transport.set_write_timeout(write)
    }

    /// The socket and what has been read too far, unless a transport stands between.
    pub(crate) fn into_tcp(mut self: Box<Self>) -> Result<(TcpStream, Vec<u8>), Box<Stream>> {
        match self.transport.into_tcp() {
            Ok(tcp) => {
                self.input.truncate(self.end);
                self.input.drain(..self.start);
                Ok((tcp, self.input))
            }
            Err(transport) => {
                self.transport = transport;
                Err(self)
            }
        }
    }

    fn before_read(&mut self, timeout: Timeout) -> Result<(), CloseReason> {
        self.flush()?;
        if self.read_timeout != Some(timeout) {
            let set = self.transport.set_read_timeout(timeout);
            set.or(Err(CloseReason::PeerLost))?;
            self.read_timeout = Some(timeout);
        }
        Ok(())
    }

    /// Whether the body that is being read has come too slowly so far.
    pub(crate) fn reads_too_slowly(&self) -> bool {
        self.read_pace.left.is_zero()
    }

    /// The buffer that output is collected in, for those who make it in place.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Adds to the output; it leaves with the next [`flush`](Stream::flush), or when it is much.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        if self.output.len().saturating_add(bytes.len()) > OUTPUT_BYTES {
            self.flush()?;
            if bytes.len() > OUTPUT_BYTES {
                return self.write(bytes); // without a copy
            }
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes all that has been collected.
    pub(crate) fn flush(&mut self) -> Result<(), CloseReason> {
        let mut output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        output.clear();
        self.output = output;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        if self.written.is_ok() {
            self.written = self.write_all(bytes);
        }
        self.written
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), CloseReason> {
        while !bytes.is_empty() {
            let (mut write, timeout) = (|| self.transport.send(bytes), CloseReason::WriteTimeout);
            if self.write_pace.left.is_zero() {
                return Err(timeout);
            }
            let n = self.write_pace.time(&mut write, timeout)?;
            if n == 0 {
                return Err(CloseReason::PeerLost);
            }
            self.life.count(0, n);
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends one direction. Of what would be read, Linux still gives what it holds already.
    pub(crate) fn shut_down(&mut self, direction: Shutdown) {
        self.transport.shut_down(direction);
    }
}

type Once<'a> = dyn FnMut() -> io::Result<usize> + 'a;

/// How much longer a transfer may be blocked: every byte earns its part of a second. A handler's own time is free.
struct Pace {
    rate: u32,
    left: Duration,
}

impl Pace {
    fn new(rate: u32) -> Pace {
        let left = RATE_GRACE;
        Pace { rate, left }
    }

    /// Reads or writes once, and tells what an error means, which is `timeout` if nothing moved for too long.
    fn time(&mut self, once: &mut Once<'_>, timeout: CloseReason) -> Result<usize, CloseReason> {
        let began = Instant::now();
        let n = loop {
            match once() {
                Ok(n) => break n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if TIMEOUTS.contains(&error.kind()) => return Err(timeout),
                Err(_) => return Err(CloseReason::PeerLost),
            }
        };
        self.note(n, began.elapsed());
        Ok(n)
    }

    fn note(&mut self, bytes: usize, blocked: Duration) {
        let bytes = Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX));
        let earned = bytes.checked_div(self.rate).unwrap_or(Duration::MAX); // with no rate, all is fast enough
        let left = self.left.saturating_add(earned).saturating_sub(blocked);
        self.left = left.min(RATE_CREDIT);
    }
}

#[cfg(test)]
mod tests;
