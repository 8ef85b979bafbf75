//! Who lives: every open connection, the one lock that decides about them, and the calls that stop a server.

pub(crate) mod entry;
pub(crate) mod handle;
pub(crate) mod registry;
