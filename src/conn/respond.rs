//! How a connection answers: the response, the refusal, and the upgrade.

use super::super::error::Error;
use super::super::event::{CloseReason, ConnectionState, Event};
use super::super::proto::{
    self, BodyFraming, BodyLength, ConnectionField, ResponseHead, StatusCode,
};
use super::super::sys::panic;
use super::body_writer::BodyWriter;
use super::connection::{report_panic, Connection};
use super::response::{Response, UpgradeFn};
use super::response_body::{Payload, ResponseBody, StreamBody};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

/// The largest body that the client's system takes at once, so that a reset would come behind it.
const SHORT_BYTES: usize = 4 * 1024;

/// What has become of a response's body.
enum Sent {
    /// All of it, which is this many bytes, is sent or in the output.
    Whole(u64),
    /// It failed before anything of the response had left, and another response can be sent.
    TakenBack(Error),
}

impl Connection<'_> {
    /// Sends a 101 if the response is an upgrade. Returns the closure that takes over the
    /// connection.
    ///
    /// If the client has not offered that upgrade, `response` becomes the refusal, and if it is not
    /// valid, it stays what it is. Then it is to be sent as any other one.
    pub(super) fn upgrade(
        &mut self,
        response: &mut Response,
    ) -> Result<Option<UpgradeFn>, CloseReason> {
        let upgrade = match response.upgrade.take() {
            Some(upgrade) => upgrade,
            None => return Ok(None),
        };
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            // The handler's mistake, which gets a 500 as every invalid response does.
            response.invalid = Some("the status code of an upgrade is 101, and cannot be set");
        } else if let Some(refusal) = self.refuse_upgrade(&upgrade.protocol) {
            *response = refusal.into();
            // Dropping the closure is the user's code.
            return match panic::catch(move || drop(upgrade)) {
                Ok(()) => Ok(None),
                Err(message) => Err(self.answer_panic(message)),
            };
        }
        if response.invalid.is_some() {
            // The closure is dropped when the response is replaced.
            response.upgrade = Some(upgrade);
            return Ok(None);
        }
        self.begin_response()?;
        self.push_head(response, BodyFraming::None, ConnectionField::None)?;
        self.stream.flush()?;
        self.report_response(response.status, 0);
        self.entry().enter(ConnectionState::Upgraded)?;
        // None of HTTP's timeouts may end a wait of the next protocol.
        let transport = &mut self.stream.transport;
        transport
            .set_read_timeout(None)
            .or(Err(CloseReason::SetupFailed))?;
        transport
            .set_write_timeout(None)
            .or(Err(CloseReason::SetupFailed))?;
        let id = self.entry().id;
        let protocol = upgrade.protocol;
        self.emit(|| Event::Upgraded { id, protocol });
        Ok(Some(upgrade.take))
    }

    /// Returns why the request does not lead to an upgrade, if so (RFC 9110 §7.8).
    fn refuse_upgrade(&self, protocol: &str) -> Option<Error> {
        if !self.is_offered(protocol) {
            return Some(Error::new(400, "the client has not offered this upgrade"));
        }
        if !self.exchange.is_complete() {
            return Some(Error::new(400, "the body before an upgrade was not read"));
        }
        if self.is_draining() {
            return Some(Error::ended_early(true));
        }
        None
    }

    fn is_offered(&self, protocol: &str) -> bool {
        if protocol.is_empty() || !self.exchange.directives.upgrades {
            return false;
        }
        for value in self.head.headers.get_all_bytes("upgrade") {
            if proto::list_elements(value).any(|offer| proto::eq_ignore_case(offer, protocol)) {
                return true;
            }
        }
        false
    }

    /// Answers a panic of the user's code that came before any response was made. Returns the panic
    /// as the reason why the connection ends.
    pub(super) fn answer_panic(&mut self, message: String) -> CloseReason {
        let reason = report_panic(self.registration, message);
        let response = Response::from(StatusCode::INTERNAL_SERVER_ERROR).with_close();
        let _ = self.answer(response); // if this fails, the panic is still the reason
        reason
    }

    fn begin_response(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        self.date.refresh(now);
        self.entry().enter_at(now, ConnectionState::Responding)
    }

    fn report_response(&self, status: StatusCode, bytes: u64) {
        let id = self.entry().id;
        self.emit(|| Event::Responded {
            id,
            status,
            bytes,
            time: self.head_read_at.elapsed(),
        });
    }

    /// Receives what is left of the body, if the connection can go on then. Sends the response, and
    /// ends the connection if it cannot go on.
    pub(super) fn answer(&mut self, response: Response) -> Result<(), CloseReason> {
        let mut received = Ok(());
        if !response.closes && !self.is_draining() {
            // The end of the response begins here: the connection hurries if its place is wanted.
            self.entry().begin_end_of_response();
            let registry = &self.registration.registry;
            let is_hurried = || registry.is_place_sought() || registry.is_draining_or_destroyed();
            received = self.body().receive_rest(is_hurried);
        }
        self.begin_response()?;
        // Asked after the rest has been received: a drain may have begun meanwhile.
        let is_draining = self.is_draining();
        let may_go_on = self.exchange.may_go_on() && !response.closes;
        let is_short = match &response.body.payload {
            Payload::Bytes(bytes) => bytes.len() <= SHORT_BYTES,
            Payload::File(_) | Payload::Stream { .. } => false,
        };
        let keep_alive = may_go_on && self.exchange.is_complete() && !is_draining;
        if self.respond(response, keep_alive)? {
            return Ok(());
        }
        let closed = if is_short && self.is_last_word() {
            // The client wanted the end, and has sent nothing more: a reset cannot come.
            self.become_evictable(None, ConnectionState::Closing)
                .map(|_| ())
        } else {
            self.linger()
        };
        if let Err(reason) = received {
            // If this has failed as well, the client does not have all of the response.
            closed?;
            return Err(reason);
        }
        Err(self.reason_after_last_response(closed, may_go_on && is_draining))
    }

    /// Returns whether the request was the client's last one, as it has said itself.
    fn is_last_word(&self) -> bool {
        let directives = &self.exchange.directives;
        !directives.keep_alive
            && self.head.method == "GET"
            && directives.body == BodyLength::Known(0)
            && self.stream.buffered().is_empty()
    }

    /// Decides why the connection ends after its last response.
    fn reason_after_last_response(
        &self,
        closed: Result<(), CloseReason>,
        is_drained: bool,
    ) -> CloseReason {
        match self.exchange.failure {
            Some(StatusCode::REQUEST_TIMEOUT) => return CloseReason::BodyTimeout,
            Some(StatusCode::INTERNAL_SERVER_ERROR) => {
                return closed.err().unwrap_or(CloseReason::PeerLost);
            }
            Some(status) => return CloseReason::Refused(status),
            None => {}
        }
        match closed {
            Err(reason) => reason, // the client does not have all of it
            Ok(()) if is_drained => CloseReason::Drained,
            Ok(()) => CloseReason::Completed,
        }
    }

    /// Sends a response. Returns whether the connection can go on after it, for which `may_go_on`
    /// must hold.
    fn respond(&mut self, mut response: Response, may_go_on: bool) -> Result<bool, CloseReason> {
        let replaced = self.replace_invalid(&mut response);
        if let Some(error) = response.failure.take() {
            self.report_failure(*error);
        }
        let version = self.head.version;
        let framing = response.framing(version);
        let keep_alive =
            may_go_on && replaced.is_ok() && !response.closes && framing != BodyFraming::UntilClose;
        self.push_head(&response, framing, self.connection_field(keep_alive))?;
        let status = response.status;
        let body = response.body;
        // Dropping a body that is not sent is the user's code as well.
        let sent = panic::catch(|| self.send_body(body, framing));
        let reason = match sent {
            Ok(Ok(Sent::Whole(bytes))) => match self.report_sent(status, bytes).and(replaced) {
                Ok(()) => return Ok(keep_alive),
                Err(reason) => reason,
            },
            // This happens once, because the body of the other response is bytes.
            Ok(Ok(Sent::TakenBack(error))) => {
                return self.respond(response_instead(error), may_go_on)
            }
            Ok(Err(reason)) => reason,
            Err(message) => self.replace_after_panic(message),
        };
        // Earlier responses may stand before this one, and the client sees that it is cut short.
        let lingered = self.linger();
        // After a panic in a write, nothing more can be sent. The panic is still the reason.
        if reason != CloseReason::HandlerPanicked {
            lingered?;
        }
        Err(reason)
    }

    /// Decides what a response says about the connection.
    fn connection_field(&self, keep_alive: bool) -> ConnectionField {
        if !keep_alive {
            return ConnectionField::Close;
        }
        if !self.exchange.directives.asks_keep_alive {
            return ConnectionField::None;
        }
        // RFC 9112 §9.3: without it, a client of HTTP/1.0 waits for the end.
        ConnectionField::KeepAlive {
            idle_seconds: self.config.announced_idle_seconds(),
        }
    }

    /// Reports a response that is sent or in the output. Fails if a write before it has failed,
    /// while the handler read the body.
    fn report_sent(&self, status: StatusCode, bytes: u64) -> Result<(), CloseReason> {
        self.stream.written()?;
        self.report_response(status, bytes);
        Ok(())
    }

    /// Reports the panic of a response's reader or closure, and sends a 500 instead of the response
    /// if nothing of that has left. Returns why the connection ends.
    fn replace_after_panic(&mut self, message: String) -> CloseReason {
        let reason = report_panic(self.registration, message);
        if !self.entry().is_cut() && self.stream.take_back_response() {
            let response = Response::from(StatusCode::INTERNAL_SERVER_ERROR);
            // If this fails, the panic is still the reason.
            let _ = self.respond(response, false);
        }
        reason
    }

    /// Replaces a response that cannot be sent as it was made by a 500. Fails if its body panics
    /// when it is dropped.
    fn replace_invalid(&mut self, response: &mut Response) -> Result<(), CloseReason> {
        if !(200..=599).contains(&response.status.as_u16()) && response.invalid.is_none() {
            response.invalid = Some("the status code is not from 200 to 599");
        }
        let invalid = match response.invalid {
            Some(invalid) => invalid,
            None => return Ok(()),
        };
        if let Some(error) = response.failure.take() {
            self.report_failure(*error);
        }
        let error = Error::Io(io::Error::new(io::ErrorKind::InvalidData, invalid));
        let replaced = mem::replace(response, error.into());
        // Dropping its body is the user's code.
        match panic::catch(|| drop(replaced)) {
            Ok(()) => Ok(()),
            Err(message) => Err(report_panic(self.registration, message)),
        }
    }

    fn report_failure(&self, error: Error) {
        let id = self.entry().id;
        self.emit(|| Event::RequestFailed { id, error });
    }

    fn push_head(
        &mut self,
        response: &Response,
        framing: BodyFraming,
        connection: ConnectionField,
    ) -> Result<(), CloseReason> {
        let head = ResponseHead {
            status: response.status,
            date: self.date.text(),
            framing,
            connection,
            content_type: &response.content_type,
            fields: &response.fields,
        };
        head.encode(self.stream.output_for_head()?);
        Ok(())
    }

    /// Sends a body, if there is to be one.
    fn send_body(&mut self, body: ResponseBody, framing: BodyFraming) -> Result<Sent, CloseReason> {
        if matches!(framing, BodyFraming::None | BodyFraming::Length(0)) {
            return Ok(Sent::Whole(0));
        }
        if self.head.method == "HEAD" {
            return Ok(Sent::Whole(0));
        }
        match body.payload {
            Payload::Bytes(bytes) => {
                // A large body leaves now, and with it the end of the response.
                self.entry().begin_end_of_response();
                self.stream.push(&bytes)?;
                Ok(Sent::Whole(u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
            }
            Payload::File(file) => {
                let length = file.length();
                self.send_stream(Box::new(|body| file.send(body)), false, Some(length))
            }
            Payload::Stream { write, length } => {
                let chunked = framing == BodyFraming::Chunked;
                self.send_stream(write, chunked, length)
            }
        }
    }

    /// Sends what a closure writes.
    fn send_stream(
        &mut self,
        write: Box<StreamBody>,
        chunked: bool,
        length: Option<u64>,
    ) -> Result<Sent, CloseReason> {
        let mut body = BodyWriter::new(&mut self.stream, chunked, length);
        let written = write(&mut body);
        let finished = body.finish(written);
        let is_whole = body.is_whole();
        let bytes = body.written();
        self.stream.written()?;
        let error = match finished {
            Ok(()) => return Ok(Sent::Whole(bytes)),
            Err(error) => Error::from(error),
        };
        if is_whole && !self.entry().is_cut() {
            // The reader had more. The client has what it was promised.
            self.report_failure(error);
            return Ok(Sent::Whole(bytes));
        }
        // After a cut, nobody is left to get an answer.
        if !self.entry().is_cut() && self.stream.take_back_response() {
            return Ok(Sent::TakenBack(error));
        }
        self.report_failure(error);
        Err(CloseReason::ResponseFailed)
    }

    /// Answers what is wrong with a request, and ends the connection. Returns why it ends.
    pub(super) fn reject(&mut self, error: Error) -> CloseReason {
        let reason = match error.status() {
            StatusCode::REQUEST_TIMEOUT => CloseReason::HeadTimeout,
            StatusCode::SERVICE_UNAVAILABLE => CloseReason::Busy,
            status => CloseReason::Refused(status),
        };
        self.recognize_head_method();
        if let Err(reason) = self.begin_response() {
            return reason;
        }
        if let Err(reason) = self.respond(error.into(), false) {
            return reason;
        }
        let _ = self.linger(); // if it fails, the refusal is still the reason
        reason
    }

    /// Sees whether a request that has not been read asks for `HEAD`.
    fn recognize_head_method(&mut self) {
        // RFC 9110 §9.3.2: the response to a HEAD has no body, also if it is a refusal.
        let begun = self.stream.buffered();
        if !proto::without_empty_line(begun).starts_with(b"HEAD ") {
            return;
        }
        if let Some(head) = Arc::get_mut(&mut self.head) {
            if head.method.is_empty() {
                head.method = String::from("HEAD");
            }
        }
    }
}

/// Returns the response that is sent instead of one whose body has failed with this error.
///
/// Its own body cannot fail, or there might be no end of it: an early answer that is a stream or an
/// upgrade becomes a 500.
fn response_instead(error: Error) -> Response {
    let mut response = Response::from(error);
    if response.body.as_bytes().is_none() || response.upgrade.is_some() {
        response.invalid = Some("the early answer of a response's body is not bytes");
    }
    response
}
