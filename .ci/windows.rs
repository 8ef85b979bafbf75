//! The tests that .ci/extra/windows runs: all of tests/it but those that need ureq (`ordinary`), look at the repository
//! (`tidy`), or only say how bytes are parsed, which no system changes (`cases`, `generated`).

#[path = "../tests/it"]
mod it {
    pub(crate) mod bodies;
    pub(crate) mod client;
    pub(crate) mod http;
    pub(crate) mod lifecycle;
    pub(crate) mod limits;
    pub(crate) mod mended;
    pub(crate) mod responses;
    pub(crate) mod rude;
    pub(crate) mod stops;
    pub(crate) mod trouble;
    pub(crate) mod wire;
}

use it::{client, lifecycle, wire}; // where the others look for them
