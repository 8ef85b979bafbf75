use super::super::super::event::{CloseReason, ConnectionId, ConnectionState};
use super::super::super::server::Server;
use super::super::entry::Entry;
use super::{most_threads, PLACE_WAIT};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Regression: with every place taken, each further client had every connection looked at.
#[test]
fn a_search_that_found_nothing_is_repeated_only_after_a_change_of_state() {
    let server = Server::builder()
        .max_connections(2)
        .bind("127.0.0.1:0")
        .unwrap();
    let registry = server.handle().registry;
    let _clients = [(); 2].map(|()| TcpStream::connect(registry.local_addr).unwrap());
    let mut state = registry.lock();
    registry.accept_until(&mut state, 2);
    let entries = state.entries.clone();
    for entry in &entries {
        entry.enter(ConnectionState::Handling).unwrap();
    }
    assert!(!registry.free_place(&mut state));
    assert!(state.full_until.is_some());

    // This change is not seen, as the connection has not offered its place.
    entries[0].enter(ConnectionState::Closing).unwrap();
    assert!(!registry.free_place(&mut state));
    assert!(!entries[0].is_cut());

    registry.offer_place(&entries[0]);
    assert!(registry.free_place(&mut state));
    assert!(entries[0].is_cut());
    assert_eq!(state.places.taken(), 1);
}

/// A server with one place that nobody runs, and this many connections. A client holds the last
/// one, and all others have ended: their `Closed` hooks run.
fn mostly_in_hooks(connections: u64) -> (Server, TcpStream) {
    let server = Server::builder()
        .max_connections(1)
        .bind("127.0.0.1:0")
        .unwrap();
    let registry = server.handle().registry;
    let client = TcpStream::connect(registry.local_addr).unwrap();
    let mut state = registry.lock();
    for id in 1..=connections {
        let entry = Entry::new(ConnectionId(id), None, false, Arc::default());
        entry.give_up_place();
        state.entries.push(Arc::new(entry));
    }
    let clone = client.try_clone().unwrap();
    state.streams.insert(connections, clone);
    drop(state);
    (server, client)
}

#[test]
fn a_client_waits_for_hooks_only_while_they_hold_the_last_threads() {
    let most = most_threads(1);
    assert_eq!(most, 10, "a place, one that was cut, and those refused");
    let (server, _client) = mostly_in_hooks(9);
    let registry = server.handle().registry;
    let mut state = registry.lock();
    assert!(registry.make_room(&mut state));
    assert!(!state.needs_hook_to_return(1), "a thread is left");
    drop(state);

    let (server, client) = mostly_in_hooks(10);
    let registry = server.handle().registry;
    let mut state = registry.lock();
    assert!(!registry.make_room(&mut state), "a place is no thread");
    assert!(state.needs_hook_to_return(1));
    // With all sockets open, no hook is running.
    for id in 1..10 {
        state.streams.insert(id, client.try_clone().unwrap());
    }
    assert!(!state.needs_hook_to_return(1));
    drop(state);

    let (server, _client) = mostly_in_hooks(10);
    server.handle().destroy();
    let registry = server.handle().registry;
    assert!(!registry.lock().needs_hook_to_return(1));
}

/// If it is a thread that is missing, those who will soon be gone are those whose hooks run, and
/// those who have been cut and do nothing any more.
#[test]
fn threads_are_soon_free_where_a_connection_is_about_to_be_gone() {
    let (server, _client) = mostly_in_hooks(10);
    let registry = server.handle().registry;
    assert_eq!(
        registry.places_soon_free(&registry.lock()),
        0,
        "no response ends"
    );

    let (server, _client) = mostly_in_hooks(11);
    let registry = server.handle().registry;
    assert_eq!(registry.places_soon_free(&registry.lock()), 10, "hooks");
    registry.lock().entries[10].end_if(CloseReason::Evicted, |_| true);
    assert_eq!(
        registry.places_soon_free(&registry.lock()),
        11,
        "and a cut one"
    );
}

/// A client without a place has none to offer. A search on its account would look at every
/// connection for nothing.
#[test]
fn a_client_that_is_refused_offers_no_place() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    for (is_refused, holds) in [(true, true), (false, false)] {
        let entry = Entry::new(ConnectionId(1), None, is_refused, Arc::default());
        registry.search_holds.store(true, SeqCst);
        registry.offer_place(&entry);
        assert_eq!(registry.search_holds.load(SeqCst), holds);
    }
}

/// Returns how long a client has waited for the place of a connection that ends meanwhile.
fn wait_for_the_end_of_another() -> Duration {
    let server = Server::builder()
        .max_connections(1)
        .bind("127.0.0.1:0")
        .unwrap();
    let registry = server.handle().registry;
    let _clients = [(); 2].map(|()| TcpStream::connect(registry.local_addr).unwrap());
    let mut state = registry.lock();
    registry.accept_until(&mut state, 2);
    let first = state.pool.queue.pop_front().unwrap();
    let second = state.pool.queue.pop_front().unwrap();
    drop(state);
    assert!(second.registration.entry.is_refused());
    let entry = &first.registration.entry;
    entry.enter(ConnectionState::Responding).unwrap();
    entry.begin_end_of_response();
    let began = Instant::now();
    thread::scope(|scope| {
        let seeker = scope.spawn(|| registry.find_place(&second.registration.entry));
        while !registry.is_place_sought() {
            thread::yield_now();
        }
        drop(first);
        assert!(seeker.join().unwrap());
    });
    let took = began.elapsed();
    assert!(!registry.is_place_sought());
    took
}

#[test]
fn a_client_that_waits_for_a_place_gets_that_of_a_connection_as_soon_as_it_ends() {
    // A busy machine may be slow now and then.
    let is_early = (0..10).any(|_| wait_for_the_end_of_another() < PLACE_WAIT);
    assert!(is_early, "it has always waited for the longest time");
}
