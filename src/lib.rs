//! A synchronous HTTP/1.1 server that can be **destroyed**: at once, with every connection cut, while the process that
//! hosts it goes on. Std only: no dependency, no `unsafe`, no async.
//!
//! ```
//! let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
//! server.destroy(); // the port is closed, every connection is cut, and the process goes on
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A [`Server`] has its port open. [`Server::run`] serves on the caller's thread, [`Server::spawn`] gives a [`Running`],
//! whose drop destroys the server. A [`Handle`] stops it, from anywhere:
//!
//! ```text
//! bind ─ run, spawn ─▶ Accepting ─ drain, shutdown ─▶ Draining ─ the last connection ends ─▶ wait and join return
//!                          └─────── destroy ──────────────┴─▶ Destroyed ─ the last handler ends ─┘
//! ```
//! Each connection has a thread, on which the handler is called with a [`Request`] and returns what converts into a
//! [`Response`]. One that takes long asks its [`CancelToken`]. [`Builder`] has the limits, and the hook that is told every
//! [`Event`]. `README.md` lists the promises, with the tests that show them.
//!
//! # Reading the source
//! In about an hour, in this order, for an auditor. Bytes flow one way: accept → connection → head → handler → response.
//! Each file begins with what always holds in it.
//!
//! | file | min | what is in it | what to look for |
//! |---|---|---|---|
//! | `event`, `types` | 4 | what is told, what goes wrong, small words | the states and reasons: all else moves these |
//! | `registry`, `listener` | 14 | the one lock, accepting, the only way out: the heart | is a socket ever open but unknown? is anything of the user's called under the lock? |
//! | `handle`, `life` | 8 | the calls that stop; one connection's state | first the stage moves, then each is cut: who could see neither? |
//! | `server` | 5 | settings, the owner, the accept loop | the defaults; every thread is joined |
//! | `connection` | 8 | one connection's thread, from its socket to its lingering end | can an unread body become a request? does a panic get past it? |
//! | `stream`, `transport` | 7 | its buffers, timeouts and rates; what may be wrapped around a socket | which wait has no clock? |
//! | `head`, `framing`, `urlencoded` | 8 | bytes in, values out: pure parsing | what could another reader understand differently? what grows without a limit? |
//! | `request`, `response`, `date` | 5 | what a handler sees and returns, and how that leaves | can a field split a response, a body miss its length? |
//! | `upgrade` | 1 | a connection that has left HTTP | does every stop still reach it? |
//!
//! `threats.md`, which is [a page](threats) of these docs, too, says who may attack, with what, what holds, and which test shows it.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]
#![deny(unused_must_use, clippy::print_stdout, clippy::print_stderr)]
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
opaque! { Body BodyWriter<'_> Builder CancelToken Handle Headers Lease Request<'_> Response Running Server Upgraded }

// Those that `fuzz/` drives, which takes this file in as a module, can be named in all of the crate.
pub(crate) mod connection;
mod date;
mod event;
pub(crate) mod framing;
mod handle;
pub(crate) mod head;
pub(crate) mod life;
mod listener;
pub(crate) mod registry;
mod request;
mod response;
mod server;
pub(crate) mod stream;
mod sync;
pub(crate) mod transport;
mod types;
mod upgrade;
pub(crate) mod urlencoded;

/// A page of the documentation, nothing else.
#[cfg(doc)]
#[doc = include_str!("threats.md")]
pub mod threats {}

#[allow(unused_imports)]
// of those that a program with a copy of this in its own tree does not use
pub use self::{
    date::http_date,
    event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event},
    handle::{Handle, Outcome, Phase},
    head::Headers,
    life::CancelToken,
    request::{Body, Request},
    response::{BodyWriter, Response},
    server::{Builder, Running, Server},
    types::{Error, StatusCode, Version},
    upgrade::{Lease, Upgraded},
};
