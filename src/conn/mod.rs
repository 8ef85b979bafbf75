//! One connection, on its own thread.
//!
//! `driver` is the loop over its steps, `respond` is how it answers, `linger` is how it ends after
//! a last response, and `connection` is what they share. Below them are what a handler sees
//! (`request`, `body`, `form`) and returns (`response` with `response_parts`, `response_body`,
//! `file_body`, `conditional`, `body_writer`, `early_response` and `upgrade`), and what carries the
//! bytes (`stream`, `rate`, `date`, `transport`). `yield_budget` says when a thread lets others
//! run.

mod body;
mod body_writer;
mod conditional;
mod connection;
mod date;
mod driver;
mod early_response;
mod file_body;
mod form;
mod linger;
mod rate;
mod request;
mod respond;
mod response;
mod response_body;
mod response_parts;
mod stream;
mod transport;
mod upgrade;
mod yield_budget;

pub(crate) use self::driver::{refuse_without_thread, serve, serve_over, Handler, Service};
pub(crate) use self::transport::Transport;
pub use self::{
    body::Body,
    body_writer::BodyWriter,
    form::Form,
    request::Request,
    response::Response,
    response_body::ResponseBody,
    upgrade::{Lease, Upgraded},
};
// It is driven by `fuzz/`, which takes the library in as a module.
#[allow(unused_imports)]
pub(crate) use self::transport::Socket;
