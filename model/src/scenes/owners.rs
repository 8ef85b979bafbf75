//! Who owns a server, runs it, waits for it, and stops it.

use crate::client::{start_talk, talk, Client, GET, LAST_GET};
use crate::library::hardstop::{Outcome, Phase, Request, Running, Server};
use crate::mock::net::TcpListener;
use crate::mock::thread::{join_all, sleep, user};
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject, Witness};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A server that is dropped without having run, with clients in its queue.
pub fn never_run() {
    let (subject, server) = Subject::bind(|builder| builder);
    let client = start_talk(&subject, GET);
    let waiter = {
        let subject = subject.clone();
        user(move || {
            let has_ended = subject.handle.wait();
            subject.witness.check_hook_is_dropped();
            has_ended
        })
    };
    drop(server);
    subject.check_destroyed();
    check(waiter.join() == Some(true), "wait returned false");
    subject.check_ended();
    check_nothing_left();
    check(
        client.join() == Some(Vec::new()),
        "a server that never ran has answered",
    );
}

/// A server that is drained and destroyed before it is dropped without having run.
pub fn never_run_and_stopped() {
    let (subject, server) = Subject::bind(|builder| builder);
    let client = start_talk(&subject, GET);
    let waiter = {
        let subject = subject.clone();
        user(move || subject.handle.shutdown(Duration::from_secs(1)))
    };
    let dropper = user(move || drop(server));
    subject.handle.drain();
    check(
        waiter.join() != Some(Outcome::Pending),
        "pending, on a thread of the user's",
    );
    dropper.join();
    subject.handle.destroy();
    check(subject.handle.wait(), "wait returned false");
    subject.check_ended();
    check_nothing_left();
    client.join();
}

/// `run` on a thread of the user's: when it returns, nothing is left.
pub fn run_here() {
    let (subject, server) = Subject::bind(|builder| builder);
    let runner = {
        let handler = subject.noting(|_: &mut Request<'_>| "hello");
        user(move || {
            server.run(handler);
            check_nothing_left();
        })
    };
    let client = start_talk(&subject, LAST_GET);
    client.join();
    let second = start_talk(&subject, GET);
    subject.destroy();
    check(subject.handle.wait(), "wait returned false");
    runner.join();
    subject.check_ended();
    second.join();
    subject.check_responses();
}

/// Two threads that join, and one that waits.
pub fn two_joins() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let running = Arc::new(running);
    let client = start_talk(&subject, GET);
    let joiners = [(); 2].map(|()| {
        let running = Arc::clone(&running);
        user(move || {
            let is_joined = running.join();
            check_nothing_left();
            is_joined
        })
    });
    subject.destroy_and_finish(&running);
    for joiner in joiners {
        check(joiner.join() == Some(true), "join returned false");
    }
    client.join();
}

/// A handler that joins its own server, waits for it, and shuts it down.
pub fn join_on_an_own_thread() {
    let place: Arc<Mutex<Option<Arc<Running>>>> = Arc::default();
    let found = Arc::clone(&place);
    let handler = move |_: &mut Request<'_>| {
        let running = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(running) = running {
            check(!running.join(), "a handler has joined its own server");
            check(!running.wait(), "a handler has waited for itself");
            let outcome = running.shutdown(Duration::from_secs(1));
            check(
                outcome == Outcome::Pending,
                "a handler could wait for its own end",
            );
        }
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let running = Arc::new(running);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&running));
    talk(&subject, GET);
    let watch = Stopwatch::start();
    place.lock().unwrap_or_else(PoisonError::into_inner).take();
    if is_early() {
        subject.handle.drain(); // the client may have been lost
    }
    subject.finish(&running);
    watch.check(Duration::ZERO);
    check_nothing_left();
    subject.check_responses();
}

/// The owner is dropped, which destroys without waiting; somebody else waits.
pub fn owner_dropped() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, GET);
    let waiter = {
        let handle = subject.handle.clone();
        user(move || handle.wait())
    };
    drop(running);
    subject.check_destroyed();
    check(subject.handle.wait(), "wait returned false");
    check(waiter.join() == Some(true), "wait returned false");
    client.join();
    subject.check_ended();
    subject.check_responses();
}

/// The owner is dropped by one of its own handlers.
pub fn owner_dropped_by_a_handler() {
    let place: Arc<Mutex<Option<Running>>> = Arc::default();
    let found = Arc::clone(&place);
    let handler = move |request: &mut Request<'_>| {
        drop(found.lock().unwrap_or_else(PoisonError::into_inner).take());
        request.cancel_token().wait_timeout(Duration::from_secs(20));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    let client = start_talk(&subject, GET);
    if is_early() {
        sleep(Duration::from_secs(1));
        subject.handle.destroy(); // the client may have been lost
    }
    let watch = Stopwatch::start();
    check(subject.handle.wait(), "wait returned false");
    watch.check(Duration::ZERO);
    client.join();
    subject.check_ended();
}

/// A server without an owner, which a handle stops.
pub fn detached() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = start_talk(&subject, GET);
    let handle = running.detach();
    check(
        handle.phase() == Phase::Accepting,
        "detaching has stopped the server",
    );
    subject.destroy();
    check(handle.wait(), "wait returned false");
    client.join();
    subject.check_ended();
    subject.check_responses();
}

/// Two servers in one process: one is destroyed, and the other one serves.
pub fn two_servers() {
    let (first, running) = Subject::spawn(|builder| builder, |_| "first");
    let (second, other) = Subject::spawn(|builder| builder, |_| "second");
    let client = start_talk(&first, GET);
    let served = start_talk(&second, LAST_GET);
    first.destroy();
    let answers = served.join().unwrap_or_default();
    let is_served = matches!(&answers[..], [answer] if answer.body == b"second");
    check(
        is_served || is_early(),
        "destroying one server has hurt the other",
    );
    first.finish(&running);
    check(
        second.handle.phase() == Phase::Accepting,
        "the other one was stopped",
    );
    second.destroy();
    second.finish(&other);
    check_nothing_left();
    client.join();
    second.check_responses();
}

/// A server on a listener that was made elsewhere.
fn spawn_on(listener: TcpListener) -> (Subject, Running) {
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| noted.note(event));
    let (subject, server) = Subject::of(witness, builder.bind_listener(listener).unwrap());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    (subject, running)
}

/// A listener that was made elsewhere: stops interrupt the naps between looking for clients.
pub fn shared_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (subject, running) = spawn_on(listener);
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    subject.destroy_at_once(&running);
    join_all(clients);
    subject.check_responses();
}

/// A listener of which somebody keeps a clone: a stop closes the server's own.
pub fn shared_listener_with_a_clone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clone = listener.try_clone().unwrap();
    let (subject, running) = spawn_on(listener);
    let answers = talk(&subject, LAST_GET);
    check(
        answers.len() == 1 || is_early(),
        "a shared listener has no clients",
    );
    let watch = Stopwatch::start();
    subject.handle.drain();
    check(subject.handle.wait(), "wait returned false");
    check(running.join(), "join returned false");
    watch.check(Duration::ZERO);
    check(
        Client::connect(subject.addr).is_some(),
        "the clone was shut down",
    );
    drop(clone);
    check_nothing_left();
}

/// A drain of a shared listener, with clients in its queue.
pub fn shared_listener_drained() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (subject, running) = spawn_on(listener);
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    check_nothing_left();
    join_all(clients);
    subject.check_responses();
}

/// A shutdown that a handler calls is pending, and its deadline is kept.
pub fn pending() {
    let place: Arc<Mutex<Option<Subject>>> = Arc::default();
    let found = Arc::clone(&place);
    let handler = move |request: &mut Request<'_>| {
        let subject = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(subject) = subject {
            let outcome = subject.handle.shutdown(Duration::from_millis(500));
            check(
                outcome == Outcome::Pending,
                "a handler could wait for its own end",
            );
        }
        let watch = Stopwatch::start();
        let token = request.cancel_token();
        token.wait_timeout(Duration::from_secs(20));
        watch.check(Duration::from_millis(500));
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(subject.clone());
    let client = start_talk(&subject, GET);
    if is_early() {
        sleep(Duration::from_secs(1));
        subject.handle.drain(); // the client may have been lost
    }
    subject.finish(&running);
    check_nothing_left();
    client.join();
    place.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// A pending shutdown, whose deadline comes while the event hook sleeps on the accept thread.
pub fn pending_with_a_slow_hook() {
    // The second client gets no thread, which the accept thread tells the hook.
    crate::mock::kernel::with(|world| world.threads.failing = vec![2, 3]);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        if matches!(event, crate::library::hardstop::Event::SpawnFailed { .. }) {
            sleep(Duration::from_secs(4));
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let stopped = subject.clone();
    let handler = move |request: &mut Request<'_>| {
        let watch = Stopwatch::start();
        stopped.handle.shutdown(Duration::from_millis(500));
        request.cancel_token().wait_timeout(Duration::from_secs(20));
        watch.check(Duration::from_millis(600));
        "hello"
    };
    let running = server.spawn(subject.noting(handler)).unwrap();
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    join_all(clients);
    subject.destroy_and_finish(&running);
}
