//! A regular file as the body of a response.

use super::body_writer::BodyWriter;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::time::SystemTime;

/// A regular file, or a part of it.
pub(super) struct FileBody {
    file: File,
    /// The position of the file.
    position: u64,
    /// The position at which the body begins in the file.
    start: u64,
    length: u64,
    modified: Option<SystemTime>,
    /// This is [`copy`]. It is called through here, so that the linker leaves it out of a program
    /// that makes no such body.
    copy: fn(FileBody, &mut BodyWriter<'_>) -> io::Result<()>,
}

impl FileBody {
    /// Returns the body that goes from the file's position to its end.
    pub(super) fn new(file: File, position: u64, metadata: &Metadata) -> FileBody {
        FileBody {
            file,
            position,
            start: position,
            // A position may be beyond the end.
            length: metadata.len().saturating_sub(position),
            modified: metadata.modified().ok(), // not every system has it
            copy,
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns when the file was last modified, if that is known.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Leaves only this part of the body, which must be in it.
    pub(super) fn keep(&mut self, first: u64, length: u64) {
        debug_assert!(first <= self.length && length <= self.length - first);
        self.start += first;
        self.length = length;
    }

    /// Sends the body.
    pub(super) fn send(self, body: &mut BodyWriter<'_>) -> io::Result<()> {
        let copy = self.copy;
        copy(self, body)
    }
}

/// Copies a file's part of the body. What the file has behind it is left out: it may have grown.
fn copy(part: FileBody, body: &mut BodyWriter<'_>) -> io::Result<()> {
    let mut file = part.file;
    if part.start != part.position {
        file.seek(SeekFrom::Start(part.start))?;
    }
    body.copy(&mut file.take(part.length))
}
