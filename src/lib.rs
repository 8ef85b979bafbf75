//! A synchronous HTTP/1.1 server that can be **destroyed**: the port is closed and every connection
//! is cut at once, while the host process keeps running. It uses std alone: no dependency, no
//! `unsafe`, no async.
//!
//! A handler takes a [`Request`], and returns a [`Response`] or an [`Error`]:
//!
//! ```
//! use hardstop::{Error, Request, Response, Server};
//!
//! fn hello(req: &mut Request<'_>) -> Result<Response, Error> {
//!     match req.route() {
//!         ("GET", "/hello") => {
//!             let name = req.query_value("name").unwrap_or_else(|| String::from("world"));
//!             Ok(Response::text(format!("hello, {name}\n")))
//!         }
//!         _ => Err(Error::new(404, "no such page")),
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let server = Server::builder()
//!         .on_event(|event| eprintln!("{event}")) // prints each event as a line
//!         .bind("127.0.0.1:0")?
//!         .spawn(hello)?;
//!     println!("listening on http://{}/hello", server.local_addr());
//!     server.destroy(); // closes the port and cuts every connection
//!     Ok(())
//! }
//! ```
//!
//! Each connection has a thread, on which the handler is called for one request after the other. A
//! handler that takes long asks its [`CancelToken`]. [`Builder`] has the settings, and the hook
//! that receives every [`Event`]. In a unit test, [`Builder::answer`] calls a handler without a
//! port.
//!
//! A [`Server`] has its port open. [`Server::run`] serves on the caller's thread. [`Server::spawn`]
//! returns a [`Running`], whose drop destroys the server. A [`Handle`] stops it from any thread:
//!
//! ```text
//! bind ──▶ Accepting ── drain, shutdown ──▶ Draining ── connections end ──┐
//!              │                               │                          ▼
//!              └─────────── destroy ───────────┴─▶ Destroyed ──▶ wait returns
//! ```
//!
//! # Guide
//! [Stopping](guide::stopping) · [promises](guide::promises), with the tests that check them ·
//! [limits](guide::limits) · [recipes](guide::recipes) · [with other crates](guide::with_crates) ·
//! [platforms](guide::platforms) · [restarts](guide::restarts) · [security](guide::security), with
//! the threat model · coming from [tiny_http](guide::from_tiny_http) or
//! [rouille](guide::from_rouille) · [reading the source](guide::reading)
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

    #[doc = include_str!("guide/links.md")]
    #[doc = include_str!("guide/reading.md")]
    pub mod reading {}
}

// A program with a copy of this in its own tree may not use all of them.
#[allow(unused_imports)]
pub use self::{
    answer::Answer,
    config::Builder,
    conn::{Body, BodyWriter, Form, Lease, Request, Response, ResponseBody, Upgraded},
    error::{EarlyResponse, Error},
    event::{CloseReason, ConnectionId, ConnectionInfo, ConnectionState, Event, Phase},
    lifecycle::{CancelToken, Handle, Outcome},
    proto::{http_date, Headers, StatusCode, Version},
    server::{Running, Server},
};
