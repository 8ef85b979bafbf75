//! The tests that .ci/extra/windows runs: those of tests/it, but neither what needs ureq
//! (`ureq_client`) or looks at the repository (`tidy`), nor what says how bytes are parsed, which
//! no system changes (`cases`, `generated`).

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/it"]
mod it {
    mod bodies;
    mod cancel_token;
    mod close_reasons;
    mod connections;
    mod failures;
    mod hostile_clients;
    mod http;
    mod limits;
    mod regressions;
    mod responses;
    mod stop_destroy;
    mod stop_drain;
    mod stop_shutdown;
    mod stop_wait;
}
