//! A synchronous HTTP/1.1 server that can be **destroyed**: at once, with every connection cut, while the process that
//! hosts it goes on. Std only: no dependency, no `unsafe`, no async.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use hardstop::Server;
//!
//! let server = Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
//! server.destroy(); // the port is closed, every connection is cut, and the process goes on
//! # Ok(())
//! # }
//! ```
//!
//! # A life
//! ```text
//! Server::bind ── run / spawn ──▶ Accepting ── drain, shutdown ──▶ Draining ── the last one ends ──▶ nobody is left:
//!                                     │                               │ the grace is over            wait, join return
//!                                     └────────── destroy ────────────┴──────────▶ Destroyed ── the last handler ends ─┘
//! ```
//! A [`Server`] has its port open. [`Server::run`] serves on the caller's thread, [`Server::spawn`] gives a [`Running`],
//! whose drop destroys the server. A [`Handle`] stops it, from anywhere. Each connection has a thread, on which the handler
//! is called with a [`Request`] and returns what converts into a [`Response`]. [`Builder`] has the limits, and the hook
//! that is told every [`Event`]. A handler that takes long asks its [`CancelToken`].
//!
//! What each call promises is in its own words here, and in `README.md` beside the tests that show it.
//!
//! # Reading the source
//! In about an hour, in this order. Bytes flow one way: accept → connection → head → handler → encode.
//!
//! | file | what is in it |
//! |---|---|
//! | `registry` | every connection, the one lock, accepting, the only way out: the heart |
//! | `handle`, `life` | the calls that stop a server; one connection's own state, and its token |
//! | `server` | settings, the owner, the accept loop and its threads |
//! | `connection` | one connection's thread: wait, head, handler, response, again; the lingering end |
//! | `stream` | the two buffers, and the clocks of every wait |
//! | `head`, `headers`, `framing`, `urlencoded` | bytes in, values out: pure parsing |
//! | `request`, `response`, `encode`, `date` | what a handler sees and returns, and how it leaves |
//! | `event`, `error`, `types` | what is told, what goes wrong, and small words |
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
mod event;
mod framing;
mod handle;
mod head;
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
    event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event},
    handle::{Handle, Outcome, Phase},
    head::Headers,
    life::CancelToken,
    request::{Body, Request},
    response::{BodyWriter, Response},
    server::{Builder, Running, Server},
    types::{Error, StatusCode, Version},
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
