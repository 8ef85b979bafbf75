//! What the library promises, seen from outside: one module for each topic.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod cases;
mod early_answers;
mod events;
mod failures;
mod generated;
mod hostile_clients;
mod http;
mod lifecycle;
mod limits;
mod places;
mod regressions;
mod responses;
mod stops;
mod tidy;
mod transport;
#[cfg(unix)]
mod unix;
mod upgrade;
mod ureq_client;
