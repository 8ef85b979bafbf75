//! The example of an upgrade, run as the process that a user runs.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they fail"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;
#[path = "it/example.rs"]
mod example;

use client::{Client, GET};
use example::Example;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[test]
fn lines_come_back_and_a_stop_says_good_bye() {
    let (example, addr) = Example::start("upgrade_echo");
    assert_eq!(example.line(), "press Enter to stop");
    let mut client = Client::connect(addr);
    client.say(&format!("{UPGRADE}one\n"));
    let answer = client.head_response();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade").as_deref(), Some("echo"));
    assert_eq!(client.take(4), b"one\n");
    client.say("two\nthr");
    assert_eq!(client.take(4), b"two\n");
    thread::sleep(Duration::from_millis(500)); // slower than the example looks for a stop
    client.say("ee\n");
    assert_eq!(client.take(6), b"three\n");
    let long = [&[b'x'; 10_000][..], b"\n"].concat();
    client.say_bytes(&long);
    assert_eq!(client.take(long.len()), long, "in pieces");
    let rest = example.rest();
    assert_eq!(client.take(9), b"good-bye\n");
    client.expect_end();
    assert_eq!(rest, ["echo 1 has ended", "Drained"]);
}

#[test]
fn an_echo_ends_with_its_client() {
    let (example, addr) = Example::start("upgrade_echo");
    let mut client = Client::connect(addr);
    client.say(&format!("{UPGRADE}no end of line"));
    assert_eq!(client.head_response().status, 101);
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.take(14), b"no end of line");
    client.expect_end();
    assert_eq!(example.line(), "press Enter to stop");
    assert_eq!(example.line(), "echo 1 has ended");
    assert_eq!(example.rest(), ["Drained"]);
}

#[test]
fn a_stop_cuts_an_echo_whose_client_does_not_read() {
    let (example, addr) = Example::start("upgrade_echo");
    let mut client = Client::connect(addr);
    client.say(UPGRADE);
    assert_eq!(client.head_response().status, 101);
    let timeout = Some(Duration::from_secs(1));
    client.stream.set_write_timeout(timeout).unwrap();
    let blocked = loop {
        if let Err(error) = client.stream.write_all(&[b'x'; 65536]) {
            break error; // what comes back fills all buffers
        }
    };
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&blocked.kind()));
    let rest = example.rest();
    assert_eq!(rest[0], "press Enter to stop");
    assert!(rest.contains(&String::from("Destroyed { cut: 1 }")), "{rest:?}");
    let cut = |line: &String| line.ends_with(" was cut: the connection has been cut");
    assert!(rest.iter().any(cut), "{rest:?}");
    client.expect_end();
}

#[test]
fn others_are_told_how_to_ask() {
    let (example, addr) = Example::start("upgrade_echo");
    let ask = |say: &str| {
        let mut client = Client::connect(addr);
        client.say(say);
        client.response()
    };
    let page = ask(GET);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Upgrade: echo\\r\\n\\r\\n'; cat) | nc x\n"), "{}", page.text());
    let other = ask(&UPGRADE.replace("echo", "other"));
    assert_eq!(other.status, 400);
    assert_eq!(example.rest(), ["press Enter to stop", "Drained"]);
}

#[test]
fn a_page_in_a_browser_gets_no_echo() {
    let (example, addr) = Example::start("upgrade_echo");
    for origin in ["http://evil.example", "null", "", &format!("http://{addr}")] {
        let mut client = Client::connect(addr);
        client.say(&UPGRADE.replace("Connection", &format!("Origin: {origin}\r\nConnection")));
        assert_eq!(client.response().status, 403, "{origin}");
    }
    assert_eq!(example.rest(), ["press Enter to stop", "Drained"]);
}
