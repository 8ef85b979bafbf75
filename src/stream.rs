//! A connection's bytes: one buffer in each direction, and the clocks that bound every wait.
//!
//! 1. Output is collected and leaves before anything waits for input, so that the answers to pipelined requests leave
//!    together: while one of their handlers runs, those to the requests before it may still be here.
//! 2. A socket's timeouts are set only when they change: a request that comes in one piece costs one read, one write.
//! 3. What ends a transfer is named as the reason of an end; a read that timed out is `BodyTimeout`, of whatever.
//! 4. What was read too far stays in the buffer and is the next to be read.

use super::transport::{Timeout, Transport, TIMEOUTS};
use super::{date::Date, life::Life, Builder, CloseReason};
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The size at which the input buffer starts; it grows while a head does not fit.
const INPUT_BYTES: usize = 4 * 1024;

/// How much output is collected before it is written.
pub(crate) const OUTPUT_BYTES: usize = 16 * 1024;

/// How much is written at a time: on Linux, a write of many times that takes half as long again.
pub(crate) const PIECE_BYTES: usize = 128 * 1024;

/// How far a transfer may fall behind its rate, in time blocked: at first, and at most after it has been faster.
const RATE_GRACE: Duration = Duration::from_secs(5);
const RATE_CREDIT: Duration = Duration::from_secs(30);

pub(crate) struct Stream {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) life: Arc<Life>,
    /// What has been read; from `start` to `end` it has not been consumed.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to be written: it leaves with the next [`flush`](Stream::flush), or when it is much.
    pub(crate) output: Vec<u8>,
    pub(crate) date: Date,
    /// What the socket's read timeout was last set to; outer `None`: never.
    read_timeout: Option<Timeout>,
    read_pace: Pace,
    write_pace: Pace,
    /// What writing has come to: behind a hole, nothing may follow.
    pub(crate) written: Result<(), CloseReason>,
}

impl Stream {
    pub(crate) fn new(transport: Box<dyn Transport>, config: &Builder, life: &Arc<Life>) -> Stream {
        let (input, start, end) = Default::default();
        let (life, output, read_timeout, written) = (Arc::clone(life), Vec::new(), None, Ok(()));
        let date = Date::default();
        let (read_pace, write_pace) = (Pace::new(0), Pace::new(config.min_rate.unwrap_or(0)));
        Stream { transport, life, input, start, end, output, date, read_timeout, read_pace, write_pace, written }
    }

    /// What has been read and not been consumed.
    pub(crate) fn buffered(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Starts to measure the rates of a new request's body, if it has one, and of its response's.
    pub(crate) fn begin_exchange(&mut self, has_body: bool) {
        self.write_pace.left = RATE_GRACE;
        self.read_pace = Pace::new(if has_body { self.write_pace.rate } else { 0 });
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
            self.input.resize(self.end.saturating_mul(2).max(INPUT_BYTES), 0);
        }
        let free = self.input.get_mut(self.end..).unwrap_or_default();
        let n = self.read_pace.time(|| self.transport.receive(free), CloseReason::BodyTimeout)?;
        self.end = self.end.saturating_add(n);
        Ok(n)
    }

    /// Reads what is buffered, or else more; a large piece goes without the buffer between. Zero is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8], timeout: Timeout) -> Result<usize, CloseReason> {
        if self.buffered().is_empty() {
            if buf.len() >= INPUT_BYTES {
                self.before_read(timeout)?;
                return self.read_pace.time(|| self.transport.receive(buf), CloseReason::BodyTimeout);
            }
            self.fill(timeout)?;
        }
        let n = self.buffered().read(buf).unwrap_or(0); // a slice does not fail
        self.consume(n);
        Ok(n)
    }

    fn before_read(&mut self, timeout: Timeout) -> Result<(), CloseReason> {
        self.flush()?;
        if self.read_timeout != Some(timeout) {
            self.transport.set_read_timeout(timeout).or(Err(CloseReason::PeerLost))?;
            self.read_timeout = Some(timeout);
        }
        Ok(())
    }

    /// Whether the body that is being read has come too slowly so far.
    pub(crate) fn reads_too_slowly(&self) -> bool {
        self.read_pace.left.is_zero()
    }

    /// Adds to the output.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        let free = OUTPUT_BYTES.saturating_sub(self.output.len());
        if bytes.len() <= free {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        // A head leaves with the beginning of its body, not in a packet of its own; the rest goes without a copy. (One
        // write of two buffers would be `writev`, which std does not keep from raising SIGPIPE.)
        let (first, rest) = bytes.split_at(if self.output.is_empty() { 0 } else { free });
        self.output.extend_from_slice(first);
        self.flush()?;
        if rest.len() > OUTPUT_BYTES {
            return self.write(rest);
        }
        self.output.extend_from_slice(rest);
        Ok(())
    }

    /// Writes what has been collected if it is as much as may be. A head is added without being asked how long it is, so
    /// those of responses without a body would pile up for as many requests as have been read.
    pub(crate) fn flush_if_full(&mut self) -> Result<(), CloseReason> {
        if self.output.len() < OUTPUT_BYTES {
            return Ok(());
        }
        self.flush()
    }

    /// Writes all that has been collected.
    pub(crate) fn flush(&mut self) -> Result<(), CloseReason> {
        let mut output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        output.clear();
        self.output = output;
        written
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), CloseReason> {
        while self.written.is_ok() && !bytes.is_empty() {
            let (piece, late) = (bytes.get(..PIECE_BYTES).unwrap_or(bytes), CloseReason::WriteTimeout);
            let sent = match self.write_pace.left.is_zero() {
                true => Err(late),
                false => self.write_pace.time(|| self.transport.send(piece), late),
            };
            match sent {
                Ok(0) => self.written = Err(CloseReason::PeerLost),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(reason) => self.written = Err(reason),
            }
        }
        self.written
    }
}

/// How much longer a transfer may be blocked: every byte earns its part of a second. A handler's own time is free.
struct Pace {
    /// Zero: all is fast enough, and no clock is read. So it is unless a request has a body: heads have their own time.
    rate: u32,
    left: Duration,
}

impl Pace {
    fn new(rate: u32) -> Pace {
        Pace { rate, left: RATE_GRACE }
    }

    /// Reads or writes once, and tells what an error means, which is `late` if nothing moved for too long.
    fn time(&mut self, mut once: impl FnMut() -> io::Result<usize>, late: CloseReason) -> Result<usize, CloseReason> {
        let began = (self.rate > 0).then(Instant::now);
        let n = loop {
            match once() {
                Ok(n) => break n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if TIMEOUTS.contains(&error.kind()) => {
                    self.note(0, began.map_or(Duration::ZERO, |began| began.elapsed()));
                    return Err(late);
                }
                Err(_) => return Err(CloseReason::PeerLost),
            }
        };
        if let Some(began) = began {
            self.note(n, began.elapsed());
        }
        Ok(n)
    }

    fn note(&mut self, bytes: usize, blocked: Duration) {
        let bytes = Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX));
        let earned = bytes.checked_div(self.rate).unwrap_or(Duration::MAX);
        let left = self.left.saturating_add(earned).saturating_sub(blocked);
        self.left = left.min(RATE_CREDIT);
    }
}

#[cfg(test)]
mod tests;
