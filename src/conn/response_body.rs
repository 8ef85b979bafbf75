//! A response's body: bytes, or what a reader or a closure gives when the response is sent.

use super::body_writer::BodyWriter;
use super::file_body::FileBody;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};

/// A response's body, for code that changes the responses of a handler: a layer.
///
/// [`Response::into_parts`](super::Response::into_parts) takes it out, and
/// [`Response::with_body`](super::Response::with_body) puts one in. This layer compresses texts,
/// streamed ones included:
///
/// ```
/// use hardstop::{Request, Response, ResponseBody, Version};
/// # use std::io::Write;
/// # struct GzEncoder<W>(W);
/// # struct Compression;
/// # impl Compression { fn fast() -> Compression { Compression } }
/// # impl<W: Write> GzEncoder<W> {
/// #     fn new(out: W, _: Compression) -> GzEncoder<W> { GzEncoder(out) }
/// #     fn finish(self) -> std::io::Result<W> { Ok(self.0) }
/// # }
/// # impl<W: Write> Write for GzEncoder<W> {
/// #     fn write(&mut self, data: &[u8]) -> std::io::Result<usize> { self.0.write(data) }
/// #     fn flush(&mut self) -> std::io::Result<()> { self.0.flush() }
/// # }
///
/// fn compressed(req: &Request<'_>, response: Response) -> Response {
///     let accepted = req.header("Accept-Encoding").unwrap_or_default();
///     let accepts = accepted.split(',').any(|coding| coding.trim() == "gzip");
///     // A client of HTTP/1.0 could not tell whether a stream is whole.
///     let accepts = accepts && req.version() == Version::Http11;
///     let content_type = response.header("Content-Type").unwrap_or_default();
///     let is_text = content_type.starts_with("text/");
///     let is_coded = response.header("Content-Encoding").is_some();
///     // A client may ask for a part of what has a version, and join it with what it already has.
///     // So that leaves as it is, in all of its parts.
///     let versions = ["ETag", "Last-Modified", "Accept-Ranges"];
///     let has_version = versions.iter().any(|name| response.header(name).is_some());
///     if !accepts || !is_text || is_coded || has_version || response.status() != 200 {
///         return response.with_header("Vary", "Accept-Encoding");
///     }
///     let (response, body) = response.into_parts();
///     response
///         .with_header("Content-Encoding", "gzip")
///         .with_header("Vary", "Accept-Encoding")
///         .with_body(ResponseBody::stream(move |out| {
///             let mut encoder = GzEncoder::new(out, Compression::fast());
///             body.write_to(&mut encoder)?;
///             encoder.finish()?;
///             Ok(())
///         }))
/// }
///
/// fn page(req: &mut Request<'_>) -> Response {
///     Response::text(format!("hello from {}\n", req.path()))
/// }
///
/// let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|req| {
///     let response = page(req);
///     compressed(req, response)
/// })?;
/// # server.destroy();
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping a body does not send it"]
pub struct ResponseBody {
    pub(super) payload: Payload,
}

pub(super) type StreamBody = dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send;

pub(super) enum Payload {
    Bytes(Cow<'static, [u8]>),
    File(Box<FileBody>),
    Stream {
        write: Box<StreamBody>,
        length: Option<u64>,
    },
}

impl ResponseBody {
    /// Returns the body that is empty.
    pub(super) fn empty() -> ResponseBody {
        ResponseBody::of_bytes(Cow::Borrowed(b""))
    }

    pub(super) fn of_bytes(bytes: Cow<'static, [u8]>) -> ResponseBody {
        ResponseBody {
            payload: Payload::Bytes(bytes),
        }
    }

    pub(super) fn of_file(file: FileBody) -> ResponseBody {
        ResponseBody {
            payload: Payload::File(Box::new(file)),
        }
    }

    pub(super) fn of_text(text: Cow<'static, str>) -> ResponseBody {
        ResponseBody::of_bytes(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// Returns the body of a [`Response::reader`](super::Response::reader).
    pub fn reader(
        mut reader: impl Read + Send + 'static,
        length: impl Into<Option<u64>>,
    ) -> ResponseBody {
        let mut length = length.into();
        if length == Some(u64::MAX) {
            // No reader has as much: it stands for a length that is not known.
            length = None;
        }
        ResponseBody::of_writer(length, move |body| body.copy(&mut reader))
    }

    /// Returns the body of a [`Response::stream`](super::Response::stream).
    pub fn stream(
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> ResponseBody {
        ResponseBody::of_writer(None, write)
    }

    fn of_writer(
        length: Option<u64>,
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> ResponseBody {
        ResponseBody {
            payload: Payload::Stream {
                write: Box::new(write),
                length,
            },
        }
    }

    /// Returns the bytes; `None` if a file, a reader or a closure gives them only when they are
    /// sent.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.payload {
            Payload::Bytes(bytes) => Some(bytes),
            Payload::File(_) | Payload::Stream { .. } => None,
        }
    }

    /// Returns the length, if it is known. That of a streamed body is what was announced.
    pub fn len(&self) -> Option<u64> {
        match &self.payload {
            Payload::Bytes(bytes) => Some(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Payload::File(file) => Some(file.length()),
            Payload::Stream { length, .. } => *length,
        }
    }

    /// Returns whether the body is certainly empty.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Writes the whole body, now and on this thread, for example through an encoder.
    ///
    /// A reader is read to its end or to its length, and a closure runs. A flush of the closure
    /// flushes `out`, and so does each piece of a reader without a length, because the next read
    /// may block. At the end, nothing is flushed. A [`BodyWriter`] may be the `out`, or stand
    /// behind it: then a write fails once the connection is cut.
    ///
    /// # Errors
    /// Fails if `out` fails, if the reader or the closure does, or if a reader ends before its
    /// length. What a reader has beyond its length is left out.
    pub fn write_to(self, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut body = BodyWriter::over(out, self.len());
        let written = match self.payload {
            Payload::Bytes(bytes) => body.write_all(&bytes),
            Payload::File(file) => file.send(&mut body),
            Payload::Stream { write, .. } => write(&mut body),
        };
        if body.is_whole() {
            // The reader had more, or failed behind its length.
            return Ok(());
        }
        body.check_length(written)
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> ResponseBody {
        ResponseBody::of_text(Cow::Borrowed(text))
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> ResponseBody {
        ResponseBody::of_text(Cow::Owned(text))
    }
}

impl From<&'static [u8]> for ResponseBody {
    fn from(bytes: &'static [u8]) -> ResponseBody {
        ResponseBody::of_bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> ResponseBody {
        ResponseBody::of_bytes(Cow::Owned(bytes))
    }
}
