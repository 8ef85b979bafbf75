//! The program that .ci/extra/linger runs: a server over a listener with `SO_LINGER`. std cannot set that option, and
//! every accepted socket inherits it. Closing such a socket blocks until its client has received everything, for at most
//! the 5 s that the script sets. No handle call, no other client and no destroy may wait for that.

use hardstop::{ConnectionState, Event, Handle, Response, Server};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::io::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{process, thread};

/// A tenth of the time for which a close blocks.
const SOON: Duration = Duration::from_millis(500);

fn main() -> io::Result<()> {
    let listener = TcpListener::from(OwnedFd::from(io::stdin().as_fd().try_clone_to_owned()?));
    let (sender, closed) = mpsc::sync_channel(2);
    let server = Server::builder().on_event(move |event| {
        // The first two connections are those of the clients that read nothing.
        match event {
            Event::Closed { id, .. } if u64::from(*id) <= 2 => {
                let _ = sender.send(Instant::now()); // the main thread may have ended
            }
            _ => {}
        }
    });
    let server = server
        .bind_listener(listener)?
        .spawn(|req| match req.path() {
            "/large" => Response::bytes("application/octet-stream", &[0; 50_000_000][..]),
            _ => Response::text("hello"),
        })?;
    let addr = server.local_addr();
    let handle = server.handle();

    let _first = stalled(addr)?;
    let _second = stalled(addr)?;
    while responding(&handle) < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    // By then, both responses have filled the buffers of their clients.
    thread::sleep(Duration::from_millis(200));

    let began = Instant::now();
    let first = handle.connections()[0].id;
    assert!(handle.close(first));
    while began.elapsed() < 2 * SOON {
        within("counting connections", || handle.connection_count());
        within("another client", || {
            hello(addr).expect("the client is served")
        });
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(within("a destroy", || handle.destroy()), 1);
    within("counting connections after the destroy", || {
        handle.connection_count()
    });
    assert!(server.join());
    let ends: Vec<Instant> = closed.try_iter().collect();
    assert_eq!(ends.len(), 2, "both connections report their end");
    let lasted = ends
        .iter()
        .map(|at| at.duration_since(began))
        .max()
        .unwrap_or_default();
    println!("the ends were reported after {lasted:?}");
    if lasted < 2 * SOON {
        println!("skipped: the close did not block, so nothing was tested");
        process::exit(77);
    }
    Ok(())
}

/// Returns the number of connections that are sending a response.
fn responding(handle: &Handle) -> usize {
    let connections = handle.connections();
    let responding = connections
        .iter()
        .filter(|info| info.state == ConnectionState::Responding);
    responding.count()
}

/// Connects a client that requests a large response and does not read it.
fn stalled(addr: SocketAddr) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(addr)?;
    client.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")?;
    Ok(client)
}

fn hello(addr: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::connect(addr)?;
    client.set_read_timeout(Some(10 * SOON))?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    client.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn within<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = call();
    let took = began.elapsed();
    assert!(took < SOON, "{what} took {took:?}");
    result
}
