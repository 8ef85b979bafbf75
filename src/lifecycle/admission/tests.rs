use super::super::super::config::Config;
use super::super::super::event::Event;
use super::super::super::sys::listener::{Accept, Accepted, Listener};
use super::super::registry::{Registry, Stage};
use super::Polled;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// A port whose first clients have reset their connections, each of which fails.
struct AfterResets {
    port: TcpListener,
    resets: AtomicUsize,
    error: fn() -> io::Error,
}

impl Accept for AfterResets {
    fn accept(&self) -> io::Result<Accepted> {
        if self.resets.load(SeqCst) > 0 {
            self.resets.fetch_sub(1, SeqCst);
            return Err((self.error)());
        }
        Accept::accept(&self.port)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        Accept::set_nonblocking(&self.port, nonblocking)
    }
}

/// A server behind such a port, and the client behind the resets.
fn after_resets(resets: usize, error: fn() -> io::Error) -> (Arc<Registry>, TcpStream) {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr: SocketAddr = port.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let socket = AfterResets {
        port,
        resets: AtomicUsize::new(resets),
        error,
    };
    let listener = Listener::new(Box::new(socket), true).unwrap();
    let registry = Registry::new(listener, addr, Config::default());
    (Arc::new(registry), client)
}

/// Regression: std's error for a client without an address, which is what a reset gives on Apple's
/// systems over IPv6, was taken for one that lasts. The client behind 12 resets waited for 3 s.
#[test]
fn a_client_behind_resets_is_accepted_at_once() {
    let errors: [fn() -> io::Error; 3] = [
        || ErrorKind::ConnectionAborted.into(),
        || ErrorKind::ConnectionReset.into(),
        || io::Error::new(ErrorKind::InvalidInput, "invalid argument"),
    ];
    for error in errors {
        let (registry, _client) = after_resets(12, error);
        let mut state = registry.lock();
        for _ in 0..=12 {
            let polled = registry.accept_one(&mut state);
            assert!(matches!(polled, Polled::Accepted), "{:?}", error());
        }
        assert_eq!(state.entries.len(), 1);
        assert!(state.reports.is_empty(), "nobody can do anything about it");
    }
}

#[test]
fn an_error_that_lasts_is_reported_and_waited_for_ever_longer() {
    let (registry, _client) = after_resets(12, || io::Error::from_raw_os_error(22));
    let mut state = registry.lock();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        match registry.accept_one(&mut state) {
            Polled::Wait(pause) => pauses.push(pause),
            Polled::Accepted => panic!("the loop would spin"),
        }
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(*pauses.last().unwrap(), super::LONGEST_BACKOFF);
    let is_report = |event: &Event| matches!(event, Event::AcceptFailed { .. });
    assert_eq!(state.reports.iter().filter(|it| is_report(it)).count(), 12);
    assert!(matches!(registry.accept_one(&mut state), Polled::Accepted));
}

/// Closing a socket may block, so it waits until the lock has been released.
#[test]
fn a_discarded_client_is_shut_down_at_once_and_closed_without_the_lock() {
    let (registry, mut client) = after_resets(0, || ErrorKind::Other.into());
    let mut state = registry.lock();
    let (stream, _) = match &state.stage {
        Stage::Accepting(listener) => listener.accept().unwrap(),
        Stage::Draining | Stage::Destroyed => unreachable!(),
    };
    state.discard(stream);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end");
    assert_eq!(state.discarded.len(), 1);

    let state = registry.wait_for_client_or_change(state, Duration::from_millis(1));
    assert!(state.discarded.is_empty());
}
