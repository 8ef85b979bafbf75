//! The example of metrics, run as the process that a user runs, and its figures compared with what was done to it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::arithmetic_side_effects,
    reason = "tests: a panic is how they fail"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;
#[path = "it/example.rs"]
mod example;
#[allow(dead_code, reason = "it is run as a process; its hook is called here")]
#[path = "../examples/metrics.rs"]
mod metrics;

use client::{until, Client, GET, SOON};
use example::Example;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

/// The samples of an exposition by their names, after a look at what stands before them.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut metric = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            metric = rest.split_once(' ').unwrap().0;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split_once(' ').unwrap().0, metric);
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(metric), "{name} stands under {metric}");
            let before = samples.insert(String::from(name), value.parse().unwrap());
            assert!(before.is_none(), "{name} stands there twice");
        }
    }
    samples
}

/// Asks over a connection of its own, which ends with the answer.
fn scrape(addr: SocketAddr) -> BTreeMap<String, f64> {
    let mut client = Client::connect(addr);
    client.say(SCRAPE);
    let answer = client.response();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; version=0.0.4"));
    samples(&answer.text())
}

#[test]
fn the_figures_are_those_of_what_has_happened() {
    let (example, addr) = Example::start("metrics");
    let mut kept = Client::answered(addr);
    kept.say("GET /there HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.response().text(), "hello from /there\n");
    let mut wrong = Client::connect(addr);
    wrong.say("nonsense\r\n\r\n");
    assert_eq!(wrong.response().status, 400);
    drop(wrong);
    let mut silent = Client::connect(addr);
    let mut figures = BTreeMap::new();
    let mut scrapes = 0.0;
    until("the silent one has been seen, and the end of the wrong one", || {
        figures = scrape(addr);
        scrapes += 1.0;
        // The one that asks is open, those before it are closed.
        let opened = figures["hardstop_connections_opened_total"] == scrapes + 3.0;
        opened && figures["hardstop_open_connections"] == 3.0
    });
    let completed = scrapes - 1.0;
    let sent = figures["hardstop_sent_bytes_total"];
    let table = [
        ("hardstop_connections_closed_total{reason=\"Refused\"}", 1.0),
        ("hardstop_requests_total", scrapes + 2.0),
        ("hardstop_responses_total{class=\"2xx\"}", completed + 2.0),
        ("hardstop_responses_total{class=\"4xx\"}", 1.0),
        ("hardstop_response_seconds_count", completed + 3.0),
        ("hardstop_troubles_total{what=\"Failed\"}", 1.0),
    ];
    for (name, want) in table {
        assert_eq!(figures.get(name), Some(&want), "{name} in {figures:?}");
    }
    let received = completed * f64::from(u8::try_from(SCRAPE.len()).unwrap()) + 12.0; // the wrong one's
    assert_eq!(figures["hardstop_received_bytes_total"], received, "{figures:?}");
    assert!(sent > 100.0 * (completed + 1.0), "{figures:?}");
    assert!(figures["hardstop_response_seconds_sum"] > 0.0, "{figures:?}");
    silent.say(GET);
    assert_eq!(silent.response().status, 200);
    assert!(example.rest().is_empty());
}

#[test]
fn a_foreign_page_cannot_read_the_figures_under_its_own_name() {
    let (example, addr) = Example::start("metrics");
    let table = [
        (addr.to_string(), 200),
        (format!("localhost:{}", addr.port()), 200),
        (String::from("LOCALHOST:8022"), 200),
        (String::from("127.0.0.1"), 200),
        (String::from("[::1]:8022"), 200),
        (String::from("192.0.2.1:8080"), 200),
        (String::from("evil.example"), 421),
        (format!("evil.example:{}", addr.port()), 421),
        (format!("{addr}.evil.example"), 400),
        (String::from("127.0.0.1.evil.example"), 421),
        (String::from("localhost.evil.example:8080"), 421),
        (String::from("evil.localhost"), 421),
    ];
    for (host, status) in table {
        let mut client = Client::connect(addr);
        client.say(&SCRAPE.replace("127.0.0.1", &host));
        let answer = client.response();
        assert_eq!(answer.status, status, "{host}");
        assert_eq!(answer.text().contains("hardstop_requests_total"), status == 200, "{host}");
    }
    let mut client = Client::connect(addr);
    client.say("GET /metrics HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 421, "one that says no name");
    assert!(example.rest().is_empty());
}

#[test]
fn panics_are_counted_and_leave_their_messages_out() {
    let metrics = Arc::new(metrics::Metrics::default());
    let hook = Arc::clone(&metrics);
    let builder = hardstop::Server::builder().on_event(move |event| hook.note(event));
    let handler = |req: &mut hardstop::Request<'_>| {
        assert_ne!(req.path(), "/", "\"quoted\"\nand more");
        ""
    };
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(handler).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(client.response().status, 500);
    drop(client); // so that the server does not linger
    running.shutdown(SOON);
    let figures = samples(&metrics.text());
    for name in [
        "hardstop_troubles_total{what=\"HandlerPanicked\"}",
        "hardstop_responses_total{class=\"5xx\"}",
        "hardstop_connections_closed_total{reason=\"HandlerPanicked\"}",
    ] {
        assert_eq!(figures.get(name), Some(&1.0), "{name} in {figures:?}");
    }
    assert_eq!(figures["hardstop_open_connections"], 0.0);
}

#[test]
fn an_upgrade_is_a_response_and_no_trouble() {
    let metrics = Arc::new(metrics::Metrics::default());
    let hook = Arc::clone(&metrics);
    let builder = hardstop::Server::builder().on_event(move |event| hook.note(event));
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(|_| hardstop::Response::upgrade("echo", drop)).unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head_response().status, 101);
    client.expect_end();
    running.shutdown(SOON);
    let figures = samples(&metrics.text());
    assert_eq!(figures["hardstop_responses_total{class=\"1xx\"}"], 1.0);
    assert!(!figures.keys().any(|name| name.contains("troubles")), "{figures:?}");
}
