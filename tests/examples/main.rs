//! The examples, each run as the process that a user runs.
//!
//! These tests start processes at the same time. One that is being started holds every descriptor of this process for a
//! moment, until it runs its own program. That can only delay an end that a test waits for: the ports are those of the
//! examples' processes, which do not start any of the others, and no test counts descriptors or threads.

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod countdown;
mod dashboard;
mod files;
#[cfg(unix)]
mod handover;
mod metrics;
mod oauth_callback;
mod stop_with_stdin;
mod upgrade_echo;
