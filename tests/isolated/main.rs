//! Tests that need a process of their own each, because they count, limit or change what the whole
//! process has. They start themselves again for that: see `is_alone`.

#[path = "../support/mod.rs"]
mod support;

#[cfg(unix)]
mod descriptors;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod leak;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(unix)]
mod socket_file;
#[cfg(target_os = "linux")]
mod threads;
