//! Spare threads, which wait for another connection, against every stop.

use crate::client::{talk, LAST_GET};
use crate::library::hardstop::Running;
use crate::mock::kernel::with;
use crate::mock::thread::{sleep, user, User};
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject};
use std::time::Duration;

/// A server, and a client whose connections come one after the other.
fn spawn_with_spares() -> (Subject, Running, User<()>) {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = {
        let subject = subject.clone();
        user(move || {
            for _ in 0..2 {
                talk(&subject, LAST_GET);
            }
        })
    };
    (subject, running, client)
}

pub fn spare_threads_destroyed() {
    let (subject, running, client) = spawn_with_spares();
    subject.destroy_at_once(&running);
    client.join();
    subject.check_responses();
}

pub fn spare_threads_drained() {
    let (subject, running, client) = spawn_with_spares();
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    watch.check(Duration::from_millis(1100));
    check_nothing_left();
    client.join();
    subject.check_responses();
}

pub fn spare_threads_shut_down() {
    let (subject, running, client) = spawn_with_spares();
    let watch = Stopwatch::start();
    subject.handle.shutdown(Duration::from_millis(200));
    subject.finish(&running);
    watch.check(Duration::from_millis(200));
    check_nothing_left();
    client.join();
    subject.check_responses();
}

pub fn spare_threads_dropped() {
    let (subject, running, client) = spawn_with_spares();
    drop(running);
    check(subject.handle.wait(), "wait returned false");
    client.join();
    subject.check_ended();
    subject.check_responses();
}

/// A spare thread is there when the drain begins, and nothing else: that takes no time.
pub fn a_spare_thread_alone() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    talk(&subject, LAST_GET);
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    watch.check(Duration::ZERO);
    check_nothing_left();
    subject.check_responses();
}

/// Clients at the same time, while threads are spare and called for: each is served.
pub fn spare_threads_are_called() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    talk(&subject, LAST_GET);
    let clients = [(); 2].map(|()| {
        let subject = subject.clone();
        user(move || talk(&subject, LAST_GET).len())
    });
    for client in clients {
        check(
            client.join() == Some(1) || is_early(),
            "a client was not served",
        );
    }
    let asked = with(|world| world.threads.asked);
    check(asked <= 4, "there were more threads than connections");
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A spare thread's time ends while a client comes: one of them has it.
pub fn a_spare_threads_last_moment() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    talk(&subject, LAST_GET);
    sleep(Duration::from_secs(3));
    let answers = talk(&subject, LAST_GET);
    check(answers.len() == 1 || is_early(), "a client was not served");
    subject.destroy_and_finish(&running);
    subject.check_responses();
}
