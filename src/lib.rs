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

pub use error::Error;
pub use event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event};
pub use handle::{Handle, Outcome, Phase};
pub use headers::Headers;
pub use life::CancelToken;
pub use request::{Body, Request};
pub use response::{BodyWriter, Response};
pub use server::{Builder, Running, Server};
pub use types::{StatusCode, Version};
