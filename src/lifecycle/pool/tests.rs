use super::super::super::server::Server;
use super::super::registry::Registry;
use super::PARKED_TIME;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A server with one place, which nobody runs.
fn server() -> (Server, Arc<Registry>) {
    let server = Server::builder()
        .max_connections(1)
        .bind("127.0.0.1:0")
        .unwrap();
    let registry = server.handle().registry;
    (server, registry)
}

/// Connects a client, and queues its connection.
fn queue_client(registry: &Arc<Registry>) -> TcpStream {
    let client = TcpStream::connect(registry.local_addr).unwrap();
    registry.accept_until(&mut registry.lock(), 1);
    client
}

#[test]
fn a_thread_ends_at_once_if_as_many_as_may_be_are_parked() {
    let (_server, registry) = server();
    {
        let mut state = registry.lock();
        state.pool.parked = 1;
        state.pool.serving = 1;
    }
    let began = Instant::now();
    assert!(registry.next_job().is_none());
    assert!(began.elapsed() < PARKED_TIME, "it has been parked");
    let state = registry.lock();
    assert_eq!(state.pool.parked, 1);
    assert_eq!(state.pool.serving, 0);
}

#[test]
fn a_thread_takes_a_queued_connection_without_being_parked() {
    let (_server, registry) = server();
    let _client = queue_client(&registry);
    registry.lock().pool.serving = 1;
    let began = Instant::now();
    let job = registry.next_job();
    assert!(job.is_some());
    assert!(began.elapsed() < PARKED_TIME, "it has been parked");
    assert_eq!(registry.lock().pool.serving, 1);
}

#[test]
fn a_claimed_thread_takes_the_connection_it_was_claimed_for() {
    let (_server, registry) = server();
    let _client = queue_client(&registry);
    {
        let mut state = registry.lock();
        state.pool.serving = 1;
        state.pool.parked = 1;
        assert!(state.claim_parked_thread(1));
        assert!(!state.claim_parked_thread(1), "one thread is enough");
        state.pool.parked = 0; // as before the call that parks it
    }
    let job = registry.next_job();
    assert!(job.is_some());
    let state = registry.lock();
    assert_eq!(state.pool.parked, 0);
    assert_eq!(state.pool.claimed, 0);
    assert_eq!(state.pool.spawning, 0);
    assert_eq!(state.pool.serving, 1);
}

#[test]
fn a_thread_that_begins_after_a_destroy_gets_no_connection() {
    let (server, registry) = server();
    let _client = queue_client(&registry);
    {
        let mut state = registry.lock();
        state.pool.spawning = 1;
        state.pool.serving = 2;
    }
    server.handle().destroy();
    assert!(registry.first_job().is_none());
    let state = registry.lock();
    assert_eq!(state.pool.spawning, 0);
    assert_eq!(state.pool.serving, 1);
}

#[test]
fn a_parked_thread_ends_when_the_server_stops() {
    let (server, registry) = server();
    registry.lock().pool.serving = 1;
    thread::scope(|scope| {
        let parked = scope.spawn(|| registry.next_job().is_none());
        while registry.lock().pool.parked == 0 {
            thread::yield_now();
        }
        server.handle().destroy();
        assert!(parked.join().unwrap());
    });
    let state = registry.lock();
    assert_eq!(state.pool.parked, 0);
    assert_eq!(state.pool.serving, 0);
}

#[test]
fn the_connection_of_a_thread_that_cannot_be_started_is_given_back() {
    let (_server, registry) = server();
    let _client = queue_client(&registry);
    {
        let mut state = registry.lock();
        state.pool.spawning = 1;
        state.pool.serving = 2;
    }
    assert!(registry.job_without_thread().is_some());
    let state = registry.lock();
    assert_eq!(state.pool.spawning, 0);
    assert_eq!(state.pool.serving, 1);
    assert!(state.pool.queue.is_empty());
}

#[test]
fn threads_are_ending_if_more_have_been_started_than_serve() {
    let (_server, registry) = server();
    registry.lock().pool.serving = 3; // one of them is being started
    assert!(!registry.has_ending_threads(1));
    assert!(!registry.has_ending_threads(2));
    assert!(registry.has_ending_threads(3));
}
