//! The accept loop: starts a thread for each connection, reports, keeps the clock, and joins every
//! thread before it returns.

use super::conn;
use super::event::Event;
use super::lifecycle::Work;
use std::io;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

/// How often a thread is tried to be started while another one is about to end, and how long the
/// accept loop waits in between.
const SPAWN_RETRIES: usize = 50;
const SPAWN_RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// Serves until the server has stopped and every connection is gone.
pub(crate) fn run(service: conn::Service<'_>) {
    let registry = &service.server.registry;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        loop {
            match registry.next_work(threads.len()) {
                Work::JoinEnded => join_ended(&mut threads),
                Work::Destroy => {
                    service.server.destroy();
                }
                Work::Report(event) => service.hooks.events.emit(|| event),
                Work::Close(sockets) => drop(sockets),
                Work::Abandon(job) => drop(job),
                Work::Spawn => match spawn(scope, &mut threads, service) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => turn_away(service, error),
                },
                Work::Finish => break,
            }
        }
        // The scope alone would return before the system's threads are gone.
        for thread in threads {
            let _ = thread.join(); // the thread has caught every panic
        }
    });
}

/// Starts a thread that serves connections.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: &mut Vec<ScopedJoinHandle<'scope, ()>>,
    service: conn::Service<'scope>,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    let registry = &service.server.registry;
    let mut spawned = spawn_once(scope, service);
    // The stacks of threads that have ended may be what this one needs. On a busy machine, a thread
    // that has begun to end may take a moment to be gone.
    for _ in 0..SPAWN_RETRIES {
        if spawned.is_ok() {
            break;
        }
        join_ended(threads);
        spawned = spawn_once(scope, service);
        if spawned.is_ok() || !registry.has_ending_threads(threads.len()) {
            break;
        }
        thread::sleep(SPAWN_RETRY_INTERVAL);
    }
    spawned
}

fn spawn_once<'scope>(
    scope: &'scope Scope<'scope, '_>,
    service: conn::Service<'scope>,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    thread::Builder::new()
        .name(String::from("hardstop"))
        .stack_size(service.server.registry.config.stack_size)
        .spawn_scoped(scope, move || conn::serve(service))
}

/// Joins the threads that have ended, which gives their stacks back to the system.
fn join_ended(threads: &mut Vec<ScopedJoinHandle<'_, ()>>) {
    let mut at = 0;
    while let Some(thread) = threads.get(at) {
        if thread.is_finished() {
            let _ = threads.swap_remove(at).join(); // the thread has caught every panic
        } else {
            at += 1;
        }
    }
}

/// Ends a connection for which there is no thread, without waiting for its client.
fn turn_away(service: conn::Service<'_>, error: io::Error) {
    if let Some(job) = service.server.registry.job_without_thread() {
        if service.hooks.transport.is_none() {
            conn::refuse_without_thread(&job.stream);
        }
        drop(job);
    }
    let events = &service.hooks.events;
    events.emit(|| Event::SpawnFailed { error });
}
