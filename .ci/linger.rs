//! What .ci/extra/linger runs: a server over a listener with `SO_LINGER`, which std cannot set and which every accepted
//! socket inherits. Closing such a socket blocks until its client has taken everything, for at most the 5 s that the
//! script has set. No call of a handle, no other client and no destroy may wait for that.

use hardstop::{ConnectionState, Event, Response, Server};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::io::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{process, thread};

/// A tenth of the time for which closing blocks.
const SOON: Duration = Duration::from_millis(500);

fn main() -> io::Result<()> {
    let listener = TcpListener::from(OwnedFd::from(io::stdin().as_fd().try_clone_to_owned()?));
    let (sender, closed) = mpsc::sync_channel(100);
    let server = Server::builder().on_event(move |event| {
        if let Event::Closed { id, .. } = event {
            let _ = sender.send((u64::from(*id), Instant::now()));
        }
    });
    let server = server.listener(listener)?.spawn(|req| match req.path() {
        "/large" => Response::bytes("application/octet-stream", &[0; 50_000_000][..]),
        _ => Response::text("hello"),
    })?;
    let addr = server.local_addr();
    let handle = server.handle();

    let _first = stalled(addr)?;
    let _second = stalled(addr)?;
    while handle.connections().iter().filter(|info| info.state == ConnectionState::Responding).count() < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(200)); // both have filled what their clients' systems take

    let began = Instant::now();
    let first = handle.connections()[0].id;
    assert!(handle.close(first));
    while began.elapsed() < 2 * SOON {
        within("counting connections", || handle.connection_count());
        within("another client", || hello(addr).expect("it is served"));
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(within("a destroy", || handle.destroy()), 1);
    within("counting connections after the destroy", || handle.connection_count());
    assert!(server.join());
    let ends: Vec<_> = closed.try_iter().filter(|(id, _)| *id <= 2).collect();
    assert_eq!(ends.len(), 2, "each has its end");
    let lasted = ends.iter().map(|(_, at)| at.duration_since(began)).max().unwrap_or_default();
    println!("the ends were reported after {lasted:?}");
    if lasted < 2 * SOON {
        println!("skipped: closing did not block, so this has shown nothing");
        process::exit(77);
    }
    Ok(())
}

/// A client that asks for much and reads none of it.
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
