//! Run `cargo run --example metrics`, then `curl 127.0.0.1:8080/` and `curl
//! 127.0.0.1:8080/metrics`: the server's own metrics, in the text format of Prometheus. Press Enter
//! to stop. To use them in your own program, copy everything but `main`.

use hardstop::{Error, Event, Request, Response, Server};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt::Debug, io, net::IpAddr, time::Duration};

fn main() -> io::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let hook = Arc::clone(&metrics);
    let builder = Server::builder().on_event(move |event| hook.note(event));
    let addr = std::env::args().nth(1);
    let running = builder
        .bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?
        .spawn(move |req| match req.path() {
            "/metrics" if !names_address(req) => {
                Error::new(421, "request the metrics by IP address").into()
            }
            "/metrics" => Response::text(metrics.text())
                .with_header("Content-Type", "text/plain; version=0.0.4"),
            path => Response::text(format!("hello from {path}\n")),
        })?;
    println!("listening on http://{}", running.local_addr());
    if io::stdin().read_line(&mut String::new())? == 0 {
        eprintln!("stdin is at its end, so this stops; a terminal or a pipe would keep it running");
    }
    running.shutdown(Duration::from_secs(1));
    Ok(())
}

/// Returns whether `Host` is an IP address or `localhost`. DNS rebinding: a foreign page can point
/// its own host name at this server and then read the responses, but it cannot use one of these.
/// If your Prometheus uses a host name, allow that name here.
fn names_address(req: &Request<'_>) -> bool {
    let host = req.header("Host").unwrap_or_default();
    let name = host
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .strip_suffix(':')
        .unwrap_or(host);
    let ip = name.trim_matches(|c| c == '[' || c == ']');
    name.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
}

/// The name, the type and the help text of each metric.
const METRICS: [(&str, &str, &str); 9] = [
    ("hardstop_open_connections", "gauge", "Open connections."),
    (
        "hardstop_connections_opened_total",
        "counter",
        "Connections opened.",
    ),
    (
        "hardstop_connections_closed_total",
        "counter",
        "Connections closed, by reason.",
    ),
    (
        "hardstop_received_bytes_total",
        "counter",
        "Bytes received over connections that have closed.",
    ),
    (
        "hardstop_sent_bytes_total",
        "counter",
        "Bytes sent over connections that have closed.",
    ),
    (
        "hardstop_requests_total",
        "counter",
        "Requests passed to the handler.",
    ),
    (
        "hardstop_responses_total",
        "counter",
        "Responses sent, including refusals, by status class.",
    ),
    (
        "hardstop_response_seconds",
        "summary",
        "Time from the end of the request head to the end of the response.",
    ),
    (
        "hardstop_troubles_total",
        "counter",
        "Panics, refused requests, failed accepts and other problems, by event.",
    ),
];

/// The value of each series, by its name and labels. Prometheus values are floating-point numbers,
/// too.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, f64>>);

impl Metrics {
    pub(crate) fn note(&self, event: &Event) {
        // One lock for all series of an event, so that a scrape sees all of them or none.
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Opened { .. } => {
                add(&mut values, "open_connections", 1.0);
                add(&mut values, "connections_opened_total", 1.0);
            }
            Event::Closed {
                reason,
                received,
                sent,
                ..
            } => {
                let reason = variant_name(reason);
                add(&mut values, "open_connections", -1.0);
                add(
                    &mut values,
                    &format!("connections_closed_total{{reason=\"{reason}\"}}"),
                    1.0,
                );
                add(&mut values, "received_bytes_total", *received as f64);
                add(&mut values, "sent_bytes_total", *sent as f64);
            }
            Event::Request { .. } => add(&mut values, "requests_total", 1.0),
            Event::Responded { status, time, .. } => {
                let class = status.as_u16() / 100;
                add(
                    &mut values,
                    &format!("responses_total{{class=\"{class}xx\"}}"),
                    1.0,
                );
                add(&mut values, "response_seconds_sum", time.as_secs_f64());
                add(&mut values, "response_seconds_count", 1.0);
            }
            // The response with status 101 has been counted.
            Event::Upgraded { .. } => {}
            trouble => {
                let what = variant_name(trouble);
                add(
                    &mut values,
                    &format!("troubles_total{{what=\"{what}\"}}"),
                    1.0,
                );
            }
        }
    }

    /// Returns all metrics in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (metric, kind, help) in METRICS {
            text += &format!("# HELP {metric} {help}\n# TYPE {metric} {kind}\n");
            for (series, value) in values.iter() {
                if series.starts_with(metric) {
                    text += &format!("{series} {value}\n");
                }
            }
        }
        text
    }
}

fn add(values: &mut BTreeMap<String, f64>, series: &str, n: f64) {
    *values.entry(format!("hardstop_{series}")).or_default() += n;
}

/// Returns the name of an enum's variant without its fields. With them, the number of series would
/// be unbounded.
fn variant_name(variant: &dyn Debug) -> String {
    let text = format!("{variant:?}");
    let name = text.split([' ', '(']).next();
    name.unwrap_or_default().to_owned()
}
