use super::super::super::server::Server;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

#[test]
fn a_deadline_has_one_thread_which_ends_with_the_server() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    let clock = || -> Option<ThreadId> {
        let state = registry.lock();
        state.stop.clock.as_ref().map(|clock| clock.thread().id())
    };
    registry.start_clock();
    assert_eq!(clock(), None, "there is no deadline");

    // A connection that waits for its thread, so that the clock has something to wait for.
    let _client = std::net::TcpStream::connect(registry.local_addr).unwrap();
    registry.drain(Instant::now().checked_add(Duration::from_secs(60)));
    assert_eq!(registry.lock().entries.len(), 1);
    registry.start_clock();
    let first = clock();
    assert!(first.is_some());
    registry.start_clock();
    assert_eq!(clock(), first);

    let users = Arc::strong_count(&registry);
    registry.destroy();
    registry.join_clock();
    assert_eq!(clock(), None);
    assert!(Arc::strong_count(&registry) < users, "its thread has ended");
}
