use super::super::super::server::Server;
use super::{Registry, State};
use std::net::TcpStream;
use std::sync::Arc;

impl Registry {
    /// Accepts until there are so many connections. Their clients have connected.
    pub(in super::super) fn accept_until(
        self: &Arc<Registry>,
        state: &mut State,
        connections: usize,
    ) {
        while state.entries.len() < connections {
            self.accept_one(state);
        }
    }
}

#[test]
fn there_are_several_connections_from_the_second_one_on_until_it_has_gone() {
    let server = Server::builder().bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    assert!(!registry.has_several_connections(), "there is none");

    for (clients, are_several) in [(1, false), (2, true), (3, true)] {
        let _client = TcpStream::connect(registry.local_addr).unwrap();
        let mut state = registry.lock();
        registry.accept_until(&mut state, clients);
        drop(state);
        assert_eq!(registry.has_several_connections(), are_several, "{clients}");
    }

    for are_several in [true, false, false] {
        let job = registry.lock().pool.queue.pop_front();
        drop(job);
        let left = registry.lock().entries.len();
        assert_eq!(registry.has_several_connections(), are_several, "{left}");
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
