//! A connection's bytes: one buffer in each direction, and the clocks that bound every wait.
//!
//! 1. Output is collected, and leaves before anything waits for input. So the responses to
//!    pipelined requests leave together, and one may still be here while the next handler runs.
//! 2. A socket's timeout is set only when it changes. A request that comes in one piece costs one
//!    read and one write.
//! 3. What has been read too far stays in the buffer, and is read next.

use super::super::event::CloseReason;
use super::super::lifecycle::Entry;
use super::super::sys::socket::is_timeout;
use super::rate::MinRate;
use super::transport::Transport;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

/// The size at which the input buffer starts. It grows while a request head does not fit.
const INPUT_BYTES: usize = 4 * 1024;

/// How much output is collected before it is written.
pub(super) const OUTPUT_BYTES: usize = 16 * 1024;

/// How much is written at a time. On Linux, a write of many times that takes half as long again.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

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
    read_timeout: ReadTimeout,
    read_rate: MinRate,
    write_rate: MinRate,
    /// Whether all output could be written. After a failure, a client would take what follows for
    /// something else, so nothing more is sent.
    written: Result<(), IoEnd>,
}

impl Stream {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        min_rate: Option<u32>,
        entry: &Arc<Entry>,
    ) -> Stream {
        Stream {
            transport,
            entry: Arc::clone(entry),
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            read_timeout: ReadTimeout::Unknown,
            read_rate: MinRate::new(0),
            write_rate: MinRate::new(min_rate.unwrap_or(0)),
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

    /// Starts to measure the rates of a new request's body, if it has one, and of its response.
    pub(super) fn begin_exchange(&mut self, has_body: bool) {
        self.write_rate.restart();
        // A request head has a time limit of its own.
        let rate = if has_body { self.write_rate.rate() } else { 0 };
        self.read_rate = MinRate::new(rate);
        self.read_rate.record(self.buffered().len(), Duration::ZERO);
    }

    /// Returns memory before a long wait.
    pub(super) fn shrink(&mut self) {
        self.output.shrink_to(IDLE_OUTPUT_BYTES);
        if self.input.len() > INPUT_BYTES && self.buffered().is_empty() {
            self.input = Vec::new();
            self.start = 0;
            self.end = 0;
        }
    }

    /// Waits for more input and adds it to the buffer, which its readers bound. Zero is the end.
    pub(super) fn fill(&mut self, timeout: Option<Duration>) -> Result<usize, IoEnd> {
        self.before_read(timeout)?;
        // What is moved is little, as its reader could not go on with it.
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.input.len() {
            let size = INPUT_BYTES.max(self.end * 2);
            self.input.resize(size, 0);
        }
        let free = self.input.get_mut(self.end..).unwrap_or_default();
        let n = receive(&mut *self.transport, &mut self.read_rate, free)?;
        self.end += n;
        Ok(n)
    }

    /// Reads what is buffered, or else more. A large piece goes past the buffer. Zero is the end.
    pub(super) fn read(
        &mut self,
        buf: &mut [u8],
        timeout: Option<Duration>,
    ) -> Result<usize, IoEnd> {
        if self.buffered().is_empty() {
            if buf.len() >= INPUT_BYTES {
                self.before_read(timeout)?;
                return receive(&mut *self.transport, &mut self.read_rate, buf);
            }
            self.fill(timeout)?;
        }
        let n = self.buffered().read(buf).unwrap_or(0); // reading from a slice does not fail
        self.consume(n);
        Ok(n)
    }

    fn before_read(&mut self, timeout: Option<Duration>) -> Result<(), IoEnd> {
        self.flush()?;
        let timeout = ReadTimeout::Is(timeout);
        if self.read_timeout == timeout {
            return Ok(());
        }
        self.read_timeout = timeout;
        if let ReadTimeout::Is(timeout) = self.read_timeout {
            self.transport
                .set_read_timeout(timeout)
                .or(Err(IoEnd::Lost))?;
        }
        Ok(())
    }

    /// Returns whether the request body has come too slowly so far.
    pub(super) fn reads_too_slowly(&self) -> bool {
        self.read_rate.is_exhausted()
    }

    /// Returns the output buffer, for a response head. Writes what it holds first if that is as
    /// much as may be: the heads of responses without a body would pile up otherwise, one for each
    /// request that has been read.
    pub(super) fn output_for_head(&mut self) -> Result<&mut Vec<u8>, IoEnd> {
        if self.output.len() >= OUTPUT_BYTES {
            self.flush()?;
        }
        Ok(&mut self.output)
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
        let mut output = std::mem::take(&mut self.output);
        let written = self.write(&output);
        output.clear();
        self.output = output;
        written
    }

    /// Returns whether all output could be written so far.
    pub(super) fn written(&self) -> Result<(), IoEnd> {
        self.written
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), IoEnd> {
        while self.written.is_ok() && !bytes.is_empty() {
            let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
            match self.write_piece(piece) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(end) => self.written = Err(end),
            }
        }
        self.written
    }

    fn write_piece(&mut self, piece: &[u8]) -> Result<usize, IoEnd> {
        if self.write_rate.is_exhausted() {
            return Err(IoEnd::WriteTimedOut);
        }
        let transport = &mut self.transport;
        let send = || retry_interrupted(|| transport.send(piece), IoEnd::WriteTimedOut);
        let n = self.write_rate.measure(send)?;
        if n == 0 {
            return Err(IoEnd::Lost);
        }
        Ok(n)
    }
}

fn receive(
    transport: &mut dyn Transport,
    rate: &mut MinRate,
    buf: &mut [u8],
) -> Result<usize, IoEnd> {
    rate.measure(|| retry_interrupted(|| transport.receive(buf), IoEnd::ReadTimedOut))
}

/// Reads or writes once, and again if a signal interrupts it. Returns `timed_out` after a timeout.
fn retry_interrupted(
    mut transfer: impl FnMut() -> io::Result<usize>,
    timed_out: IoEnd,
) -> Result<usize, IoEnd> {
    loop {
        match transfer() {
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(timed_out),
            Err(_) => return Err(IoEnd::Lost),
        }
    }
}
