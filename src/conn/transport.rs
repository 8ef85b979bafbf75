//! What carries a connection's bytes: its socket, and what the user's transport makes of it.
//!
//! 1. The socket stays in the registry whatever is wrapped around it. A stop cuts the socket, and
//!    every call into the transport ends.
//! 2. A socket's timeout does not bound a call that reads or writes more than once, as TLS does for
//!    a record. So the accept loop watches such calls, and cuts a connection whose call has not
//!    returned in time.

use super::super::config::{TransportHook, Wrapped};
use super::super::error::BoxError;
use super::super::event::{CloseReason, ConnectionState, Event};
use super::super::lifecycle::{Entry, Registration};
use super::super::sys::socket::{self, PeerState};
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much too early a system may end a wait: one tick of its clock.
const CLOCK_TICK: Duration = Duration::from_millis(16);

/// How long the handshake of a client that is to be refused may take, because it holds one of the
/// few threads for refusals. Any new client is spared for as long.
const REFUSED_HANDSHAKE: Duration = Duration::from_secs(1);

/// How much is given to a transport at a time. Its call is watched as one write.
const WRAPPED_BYTES: usize = 16 * 1024;

/// Besides a socket, this is memory in `Builder::answer`. Tests and the fuzzer have transports of
/// their own, which break wherever they want.
pub(crate) trait Transport: Send {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes once, within the write timeout.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Writes once, within `limit` of `began` instead of the write timeout. A transport whose calls
    /// cannot be repeated after a timeout keeps to the write timeout.
    fn send_within(
        &mut self,
        bytes: &[u8],
        _began: Instant,
        _limit: Option<Duration>,
    ) -> io::Result<usize> {
        self.send(bytes)
    }
    /// Sets the read timeout. `None` waits for ever.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;
    /// Sets the write timeout. `None` waits for ever.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;
    fn shut_down(&mut self, direction: Shutdown);
    /// Looks at the client, without waiting and without reading. One that is lost stays lost.
    fn peer_state(&self) -> PeerState {
        PeerState::Present
    }
    /// Returns the socket, if nothing stands between it and the bytes.
    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>>;
}

pub(crate) struct Socket {
    tcp: TcpStream,
    /// The user's transport. Dropping it says goodbye; what the client sends after that is read
    /// from the socket, and discarded.
    wrapped: Option<Box<dyn Wrapped>>,
    entry: Arc<Entry>,
    /// Set if a look has found the connection broken. The system reports that once.
    is_lost: Cell<bool>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Socket {
    /// Gives the socket the modes that bound every wait, and has the transport make its handshake.
    pub(crate) fn open(
        tcp: TcpStream,
        registration: &Registration,
        hook: Option<&TransportHook>,
    ) -> Result<Box<dyn Transport>, CloseReason> {
        let config = &registration.registry.config;
        socket::prepare(&tcp).or(Err(CloseReason::SetupFailed))?;
        let mut wrapped = None;
        if let Some(hook) = hook {
            socket::set_whole_write_timeout(&tcp, config.write_timeout)
                .or(Err(CloseReason::SetupFailed))?;
            wrapped = Some(wrap(&tcp, registration, hook)?);
        } else {
            socket::set_write_timeout(&tcp, config.write_timeout)
                .or(Err(CloseReason::SetupFailed))?;
        }
        Ok(Box::new(Socket {
            tcp,
            wrapped,
            entry: Arc::clone(&registration.entry),
            is_lost: Cell::new(false),
            read_timeout: None,
            write_timeout: config.write_timeout,
        }))
    }

    /// Fails if a look has found the connection broken. The system reports that once only, and the
    /// look has taken the report.
    fn unless_lost(&self) -> io::Result<()> {
        if self.is_lost.get() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// Returns how long the handshake may take.
fn handshake_timeout(registration: &Registration) -> Option<Duration> {
    let timeout = registration.registry.config.header_timeout;
    if !registration.entry.is_refused() {
        return timeout;
    }
    Some(timeout.map_or(REFUSED_HANDSHAKE, |timeout| timeout.min(REFUSED_HANDSHAKE)))
}

/// Calls the user's hook, and has its transport make the handshake, within its timeout.
fn wrap(
    tcp: &TcpStream,
    registration: &Registration,
    hook: &TransportHook,
) -> Result<Box<dyn Wrapped>, CloseReason> {
    let entry = &registration.entry;
    let timeout = handshake_timeout(registration);
    socket::set_whole_read_timeout(tcp, timeout).or(Err(CloseReason::SetupFailed))?;
    let clone = tcp.try_clone().or(Err(CloseReason::SetupFailed))?;
    entry.enter(ConnectionState::Handshake)?;
    let error = {
        let _watchdog = entry.watch(timeout);
        match make_transport(clone, registration, hook, timeout) {
            Ok(wrapped) => return Ok(wrapped),
            Err(error) => error,
        }
    };
    if let Some(error) = error.downcast_ref::<io::Error>() {
        if socket::is_timeout(error) {
            return Err(CloseReason::HeadTimeout);
        }
    }
    if entry.end_reason().is_some() {
        return Err(CloseReason::Destroyed);
    }
    registration.events.emit(|| Event::TransportFailed {
        id: entry.id,
        error,
    });
    Err(CloseReason::TransportFailed)
}

fn make_transport(
    tcp: TcpStream,
    registration: &Registration,
    hook: &TransportHook,
    timeout: Option<Duration>,
) -> Result<Box<dyn Wrapped>, BoxError> {
    let began = Instant::now();
    let mut wrapped = hook(tcp, registration.entry.id)?;
    // A lazy transport makes its handshake now.
    flush(&mut *wrapped)?;
    // A transport may not report that a read has timed out. rustls does not, in some cases.
    if let Some(limit) = timeout {
        let limit = limit.max(CLOCK_TICK * 2) - CLOCK_TICK;
        if began.elapsed() >= limit {
            return Err(io::Error::from(ErrorKind::TimedOut).into());
        }
    }
    Ok(wrapped)
}

impl Transport for Socket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.unless_lost()?;
        let entry = &self.entry;
        // A drain ends the reading side as well, so its reason counts.
        let is_stopped = || entry.end_reason().is_some();
        let n = match &mut self.wrapped {
            Some(wrapped) => {
                let _watchdog = entry.watch(self.read_timeout);
                socket::retry_until(self.read_timeout, is_stopped, |_| wrapped.read(buf))?
            }
            None => socket::read(&self.tcp, buf, self.read_timeout, is_stopped)?,
        };
        entry.count_received(n);
        Ok(n)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_within(bytes, Instant::now(), self.write_timeout)
    }

    fn send_within(
        &mut self,
        bytes: &[u8],
        began: Instant,
        limit: Option<Duration>,
    ) -> io::Result<usize> {
        self.unless_lost()?;
        let entry = &self.entry;
        let n = match &mut self.wrapped {
            Some(wrapped) => {
                let piece = bytes.get(..WRAPPED_BYTES).unwrap_or(bytes);
                let _watchdog = entry.watch(self.write_timeout);
                let n = wrapped.write(piece)?;
                flush(&mut **wrapped)?;
                n
            }
            None => socket::write(&self.tcp, bytes, began, limit, || entry.is_cut())?,
        };
        entry.count_sent(n);
        Ok(n)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        socket::set_read_timeout(&self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = timeout;
        match self.wrapped {
            Some(_) => socket::set_whole_write_timeout(&self.tcp, timeout),
            None => socket::set_write_timeout(&self.tcp, timeout),
        }
    }

    fn shut_down(&mut self, direction: Shutdown) {
        if direction == Shutdown::Write {
            let _watchdog = self.entry.watch(self.write_timeout);
            self.wrapped = None;
        }
        socket::shut_down(&self.tcp, direction);
    }

    fn peer_state(&self) -> PeerState {
        if self.is_lost.get() {
            return PeerState::Lost;
        }
        // Between two calls, the user's transport does not use the socket.
        let state = socket::peer_state(&self.tcp);
        self.is_lost.set(state == PeerState::Lost);
        state
    }

    fn into_tcp(self: Box<Self>) -> Result<TcpStream, Box<dyn Transport>> {
        if self.wrapped.is_some() {
            return Err(self);
        }
        socket::give_away(&self.tcp, self.read_timeout, self.write_timeout);
        Ok(self.tcp)
    }
}

/// Flushes. The write before it is not repeated when a signal interrupts the flush.
fn flush(wrapped: &mut dyn Wrapped) -> io::Result<()> {
    loop {
        match wrapped.flush() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}
