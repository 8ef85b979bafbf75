//! The operating system as the rest of the library sees it.

pub(crate) mod listener;
pub(crate) mod sync;
