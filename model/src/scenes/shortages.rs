//! What happens when descriptors or threads run out, or closing takes long.

use super::hooks::CallsAll;
use crate::client::{start_talk, talk, Client, GET, LAST_GET, UPLOAD};
use crate::library::hardstop::{Builder, Request, Response, Running};
use crate::mock::kernel::with;
use crate::mock::thread::{join_all, sleep, user};
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject};
use std::time::Duration;

/// Descriptors run out: clients wait in the queue until there are some again.
pub fn no_descriptor() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    // The listener, its second and third descriptor, and those of one connection.
    with(|world| world.net.limit = 5);
    let clients = [(); 3].map(|()| start_talk(&subject, LAST_GET));
    for client in clients {
        let answers = client.join().unwrap_or_default();
        check(answers.len() <= 1, "one request has two answers");
    }
    with(|world| world.net.limit = usize::MAX);
    let answers = talk(&subject, LAST_GET);
    check(answers.len() == 1 || is_early(), "the server did not go on");
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A client takes the last descriptor but the one in reserve: that is enough for it.
pub fn last_descriptor() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    sleep(Duration::from_millis(1));
    // The listener, its clone, the one in reserve, and the one with which the accept loop waits.
    with(|world| world.net.limit = 4);
    let answers = talk(&subject, LAST_GET);
    check(
        answers.len() == 1 || is_early(),
        "a client that was accepted was not served",
    );
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// Descriptors have run out when the server is stopped.
pub fn no_descriptor_destroyed() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    with(|world| world.net.limit = 4);
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    subject.destroy_at_once(&running);
    join_all(clients);
}

/// A client takes the last descriptor, and there is none for its clone. The server is stopped while
/// that client's socket is being closed, which happens without the lock.
pub fn no_second_descriptor_destroyed() {
    // The listener and its clone: none is in reserve.
    with(|world| world.net.limit = 2);
    let (subject, server) = Subject::bind(|builder| builder);
    with(|world| world.net.limit = 3);
    let client = start_talk(&subject, GET);
    let running = server.spawn(subject.noting(|_: &mut Request<'_>| "hello"));
    subject.destroy_at_once(&running.unwrap());
    client.join();
}

/// The thread of the first connection cannot be started: its client is sent away.
pub fn no_thread_for_a_client() {
    // The accept thread is the first one; then come two attempts for each connection.
    with(|world| world.threads.failing = vec![1, 2]);
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| start_talk(&subject, LAST_GET));
    let answers: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
    let served = answers
        .iter()
        .flatten()
        .flatten()
        .filter(|answer| answer.status == 200);
    check(
        served.count() == 1 || is_early(),
        "one client has a thread, and not one was served",
    );
    subject.destroy_and_finish(&running);
    check(
        subject.witness.count("SpawnFailed") == 1,
        "a failed start was not reported",
    );
    check(
        subject.witness.seen().opened.len() == 1,
        "a client without a thread was opened",
    );
    subject.check_responses();
}

/// The first attempt to start a thread fails, and the second one does not.
pub fn a_thread_at_the_second_attempt() {
    with(|world| world.threads.failing = vec![1, 4]);
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| start_talk(&subject, LAST_GET));
    join_all(clients);
    check(
        subject.witness.count("SpawnFailed") == 0,
        "two attempts were too few",
    );
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// No thread for a client, against every stop.
pub fn no_thread_against_stops() {
    with(|world| world.threads.failing = vec![1, 2]);
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| start_talk(&subject, LAST_GET));
    subject.handle.drain();
    subject.destroy_and_finish(&running);
    join_all(clients);
    subject.check_responses();
}

/// The accept thread cannot be started: the port is closed.
pub fn no_thread_for_the_server() {
    with(|world| world.threads.failing = vec![0]);
    let (subject, server) = Subject::bind(|builder| builder);
    let client = start_talk(&subject, GET);
    let waiter = {
        let subject = subject.clone();
        user(move || {
            check(subject.handle.wait(), "wait returned false");
            subject.witness.check_handler_is_dropped();
            subject.witness.check_hook_is_dropped();
        })
    };
    let calls = CallsAll(subject.handle.clone());
    let spawned = server.spawn(subject.noting(move |_: &mut Request<'_>| {
        let _owned = &calls;
        "hello"
    }));
    check(spawned.is_err(), "a thread was started that cannot be");
    subject.check_destroyed();
    check(subject.handle.wait(), "wait returned false");
    subject.check_ended();
    waiter.join();
    check_nothing_left();
    client.join();
}

/// Destroys the server while another thread asks for its connections. No call waits.
fn destroy_while_asked(subject: &Subject, running: &Running) {
    let asker = {
        let subject = subject.clone();
        user(move || {
            let watch = Stopwatch::start();
            subject.handle.connection_count();
            subject.handle.close_idle();
            watch.check(Duration::ZERO);
        })
    };
    let watch = Stopwatch::start();
    subject.destroy();
    watch.check(Duration::ZERO);
    asker.join();
    subject.finish(running);
}

/// Closing a connection takes long, as a listener's own `SO_LINGER` can have it. No call waits for
/// that.
pub fn a_close_that_lingers() {
    with(|world| {
        world.net.linger = Some(Duration::from_secs(5));
        world.net.buffer = 4096;
    });
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.send(GET);
            sleep(Duration::from_secs(20));
            Some(())
        })
    });
    sleep(Duration::from_millis(1));
    destroy_while_asked(&subject, &running);
    check_nothing_left();
    join_all(clients);
}

/// A client that goes on sending after its last request still gets the response, also where a reset
/// takes what it has not read.
pub fn a_last_response_and_more_bytes() {
    last_response_reaches("a last response was lost in a reset", |client| {
        client.send(GET);
        client.send(b"and more");
    });
}

/// An answer that comes before most of its request. The client reads it when it has sent all.
pub fn an_early_answer_to_a_slow_upload() {
    last_response_reaches("an early answer was lost in a reset", |client| {
        client.send(UPLOAD);
        for _ in 0..3 {
            sleep(Duration::from_secs(2));
            client.send(&[b'x'; 1000]);
        }
    });
}

/// Has a client send this, and read the last response only then.
fn last_response_reaches(fault: &'static str, send: fn(&mut Client)) {
    with(|world| world.net.reset_loses = true);
    let handler = |_: &mut Request<'_>| Response::text("hello").with_close();
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            send(&mut client);
            Some(client.read_to_end(&subject))
        })
    };
    let answers = client.join().flatten().unwrap_or_default();
    check(answers.len() == 1 || is_early(), fault);
    subject.handle.drain();
    subject.finish(&running);
    check_nothing_left();
}

/// Clients that are refused, or have no thread, while closing takes long: no call waits.
pub fn refusals_while_closing_lingers() {
    with(|world| {
        world.net.linger = Some(Duration::from_secs(5));
        world.threads.failing = vec![3, 4];
    });
    let (subject, running) =
        Subject::spawn(|builder| builder.max_connections(1), super::places::busy);
    let clients = [(); 3].map(|()| start_talk(&subject, GET));
    destroy_while_asked(&subject, &running);
    check_nothing_left();
    join_all(clients);
}

/// So many clients that some are turned away, while closing takes long: no call waits.
pub fn more_refusals_while_closing_lingers() {
    with(|world| world.net.linger = Some(Duration::from_secs(5)));
    let configure = |builder: Builder| builder.max_connections(1);
    let (subject, running) = Subject::spawn(configure, super::places::busy);
    let clients: Vec<_> = (0..11).map(|_| start_talk(&subject, GET)).collect();
    for _ in 0..3 {
        let watch = Stopwatch::start();
        subject.handle.connection_count();
        watch.check(Duration::ZERO);
        sleep(Duration::from_millis(1));
    }
    let watch = Stopwatch::start();
    subject.destroy();
    watch.check(Duration::ZERO);
    subject.finish(&running);
    check_nothing_left();
    join_all(clients);
}
