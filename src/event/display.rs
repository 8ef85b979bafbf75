//! Events as lines of text, for a person who reads them.
//!
//! 1. An event is one line, whatever is in it. Targets and protocols are the client's text, and
//!    errors and panics may have any. What could end the line or drive a terminal is escaped.
//! 2. A line about a connection begins with its number.

use super::super::error::Error;
use super::{CloseReason, Event};
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// Prints one line, without its end, such as `connection 3: failed with 404: no such device`.
///
/// It is for a person to read, and may change. What would end the line, act on a terminal or
/// reorder the text is escaped as in Rust, for example as `\n` and `\u{1b}`: a client chooses the
/// target. The sources of an error stand behind it.
///
/// ```no_run
/// let builder = hardstop::Server::builder().on_event(|event| eprintln!("{event}"));
/// # let _ = builder;
/// ```
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        match self {
            Event::Opened { id, peer: None } => write!(line, "connection {id} opened"),
            Event::Opened {
                id,
                peer: Some(peer),
            } => write!(line, "connection {id} opened by {peer}"),
            Event::Request {
                id, method, target, ..
            } => write!(line, "connection {id}: {method} {target}"),
            Event::Responded {
                id,
                status,
                bytes,
                time,
            } => write!(line, "connection {id}: {status}, {bytes} bytes, {time:.1?}"),
            Event::Upgraded { id, protocol } => {
                write!(line, "connection {id}: upgraded to {protocol}")
            }
            Event::TransportFailed { id, error } => {
                write!(line, "connection {id}: the transport failed: {error}")?;
                write_sources(&mut line, error.source())
            }
            Event::RequestFailed { id, error } => {
                write!(line, "connection {id}: ")?;
                write_failure(&mut line, error)
            }
            Event::HandlerPanicked { id, message } => {
                write!(line, "connection {id}: the handler panicked")?;
                write_message(&mut line, message)
            }
            Event::Closed {
                id,
                reason,
                requests,
                received,
                sent,
                duration,
            } => write!(
                line,
                "connection {id} closed: {reason}; requests: {requests}, \
                 bytes received: {received}, sent: {sent}, open for {duration:.1?}"
            ),
            Event::AcceptFailed { error } => write!(line, "a client was not accepted: {error}"),
            Event::SpawnFailed { error } => write!(line, "a connection got no thread: {error}"),
            Event::Rejected { peer } => write_rejected(&mut line, *peer),
            Event::HookPanicked { message } => {
                line.write_str("the event hook panicked")?;
                write_message(&mut line, message)
            }
        }
    }
}

/// Prints the reason in a few words, such as `idle_timeout has passed`.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            CloseReason::Completed => "completed",
            CloseReason::PeerClosed => "the client closed it",
            CloseReason::PeerLost => "the client was lost",
            CloseReason::IdleTimeout => "idle_timeout has passed",
            CloseReason::HeadTimeout => "the request head took too long",
            CloseReason::BodyTimeout => "the request body came too slowly",
            CloseReason::WriteTimeout => "the response was taken too slowly",
            CloseReason::Refused(status) => {
                return write!(f, "a request was refused with {}", status.as_u16());
            }
            CloseReason::ResponseFailed => "the response failed half-way",
            CloseReason::HandlerPanicked => "the handler panicked",
            CloseReason::Destroyed => "destroyed",
            CloseReason::Drained => "drained",
            CloseReason::ClosedIdle => "closed while idle",
            CloseReason::ClosedByHandle => "closed by a handle",
            CloseReason::Evicted => "another client needed its place",
            CloseReason::Busy => "every place was taken",
            CloseReason::SetupFailed => "its socket could not be set up",
            CloseReason::TransportFailed => "the transport failed",
        };
        f.write_str(text)
    }
}

/// Writes an error with its status, and the sources of that. A layer may have given the client
/// another status.
fn write_failure(line: &mut OneLine<'_, '_>, error: &Error) -> fmt::Result {
    if let Error::Cut = error {
        return write!(line, "failed: {error}"); // nobody gets a status
    }
    let status = error.status();
    let text = error.to_string();
    if text == status.to_string() {
        return write!(line, "failed with {status}");
    }
    write!(line, "failed with {}: {text}", status.as_u16())?;
    write_sources(line, std::error::Error::source(error))
}

fn write_sources(
    line: &mut OneLine<'_, '_>,
    mut source: Option<&(dyn std::error::Error + 'static)>,
) -> fmt::Result {
    while let Some(error) = source {
        write!(line, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

fn write_message(line: &mut OneLine<'_, '_>, message: &str) -> fmt::Result {
    if message.is_empty() {
        return Ok(());
    }
    write!(line, ": {message}")
}

fn write_rejected(line: &mut OneLine<'_, '_>, peer: Option<SocketAddr>) -> fmt::Result {
    line.write_str("a client was rejected, as every place was taken")?;
    match peer {
        Some(peer) => write!(line, ": {peer}"),
        None => Ok(()),
    }
}

/// Keeps everything that is written to it on one line, and harmless on a terminal.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // A backslash as well, so that it is clear what has been escaped.
            if is_unprintable(c) || c == '\\' {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Returns whether a character is a control, ends a line, or reorders the text around it.
fn is_unprintable(c: char) -> bool {
    let is_line_end = matches!(c, '\u{2028}' | '\u{2029}');
    let is_bidirectional = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_line_end || is_bidirectional
}

#[cfg(test)]
mod tests;
