//! What a handler does with other crates: one module for each recipe of the guide's page "With
//! other crates", `src/guide/with_crates.md`, which shows the code of these files.

#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod gzip;
pub mod json;
pub mod multipart;
pub mod proxy;
