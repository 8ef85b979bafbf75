//! What is fuzzed, one function for each target. The library is taken in as a module, so nothing is made public for it.
//!
//! Except for `urlencoded`, the first line of an input says in what pieces the rest of it comes: `a` is a piece of one
//! byte, `b` of two, and so on; they are repeated to the end. An empty line is the same as `a`. So the seeds can be read.

// Its warnings are looked for where it is a package of its own.
#[allow(dead_code, unused_imports, clippy::all)]
#[path = "../../src/lib.rs"]
mod hardstop;

mod chunked;
mod connection;
mod head;
mod naive;
mod urlencoded;

pub use self::chunked::chunked;
pub use self::connection::connection;
pub use self::head::head;
pub use self::urlencoded::urlencoded;

use std::iter;

/// The sizes of the pieces, without an end, and what comes in them.
fn plan(input: &[u8]) -> (impl Iterator<Item = usize> + Clone + Send + '_, &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (line, rest) = input.split_at(end.unwrap_or(0));
    let line = if line.is_empty() { b"a" } else { line };
    let sizes = line
        .iter()
        .map(|byte| usize::from(byte.wrapping_sub(b'a')) + 1);
    (sizes.cycle(), rest.strip_prefix(b"\n").unwrap_or(rest))
}

/// Where those pieces end, from 0 on.
fn ends(mut sizes: impl Iterator<Item = usize>, length: usize) -> impl Iterator<Item = usize> {
    let mut next = Some(0);
    iter::from_fn(move || {
        let end = next?;
        next = (end < length).then(|| length.min(end + sizes.next().unwrap_or(length)));
        Some(end)
    })
}
