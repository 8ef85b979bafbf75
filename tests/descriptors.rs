//! Promise 9 where no descriptor is left, in processes of their own. They are started from here and not from
//! the other tests, because a process that is being started holds every descriptor of its parent for a
//! moment, ports that have just been closed included.

#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they fail"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;

use client::{recorder, until, Client, Fact, Facts, SOON};
use hardstop::Server;
use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const SHORT: Duration = Duration::from_millis(50);

/// Runs the calling test again, in a process of its own in which few descriptors can be open; `true` there.
fn has_few_descriptors(name: &str) -> bool {
    const MARK: &str = "HARDSTOP_TEST_HAS_FEW_DESCRIPTORS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap());
    shell.args([name, "--exact", "--nocapture"]);
    let output = shell.env(MARK, "1").output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}{err}"
    );
    false
}

/// Opens files until no descriptor is left.
fn hoard() -> Vec<File> {
    let exe = std::env::current_exe().unwrap();
    std::iter::from_fn(|| File::open(&exe).ok()).collect()
}

fn observed() -> (Server, Facts) {
    let (record, facts) = recorder();
    let server = Server::builder().on_event(record).bind("127.0.0.1:0");
    (server.unwrap(), facts)
}

#[test]
fn without_descriptors_the_server_waits_and_serves_those_it_has() {
    if !has_few_descriptors("without_descriptors_the_server_waits_and_serves_those_it_has") {
        return;
    }
    let (server, facts) = observed();
    let running = server.spawn(|_| "hello").unwrap();
    let addr = running.local_addr();
    let mut kept = Client::connect(addr);
    kept.say(GET);
    assert_eq!(kept.response().status, 200);

    let mut files = hoard();
    drop(files.pop()); // for the client's own
    let mut new = None;
    until("the client has its descriptor", || {
        new = Client::try_connect(addr).ok();
        new.is_some()
    });
    files.extend(hoard());
    facts.wait_for(|fact| *fact == Fact::AcceptFailed);
    kept.say(GET);
    assert_eq!(
        kept.response().status,
        200,
        "the existing one is served meanwhile"
    );

    let failures = || {
        let told = facts.so_far();
        told.iter()
            .filter(|fact| **fact == Fact::AcceptFailed)
            .count()
    };
    let (began, before) = (Instant::now(), failures());
    until("it tries again, and again", || failures() > before + 1);
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(SHORT); // a spinning loop would report thousands
    }
    assert!(failures() < 100, "{} reports", failures());

    drop(files);
    let mut new = new.unwrap();
    new.say(GET);
    assert_eq!(new.response().status, 200, "the one that had to wait");
    running.destroy();
    assert!(running.handle().wait_timeout(SOON), "somebody is left");
}

#[test]
fn a_connection_that_gets_no_second_descriptor_is_ended_and_told_of() {
    if !has_few_descriptors("a_connection_that_gets_no_second_descriptor_is_ended_and_told_of") {
        return;
    }
    let (server, facts) = observed();
    let addr = server.local_addr();
    let mut files = hoard();
    files.truncate(files.len() - 2);
    let mut client = Client::connect(addr); // takes one, and leaves one to the server
    let running = server.spawn(|_| "hello").unwrap();
    client.expect_end();
    facts.wait_for(|fact| *fact == Fact::AcceptFailed);
    drop(files);
    client = Client::connect(addr);
    client.say(GET);
    assert_eq!(client.response().status, 200);
    running.destroy();
    assert!(running.handle().wait_timeout(SOON), "somebody is left");
}

/// It said nothing, and the clients in the kernel's queue were lost without a word.
#[test]
fn a_drain_that_cannot_accept_those_who_wait_tells_it() {
    if !has_few_descriptors("a_drain_that_cannot_accept_those_who_wait_tells_it") {
        return;
    }
    let (server, facts) = observed();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut files = hoard();
    drop(files.pop());
    let mut client = Client::connect(addr);
    handle.drain();
    drop(files);
    client.expect_end();
    server.run(|_| "hello");
    facts.wait_for(|fact| *fact == Fact::AcceptFailed);
}
