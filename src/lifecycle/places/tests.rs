use super::super::super::event::ConnectionState;
use super::super::super::server::Server;
use std::net::TcpStream;

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
    while state.entries.len() < 2 {
        registry.accept_one(&mut state);
    }
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
