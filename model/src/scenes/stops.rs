//! A stop against everything that a client can be doing.

use crate::client::{start_talk, talk_and_note, Client, GET};
use crate::library::hardstop::{Outcome, Request};
use crate::mock::kernel::with;
use crate::mock::thread::{join_all, sleep, user, yield_now};
use crate::oracle::{check, check_nothing_left, is_early, Fact, Stopwatch, Subject};
use std::io::Read;
use std::time::Duration;

const HALF_POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello";

/// How long a drain waits for a client that has never spoken, and how often it looks.
const SILENT: Duration = Duration::from_millis(1100);

/// A destroy against clients that connect, are accepted, and are answered.
pub fn destroy_against_accept() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    subject.destroy_at_once(&running);
    join_all(clients);
    subject.check_responses();
}

/// A destroy while a client, whose requests come one after the other, is being served.
pub fn destroy_against_requests() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let stopper = subject.clone();
    let stopper = user(move || stopper.destroy());
    if let Some(mut client) = Client::connect(subject.addr) {
        while client.ask(GET).is_some() {
            yield_now(); // an unfair schedule would never come to the stop
        }
    }
    check(stopper.join() <= Some(1), "one client, and more were cut");
    subject.finish(&running);
    check_nothing_left();
}

/// A destroy while a handler sleeps, which its token wakes.
pub fn destroy_against_a_sleeping_handler() {
    let handler = |request: &mut Request<'_>| {
        let token = request.cancel_token();
        token.wait_timeout(Duration::from_secs(20));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    subject.destroy_at_once(&running);
    client.join();
}

/// A destroy while a response waits for its client to read.
pub fn destroy_against_a_blocked_response() {
    with(|world| world.net.buffer = 256);
    let (subject, running) = Subject::spawn(|builder| builder, |_| "x".repeat(2000));
    let is_over = Fact::default();
    let client = {
        let (subject, is_over) = (subject.clone(), is_over.clone());
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.send(GET);
            sleep(Duration::from_secs(5));
            check(is_over.is_so() || is_early(), "the stop waits for a client");
            Some(())
        })
    };
    let watch = Stopwatch::start();
    subject.destroy();
    subject.finish(&running);
    watch.check(Duration::ZERO);
    is_over.note();
    check_nothing_left();
    client.join();
}

/// A destroy while a handler waits for the rest of a body.
pub fn destroy_against_a_blocked_body() {
    let handler = |request: &mut Request<'_>| {
        let mut body = Vec::new();
        let read = request.body().read_to_end(&mut body);
        check(read.is_err(), "half a body was taken for a whole one");
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, HALF_POST);
    subject.destroy_at_once(&running);
    client.join();
}

/// A destroy while the rest of a body is received that the handler has not read.
pub fn destroy_against_the_rest_of_a_body() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, HALF_POST);
    subject.destroy_at_once(&running);
    client.join();
}

/// The same with a grace.
pub fn shutdown_against_the_rest_of_a_body() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, HALF_POST);
    let watch = Stopwatch::start();
    subject.handle.shutdown(Duration::from_millis(300));
    subject.finish(&running);
    watch.check(Duration::from_millis(300));
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// A destroy while the head of a request has come in part.
pub fn destroy_against_half_a_head() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, b"GET / HT");
    subject.destroy_at_once(&running);
    client.join();
}

/// A drain against a client that has had an answer and sends its next request.
pub fn drain_against_idle() {
    drain_around_a_request(false);
}

/// The same, and the drain begins right after that request has been sent.
pub fn drain_after_a_request() {
    drain_around_a_request(true);
}

fn drain_around_a_request(is_after: bool) {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let sent = Fact::default();
    let client = {
        let (subject, sent) = (subject.clone(), sent.clone());
        user(move || {
            let Some(mut client) = Client::connect(subject.addr) else {
                return 0;
            };
            let first = client.ask(GET).is_some();
            if client.send(GET) {
                sent.note();
            }
            usize::from(first) + client.read_to_end(&subject).len()
        })
    };
    while is_after && !sent.is_so() && !is_early() {
        yield_now();
    }
    let is_owed = sent.is_so();
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    watch.check(SILENT);
    check_nothing_left();
    let answers = client.join();
    check(
        !is_owed || answers == Some(2) || is_early(),
        "a request was lost in a drain",
    );
    subject.check_responses();
}

/// A drain against a client that has had an answer, and waits.
pub fn drain_against_waiting() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let is_answered = Fact::default();
    let client = {
        let (subject, is_answered) = (subject.clone(), is_answered.clone());
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.ask(GET)?;
            is_answered.note();
            Some(client.read_to_end(&subject))
        })
    };
    // It speaks, or comes too late. So there is nothing to wait for, once it has its answer.
    let watch = if is_answered.is_so() {
        Some(Stopwatch::start())
    } else {
        None
    };
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    if let Some(watch) = watch {
        watch.check(Duration::ZERO);
    }
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// A drain against clients that have just connected, and perhaps sent their requests.
pub fn drain_against_new_clients() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let clients = [(); 2].map(|()| {
        let sent = Fact::default();
        let (subject, noted) = (subject.clone(), sent.clone());
        let client = user(move || talk_and_note(&subject, GET, &noted).len());
        (client, sent)
    });
    let owed: Vec<bool> = clients.iter().map(|(_, sent)| sent.is_so()).collect();
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    watch.check(SILENT);
    check_nothing_left();
    for ((client, _), is_owed) in clients.into_iter().zip(owed) {
        let answers = client.join();
        check(
            !is_owed || answers == Some(1) || is_early(),
            "a request was lost in a drain",
        );
    }
    subject.check_responses();
}

/// A drain against a client that never speaks: it has a second, and no more.
pub fn drain_against_silence() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, b"");
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    watch.check(SILENT);
    check_nothing_left();
    client.join();
}

/// A drain before the server has begun to serve, with a client in the accept queue.
pub fn drain_before_run() {
    let (subject, server) = Subject::bind(|builder| builder);
    let client = start_talk(&subject, GET);
    let stopper = subject.clone();
    let stopper = user(move || stopper.handle.drain());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    stopper.join();
    subject.finish(&running);
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// Two destroys at once, one that waits, and a shutdown.
pub fn two_destroys_wait_and_shutdown() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, GET);
    let stoppers = [(); 2].map(|()| {
        let subject = subject.clone();
        user(move || subject.destroy())
    });
    let waiter = {
        let handle = subject.handle.clone();
        user(move || handle.wait())
    };
    let outcome = subject.handle.shutdown(Duration::from_secs(3));
    check(waiter.join() == Some(true), "wait returned false");
    let cut: usize = stoppers
        .map(|stopper| stopper.join().unwrap_or(0))
        .iter()
        .sum();
    check(cut <= 1, "one client, and more were cut");
    match outcome {
        Outcome::Drained => check(cut == 0, "drained, but cut"),
        Outcome::Destroyed { .. } => {}
        _ => check(false, "pending, on a thread of the user's"),
    }
    subject.finish(&running);
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// Two shutdowns with two graces, of which the shorter one counts, and a handler that takes longer.
pub fn two_deadlines() {
    let handler = |request: &mut Request<'_>| {
        let token = request.cancel_token();
        token.wait_timeout(Duration::from_secs(20));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    let watch = Stopwatch::start();
    let other = {
        let subject = subject.clone();
        user(move || subject.handle.shutdown(Duration::from_millis(700)))
    };
    let outcome = subject.handle.shutdown(Duration::from_secs(5));
    watch.check(Duration::from_millis(700));
    if matches!(outcome, Outcome::Destroyed { .. }) {
        subject.check_destroyed();
    }
    check(
        other.join() == Some(outcome),
        "two callers got two outcomes",
    );
    subject.finish(&running);
    watch.check(Duration::from_millis(700));
    check_nothing_left();
    client.join();
}

/// Two shutdowns whose deadline comes together with the last end.
pub fn deadline_and_last_end() {
    let handler = |_: &mut Request<'_>| {
        sleep(Duration::from_millis(500));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    let other = {
        let subject = subject.clone();
        user(move || subject.handle.shutdown(Duration::from_millis(500)))
    };
    let outcome = subject.handle.shutdown(Duration::from_millis(500));
    check(
        other.join() == Some(outcome),
        "two callers got two outcomes",
    );
    subject.finish(&running);
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// A wait for a time, against the last end at that time.
pub fn wait_for_a_time() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, GET);
    let stopper = {
        let subject = subject.clone();
        user(move || {
            sleep(Duration::from_secs(2));
            subject.destroy()
        })
    };
    let watch = Stopwatch::start();
    let is_ended = subject.handle.wait_timeout(Duration::from_secs(1));
    check(
        !is_ended || is_early(),
        "an end that has not come was reported",
    );
    watch.check(Duration::from_secs(1));
    let is_ended = subject.handle.wait_timeout(Duration::from_secs(5));
    check(is_ended || is_early(), "an end was not reported");
    watch.check(Duration::from_secs(2));
    stopper.join();
    subject.finish(&running);
    check_nothing_left();
    client.join();
}

/// A wait for any stop, against a drain: it takes no time, and does not wait for the end.
pub fn wait_for_a_stop() {
    let handler = |request: &mut Request<'_>| {
        request.cancel_token().wait_timeout(Duration::from_secs(20));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    let waiters = [(); 2].map(|()| {
        let handle = subject.handle.clone();
        user(move || {
            let watch = Stopwatch::start();
            let is_stopped = handle.wait_for_stop(Duration::from_secs(20));
            check(is_stopped || is_early(), "a stop was not reported");
            watch.check(Duration::ZERO);
        })
    });
    subject.handle.drain();
    join_all(waiters);
    check(
        subject.handle.wait_for_stop(Duration::ZERO),
        "a stop was forgotten",
    );
    subject.destroy_and_finish(&running);
    client.join();
}
