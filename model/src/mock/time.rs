//! Time, as the virtual clock has it. `SystemTime` is the real one: only the `Date` header uses it.

pub use super::clock::Instant;
pub use ::std::time::{Duration, SystemTime, UNIX_EPOCH};
