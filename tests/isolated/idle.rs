//! Idle servers: their wake-ups, their threads and their ports.
//!
//! Each test needs a process of its own: it counts the threads of the process or how often they
//! sleep, or starts child processes.

use crate::support::client::Client;
use crate::support::isolated_process::{is_alone, threads_and_descriptors};
use crate::support::recorder::{recorder, Fact};
use crate::support::server::{assert_ends, bring, serve_site, SLEEP};
use crate::support::{until, GET, SOON};
use hardstop::{ConnectionState, Handle, Running, Server};
use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::io::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The number of times that the threads of this process have gone to sleep.
fn sleeps() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
    let sleeps_of = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    tasks.map(sleeps_of).sum()
}

/// A server over TCP and one over a Unix socket, each with a kept-alive connection.
fn servers() -> [(Running, Client); 2] {
    let tcp = Server::bind("127.0.0.1:0")
        .unwrap()
        .spawn(|_| "hello")
        .unwrap();
    let client = Client::answered(tcp.local_addr());
    let path = std::env::temp_dir().join(format!("hardstop-idle-{}.sock", std::process::id()));
    let unix = Server::builder()
        .bind_unix(&path)
        .unwrap()
        .spawn(|_| "hello")
        .unwrap();
    let mut other = Client::over(OwnedFd::from(UnixStream::connect(path).unwrap()).into()).unwrap();
    other.say(GET);
    assert_eq!(other.response().status, 200);
    [(tcp, client), (unix, other)]
}

#[test]
fn idle_servers_sleep() {
    if !is_alone("idle_servers_sleep", "true") {
        return;
    }
    let servers = servers();
    let before = sleeps();
    thread::sleep(Duration::from_secs(2)); // a loop that sleeps for 10 ms would do so 200 times
    let woken = sleeps() - before;
    assert!(woken < 20, "they have woken {woken} times in two seconds");
    for (server, mut client) in servers {
        client.say(GET);
        assert_eq!(client.response().status, 200);
        server.destroy();
        assert!(server.join());
    }
}

/// A drain lasts as long as its slowest handler.
#[test]
fn a_draining_server_sleeps() {
    if !is_alone("a_draining_server_sleeps", "true") {
        return;
    }
    let (running, _) = serve_site(Server::builder());
    let handle = running.handle();
    let state = ConnectionState::Handling;
    let _client = bring(&handle, running.local_addr(), SLEEP, state);
    running.drain();
    let before = sleeps();
    thread::sleep(Duration::from_millis(500)); // a loop that does not wait sleeps for moments
    let woken = sleeps() - before;
    assert!(woken < 20, "it has woken {woken} times in half a second");
    running.destroy();
    assert_ends(&running);
}

/// A child process has a copy of every descriptor until it runs its program, so closing the
/// listener is not enough.
#[test]
fn a_destroyed_port_is_free_while_child_processes_start() {
    if !is_alone(
        "a_destroyed_port_is_free_while_child_processes_start",
        "true",
    ) {
        return;
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
        }
        let mut addr = SocketAddr::from(([127, 0, 0, 1], 0));
        for round in 0..300 {
            let server = Server::bind(addr).map_err(|error| format!("{error}, round {round}"));
            let server = server.map(|server| server.spawn(|_| "hello").unwrap());
            is_over.store(server.is_err() || round == 299, SeqCst); // or the scope would never end
            let server = server.unwrap();
            addr = server.local_addr();
            server.destroy();
            let connected = Client::try_connect(addr).is_ok();
            is_over.fetch_or(connected, SeqCst);
            assert!(!connected, "a client could connect, round {round}");
        }
    });
}

/// The accept loop may wait for a second, and a thread waits for another connection for three.
#[test]
fn a_stop_wakes_every_waiting_thread_at_once() {
    if !is_alone("a_stop_wakes_every_waiting_thread_at_once", "true") {
        return;
    }
    let stops: [fn(&Handle); 2] = [|handle| assert!(handle.destroy() < 2), Handle::drain];
    let began = Instant::now();
    for stop in stops.iter().cycle().take(20) {
        for (server, client) in servers() {
            drop(client);
            stop(&server.handle());
            assert!(server.join());
        }
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?} for 40 stops");
}

#[test]
fn a_thread_is_reused_and_ends_when_no_connection_comes() {
    if !is_alone(
        "a_thread_is_reused_and_ends_when_no_connection_comes",
        "true",
    ) {
        return;
    }
    let served = Arc::new(Mutex::new(HashSet::new()));
    let (hook, facts) = recorder();
    let server = Server::builder()
        .on_event(hook)
        .bind("127.0.0.1:0")
        .unwrap();
    let by = Arc::clone(&served);
    let running = server.spawn(move |_| {
        by.lock().unwrap().insert(thread::current().id());
        "hello"
    });
    let running = running.unwrap();
    let (before, _) = threads_and_descriptors();
    for number in 1..=20 {
        drop(Client::answered(running.local_addr()));
        facts.wait_for(|fact| matches!(fact, Fact::Closed(id, ..) if *id == number));
    }
    let threads = served.lock().unwrap().len();
    assert!(
        threads < 10,
        "{threads} threads for 20 connections, one after the other"
    );
    until("they have ended", || threads_and_descriptors().0 == before);
    Client::answered(running.local_addr());
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}
