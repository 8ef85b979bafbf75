//! A connection's bytes: one buffer in each direction, and the clocks that bound every wait.
//!
//! 1. Output is collected, and leaves before anything waits for input. So the responses to
//!    pipelined requests leave together, and one may still be here while the next handler runs.
//! 2. A socket's timeout is set only when it changes. A request that comes in one piece costs one
//!    read and one write.
//! 3. What has been read too far stays in the buffer, and is read next.
//! 4. A response of which nothing has been written can be taken back. The ones before it stay.

use super::super::config::Config;
use super::super::event::CloseReason;
use super::super::lifecycle::Entry;
use super::super::sys::socket::{is_timeout, PeerState};
use super::rate::MinRate;
use super::transport::Transport;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The size at which the input buffer starts, which is enough for most request heads.
const FIRST_INPUT_BYTES: usize = 1024;

/// The least size of the input buffer once a read has filled it. It grows while a request head does
/// not fit.
const INPUT_BYTES: usize = 4 * 1024;

/// The size at which the output buffer starts, which is enough for a response of a few words. A
/// buffer that started empty would leave pieces of free memory behind as it grows.
const FIRST_OUTPUT_BYTES: usize = 160;

/// How much output is collected before it is written.
pub(super) const OUTPUT_BYTES: usize = 16 * 1024;

/// How much is written at a time. On Linux, a write of many times that takes half as long again.
const PIECE_BYTES: usize = 512 * 1024;

/// How much output memory an idle connection keeps.
const IDLE_OUTPUT_BYTES: usize = 1024;

/// Why a read or a write has moved nothing. The public reason is decided by the connection's
/// driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IoEnd {
    /// No byte came within the timeout, or they came more slowly than the least rate.
    ReadTimedOut,
    /// No byte was taken within the timeout, or they were taken more slowly than the least rate.
    WriteTimedOut,
    /// The connection broke.
    Lost,
}

impl From<IoEnd> for CloseReason {
    fn from(end: IoEnd) -> CloseReason {
        match end {
            IoEnd::ReadTimedOut => CloseReason::BodyTimeout,
            IoEnd::WriteTimedOut => CloseReason::WriteTimeout,
            IoEnd::Lost => CloseReason::PeerLost,
        }
    }
}

/// The read timeout that the socket has.
#[derive(PartialEq)]
enum ReadTimeout {
    Unknown,
    Is(Option<Duration>),
}

pub(super) struct Stream {
    pub(super) transport: Box<dyn Transport>,
    pub(super) entry: Arc<Entry>,
    /// What has been read. The bytes from `start` to `end` have not been consumed.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to be written.
    output: Vec<u8>,
    /// Where the last response begins in the output. `None` once any of it may have left.
    response_start: Option<usize>,
    read_timeout: ReadTimeout,
    write_rate: MinRate,
    /// When the last write ended.
    written_at: Instant,
    /// Whether all output could be written. After a failure, a client would take what follows for
    /// something else, so nothing more is sent.
    written: Result<(), IoEnd>,
}

impl Stream {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        config: &Config,
        entry: &Arc<Entry>,
    ) -> Stream {
        Stream {
            transport,
            entry: Arc::clone(entry),
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::with_capacity(FIRST_OUTPUT_BYTES),
            response_start: None,
            read_timeout: ReadTimeout::Unknown,
            write_rate: MinRate::of_response(config.write_timeout, config.min_rate),
            written_at: Instant::now(),
            written: Ok(()),
        }
    }

    /// Returns what has been read and not been consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
    }

    /// Starts to measure the rate of a new request's response.
    pub(super) fn begin_exchange(&mut self) {
        self.write_rate.refill();
    }

    /// Returns memory before a long wait.
    pub(super) fn shrink(&mut self) {
        self.output.shrink_to(IDLE_OUTPUT_BYTES);
        if self.input.capacity() > INPUT_BYTES && self.buffered().is_empty() {
            self.input = Vec::new();
            self.start = 0;
            self.end = 0;
        }
    }

    /// Waits for more input and adds it to the buffer, which its readers bound. Zero is the end.
    pub(super) fn fill(&mut self, timeout: Option<Duration>) -> Result<usize, IoEnd> {
        self.fill_at_rate(&mut MinRate::unlimited(), timeout)
    }

    /// Waits as [`fill`](Stream::fill) does, but for no longer than the rate allows.
    pub(super) fn fill_at_rate(
        &mut self,
        rate: &mut MinRate,
        timeout: Option<Duration>,
    ) -> Result<usize, IoEnd> {
        let limit = self.bound_read(rate, timeout)?;
        let is_full = self.end == self.input.len();
        // Little is moved, because its reader could not go on with it. Most often, nothing is.
        if self.start < self.end {
            self.input.copy_within(self.start..self.end, 0);
        }
        self.end -= self.start;
        self.start = 0;
        if is_full {
            self.grow_input();
        }
        let free = self.input.get_mut(self.end..).unwrap_or_default();
        let n = receive(&mut *self.transport, rate, limit, free)?;
        self.end += n;
        Ok(n)
    }

    /// Grows the input buffer, which is full, unless it is large enough.
    fn grow_input(&mut self) {
        let least = if self.input.is_empty() {
            FIRST_INPUT_BYTES
        } else {
            INPUT_BYTES.max(self.end * 2)
        };
        if self.input.len() < least {
            self.input.resize(least, 0);
        }
    }

    /// Reads what is buffered, or else more: at most `wanted` bytes. Zero is the end.
    ///
    /// A large piece goes past the buffer. If there is more room in `buf` than is wanted, it is
    /// read into as well, and what has come beyond is buffered.
    pub(super) fn read_at_rate(
        &mut self,
        buf: &mut [u8],
        wanted: usize,
        rate: &mut MinRate,
        timeout: Option<Duration>,
    ) -> Result<usize, IoEnd> {
        if self.buffered().is_empty() {
            if buf.len() >= INPUT_BYTES {
                let limit = self.bound_read(rate, timeout)?;
                let n = receive(&mut *self.transport, rate, limit, buf)?;
                if n > wanted {
                    let ahead = buf.get_mut(wanted..n).unwrap_or_default();
                    self.keep_ahead(ahead);
                    // It may be another user's request, which a proxy has sent. The handler must
                    // not find it in its buffer.
                    ahead.fill(0);
                }
                return Ok(n.min(wanted));
            }
            self.fill_at_rate(rate, timeout)?;
        }
        let target = buf.get_mut(..wanted).unwrap_or_default();
        let n = self.buffered().read(target).unwrap_or(0); // reading from a slice does not fail
        self.consume(n);
        Ok(n)
    }

    /// Puts what has been read too far into the buffer, which is empty.
    fn keep_ahead(&mut self, bytes: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(bytes);
        self.start = 0;
        self.end = bytes.len();
    }

    /// Sends all output, and sets the timeout of the read that follows. Returns that timeout.
    pub(super) fn bound_read(
        &mut self,
        rate: &MinRate,
        timeout: Option<Duration>,
    ) -> Result<Option<Duration>, IoEnd> {
        self.flush()?;
        if rate.is_overdrawn() {
            return Err(IoEnd::ReadTimedOut);
        }
        let limit = rate.limit(timeout);
        if self.read_timeout != ReadTimeout::Is(limit) {
            self.read_timeout = ReadTimeout::Is(limit);
            self.transport
                .set_read_timeout(limit)
                .or(Err(IoEnd::Lost))?;
        }
        Ok(limit)
    }

    /// Returns the output buffer, for a response head. Writes what it holds first if that is as
    /// much as may be: the heads of responses without a body would pile up otherwise, one for each
    /// request that has been read.
    pub(super) fn output_for_head(&mut self) -> Result<&mut Vec<u8>, IoEnd> {
        if self.output.len() >= OUTPUT_BYTES {
            self.flush()?;
        }
        self.response_start = Some(self.output.len());
        Ok(&mut self.output)
    }

    /// Returns whether the client has closed the connection, or the connection has been cut.
    pub(super) fn is_disconnected(&self) -> bool {
        if self.entry.is_cut() {
            return true;
        }
        match self.transport.peer_state() {
            PeerState::Present => false,
            PeerState::Lost => true,
            // A drain sets its reason before it ends the reading side of an idle connection, whose
            // last request is then handled. So the end may be its doing, and not the client's.
            PeerState::Ended => self.entry.end_reason() != Some(CloseReason::Drained),
        }
    }

    /// Returns whether nothing of the last response has left, its head included.
    pub(super) fn is_response_unsent(&self) -> bool {
        self.response_start.is_some()
    }

    /// Removes the last response from the output. Returns false if some of it may have left.
    pub(super) fn take_back_response(&mut self) -> bool {
        match self.response_start.take() {
            Some(start) => {
                self.output.truncate(start);
                true
            }
            None => false,
        }
    }

    /// Adds to the output.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), IoEnd> {
        let free = OUTPUT_BYTES.saturating_sub(self.output.len());
        if bytes.len() <= free {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        // A response head leaves with the beginning of its body, not in a packet of its own. The
        // rest goes without a copy. (One write of two buffers would be `writev`, which std does not
        // keep from raising SIGPIPE.)
        let first_bytes = if self.output.is_empty() { 0 } else { free };
        let (first, rest) = bytes.split_at(first_bytes);
        self.output.extend_from_slice(first);
        self.flush()?;
        if rest.len() > OUTPUT_BYTES {
            return self.write(rest);
        }
        self.output.extend_from_slice(rest);
        Ok(())
    }

    /// Writes all output.
    pub(super) fn flush(&mut self) -> Result<(), IoEnd> {
        if self.output.is_empty() {
            return self.written;
        }
        let mut output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        output.clear();
        self.output = output;
        written
    }

    /// Writes all output. Returns the time at which the last of it left, or the present time if
    /// there was none.
    pub(super) fn flush_timed(&mut self) -> Result<Instant, IoEnd> {
        if self.output.is_empty() {
            return self.written.map(|()| Instant::now());
        }
        self.flush()?;
        Ok(self.written_at)
    }

    /// Returns whether all output could be written so far.
    pub(super) fn written(&self) -> Result<(), IoEnd> {
        self.written
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), IoEnd> {
        self.response_start = None;
        while self.written.is_ok() && !bytes.is_empty() {
            let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
            // A transport that panics may have sent a part of it, so nothing may follow.
            self.written = Err(IoEnd::Lost);
            self.written = match self.write_piece(piece) {
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    Ok(())
                }
                Err(end) => Err(end),
            };
        }
        self.written
    }

    fn write_piece(&mut self, piece: &[u8]) -> Result<usize, IoEnd> {
        if self.write_rate.is_overdrawn() {
            return Err(IoEnd::WriteTimedOut);
        }
        let limit = self.write_rate.limit(None);
        let transport = &mut self.transport;
        let began = Instant::now();
        let sent = retry_interrupted(
            || transport.send_within(piece, began, limit),
            limit,
            IoEnd::WriteTimedOut,
        );
        self.written_at = Instant::now();
        // The write may have outlasted the limit: by a tick, or, through a transport of the user's,
        // by up to the write timeout. All of that counts. Otherwise, a client that takes a little
        // in each write would never be cut.
        let waited = self.written_at - began;
        self.write_rate.record(sent.unwrap_or(0), waited);
        let n = sent?;
        if n == 0 {
            return Err(IoEnd::Lost);
        }
        Ok(n)
    }
}

/// Reads once, and records how long that has waited if there is a least rate.
fn receive(
    transport: &mut dyn Transport,
    rate: &mut MinRate,
    limit: Option<Duration>,
    buf: &mut [u8],
) -> Result<usize, IoEnd> {
    if !rate.is_limited() {
        return retry_interrupted(|| transport.receive(buf), limit, IoEnd::ReadTimedOut);
    }
    let began = Instant::now();
    let received = retry_interrupted(|| transport.receive(buf), limit, IoEnd::ReadTimedOut);
    // On a busy machine, this thread runs only some time after the wait has ended.
    let waited = began.elapsed().min(limit.unwrap_or(Duration::MAX));
    rate.record(received.unwrap_or(0), waited);
    received
}

/// Reads or writes once, and again if a signal interrupts it. Returns `timed_out` after a timeout.
///
/// A wait that has been interrupted begins anew, and so might never end. So there is none once
/// `limit` has passed since the first signal.
fn retry_interrupted(
    mut transfer: impl FnMut() -> io::Result<usize>,
    limit: Option<Duration>,
    timed_out: IoEnd,
) -> Result<usize, IoEnd> {
    let mut interrupted_at: Option<Instant> = None;
    loop {
        let error = match transfer() {
            Ok(n) => return Ok(n),
            Err(error) => error,
        };
        if is_timeout(&error) {
            return Err(timed_out);
        }
        if error.kind() != ErrorKind::Interrupted {
            return Err(IoEnd::Lost);
        }
        let since = *interrupted_at.get_or_insert_with(Instant::now);
        if limit.map_or(false, |limit| since.elapsed() > limit) {
            return Err(timed_out);
        }
    }
}
