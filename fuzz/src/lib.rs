//! One function for each fuzz target. The library is included as a module, so that it need not export its internals.
//!
//! Except for `urlencoded` and `faults`, the first line of an input gives the sizes of the pieces in which the rest arrives: `a` is a
//! piece of one byte, `b` of two, and so on. The sizes are repeated to the end. An empty line means `a`. This keeps the
//! seeds readable.

// The library is checked for warnings as a package of its own.
#[allow(dead_code, unused_imports, clippy::all)]
#[path = "../../src/lib.rs"]
mod hardstop;

mod chunked;
mod connection;
mod faults;
mod head;
mod naive;
mod urlencoded;

pub use self::chunked::chunked;
pub use self::connection::connection;
pub use self::faults::faults;
pub use self::head::head;
pub use self::urlencoded::urlencoded;

use std::iter;

/// Splits an input into the endless sequence of piece sizes and the bytes that arrive in these pieces.
fn plan(input: &[u8]) -> (impl Iterator<Item = usize> + Clone + Send + '_, &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (line, rest) = input.split_at(end.unwrap_or(0));
    let line = if line.is_empty() { b"a" } else { line };
    let sizes = line
        .iter()
        .map(|byte| usize::from(byte.wrapping_sub(b'a')) + 1);
    (sizes.cycle(), rest.strip_prefix(b"\n").unwrap_or(rest))
}

/// Returns the offsets at which the pieces end, beginning with 0.
fn ends(mut sizes: impl Iterator<Item = usize>, length: usize) -> impl Iterator<Item = usize> {
    let mut next = Some(0);
    iter::from_fn(move || {
        let end = next?;
        next = (end < length).then(|| length.min(end + sizes.next().unwrap_or(length)));
        Some(end)
    })
}
