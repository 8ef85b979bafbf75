//! Promise 9 without descriptors, and a call that needs none.
//!
//! Each test needs a process of its own: its number of descriptors is limited, and the test uses
//! all of them.

use crate::support::client::Client;
use crate::support::isolated_process::{is_alone, CpuTime};
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::open;
use crate::support::{until, GET, SOON};
use hardstop::Server;
use std::fs::{self, File};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);
const FEW: &str = "ulimit -n 40";

/// Opens files until no descriptor is left.
fn hoard() -> Vec<File> {
    let exe = std::env::current_exe().unwrap();
    std::iter::from_fn(|| File::open(&exe).ok()).collect()
}

/// A server that polls does not wait in the kernel, where a descriptor is reserved for the next
/// client.
fn observed(polls: bool) -> (Server, Recorder) {
    let (record, facts) = recorder();
    (open(Server::builder().on_event(record), polls), facts)
}

/// The number of `AcceptFailed` events.
fn failures(facts: &Recorder) -> usize {
    let told = facts.so_far();
    let failures = told.iter().filter(|fact| **fact == Fact::AcceptFailed);
    failures.count()
}

#[test]
fn a_server_without_descriptors_keeps_serving_open_connections() {
    if is_alone(
        "a_server_without_descriptors_keeps_serving_open_connections",
        FEW,
    ) {
        waits_and_serves(observed(false));
    }
}

#[test]
fn a_polling_server_without_descriptors_keeps_serving_open_connections() {
    if is_alone(
        "a_polling_server_without_descriptors_keeps_serving_open_connections",
        FEW,
    ) {
        waits_and_serves(observed(true));
    }
}

fn waits_and_serves((server, facts): (Server, Recorder)) {
    let running = server.spawn(|_| "hello").unwrap();
    let addr = running.local_addr();
    let mut kept = Client::answered(addr);

    let mut cpu = CpuTime::new();
    let mut files = hoard();
    drop(files.pop()); // for the client's own descriptor
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

    let (began, before, used) = (Instant::now(), failures(&facts), cpu.so_far());
    until("it tries again, and again", || {
        failures(&facts) > before + 1
    });
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(SHORT); // a spinning loop would report thousands
    }
    let used = cpu.so_far() - used;
    assert!(used < Duration::from_millis(200), "{used:?} of a processor");
    assert!(failures(&facts) < 100, "{} reports", failures(&facts));

    drop(files);
    let mut new = new.unwrap();
    new.say(GET);
    assert_eq!(new.response().status, 200, "the client that had to wait");
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}

#[test]
fn a_connection_without_a_second_descriptor_is_closed_and_reported() {
    if !is_alone(
        "a_connection_without_a_second_descriptor_is_closed_and_reported",
        FEW,
    ) {
        return;
    }
    let (server, facts) = observed(true);
    let addr = server.local_addr();
    let mut files = hoard();
    files.truncate(files.len() - 2);
    let mut client = Client::connect(addr); // takes one descriptor, and leaves one to the server
    let running = server.spawn(|_| "hello").unwrap();
    client.expect_end();
    facts.wait_for(|fact| *fact == Fact::AcceptFailed);
    drop(files);
    Client::answered(addr);
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}

/// The kernel reserved a descriptor for the client when the wait began, and the server has kept a
/// second one.
#[test]
#[cfg(target_os = "linux")]
fn a_queued_client_is_not_lost_without_a_spare_descriptor() {
    let name = "a_queued_client_is_not_lost_without_a_spare_descriptor";
    if !is_alone(name, FEW) {
        return;
    }
    let (server, facts) = observed(false);
    let running = server.spawn(|_| "hello").unwrap();
    until("the accept loop sleeps", || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
        let mut stats =
            tasks.map(|task| fs::read_to_string(task.path().join("stat")).unwrap_or_default());
        stats.any(|stat| stat.contains("(hardstop-accept) S "))
    });
    let mut files = hoard();
    drop(files.pop()); // for the client's own descriptor
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(client.response().status, 200);
    facts.wait_for(|fact| *fact == Fact::AcceptFailed); // the server cannot accept the next client, and reports it
    drop(files);
    Client::answered(running.local_addr());
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}

/// Every client can be accepted and none can be kept, which must not make the server spin.
#[test]
fn with_one_descriptor_left_each_client_is_reported_once() {
    let name = "with_one_descriptor_left_each_client_is_reported_once";
    if !is_alone(name, FEW) {
        return;
    }
    let (server, facts) = observed(true);
    let running = server.spawn(|_| "hello").unwrap();
    let addr = running.local_addr();
    let mut kept = Client::answered(addr);
    let mut files = hoard();
    files.truncate(files.len() - 2); // for the client's own descriptor, and one for the server
    let began = Instant::now();
    for came in 1..=10 {
        Client::connect(addr).expect_end();
        kept.say(GET);
        assert_eq!(kept.response().status, 200, "it is served meanwhile");
        assert!(failures(&facts) <= came, "more reports than clients");
    }
    until("all are reported", || failures(&facts) == 10);
    let took = began.elapsed();
    assert!(took > SHORT * 2, "the pauses do not grow: {took:?}");
    drop(files);
    Client::answered(addr);
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}

/// Regression: the clients in the kernel's queue were lost without a report.
#[test]
fn a_drain_that_cannot_accept_queued_clients_reports_it() {
    if !is_alone("a_drain_that_cannot_accept_queued_clients_reports_it", FEW) {
        return;
    }
    let (server, facts) = observed(false);
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

/// A socket would need a descriptor, and so would anything else of the system.
#[test]
fn an_answer_without_a_port_takes_no_descriptor() {
    if !is_alone("an_answer_without_a_port_takes_no_descriptor", FEW) {
        return;
    }
    let files = hoard();
    assert!(Server::bind("127.0.0.1:0").is_err(), "a descriptor is left");
    let answers = Server::builder().answer(GET, |_| "hello").unwrap();
    assert_eq!(answers[0].text(), "hello");
    drop(files);
}
