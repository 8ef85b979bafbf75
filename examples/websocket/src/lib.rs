//! A chat over WebSocket (RFC 6455). This file has the page and the opening handshake, which is
//! HTTP. `room` has the clients, and sends to all of them. `client` speaks with one of them.

#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod client;
mod room;

pub use room::Room;

use hardstop::{Error, Request, Response};
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;

/// Answers a request for the page, or for the chat itself.
pub fn answer(req: &Request<'_>, room: &Arc<Room>) -> Result<Response, Error> {
    refuse_foreign_pages(req)?;
    // In `req.route()`, a HEAD is a GET. A handshake has to be a GET (RFC 6455 §4.1).
    match (req.method(), req.path()) {
        ("GET" | "HEAD", "/") => {
            let page = Response::html(include_str!("page.html"));
            Ok(page.with_header("X-Frame-Options", "DENY"))
        }
        ("GET", "/chat") => open_chat(req, room),
        _ => Err(Error::new(404, "there is no such page")),
    }
}

/// Refuses requests that come from the pages of other sites. Any page that the user has open can
/// open a WebSocket to 127.0.0.1. `examples/dashboard.rs` has the same function.
fn refuse_foreign_pages(req: &Request<'_>) -> Result<(), Error> {
    // DNS rebinding: a foreign page can point its own host name at this server. Its origin is then
    // that name, which the next check would allow. The port is not compared, because `ssh -L` and
    // `docker -p` change it.
    let host = req.header("Host").unwrap_or_default();
    let name = host
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .strip_suffix(':')
        .unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_local = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| local.eq_ignore_ascii_case(name));
    if !is_local {
        return Err(Error::new(421, "this server does not serve that host name"));
    }
    // A browser sends the page's origin with every WebSocket. A client that is not a browser may
    // leave it out.
    match req.header("Origin") {
        Some(origin) if origin.eq_ignore_ascii_case(&format!("http://{host}")) => Ok(()),
        None if matches!(req.method(), "GET" | "HEAD") => Ok(()),
        _ => Err(Error::new(
            403,
            "the request does not come from a page of this server",
        )),
    }
}

/// Checks the client's opening handshake, and completes it (RFC 6455 §4.2).
///
/// The library checks the rest of it: HTTP/1.1, and `websocket` among the protocols that the client
/// offers with `Connection: upgrade`. Otherwise it answers with 400.
fn open_chat(req: &Request<'_>, room: &Arc<Room>) -> Result<Response, Error> {
    if req.header("Upgrade").is_none() || req.header("Sec-WebSocket-Version") != Some("13") {
        return Err(Error::new(426, "this is a WebSocket of version 13")
            .with_header("Upgrade", "websocket")
            .with_header("Sec-WebSocket-Version", "13"));
    }
    let key = match req.header("Sec-WebSocket-Key") {
        Some(key) if is_nonce(key) => key,
        _ => {
            return Err(Error::new(
                400,
                "Sec-WebSocket-Key is not 16 bytes in base64",
            ))
        }
    };
    // A client also offers extensions, such as compression. None is accepted by saying nothing.
    let accept = derive_accept_key(key.as_bytes());
    let id = req.connection_id();
    let token = req.cancel_token();
    let room = Arc::clone(room);
    let response = Response::upgrade("websocket", move |stream| {
        client::serve(stream, id, &token, &room);
    });
    Ok(response.with_header("Sec-WebSocket-Accept", accept))
}

/// Returns whether this is base64 for 16 bytes: 22 digits, and two signs that fill them up.
fn is_nonce(key: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    match key.strip_suffix("==") {
        Some(digits) => digits.len() == 22 && digits.chars().all(is_digit),
        None => false,
    }
}
