//! The tests of tests/it that run on every system and need nothing but the standard library. The
//! scripts in .ci/extra build them for Windows, for other CPUs, for other systems, and for imitations
//! of those.
//!
//! Left out are the tests that need ureq (`ureq_client`), that read the repository (`layers`,
//! `readme`, `tidy`), that cover parsing, which depends on no system (`cases`, `generated`), or that
//! need a newer compiler than Debian's (`conditional`, `events`, `transport`, `unix`, `upgrade`,
//! `versions`).

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
    mod early_answers;
    mod event_streams;
    mod evictions;
    mod failures;
    mod hostile_clients;
    mod http;
    mod limits;
    mod lingering;
    mod places;
    mod refusals;
    mod regressions;
    mod requests;
    mod responses;
    mod stop_destroy;
    mod stop_drain;
    mod stop_hooks;
    mod stop_shutdown;
    mod stop_wait;
}
