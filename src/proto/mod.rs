//! What goes over the wire, as values: bytes in, values out, and back.
//!
//! Nothing here names a socket, a lock, a thread or a clock, and nothing reads or writes: so all of it can be tested and
//! fuzzed with bytes alone.

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)] // numbers come from outside here

pub(crate) mod body;
pub(crate) mod chars;
pub(crate) mod date;
pub(crate) mod directives;
pub(crate) mod encode;
pub(crate) mod head;
pub(crate) mod headers;
mod line;
pub(crate) mod refusal;
pub(crate) mod status;
mod target;
pub(crate) mod urlencoded;
