//! The tests that .ci/extra/windows runs: all of tests/it but those that need ureq (`ureq_client`), look at the
//! repository (`tidy`), or only say how bytes are parsed, which no system changes (`cases`, `generated`).

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/it"]
mod it {
    pub(crate) mod bodies;
    pub(crate) mod failures;
    pub(crate) mod hostile_clients;
    pub(crate) mod http;
    pub(crate) mod lifecycle;
    pub(crate) mod limits;
    pub(crate) mod regressions;
    pub(crate) mod responses;
    pub(crate) mod stops;
}

use it::lifecycle; // where the others look for it
