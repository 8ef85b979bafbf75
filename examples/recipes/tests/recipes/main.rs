//! The recipes, over 127.0.0.1.

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod gzip;
mod json;
mod multipart;
mod page;
mod programs;
mod proxy;
