//! What the tests share: a client, a recorder of events, whole dialogues, and processes of their own.

// No test binary uses all of it. Without a reason, since `.ci/windows.rs` is built with Rust 1.63, which knows none.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod dialogue;
pub(crate) mod example;
pub(crate) mod isolated_process;
