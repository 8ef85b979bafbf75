//! Promise 8, in a process of its own, so that every thread and descriptor in it is accounted for.

#![cfg(target_os = "linux")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is how they fail"
)]

use hardstop::{Response, Server};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// How many threads and descriptors this process has.
fn count() -> (usize, usize) {
    let entries = |dir| fs::read_dir(dir).unwrap().count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

#[test]
fn no_thread_and_no_descriptor_is_left_when_a_server_has_been_joined() {
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
            let _ = client.write_all(say.as_bytes()); // it may be evicted
            if say.starts_with("GET / HTTP") {
                let _ = client.read(&mut [0; 16]); // an answer or an end: it has been served
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
        let began = Instant::now();
        while count() != start {
            assert!(
                began.elapsed() < SOON,
                "{:?} became {:?}, round {round}",
                start,
                count()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}
