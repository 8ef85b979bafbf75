//! The operating system as the rest of the library sees it. Whatever differs between systems stands
//! here.

pub(crate) mod counter;
pub(crate) mod listener;
pub(crate) mod panic;
pub(crate) mod socket;
pub(crate) mod sync;
#[cfg(unix)]
pub(crate) mod unix_socket;

/// The default stack of a connection's thread. By default there are up to 264 of these threads, and
/// 520 while connections that were cut are slow to end. In a 32-bit address space, the stacks of
/// 520 threads take 260 MiB.
pub(crate) const DEFAULT_STACK_SIZE: usize = if cfg!(target_pointer_width = "64") {
    2 * 1024 * 1024
} else {
    512 * 1024
};
