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

/// A thread that is about to run the server has the handler, whatever it has done by then.
#[test]
fn a_stop_is_complete_only_when_the_runner_is_gone() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    registry.runner_starts();
    assert!(!registry.lock().has_ended(), "it accepts");
    registry.destroy();
    assert!(!registry.lock().has_ended(), "it starts");
    registry.runner_runs();
    assert!(!registry.lock().has_ended(), "it runs");
    registry.runner_is_gone();
    assert!(registry.lock().has_ended());
}
