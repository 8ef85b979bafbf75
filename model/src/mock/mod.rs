//! What the library gets in place of `std`.
//!
//! It is all of std, with these parts replaced: [`sync`], [`thread`], [`time`], [`net`], what
//! [`os`] has of sockets, and `catch_unwind`. The replaced parts have only what the library uses.
//! What they lack is a compiler error, so nothing can block the real system by mistake.
//!
//! Memory is sequentially consistent here, whatever order an atomic operation asks for.

pub use ::std::*;

pub mod clock;
pub mod faults;
pub mod kernel;
pub mod net;
pub mod network;
pub mod os;
pub mod panic;
pub mod sync;
pub mod thread;
pub mod time;
