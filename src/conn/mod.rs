//! One connection, on its own thread.

pub(crate) mod date;
pub(crate) mod driver;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
pub(crate) mod transport;
pub(crate) mod upgrade;
