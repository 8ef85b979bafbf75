//! What the library promises, seen from outside: one module for each topic.

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
