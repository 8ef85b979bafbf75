//! A synchronous HTTP/1.1 server that can be **destroyed**: the port is closed and every connection
//! is cut at once, while the host process keeps running. It uses std alone: no dependency, no
//! `unsafe`, no async.
//!
//! ```
//! let server = hardstop::Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
//! server.destroy(); // the port is closed, every connection is cut, and the process keeps running
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A [`Server`] has its port open. [`Server::run`] serves on the caller's thread. [`Server::spawn`]
//! returns a [`Running`], whose drop destroys the server. A [`Handle`] stops it from any thread:
//!
//! ```text
//! bind ─ run, spawn ─▶ Accepting ─ drain, shutdown ─▶ Draining ─ connections end ─▶ wait returns
//!                          └─────── destroy ──────────────┴─▶ Destroyed ─ handlers end ─┘
//! ```
//!
//! Each connection has a thread. On it, the handler is called with a [`Request`], and returns a
//! value that converts into a [`Response`]. A handler that takes long asks its [`CancelToken`].
//! [`Builder`] has the settings, and the hook that receives every [`Event`]. In a unit test,
//! [`Builder::answer`] calls a handler without a port.
//!
//! # Guide
//! [Stopping](guide::stopping) · [promises](guide::promises), with the tests that check them ·
//! [limits](guide::limits) · [recipes](guide::recipes) · [with other crates](guide::with_crates) ·
//! [platforms](guide::platforms) · [restarts](guide::restarts) · [security](guide::security) ·
//! coming from [tiny_http](guide::from_tiny_http) or [rouille](guide::from_rouille)
//!
//! # Reading the source
//!
//! In about an hour, in this order, from below. Each file begins with what always holds in it, and
//! uses only what stands above it in this list. The questions are what to look for.
//!
//! 1. `sys/`: what differs between systems, which is the listener, sockets, locks and panics. What
//!    may block?
//! 2. `proto/`: parsing and encoding, which is pure: bytes in, values out. What could another
//!    reader understand differently? What grows without a limit?
//! 3. `error`, `event`, `config`: what fails, what is reported, and the settings. Everything else
//!    moves these states and reasons.
//! 4. `lifecycle/`: the heart, which is the registry, its one lock, and the calls that stop. Is a
//!    socket ever open but unknown? Is anything of the user's called under the lock?
//! 5. `conn/`: one connection's thread, from its socket to its lingering end. Can an unread body
//!    become a request? Does a panic get past it? Which wait has no clock?
//! 6. `accept`, `server`: the accept loop, and a server's owner. Is every thread joined?
//! 7. `answer`: a handler called without a port, in tests. What is not as on a socket?
//!
//! The threat model, with the test for each defence, is in [`guide/security.md`](guide::security).
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]
#![deny(unused_must_use)]
#![warn(missing_docs, missing_debug_implementations)]
// These lints stand here and not in Cargo.toml, so that they travel with a vendored copy and do not
// bind the integration tests and the examples.
#![warn(
    clippy::expect_used,
    clippy::incompatible_msrv,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::significant_drop_in_scrutinee,
    clippy::string_slice,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
// A test fails by a panic, and only the library has to build with the oldest compiler.
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::incompatible_msrv,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::significant_drop_in_scrutinee,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod accept;
mod answer;
// `fuzz/` takes this file in as a module, and drives these five from outside of it.
pub(crate) mod config;
pub(crate) mod conn;
mod error;
mod event;
pub(crate) mod lifecycle;
pub(crate) mod proto;
mod server;
pub(crate) mod sys;

/// The guide: pages of documentation, and no code.
///
/// They are Markdown files in `src/guide`, where links between them name files. `links.md` comes
/// before each page and makes the same links lead to modules.
#[cfg(doc)]
pub mod guide {
    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/stopping.md")]
    pub mod stopping {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/promises.md")]
    pub mod promises {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/limits.md")]
    pub mod limits {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/recipes.md")]
    pub mod recipes {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/with_crates.md")]
    pub mod with_crates {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/platforms.md")]
    pub mod platforms {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/restarts.md")]
    pub mod restarts {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/security.md")]
    pub mod security {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/from_tiny_http.md")]
    pub mod from_tiny_http {}

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/from_rouille.md")]
    pub mod from_rouille {}
}

// A program with a copy of this in its own tree may not use all of them.
#[allow(unused_imports)]
pub use self::{
    answer::Answer,
    config::Builder,
    conn::{Body, BodyWriter, Lease, Request, Response, ResponseBody, Upgraded},
    error::{EarlyResponse, Error},
    event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event, Phase},
    lifecycle::{CancelToken, Handle, Outcome},
    proto::{http_date, Headers, StatusCode, Version},
    server::{Running, Server},
};
