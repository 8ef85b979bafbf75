//! Promise 8, and clients that leave nothing behind.
//!
//! Each test needs a process of its own: it counts all threads, descriptors and memory of the
//! process.

use crate::support::client::Client;
use crate::support::isolated_process::{is_alone, kib, threads_and_descriptors as count};
use crate::support::{until, GET, SOON};
use hardstop::{Handle, Response, Running, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn a_joined_server_leaves_no_thread_and_no_descriptor() {
    let name = "a_joined_server_leaves_no_thread_and_no_descriptor";
    if !is_alone(name, "true") {
        return;
    }
    let says = [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
        "nonsense\r\n\r\n",
    ];
    let start = count();
    for round in 0..30 {
        let server = Server::builder()
            .max_connections(20)
            .bind("127.0.0.1:0")
            .unwrap();
        let running = server.spawn(|request| {
            let token = request.cancel_token();
            match request.path() {
                "/sleep" => Response::text(token.wait_timeout(SOON).to_string()),
                "/flood" => Response::stream(|body| loop {
                    body.write_all(&[b'x'; 65536])?;
                }),
                "/body" => Response::from(request.body().read_to_text().map(Response::text)),
                "/panic" => panic!("on purpose"),
                _ => Response::text("hello"),
            }
        });
        let running = running.unwrap();
        let (handle, addr) = (running.handle(), running.local_addr());
        let mut clients = Vec::new();
        for (n, say) in says.iter().cycle().take(27).enumerate() {
            let mut client = TcpStream::connect_timeout(&addr, SOON).unwrap();
            client.set_read_timeout(Some(SOON)).unwrap();
            let _ = client.write_all(say.as_bytes()); // the client may be evicted
            if say.starts_with("GET / HTTP") {
                let _ = client.read(&mut [0; 16]); // a response or an end: the client has been served
            }
            if n % 4 != 0 {
                clients.push(client);
            }
        }
        match round % 3 {
            0 => {
                running.destroy();
                running.join();
            }
            1 => {
                running.shutdown(Duration::from_millis(50));
                running.join();
            }
            _ => {
                drop(running);
                assert!(handle.wait_timeout(SOON));
            }
        }
        drop(clients);
        // The kernel may list a thread for a moment after it has been joined.
        let what = format!("it is {start:?} again after round {round}");
        until(&what, || count() == start);
    }
}

/// Ten clients connect and leave, each in its own hostile way.
fn come_and_go(running: &Running) {
    let addr = running.local_addr();
    let closes = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let half_a_body = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n1234";
    let says = ["", "GET / HT", half_a_body, "nonsense\r\n\r\n"];
    for say in says {
        Client::connect(addr).say(say);
    }
    for say in [GET, closes, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = Client::connect(addr);
        client.say(say);
        assert_eq!(client.response().status, 200);
    }
    // Closing with an unread response sends a reset.
    for say in ["", "GET / HT", half_a_body] {
        let mut client = Client::connect(addr);
        client.say(GET);
        client.stream.peek(&mut [0]).unwrap();
        client.say(say);
    }
}

#[test]
fn ten_thousand_hostile_clients_leave_nothing_behind() {
    if !is_alone(
        "ten_thousand_hostile_clients_leave_nothing_behind",
        "export MALLOC_ARENA_MAX=1",
    ) {
        return;
    }
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request| match request.path() {
        "/body" => Response::from(request.body().read_to_text().map(Response::text)),
        "/large" => Response::bytes("a/b", vec![b'x'; 100_000]),
        _ => Response::text("hello"),
    });
    let running = running.unwrap();
    let mut kept = Client::answered(running.local_addr());
    // The first thousand clients, and two hundred at once, show how much memory the server needs.
    let start = count();
    let crowd: Vec<Client> = (0..200)
        .map(|_| Client::answered(running.local_addr()))
        .collect();
    drop(crowd);
    let memory_after = |rounds: usize| {
        thread::scope(|scope| {
            let come_and_go = || (0..rounds).for_each(|_| come_and_go(&running));
            (0..4).for_each(|_| drop(scope.spawn(come_and_go)));
        });
        until("all but one are gone", || count() == start);
        kib("VmRSS")
    };
    // A leak grows each time. On a busy machine there may be more clients at once than before, and
    // more memory for them, but not again and again.
    let mut memory = vec![memory_after(25)];
    let levels_off = (0..3).any(|_| {
        memory.push(memory_after(225));
        memory[memory.len() - 1] < memory[memory.len() - 2] + 1024
    });
    assert!(levels_off, "{memory:?} KiB");
    assert_eq!(running.connection_count(), 1);
    kept.say(GET);
    assert_eq!(kept.response().status, 200);
}

/// Ends a stream in one of these ways: dropped in its closure or elsewhere, taken into its parts,
/// or dropped in a panic.
#[test]
fn a_thousand_upgrades_leave_nothing_behind() {
    let name = "a_thousand_upgrades_leave_nothing_behind";
    if !is_alone(name, "export MALLOC_ARENA_MAX=1") {
        return;
    }
    panic::set_hook(Box::new(|_| {})); // hundreds of panics are on purpose
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request| {
        let way = String::from(request.path());
        Response::upgrade("echo", move |mut stream| {
            stream.write_all(b"hello").unwrap();
            match way.as_str() {
                "/drop" => drop(stream),
                "/panic" => panic!("on purpose"),
                "/parts" => drop(stream.into_tcp()),
                way => {
                    let panics = way == "/moved-panic";
                    thread::spawn(move || {
                        let _stream = stream;
                        assert!(!panics, "on purpose");
                    });
                }
            }
        })
    });
    let running = running.unwrap();
    let start = count();
    let mut memory = Vec::new();
    for rounds in [40, 160] {
        for _ in 0..rounds {
            for way in ["drop", "panic", "parts", "moved", "moved-panic"] {
                let mut client = Client::connect(running.local_addr());
                let fields = "Host: x\r\nConnection: upgrade\r\nUpgrade: echo";
                client.say(&format!("GET /{way} HTTP/1.1\r\n{fields}\r\n\r\n"));
                assert_eq!(client.head_response().status, 101);
                assert_eq!(client.take(5), b"hello");
                client.expect_end();
            }
        }
        until("all are gone", || count() == start);
        memory.push(kib("VmRSS"));
    }
    assert!(memory[1] < memory[0] + 512, "{memory:?} KiB");
    assert_eq!(running.connection_count(), 0);
    running.destroy();
    assert!(running.wait_timeout(SOON), "a connection is left");
}

/// Makes servers whose hooks have their handles. One in three never runs.
fn make_servers_that_know_themselves(number: usize) {
    for n in 0..number {
        let handle = Arc::new(Mutex::new(None::<Handle>));
        let in_events = Arc::clone(&handle);
        let in_transport = Arc::clone(&handle);
        let builder = Server::builder()
            .on_event(move |_| drop(in_events.lock().unwrap()))
            .transport(move |tcp, _| {
                drop(in_transport.lock().unwrap());
                Ok(tcp)
            });
        let server = builder.bind("127.0.0.1:0").unwrap();
        *handle.lock().unwrap() = Some(server.handle());
        if n % 3 == 0 {
            drop(server);
            continue;
        }
        let running = server.spawn(|_| "hello").unwrap();
        if n % 3 == 1 {
            drop(Client::answered(running.local_addr()));
        }
        running.destroy();
        running.join();
    }
}

/// Regression: a hook that had its server's handle kept both for ever, 100 KB for each server.
#[test]
fn a_thousand_servers_whose_hooks_have_their_handles_leave_nothing_behind() {
    let name = "a_thousand_servers_whose_hooks_have_their_handles_leave_nothing_behind";
    if !is_alone(name, "export MALLOC_ARENA_MAX=1") {
        return;
    }
    let start = count();
    make_servers_that_know_themselves(100);
    let before = kib("VmRSS");
    make_servers_that_know_themselves(1000);
    let grown = kib("VmRSS").saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB");
    until("no thread and no descriptor is left", || count() == start);
}

/// Responses are collected up to a limit: the server stops reading from a client that does not
/// read.
#[test]
fn pipelining_floods_use_no_memory_and_delay_no_other() {
    let name = "pipelining_floods_use_no_memory_and_delay_no_other";
    if !is_alone(name, "export MALLOC_ARENA_MAX=1") {
        return;
    }
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|_| {
        CALLS.fetch_add(1, SeqCst);
        Response::bytes("a/b", vec![b'x'; 10_000])
    });
    let running = running.unwrap();
    let requests = GET.repeat(10_000);
    drop(Client::answered(running.local_addr()));
    let before = kib("VmRSS");
    thread::scope(|scope| {
        let mut floods = Vec::new();
        for _ in 0..8 {
            let (mut client, requests) = (Client::connect(running.local_addr()), &requests);
            floods.push(scope.spawn(move || {
                let _ = client.stream.write_all(requests.as_bytes()); // the client may be cut half-way
                client
            }));
        }
        until("the server can send no more", || {
            let calls = CALLS.load(SeqCst);
            thread::sleep(Duration::from_millis(100));
            calls > 80 && calls == CALLS.load(SeqCst)
        });
        drop(Client::answered(running.local_addr()));
        let grown = kib("VmRSS").saturating_sub(before);
        assert!(grown < 2048, "{grown} KiB");
        assert!(CALLS.load(SeqCst) < 80_000, "all have been answered");
        running.destroy();
        for flood in floods {
            flood.join().unwrap().expect_end();
        }
    });
    assert!(running.wait_timeout(SOON), "a connection is left");
}
