use super::super::super::server::Server;
use std::net::TcpStream;

#[test]
fn a_connection_is_the_only_one_before_another_is_accepted_and_after_that_has_gone() {
    let server = Server::builder().bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    assert!(registry.has_single_connection(), "there is none");

    for (clients, is_single) in [(1, true), (2, false), (3, false)] {
        let _client = TcpStream::connect(registry.local_addr).unwrap();
        let mut state = registry.lock();
        while state.entries.len() < clients {
            registry.accept_one(&mut state);
        }
        drop(state);
        assert_eq!(registry.has_single_connection(), is_single, "{clients}");
    }

    for is_single in [false, true, true] {
        let job = registry.lock().pool.queue.pop_front();
        drop(job);
        let left = registry.lock().entries.len();
        assert_eq!(registry.has_single_connection(), is_single, "{left}");
    }
}
