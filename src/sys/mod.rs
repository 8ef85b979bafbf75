//! The operating system as the rest of the library sees it. Whatever differs between systems stands
//! here.

pub(crate) mod listener;
pub(crate) mod panic;
pub(crate) mod socket;
pub(crate) mod sync;
#[cfg(unix)]
pub(crate) mod unix_socket;
