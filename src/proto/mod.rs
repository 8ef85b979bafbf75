//! What goes over the wire, as values: bytes in, values out, and back.
//!
//! Nothing here names a socket, a lock, a thread or a clock, and nothing reads or writes: so all of it can be tested and
//! fuzzed with bytes alone.

pub(crate) mod date;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod refusal;
pub(crate) mod status;
pub(crate) mod urlencoded;
