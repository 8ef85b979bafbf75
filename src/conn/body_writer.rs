//! Where a response's closure or reader writes its body.

use super::super::error::Error;
use super::super::proto::{chunk_size_line, CHUNK_END, LAST_CHUNK};
use super::stream::{IoEnd, Stream, OUTPUT_BYTES};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

/// How much of a reader is copied at a time. Its buffer is memory of each connection.
const COPY_BYTES: usize = 128 * 1024;

/// Where the closure of [`Response::stream`](super::Response::stream) writes its body.
///
/// Small writes are collected: up to 16 KiB leave together. [`flush`](Write::flush) sends them at
/// once, as server-sent events require. Every write fails once the connection is cut, or once the
/// client is gone or takes the data too slowly.
#[doc(alias = "sse")]
pub struct BodyWriter<'a> {
    out: Out<'a>,
    /// How much is still to be written, if that is known.
    rest: Option<u64>,
    written: u64,
}

/// The destination of a body.
enum Out<'a> {
    Connection(Wire<'a>),
    /// A writer of the user's: see [`ResponseBody::write_to`](super::ResponseBody::write_to).
    Writer(&'a mut (dyn Write + Send)),
}

/// A body's way to the client.
struct Wire<'a> {
    stream: &'a mut Stream,
    chunked: bool,
    /// Small writes, which leave together.
    pending: Vec<u8>,
}

impl<'a> BodyWriter<'a> {
    pub(super) fn new(
        stream: &'a mut Stream,
        chunked: bool,
        length: Option<u64>,
    ) -> BodyWriter<'a> {
        let wire = Wire {
            stream,
            chunked,
            pending: Vec::new(),
        };
        BodyWriter {
            out: Out::Connection(wire),
            rest: length,
            written: 0,
        }
    }

    /// Returns a body writer over any `Write`.
    pub(super) fn over(out: &'a mut (dyn Write + Send), length: Option<u64>) -> BodyWriter<'a> {
        BodyWriter {
            out: Out::Writer(out),
            rest: length,
            written: 0,
        }
    }

    /// Returns whether the client has closed the connection, or the connection has been cut: see
    /// [`Request::is_disconnected`](super::Request::is_disconnected), and its limits.
    ///
    /// A closure that waits for something to write asks it now and then, because only a write would
    /// fail otherwise. It is false for a writer of
    /// [`ResponseBody::write_to`](super::ResponseBody::write_to), which may lead anywhere.
    pub fn is_disconnected(&self) -> bool {
        match &self.out {
            Out::Connection(wire) => wire.stream.is_disconnected(),
            Out::Writer(_) => false,
        }
    }

    /// Returns how many bytes have been written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Returns whether as much has been written as was announced.
    pub(super) fn is_whole(&self) -> bool {
        self.rest == Some(0)
    }

    /// Fails if the user's closure has failed, whose result is `written`, or if the body is shorter
    /// than announced.
    pub(super) fn check_length(&self, written: io::Result<()>) -> io::Result<()> {
        if written.is_ok() && self.rest.unwrap_or(0) > 0 {
            let text = "the response's reader ended before its length";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
        }
        written
    }

    /// Sends what is left, and what ends the body. `written` is the result of the user's closure.
    ///
    /// Fails if that failed, or if the body is shorter than announced. If nothing of the response
    /// has left by then, it stays so, and the caller can send another one instead.
    pub(super) fn finish(&mut self, written: io::Result<()>) -> io::Result<()> {
        let outcome = self.check_length(written);
        let is_whole = self.is_whole();
        let wire = match &mut self.out {
            Out::Connection(wire) => wire,
            Out::Writer(_) => return outcome,
        };
        if outcome.is_err() && !is_whole && wire.stream.is_response_unsent() {
            return outcome;
        }
        // Once a part has left, what has been written leaves also after a failure.
        wire.send_pending()?;
        outcome?;
        if wire.chunked {
            let _ = wire.stream.push(LAST_CHUNK); // `check` finds a failure
        }
        wire.check()
    }

    /// Copies a reader, as [`std::io::copy`] does, with a larger buffer, and no further than the
    /// body goes.
    pub(super) fn copy(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        match self.rest {
            Some(length) => self.copy_length(reader, length),
            None => self.copy_to_end(reader),
        }
    }

    /// Copies a reader whose length is known. Small pieces leave together, as the client waits for
    /// all of it anyway.
    fn copy_length(&mut self, reader: &mut dyn Read, length: u64) -> io::Result<()> {
        // One byte more than is due, to see whether there is more.
        let most = usize::try_from(length)
            .unwrap_or(COPY_BYTES)
            .min(COPY_BYTES);
        let mut piece = vec![0; COPY_BYTES.min(most + 1)];
        while self.rest != Some(0) {
            let n = read_once(reader, &mut piece)?;
            if n == 0 {
                break;
            }
            self.write_all(piece.get(..n).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Copies a reader whose length is not known. The next read may block, for as long as an event
    /// or a line of a log does not come. So what a read has given leaves before the next one.
    fn copy_to_end(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        // The buffer has room for the end of a chunk behind its data. Otherwise that end would be a
        // write of its own, the third one for each piece of a large file.
        let mut piece = vec![0; COPY_BYTES + CHUNK_END.len()];
        loop {
            let n = read_once(reader, piece.get_mut(..COPY_BYTES).unwrap_or_default())?;
            if n == 0 {
                return Ok(());
            }
            match &mut self.out {
                Out::Connection(wire) => wire.send_piece(&mut piece, n)?,
                Out::Writer(out) => {
                    out.write_all(piece.get(..n).unwrap_or_default())?;
                    out.flush()?;
                }
            }
            self.written += u64::try_from(n).unwrap_or(u64::MAX);
        }
    }
}

impl Wire<'_> {
    /// Sends the first `n` bytes of a piece at once. Behind them, it has room for the end of a
    /// chunk.
    fn send_piece(&mut self, piece: &mut [u8], n: usize) -> io::Result<()> {
        self.check()?;
        let mut end = n;
        if self.chunked {
            end += CHUNK_END.len();
            let chunk_end = piece.get_mut(n..end).unwrap_or_default();
            chunk_end.copy_from_slice(CHUNK_END);
            let _ = self.stream.push(chunk_size_line(n).as_bytes()); // `check` finds a failure
        }
        let _ = self.stream.push(piece.get(..end).unwrap_or_default());
        let _ = self.stream.flush();
        self.check()
    }

    /// Collects a small write, or sends a large one. With `is_last`, the body ends with it.
    fn write(&mut self, data: &[u8], is_last: bool) -> io::Result<()> {
        self.check()?;
        if self.pending.len() + data.len() > OUTPUT_BYTES {
            self.send_pending()?;
        }
        if is_last {
            // A large piece leaves now, and with it the end of the response.
            self.stream.entry.begin_end_of_response();
        }
        if data.len() > OUTPUT_BYTES {
            return self.send(data);
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        let _ = self.stream.flush(); // `check` finds a failure
        self.check()
    }

    /// Sends the small writes that have been collected.
    fn send_pending(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.send(&pending)
    }

    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.check()?;
        // A chunk without bytes would end the body.
        if !data.is_empty() {
            let _ = self.push(data); // `check` finds a failure
        }
        self.check()
    }

    fn push(&mut self, data: &[u8]) -> Result<(), IoEnd> {
        if !self.chunked {
            return self.stream.push(data);
        }
        self.stream.push(chunk_size_line(data.len()).as_bytes())?;
        self.stream.push(data)?;
        self.stream.push(CHUNK_END)
    }

    fn check(&self) -> io::Result<()> {
        if self.stream.entry.is_cut() {
            return Err(Error::Cut.into());
        }
        if self.stream.written().is_err() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.rest.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let (data, beyond) = bytes.split_at(rest.min(bytes.len()));
        let taken = u64::try_from(data.len()).unwrap_or(u64::MAX);
        match &mut self.out {
            Out::Connection(wire) => wire.write(data, self.rest == Some(taken))?,
            Out::Writer(out) => out.write_all(data)?,
        }
        self.written += taken;
        self.rest = self.rest.map(|rest| rest - taken);
        if beyond.is_empty() {
            return Ok(data.len());
        }
        let text = "the response's reader went on after its length";
        Err(io::Error::new(ErrorKind::InvalidData, text))
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Connection(wire) => wire.flush(),
            Out::Writer(out) => out.flush(),
        }
    }
}

/// Reads once, and again if a signal interrupts it. Fails if the reader claims to have read more
/// than there was room for.
fn read_once(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buf) {
            Ok(n) if n > buf.len() => return Err(ErrorKind::InvalidData.into()),
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
