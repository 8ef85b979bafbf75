//! hardstop
#![forbid(unsafe_code)]
#![deny(unused_must_use)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![warn(missing_docs, missing_debug_implementations)]

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
pub use event::{CloseReason, ConnectionInfo, ConnectionState, Event};
pub use handle::{CancelToken, ConnectionId, Handle, Outcome, Phase};
pub use headers::Headers;
pub use request::{Body, Request};
pub use response::{BodyWriter, Response};
pub use server::{Builder, Running, Server};
pub use types::{StatusCode, Version};
