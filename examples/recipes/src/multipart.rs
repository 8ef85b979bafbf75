//! Uploads of files with a form, `multipart/form-data` (RFC 7578), with multer.

use futures_util::stream;
use hardstop::{Error, Request};
use multer::{bytes::Bytes, Field, Multipart};
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

const MAX_BODY_BYTES: u64 = 1 << 30;
const MAX_PARTS: usize = 100;
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// How much is read from the client, and kept in memory, at a time.
const PIECE_BYTES: u64 = 16 * 1024;
/// How many pieces may come before a part begins or goes on. They hold what is not data: what
/// stands before the first part, and the headers of a part.
const MAX_PIECES: usize = 4;

/// A form with its files.
#[derive(Debug, Default)]
pub struct Upload {
    pub texts: Vec<(String, String)>,
    pub files: Vec<Spooled>,
}

/// A file of a form. Dropping it removes it from the disk, so rename what is to stay.
#[derive(Debug)]
pub struct Spooled {
    pub field: String,
    /// The name that the client has given it, of any characters. It is no path to use.
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // it may have been renamed
    }
}

/// Receives a form, and writes its files into that directory.
///
/// # Errors
/// 415 for another content type, 400 if the form is malformed, 413 beyond a limit, and what reading
/// a body and writing a file fail with. No file is left then.
pub fn receive_upload(req: &mut Request<'_>, directory: &Path) -> Result<Upload, Error> {
    let content_type = req.header("Content-Type").unwrap_or_default();
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| Error::new(415, "the content type is not multipart/form-data"))?;
    req.body().set_limit(MAX_BODY_BYTES);
    let mut form = Multipart::new(pieces(req.body()), boundary);
    let mut upload = Upload::default();
    let mut parts = 0..MAX_PARTS;
    while let Some(mut part) = complete(form.next_field())? {
        if parts.next().is_none() {
            return Err(Error::new(413, "the form has too many parts"));
        }
        let field = match part.name() {
            Some(name) => String::from(name),
            None => return Err(Error::new(400, "a part of the form has no name")),
        };
        match part.file_name().map(String::from) {
            Some(name) => upload.files.push(spool(&mut part, field, name, directory)?),
            None => upload.texts.push((field, read_text(&mut part)?)),
        }
    }
    Ok(upload)
}

fn spool(
    part: &mut Field<'_>,
    field: String,
    name: String,
    directory: &Path,
) -> Result<Spooled, Error> {
    let (mut file, path) = create_file(directory)?;
    let mut spooled = Spooled {
        field,
        name,
        path,
        bytes: 0,
    };
    while let Some(piece) = complete(part.chunk())? {
        file.write_all(&piece)?;
    }
    spooled.bytes = file.metadata()?.len();
    Ok(spooled)
}

/// Creates a file under a name that no client can choose.
fn create_file(directory: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Relaxed);
        let path = directory.join(format!("upload-{}-{number}", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            // A process of the same number has crashed and left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_text(part: &mut Field<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = complete(part.chunk())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(Error::new(413, "a text in the form is too long"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::new(400, "a text in the form is not UTF-8"))
}

/// Returns the body as multer wants it: as a stream of pieces.
fn pieces<'a>(
    body: &'a mut (impl Read + Send),
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'a {
    let mut pauses = true;
    stream::poll_fn(move |_| {
        // multer takes pieces until a stream says that there is none yet. Without a pause after
        // each, it would take all of the body into memory.
        pauses = !pauses;
        if pauses {
            return Poll::Pending;
        }
        let mut piece = Vec::new();
        match body.take(PIECE_BYTES).read_to_end(&mut piece) {
            Ok(0) => Poll::Ready(None),
            Ok(_) => Poll::Ready(Some(Ok(Bytes::from(piece)))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    })
}

/// Runs one of multer's futures. Each poll reads a piece of the body, which blocks, so nothing has
/// to be woken.
fn complete<T>(future: impl Future<Output = multer::Result<T>>) -> Result<T, Error> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MAX_PIECES {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result.map_err(refusal);
        }
    }
    Err(Error::new(400, "the form has no part where one should be"))
}

/// Decides what the client gets. Whatever the body has failed with keeps its status.
fn refusal(error: multer::Error) -> Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => Error::from(*error),
            Err(other) => Error::from(io::Error::other(other)),
        },
        malformed => Error::new(400, format!("the form is malformed: {malformed}")),
    }
}
