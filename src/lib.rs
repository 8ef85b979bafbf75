//! hardstop
#![forbid(unsafe_code)]
#![deny(unused_must_use)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![warn(missing_docs, missing_debug_implementations)]

/// Implements `Debug` for types of which only the name is worth printing.
macro_rules! opaque {
    ($($type:ty)+) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($type))
            }
        })+
    };
}
opaque! { Body BodyWriter<'_> Builder CancelToken Handle Request<'_> Response Running Server }

mod connection;
mod date;
mod encode;
mod error;
mod event;
mod framing;
mod handle;
mod head;
mod headers;
mod life;
mod registry;
mod request;
mod response;
mod server;
mod stream;
mod types;
mod urlencoded;

#[allow(unused_imports)]
// of those that a program with a copy of this in its own tree does not use
pub use self::{
    error::Error,
    event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event},
    handle::{Handle, Outcome, Phase},
    headers::Headers,
    life::CancelToken,
    request::{Body, Request},
    response::{BodyWriter, Response},
    server::{Builder, Running, Server},
    types::{StatusCode, Version},
};
