//! What std has of Unix sockets and raw descriptors.
//!
//! The conversions between kinds of sockets work. Sockets in the file system do not: binding one
//! fails, so the model does not cover `Builder::bind_unix`.

pub use ::std::os::*;

pub mod unix {
    pub use ::std::os::unix::*;

    pub mod io {
        pub use crate::mock::net::OwnedFd;
    }

    pub mod net {
        pub use crate::mock::net::{UnixDatagram, UnixListener, UnixStream};
        pub use ::std::os::unix::net::SocketAddr;
    }
}

pub mod fd {
    pub use crate::mock::net::OwnedFd;
}
