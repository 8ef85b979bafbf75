//! The handler. Its path is `/READS/ANSWERS/SIZE`: how it reads the body, how it answers, and how long the answer is.
//!
//! Each call of the user's code, and each piece of a body, takes a step of the user's script. `p` and its like make the
//! code fail, and `z` makes it end early.

use super::script::Step;
use super::world::World;
use crate::hardstop::{BodyWriter, CancelToken, Error, Request, Response, Upgraded};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The longest answer.
const MAX_SIZE: usize = 150_000;

/// The size of the second and every further piece of an answer.
const PIECE_SIZE: usize = 20_000;

/// What a handler call has given to the library.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) is_head: bool,
    pub(super) is_http_10: bool,
    pub(super) expects_continue: bool,
    /// The status code of its response.
    pub(super) status: u16,
    pub(super) kind: Kind,
    /// The length that was announced.
    pub(super) length: Option<usize>,
    /// What has been given of the body so far.
    pub(super) body: Vec<u8>,
    /// Whether all of it has been given, without an error.
    pub(super) is_whole: bool,
    /// Whether the handler has returned.
    pub(super) has_returned: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A body of the library's own words.
    #[default]
    Error,
    Body,
    /// A response that cannot be sent as it is.
    Invalid,
    Upgrade,
}

impl Given {
    /// Returns whether not all of a body has been given.
    pub(super) fn is_partial(&self) -> bool {
        match self.length {
            Some(length) => self.body.len() < length,
            None => !self.is_whole,
        }
    }
}

pub(super) fn handle(request: &mut Request<'_>, world: &Arc<World>) -> Response {
    world.begin_call();
    let call = {
        let mut state = world.state();
        state.calls.push(Given {
            is_head: request.method() == "HEAD",
            is_http_10: request.version() == crate::hardstop::Version::Http10,
            expects_continue: request.header("expect").is_some(),
            status: 500,
            ..Given::default()
        });
        state.calls.len() - 1
    };
    let token = request.cancel_token();
    let path = String::from(request.path());
    let mut parts = path.split('/').skip(1);
    let reads = parts.next().unwrap_or_default();
    let answers = parts.next().unwrap_or_default();
    let size = parts.next().and_then(|size| size.parse().ok());
    let size = size.unwrap_or(40).min(MAX_SIZE);

    let step = world.user_step();
    world.check_token(&token);
    let mut response = match read(request, reads) {
        Err(error) => Response::from(error),
        Ok(()) if matches!(step, Step::Failed(_)) => Error::new(418, "the script says so").into(),
        Ok(()) => {
            let answer = Answer {
                world: Arc::clone(world),
                token: token.clone(),
                call,
                bytes: body(call, size),
                given: 0,
                is_stubborn: false,
            };
            answer.make(answers)
        }
    };
    world.check_token(&token);
    if path.ends_with("/close") {
        response = response.with_close();
    }
    let mut state = world.state();
    let given = &mut state.calls[call];
    given.status = response.status().as_u16();
    given.has_returned = true;
    response
}

fn read(request: &mut Request<'_>, how: &str) -> Result<(), Error> {
    let body = request.body();
    match how {
        "all" => {
            body.read_to_vec()?;
        }
        // The failure is swallowed, as by a handler that does not care.
        "any" => {
            let _ = body.read_to_vec();
        }
        "one" => {
            let _ = body.read(&mut [0])?;
        }
        _ => {}
    }
    Ok(())
}

/// Returns the body of the answer to this call. Each call has another one.
fn body(call: usize, size: usize) -> Vec<u8> {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789_";
    let from_here = alphabet.iter().cycle().skip(call % alphabet.len());
    from_here.take(size).copied().collect()
}

/// An answer that is being given to the library. It is dropped with the response's body.
struct Answer {
    world: Arc<World>,
    token: CancelToken,
    call: usize,
    /// Its bytes, and how many of them have been given.
    bytes: Vec<u8>,
    given: usize,
    /// Whether it goes on after a failed write, and claims success.
    is_stubborn: bool,
}

impl Answer {
    fn make(mut self, how: &str) -> Response {
        let size = self.bytes.len();
        self.change(|given| given.kind = Kind::Body);
        match how {
            "stream" => Response::stream(move |writer| self.write(writer)),
            "stubborn" => {
                self.is_stubborn = true;
                Response::stream(move |writer| self.write(writer))
            }
            "reader" => Response::reader(self, None),
            "sized" => self.sized(size),
            // The reader ends before its length, or goes on after it.
            "short" => self.sized(size + 1),
            "long" => self.sized(size.saturating_sub(1)),
            "upgrade" | "kept" | "tcp" => {
                let how = String::from(how);
                self.change(|given| given.kind = Kind::Upgrade);
                let protocol = "a";
                Response::upgrade(protocol, move |stream| self.take_over(stream, &how))
            }
            "bad" => {
                self.change(|given| given.kind = Kind::Invalid);
                Response::stream(move |writer| self.write(writer)).with_header("A", "\n")
            }
            "none" => {
                self.change(|given| given.is_whole = true);
                Response::new(204)
            }
            "unmodified" => Response::stream(move |writer| self.write(writer)).with_status(304),
            _ => {
                let body = std::mem::take(&mut self.bytes);
                self.change(|given| {
                    given.body = body.clone();
                    given.length = Some(size);
                    given.is_whole = true;
                });
                Response::bytes("a/b", body)
            }
        }
    }

    fn sized(self, length: usize) -> Response {
        self.change(|given| given.length = Some(length));
        let length = u64::try_from(length).unwrap();
        Response::reader(self, length)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Given) -> T) -> T {
        change(&mut self.world.state().calls[self.call])
    }

    fn step(&self) -> Step {
        let step = self.world.user_step();
        self.world.check_token(&self.token);
        step
    }

    /// Returns the next piece of the body, of at most this size.
    fn next_piece(&mut self, most: usize) -> Vec<u8> {
        let rest = &self.bytes[self.given..];
        let piece = rest[..most.min(rest.len())].to_vec();
        self.given += piece.len();
        self.change(|given| given.body.extend_from_slice(&piece));
        piece
    }

    fn write(&mut self, writer: &mut BodyWriter<'_>) -> io::Result<()> {
        loop {
            match self.step() {
                Step::Failed(kind) => return Err(kind.into()),
                Step::Zero => break,
                Step::Interrupted => writer.flush()?,
                _ => {}
            }
            // Three bytes, then larger pieces.
            let piece = self.next_piece(if self.given == 0 { 3 } else { PIECE_SIZE });
            if piece.is_empty() {
                break;
            }
            match writer.write_all(&piece) {
                Ok(()) => {}
                Err(_) if self.is_stubborn => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.change(|given| given.is_whole = true);
        Ok(())
    }

    /// Uses an upgraded stream: echoes what comes, and ends at a failure.
    fn take_over(self, stream: Upgraded, how: &str) {
        self.world.state().is_upgraded = true;
        self.step();
        match how {
            "kept" => self.world.keep(stream),
            "tcp" => match stream.into_tcp() {
                Ok((tcp, _, lease)) => {
                    self.step();
                    drop(lease);
                    self.step();
                    drop(tcp);
                }
                Err(stream) => {
                    self.step();
                    drop(stream);
                }
            },
            _ => {
                echo(stream, &self.world);
                self.step();
            }
        }
    }
}

/// Writes back what is read, until anything fails.
pub(super) fn echo(mut stream: Upgraded, world: &World) {
    let mut buf = [0; 64];
    loop {
        world.user_step();
        let was_cut = world.is_cut();
        let n = match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        assert!(!was_cut, "an upgraded stream is read after a cut");
        world.user_step();
        let was_cut = world.is_cut();
        match stream.write(&buf[..n]) {
            Ok(0) => return,
            Ok(n) => world.state().upgraded_output.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        assert!(!was_cut, "an upgraded stream is written after a cut");
    }
}

impl Read for Answer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = match self.step() {
            Step::Failed(kind) => return Err(kind.into()),
            Step::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            Step::Zero => 0,
            Step::Short(most) => most,
            _ => PIECE_SIZE,
        };
        let piece = self.next_piece(most.min(buf.len()));
        buf[..piece.len()].copy_from_slice(&piece);
        self.change(|given| given.is_whole |= piece.is_empty());
        Ok(piece.len())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.world.user_step();
    }
}
