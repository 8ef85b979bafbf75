//! Run `cargo run --example metrics`, then `curl 127.0.0.1:8080/` and `curl 127.0.0.1:8080/metrics`: the server's own
//! figures, in the text format that Prometheus reads. Enter ends it. Copy what follows `main`.

use hardstop::{Error, Event, Request, Response, Server};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt::Debug, io, net::IpAddr, time::Duration};

fn main() -> io::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let hook = Arc::clone(&metrics);
    let builder = Server::builder().on_event(move |event| hook.note(event));
    let addr = std::env::args().nth(1);
    let running = builder.bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?.spawn(move |req| match req.path() {
        "/metrics" if !names_address(req) => Error::new(421, "ask for the figures by an address").into(),
        "/metrics" => Response::text(metrics.text()).with_header("Content-Type", "text/plain; version=0.0.4"),
        path => Response::text(format!("hello from {path}\n")),
    })?;
    println!("listening on http://{}", running.local_addr());
    io::stdin().read_line(&mut String::new())?;
    running.shutdown(Duration::from_secs(1));
    Ok(())
}

/// Whether the request is for an address or `localhost`. A foreign page can have its own name lead here and then read the
/// answers (DNS rebinding), but not one of these. If Prometheus asks for another name, compare with that.
fn names_address(req: &Request<'_>) -> bool {
    let host = req.header("Host").unwrap_or_default();
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(host);
    name.eq_ignore_ascii_case("localhost") || name.trim_matches(|c| c == '[' || c == ']').parse::<IpAddr>().is_ok()
}

const METRICS: [(&str, &str, &str); 9] = [
    ("hardstop_open_connections", "gauge", "Connections that are open."),
    ("hardstop_connections_opened_total", "counter", "Connections that have begun."),
    ("hardstop_connections_closed_total", "counter", "Connections that have ended, by the reason."),
    ("hardstop_received_bytes_total", "counter", "Bytes that came over connections that have ended."),
    ("hardstop_sent_bytes_total", "counter", "Bytes that left over connections that have ended."),
    ("hardstop_requests_total", "counter", "Requests for which the handler was called."),
    ("hardstop_responses_total", "counter", "Responses, refusals included, by the class of their status."),
    ("hardstop_response_seconds", "summary", "Time from the end of a request's head to its response."),
    ("hardstop_troubles_total", "counter", "Panics, refusals, clients that could not be accepted, and the like."),
];

/// The value of each series, by its name and label. Prometheus counts in floating point, too.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, f64>>);

impl Metrics {
    #[allow(clippy::wildcard_enum_match_arm, clippy::as_conversions)] // the rest is trouble; bytes beyond 2^53 are rounded
    pub(crate) fn note(&self, event: &Event) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut add = |series: &str, n: f64| *values.entry(format!("hardstop_{series}")).or_default() += n;
        // A variant's name alone: what is in it would make ever more series.
        let name = |variant: &dyn Debug| format!("{variant:?}").split([' ', '(']).take(1).collect::<String>();
        match event {
            Event::Opened { .. } => {
                add("open_connections", 1.0);
                add("connections_opened_total", 1.0);
            }
            Event::Closed { reason, received, sent, .. } => {
                add("open_connections", -1.0);
                add(&format!("connections_closed_total{{reason=\"{}\"}}", name(reason)), 1.0);
                add("received_bytes_total", *received as f64);
                add("sent_bytes_total", *sent as f64);
            }
            Event::Request { .. } => add("requests_total", 1.0),
            Event::Responded { status, time, .. } => {
                add(&format!("responses_total{{class=\"{}xx\"}}", status.as_u16() / 100), 1.0);
                add("response_seconds_sum", time.as_secs_f64());
                add("response_seconds_count", 1.0);
            }
            Event::Upgraded { .. } => {} // its 101 has been counted
            trouble => add(&format!("troubles_total{{what=\"{}\"}}", name(trouble)), 1.0),
        }
    }

    pub(crate) fn text(&self) -> String {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (metric, kind, help) in METRICS {
            text += &format!("# HELP {metric} {help}\n# TYPE {metric} {kind}\n");
            let series = values.iter().filter(|(series, _)| series.starts_with(metric));
            series.for_each(|(series, value)| text += &format!("{series} {value}\n"));
        }
        text
    }
}
