//! The examples, each run as a user does.
//!
//! These tests start processes concurrently. A process that is being started holds copies of this
//! process's descriptors until it runs its own program. That does no harm here: the ports that have
//! to be closed belong to the processes of the examples, and no test counts descriptors or threads.
//! It can only delay the end of an example's stdin for a moment.

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod app;
mod countdown;
mod dashboard;
mod files;
#[cfg(unix)]
mod handover;
mod metrics;
mod oauth_callback;
mod stdin;
mod stop_with_stdin;
mod upgrade_echo;
