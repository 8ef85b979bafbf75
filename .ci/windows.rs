//! The tests that .ci/extra/windows runs. They are those of tests/it, except for tests that need
//! ureq (`ureq_client`), that read the repository (`tidy`), or that cover parsing, which does not
//! depend on the operating system (`cases`, `generated`).

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/it"]
mod it {
    mod answer;
    mod bodies;
    mod cancel_token;
    mod close_reasons;
    mod connections;
    mod disconnects;
    mod failures;
    mod hostile_clients;
    mod http;
    mod limits;
    mod regressions;
    mod requests;
    mod responses;
    mod stop_destroy;
    mod stop_drain;
    mod stop_hooks;
    mod stop_shutdown;
    mod stop_wait;
}
