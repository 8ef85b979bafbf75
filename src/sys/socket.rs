//! One connection's socket: its modes, reading, writing and ending it.
//!
//! On Windows, a shutdown does not wake a call that is already blocked (rust-lang/rust#121594). So
//! no call blocks there for longer than a tick, and between two ticks `is_stopped` is asked.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The longest timeout that is given to the system, which a longer one counts as: 24 days.
///
/// DragonFly and older versions of FreeBSD refuse a timeout of more than `i32::MAX` ticks of a
/// millisecond, which are 24.8 days, with `EDOM`. Windows counts milliseconds in 32 bits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// How long a read blocks at most on Windows.
const TICK: Duration = Duration::from_millis(100);

/// How long a write waits at a time, at most and at least. In between, it is a small part of the
/// timeout, which a write exceeds by one tick at most.
const WRITE_TICK: Duration = Duration::from_secs(1);
const SHORTEST_WRITE_TICK: Duration = Duration::from_millis(1);
const WRITE_TICKS: u32 = 30;

/// How long a write sleeps at most on Windows when the system takes nothing.
const LONGEST_NAP: Duration = Duration::from_millis(10);

/// Prepares an accepted socket: it blocks, and small writes leave at once.
pub(crate) fn prepare(tcp: &TcpStream) -> io::Result<()> {
    // On Linux and Android, an accepted socket is blocking. Elsewhere it may inherit the listener's
    // mode.
    if cfg!(not(any(target_os = "linux", target_os = "android"))) {
        tcp.set_nonblocking(false)?;
    }
    let _ = tcp.set_nodelay(true); // without it, only speed is lost
    Ok(())
}

/// Ends one direction, or both.
///
/// After `Shutdown::Read`, Linux still delivers what it has queued. Windows would reset the
/// connection: there, this does nothing, and a blocked read learns of the stop by its tick.
pub(crate) fn shut_down(tcp: &TcpStream, how: Shutdown) {
    if cfg!(windows) && how == Shutdown::Read {
        return;
    }
    let ended = tcp.shutdown(how);
    // The peer may already be gone. Apple's systems also fail if reading has ended before, as after
    // the peer's last byte, and then leave writing as it is (`soshutdownlock_final` in xnu's
    // uipc_socket.c). A blocked write would go on.
    if ended.is_err() && how == Shutdown::Both {
        let _ = tcp.shutdown(Shutdown::Write); // it may have ended as well
    }
}

/// Returns whether a read or write failed because its timeout was over.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock => true,
        // Windows says so, and a transport of the user's may. Any other system says so of a
        // connection that it has given up, as its packets were not acknowledged.
        ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

/// Sets the read timeout for [`read`]. `None` waits for ever.
pub(crate) fn set_read_timeout(tcp: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    if cfg!(windows) {
        let tick = timeout.map_or(TICK, |timeout| timeout.min(TICK));
        return set_whole_read_timeout(tcp, Some(tick));
    }
    set_whole_read_timeout(tcp, timeout)
}

/// Sets the write timeout for [`write()`]. `None` waits for ever.
pub(crate) fn set_write_timeout(tcp: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    let tick = match timeout {
        Some(timeout) => (timeout / WRITE_TICKS)
            .clamp(SHORTEST_WRITE_TICK, WRITE_TICK)
            .min(timeout),
        None => WRITE_TICK,
    };
    set_whole_write_timeout(tcp, Some(tick))
}

/// Sets the read timeout for code that reads the socket itself, such as a transport.
pub(crate) fn set_whole_read_timeout(tcp: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| timeout.min(LONGEST_TIMEOUT));
    unless_ended(tcp.set_read_timeout(timeout))
}

/// Sets the write timeout for code that writes to the socket itself.
pub(crate) fn set_whole_write_timeout(
    tcp: &TcpStream,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let timeout = timeout.map(|timeout| timeout.min(LONGEST_TIMEOUT));
    unless_ended(tcp.set_write_timeout(timeout))
}

/// Takes no notice of a socket that refuses a timeout because it has ended.
///
/// Apple's systems do that, with `EINVAL`, once both directions have ended (`sosetoptlock` in xnu's
/// uipc_socket.c). Such a socket never blocks: a read returns what has come and then the end, and a
/// write fails. What has come may be the rest of a request, without which its sender would get a
/// reset instead of the response.
///
/// illumos and Solaris do it once writing has ended (`so_setsockopt` in illumos's
/// sockcommon_sops.c). A read may still block, for as long as the timeout that was set before.
///
/// POSIX allows it of any system (setsockopt: "the socket has been shut down"). Nothing else is
/// wrong with the timeout: it comes from std, which refuses one of zero by itself.
fn unless_ended(set: io::Result<()>) -> io::Result<()> {
    let error = match set {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let is_of_system = error.raw_os_error().is_some();
    if is_of_system && error.kind() == ErrorKind::InvalidInput {
        return Ok(());
    }
    Err(error)
}

/// Prepares a socket for the user, with the timeouts themselves instead of the ticks.
pub(crate) fn give_away(
    tcp: &TcpStream,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
) {
    // The user may set other ones.
    if cfg!(windows) {
        let _ = set_whole_read_timeout(tcp, read_timeout);
    }
    let _ = set_whole_write_timeout(tcp, write_timeout);
}

/// Reads once, within the timeout that was set. On Windows, ends when `is_stopped` says so.
pub(crate) fn read(
    mut tcp: &TcpStream,
    buf: &mut [u8],
    timeout: Option<Duration>,
    is_stopped: impl Fn() -> bool,
) -> io::Result<usize> {
    if cfg!(windows) {
        // A read that times out there may have lost bytes, a peek has not.
        return retry_until(timeout, is_stopped, |_| {
            tcp.peek(&mut [0])?;
            tcp.read(buf)
        });
    }
    tcp.read(buf)
}

/// What can be seen of a peer without reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// It is there, as far as can be seen. What it has sent and nobody has read hides its end.
    Present,
    /// Nothing more will come: the peer has ended its writing side, or this side has stopped
    /// reading.
    Ended,
    /// The connection broke.
    Lost,
}

/// Looks at the peer. Neither waits nor takes anything that it has sent.
///
/// A lost peer is reported once, after which it has ended: the system forgets the error.
///
/// The socket and all its clones do not block meanwhile. So nobody else may read or write.
pub(crate) fn peer_state(tcp: &TcpStream) -> PeerState {
    if tcp.set_nonblocking(true).is_err() {
        return PeerState::Present; // a peek might block
    }
    let peeked = tcp.peek(&mut [0]);
    if tcp.set_nonblocking(false).is_err() {
        return PeerState::Lost; // no timeout would hold any more
    }
    match peeked {
        Ok(0) => PeerState::Ended,
        Ok(_) => PeerState::Present,
        // A connection that the system has given up fails with `TimedOut`, which is not this.
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => PeerState::Present,
            _ => PeerState::Lost,
        },
    }
}

/// Writes once, until the timeout is over since `began`. On Windows, ends when `is_stopped` says
/// so.
///
/// Waits for a tick at a time. A wait of Linux ends early only if a third of the system's buffer
/// has become free, which may be a megabyte. The next call finds what has become free since, so
/// that a slow reader is seen to read.
pub(crate) fn write(
    mut tcp: &TcpStream,
    bytes: &[u8],
    began: Instant,
    timeout: Option<Duration>,
    is_stopped: impl Fn() -> bool,
) -> io::Result<usize> {
    if cfg!(windows) {
        return retry_until(timeout, is_stopped, |began| {
            write_nonblocking(tcp, bytes, began)
        });
    }
    loop {
        match tcp.write(bytes) {
            Err(error) if is_timeout(&error) && !has_lasted(began, timeout) => {}
            written => return written,
        }
    }
}

/// Returns whether this time has passed since then.
fn has_lasted(began: Instant, timeout: Option<Duration>) -> bool {
    timeout.map_or(false, |timeout| began.elapsed() >= timeout)
}

/// Reads or writes through a transport. On Windows: again after each tick, until something moves,
/// the timeout is over, or `is_stopped` says so, which is reported as the end.
pub(crate) fn retry_until(
    timeout: Option<Duration>,
    is_stopped: impl Fn() -> bool,
    mut attempt: impl FnMut(Instant) -> io::Result<usize>,
) -> io::Result<usize> {
    let began = Instant::now();
    loop {
        // Asked before the last attempt, so that what has come by then is taken.
        let is_last = is_stopped();
        let error = match attempt(began) {
            Ok(n) => return Ok(n),
            Err(error) => error,
        };
        if !cfg!(windows) || !is_timeout(&error) {
            return Err(error);
        }
        if is_last {
            return Ok(0);
        }
        if has_lasted(began, timeout) {
            return Err(error);
        }
    }
}

/// Writes what the system takes now, or sleeps for a moment.
///
/// On Windows, a write that times out may have sent a part of its bytes without saying how many.
fn write_nonblocking(mut tcp: &TcpStream, bytes: &[u8], began: Instant) -> io::Result<usize> {
    tcp.set_nonblocking(true)?;
    let written = tcp.write(bytes);
    tcp.set_nonblocking(false)?;
    if written.is_err() {
        // The sleep doubles with the time that the write has waited.
        thread::sleep(began.elapsed().min(LONGEST_NAP));
    }
    written
}

#[cfg(test)]
mod tests;
