//! What the library promises, seen from outside: one module for each topic.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they fail"
)]
#![allow(clippy::incompatible_msrv, reason = "only the library has to build with the oldest compiler")]

mod bodies;
mod cases;
mod client;
mod early_answers;
mod generated;
mod history;
mod http;
mod lifecycle;
mod limits;
mod mended;
mod ordinary;
mod places;
mod responses;
mod rude;
mod stops;
mod tidy;
mod transport;
mod trouble;
#[cfg(unix)]
mod unix;
mod upgrade;
mod wire;
