//! The integration tests, one binary, with a module for each topic.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they report, and nobody imports them"
)]

mod bodies;
mod client;
mod http;
mod limits;
mod ordinary;
mod responses;
mod tidy;
mod wire;
