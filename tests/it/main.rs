//! The promises of the library, seen from outside: one module for each topic.

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod bodies;
mod cancel_token;
mod cases;
mod close_reasons;
mod conditional;
mod connections;
mod debug;
mod disconnects;
mod early_answers;
mod event_streams;
mod events;
mod evictions;
mod failures;
mod generated;
mod hostile_clients;
mod http;
mod layers;
mod limits;
mod lingering;
mod places;
mod readme;
mod refusals;
mod regressions;
mod requests;
mod responses;
mod stop_destroy;
mod stop_drain;
mod stop_hooks;
mod stop_shutdown;
mod stop_wait;
mod tidy;
mod transport;
#[cfg(unix)]
mod unix;
mod upgrade;
mod ureq_client;
mod versions;
