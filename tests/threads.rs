//! Promise 9 where no thread can be had, in a process of its own that has little address space for their stacks.

#![cfg(target_os = "linux")]
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
#[path = "it/alone.rs"]
mod alone;
#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;

use alone::{is_alone, kib, CpuTime};
use client::{recorder, until, Client, Fact, GET, SOON};
use hardstop::{Response, Server};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn without_threads_the_server_says_so_and_serves_those_it_has() {
    let name = "without_threads_the_server_says_so_and_serves_those_it_has";
    if !is_alone(name, "ulimit -v 1000000") {
        return;
    }
    // Of such stacks fewer than ten fit, and what is left beside them is enough for everything else.
    let (hook, facts) = recorder();
    let builder = Server::builder().stack_size(100 << 20).on_event(hook);
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(|_| "hello");
    let running = running.unwrap();
    let addr = running.local_addr();
    let count = |wanted: fn(&Fact) -> bool| facts.so_far().iter().filter(|f| wanted(f)).count();
    let opened = || count(|fact| matches!(fact, Fact::Opened(_)));
    let failed = || count(|fact| *fact == Fact::SpawnFailed);
    // A new client, and whether it has got a thread. If not, it must not speak: a 503 over what it said would be lost.
    let connect = || {
        let (before, told) = (opened(), opened() + failed());
        let client = Client::connect(addr);
        until("it has a thread, or has none", || opened() + failed() > told);
        (client, opened() > before)
    };

    let mut served = Vec::new();
    let mut refused = loop {
        let (mut client, is_served) = connect();
        if !is_served {
            break client;
        }
        client.say(GET);
        assert_eq!(client.response().text(), "hello");
        served.push(client);
    };
    assert!((2..10).contains(&served.len()), "{} threads", served.len());
    for more in 1..=20 {
        assert_eq!(refused.response().status, 503);
        refused.expect_end();
        for client in &mut served {
            client.say(GET);
            assert_eq!(client.response().text(), "hello", "they are served meanwhile");
        }
        assert_eq!(failed(), more, "it is told once for each client");
        refused = connect().0;
    }

    let mut cpu = CpuTime::new();
    let (told, before) = (failed(), cpu.so_far());
    thread::sleep(Duration::from_millis(500)); // of which a loop that spins would use all
    let used = cpu.so_far() - before;
    assert!(used < Duration::from_millis(100), "{used:?} of a processor");
    assert_eq!(failed(), told, "nobody came, so there is nothing to tell");

    let mut kept = served.pop().unwrap();
    drop(served);
    until("another one gets a place by itself", || {
        let (mut client, is_served) = connect();
        if is_served {
            client.say(GET);
            assert_eq!(client.response().text(), "hello");
        }
        is_served
    });
    kept.say(GET);
    assert_eq!(kept.response().text(), "hello");
    running.destroy();
    assert!(running.handle().wait_timeout(SOON), "somebody is left");
    let ended = count(|fact| matches!(fact, Fact::Closed(..)));
    assert_eq!(ended, opened(), "each has its end, and who had no thread none");
}

/// Their stacks stayed until they were joined, which waited for a pause among the clients that come.
#[test]
fn a_thread_that_has_ended_leaves_its_place_to_the_next() {
    let name = "a_thread_that_has_ended_leaves_its_place_to_the_next";
    if !is_alone(name, "ulimit -v 1500000") {
        return;
    }
    // Forty stacks fit. There are never more than 24 connections.
    let (hook, facts) = recorder();
    let builder = Server::builder().stack_size(24 << 20).max_connections(8);
    let server = builder.on_event(hook).bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|_| "hello").unwrap();
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while began.elapsed() < Duration::from_secs(1) {
                    drop(Client::connect(running.local_addr()));
                }
            });
        }
    });
    let failed = |fact: &&Fact| **fact == Fact::SpawnFailed;
    let told = facts.so_far();
    let failures = told.iter().filter(failed).count();
    assert_eq!(failures, 0, "of {} events", told.len());
}

/// Regression: the dead thread of an upgraded stream that lived on elsewhere was joined when that ended, and until then
/// its stack stayed.
#[test]
fn the_threads_of_upgraded_streams_that_live_on_leave_their_stacks() {
    let name = "the_threads_of_upgraded_streams_that_live_on_leave_their_stacks";
    if !is_alone(name, "true") {
        return;
    }
    let stack = 40 << 20; // more than the system keeps for the next thread
    let (sender, streams) = std::sync::mpsc::channel();
    let builder = Server::builder().stack_size(stack);
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut kept = Vec::new();
    let before = kib("VmSize");
    for _ in 0..100 {
        let mut client = Client::connect(running.local_addr());
        client.say(upgrade);
        assert_eq!(client.head_response().status, 101);
        kept.push((client, streams.recv_timeout(SOON).unwrap()));
    }
    // One thread may wait for the next connection.
    until("their stacks are gone", || kib("VmSize") < before + 4 * stack / 1024);
    running.destroy();
    drop(kept);
    assert!(running.handle().wait_timeout(SOON), "somebody is left");
}
