//! Promise 9 without threads, and the stacks of those that there are.
//!
//! Each test needs a process of its own: its address space is limited or measured, or a failure
//! aborts it.

use crate::support::client::Client;
use crate::support::isolated_process::{is_alone, kib, CpuTime};
use crate::support::recorder::{recorder, Fact};
use crate::support::{until, GET, SOON};
use hardstop::{Event, Handle, Outcome, Phase, Response, Server};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, SyncSender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[test]
fn a_server_without_threads_reports_it_and_keeps_serving() {
    let name = "a_server_without_threads_reports_it_and_keeps_serving";
    if !is_alone(name, "export MALLOC_ARENA_MAX=1 && ulimit -v 1000000") {
        return;
    }
    // Fewer than ten such stacks fit, and the rest of the address space is enough for everything
    // else.
    let (hook, facts) = recorder();
    let builder = Server::builder().stack_size(100 << 20).on_event(hook);
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(|_| "hello");
    let running = running.unwrap();
    let addr = running.local_addr();
    let count = |wanted: fn(&Fact) -> bool| facts.so_far().iter().filter(|f| wanted(f)).count();
    let opened = || count(|fact| matches!(fact, Fact::Opened(_)));
    let failed = || count(|fact| *fact == Fact::SpawnFailed);
    // A new client, and whether it got a thread. A client without one must not send: its 503 would
    // be lost in a reset.
    let connect = || {
        let (before, told) = (opened(), opened() + failed());
        let client = Client::connect(addr);
        until("it has a thread, or has none", || {
            opened() + failed() > told
        });
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
            assert_eq!(
                client.response().text(),
                "hello",
                "they are served meanwhile"
            );
        }
        assert_eq!(failed(), more, "one report for each client");
        refused = connect().0;
    }

    let mut cpu = CpuTime::new();
    let (told, before) = (failed(), cpu.so_far());
    thread::sleep(Duration::from_millis(500)); // a loop that spins would use all of that time
    let used = cpu.so_far() - before;
    assert!(used < Duration::from_millis(100), "{used:?} of a processor");
    assert_eq!(failed(), told, "no client, so no report");

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
    assert!(running.wait_timeout(SOON), "a connection is left");
    let ended = count(|fact| matches!(fact, Fact::Closed(..)));
    assert_eq!(
        ended,
        opened(),
        "each has its end, and who had no thread none"
    );
}

/// Asks its server, when it is dropped, whether that has ended.
struct AsksWhenDropped(Handle, SyncSender<(bool, Outcome, Phase)>);

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        let AsksWhenDropped(handle, answers) = self;
        let answer = (handle.wait(), handle.shutdown(SOON), handle.phase());
        answers.send(answer).unwrap();
    }
}

#[test]
fn a_server_without_its_first_thread_drops_the_handler_and_the_hooks() {
    let name = "a_server_without_its_first_thread_drops_the_handler_and_the_hooks";
    // A thread asks for a stack of 8 GiB here, which does not fit into 1 GB.
    if !is_alone(
        name,
        "ulimit -v 1000000 && export RUST_MIN_STACK=8589934592",
    ) {
        return;
    }
    let shared = Arc::new(());
    let owned = [(); 3].map(|()| Arc::clone(&shared));
    let [in_events, in_transport, in_handler] = owned;
    let builder = Server::builder()
        .on_event(move |_| drop(Arc::clone(&in_events)))
        .transport(move |tcp, _| {
            let _owned = &in_transport;
            Ok(tcp)
        });
    let server = builder.bind("127.0.0.1:0").unwrap();
    let (handle, addr) = (server.handle(), server.local_addr());
    let mut client = Client::connect(addr);
    let (sender, asked) = mpsc::sync_channel(1);
    let asks = AsksWhenDropped(handle.clone(), sender);
    let spawned = server.spawn(move |_| {
        let _owned = (&in_handler, &asks);
        "hello"
    });
    assert!(spawned.is_err(), "a stack of 8 GiB fits into 1 GB");
    let ended = (false, Outcome::Pending, Phase::Destroyed);
    assert_eq!(asked.recv(), Ok(ended), "in the drop of the handler");
    Arc::try_unwrap(shared).expect("only the test has it");
    assert!(handle.wait(), "at once");
    client.expect_end();
    assert!(Client::try_connect(addr).is_err(), "the port is closed");
}

/// Regression: the stacks of ended threads stayed until these were joined, which waited for a pause
/// between clients.
#[test]
fn an_ended_thread_frees_its_place() {
    let name = "an_ended_thread_frees_its_place";
    if !is_alone(name, "export MALLOC_ARENA_MAX=1 && ulimit -v 1500000") {
        return;
    }
    // Forty stacks fit, and there are never more than 24 connections.
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

/// Regression: an ended thread whose upgraded stream lived on elsewhere was joined only at the end
/// of the stream, and its stack stayed until then.
#[test]
fn ended_threads_of_upgraded_streams_free_their_stacks() {
    let name = "ended_threads_of_upgraded_streams_free_their_stacks";
    // One heap for all threads: a heap of its own would take as much address space as a stack.
    if !is_alone(name, "export MALLOC_ARENA_MAX=1") {
        return;
    }
    let stack = 40 << 20; // more than the system caches for the next thread
    let (sender, streams) = mpsc::channel();
    let builder = Server::builder().stack_size(stack);
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    let mut kept = Vec::new();
    let before = kib("VmSize");
    for _ in 0..100 {
        let mut client = Client::connect(running.local_addr());
        client.say(UPGRADE);
        assert_eq!(client.head_response().status, 101);
        kept.push((client, streams.recv_timeout(SOON).unwrap()));
    }
    // One thread may wait for the next connection.
    until("their stacks are gone", || {
        kib("VmSize") < before + 4 * stack / 1024
    });
    running.destroy();
    drop(kept);
    assert!(running.wait_timeout(SOON), "a connection is left");
}

/// Uses a mebibyte and a half of the stack. An overflow would abort the process.
#[cfg(target_pointer_width = "64")]
#[inline(never)]
fn use_stack() {
    let room = [1_u8; 1536 * 1024];
    std::hint::black_box(&room);
}

/// Regression: the default was 256 KiB, and a debug build of an ordinary compressor or parser in a
/// handler overflowed it, which aborts the host program.
#[cfg(target_pointer_width = "64")]
#[test]
fn users_code_has_two_mebibytes_of_stack_on_every_thread() {
    let name = "users_code_has_two_mebibytes_of_stack_on_every_thread";
    if !is_alone(name, "true") {
        return;
    }
    let (record, facts) = recorder();
    let is_held = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&is_held);
    let builder = Server::builder().max_connections(1);
    let builder = builder.on_event(move |event| {
        use_stack();
        record(event);
        // Blocks every refusal, so that the hook is called for a ninth client on the accept thread.
        if matches!(event, Event::Opened { .. }) && !matches!(Fact::of(event), Fact::Opened(1)) {
            until("the test lets them go", || !held.load(SeqCst));
        }
    });
    let server = builder.transport(|tcp, _| {
        use_stack();
        Ok(tcp)
    });
    let running = server.bind("127.0.0.1:0").unwrap().spawn(|request| {
        use_stack();
        if request.header("Upgrade").is_none() {
            return Response::stream(|body| {
                use_stack();
                body.write_all(b"hello")
            });
        }
        Response::upgrade("echo", |mut stream| {
            use_stack();
            stream.write_all(b"hello").unwrap();
            let _ = stream.read(&mut [0]); // waits for the end of the server
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(client.response().text(), "hello");
    client.say(UPGRADE);
    assert_eq!(client.head_response().status, 101);
    assert_eq!(client.take(5), b"hello");
    let connect = |_| Client::connect(running.local_addr());
    let _refused: Vec<Client> = (0..9).map(connect).collect();
    facts.wait_for(|fact| *fact == Fact::Rejected);
    is_held.store(false, SeqCst);
    // A thread of its own keeps the deadline, and destroys the server.
    running.shutdown(Duration::from_millis(1));
    assert!(running.wait_timeout(SOON), "a connection is left");
}
