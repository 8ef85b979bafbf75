//! Places: clients that wait for one, are refused, or make room.

use crate::client::{is_served, start_talk, talk, talk_and_note, Client, GET, LAST_GET, UPLOAD};
use crate::library::hardstop::{
    BodyWriter, CloseReason, Event, Request, Response, Running, Server,
};
use crate::mock::kernel::with;
use crate::mock::thread::{join_all, sleep, user};
use crate::oracle::{check, check_nothing_left, is_early, Fact, Stopwatch, Subject, Witness};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// How long a handler is busy that holds a place.
const BUSY: Duration = Duration::from_secs(2);

/// More clients than places in a drain: they have their turns one after the other.
pub fn turns_of_a_queue() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let clients = [(); 3].map(|()| {
        let sent = Fact::default();
        let (subject, noted) = (subject.clone(), sent.clone());
        let client = user(move || talk_and_note(&subject, LAST_GET, &noted));
        (client, sent)
    });
    let owed: Vec<bool> = clients.iter().map(|(_, sent)| sent.is_so()).collect();
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    if owed.iter().all(|is_owed| *is_owed) {
        watch.check(Duration::ZERO);
    }
    check_nothing_left();
    for ((client, _), is_owed) in clients.into_iter().zip(owed) {
        let answers = client.join().unwrap_or_default();
        check(
            !is_owed || answers.len() == 1 || is_early(),
            "a client lost its turn",
        );
    }
    subject.check_responses();
}

/// The same, with a destroy in the middle of it.
pub fn turns_of_a_queue_destroyed() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let clients = [(); 3].map(|()| start_talk(&subject, LAST_GET));
    let drainer = {
        let subject = subject.clone();
        user(move || subject.handle.drain())
    };
    subject.destroy_and_finish(&running);
    drainer.join();
    join_all(clients);
    subject.check_responses();
}

/// A client that goes on sending after its last response, before another one in the queue of a
/// drain. It does not have its turn for long.
pub fn turns_of_a_queue_behind_a_slow_upload() {
    let handler = |_: &mut Request<'_>| Response::text("hello").with_close();
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), handler);
    let uploader = {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.send(UPLOAD);
            for _ in 0..20 {
                sleep(Duration::from_millis(500));
                client.send(&[b'x'; 1000]);
            }
            Some(client.read_to_end(&subject))
        })
    };
    let other = {
        let subject = subject.clone();
        user(move || {
            let watch = Stopwatch::start();
            talk(&subject, LAST_GET);
            watch.check(Duration::from_secs(2));
        })
    };
    subject.handle.drain();
    other.join();
    uploader.join();
    subject.finish(&running);
    check_nothing_left();
    subject.check_responses();
}

/// A response in pieces to a client that reads slowly, while another client wants its place.
pub fn eviction_of_a_slow_reader() {
    with(|world| world.net.buffer = 1024);
    let handler = |_: &mut Request<'_>| {
        let write = |body: &mut BodyWriter<'_>| body.write_all(&[7; 3000]);
        Response::stream(write).with_close()
    };
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), handler);
    let slow = {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.send(GET);
            sleep(Duration::from_millis(100));
            Some(client.read_to_end(&subject))
        })
    };
    let other = start_talk(&subject, LAST_GET);
    slow.join();
    other.join();
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A short response that is the last of its connection, while another client wants its place.
pub fn eviction_of_a_last_response() {
    let handler = |_: &mut Request<'_>| Response::text("hello").with_close();
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), handler);
    let clients = [GET, LAST_GET].map(|request| start_talk(&subject, request));
    join_all(clients);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A refusal with a body, while another client wants its place.
pub fn eviction_of_a_refused_request() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let clients = [b"BAD\r\n\r\n".as_slice(), LAST_GET];
    let clients = clients.map(|bytes| start_talk(&subject, bytes));
    join_all(clients);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// An idle connection makes room for a new client at once.
pub fn eviction_of_an_idle_one() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let mut first = Client::connect(subject.addr).unwrap();
    let answer = first.ask(GET);
    check(
        answer.is_some() || is_early(),
        "the only client was not answered",
    );
    sleep(Duration::from_millis(1));
    let answers = talk(&subject, LAST_GET);
    check(
        is_served(&answers) || is_early(),
        "an idle connection kept its place",
    );
    first.read_to_end(&subject);
    subject.destroy_and_finish(&running);
    let is_evicted = subject.witness.reasons().first() == Some(&CloseReason::Evicted);
    check(
        is_evicted || is_early(),
        "the idle connection was not evicted",
    );
    subject.check_responses();
}

/// One client, one request after the other, each on a connection of its own: it is never refused.
pub fn one_place_one_client() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    for _ in 0..3 {
        // It does not wait for the end, but has its response and connects again.
        let answer = Client::connect(subject.addr).and_then(|mut client| client.ask(LAST_GET));
        let is_served = answer.is_some_and(|answer| answer.status == 200);
        check(
            is_served || is_early(),
            "a client was refused by a server that serves nobody else",
        );
    }
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A server with one place, and a client that has it: it has sent this and does not read on, so that
/// its response is not sent whole.
fn spawn_with_slow_client(request: &'static [u8]) -> (Subject, Running, Client) {
    with(|world| world.net.buffer = 1024);
    let handler = |_: &mut Request<'_>| "x".repeat(3000);
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), handler);
    let mut slow = Client::connect(subject.addr).unwrap();
    slow.send(request);
    (subject, running, slow)
}

/// A client that comes while a response is being sent has the place as soon as that is done.
pub fn place_after_a_slow_response() {
    let (subject, running, slow) = spawn_with_slow_client(LAST_GET);
    sleep(Duration::from_millis(1));
    let other = start_talk(&subject, LAST_GET);
    let watch = Stopwatch::start();
    sleep(Duration::from_millis(50));
    let answers = slow.read_to_end(&subject);
    check(
        answers.len() == 1 || is_early(),
        "a slow client was not served",
    );
    let answers = other.join().unwrap_or_default();
    watch.check(Duration::from_millis(50));
    check(
        is_served(&answers) || is_early(),
        "a client did not wait for a place",
    );
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A client that comes while a response is being sent has the place of that connection as soon as it
/// is idle.
pub fn place_of_an_idle_client() {
    let (subject, running, mut slow) = spawn_with_slow_client(GET);
    sleep(Duration::from_millis(1));
    let other = start_talk(&subject, LAST_GET);
    let watch = Stopwatch::start();
    check(
        slow.receive().is_some() || is_early(),
        "a slow client was not served",
    );
    let answers = other.join().unwrap_or_default();
    watch.check(Duration::ZERO);
    check(
        is_served(&answers) || is_early(),
        "a client did not wait for a place",
    );
    slow.read_to_end(&subject);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// The same, and the client of the response goes away: its place is free, also while its hook runs.
pub fn place_of_a_lost_client() {
    with(|world| world.net.buffer = 1024);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        noted.note(event);
        if matches!(event, Event::Closed { .. }) {
            sleep(Duration::from_millis(500));
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let handler = |_: &mut Request<'_>| "x".repeat(3000);
    let running = server.spawn(subject.noting(handler)).unwrap();
    let mut lost = Client::connect(subject.addr).unwrap();
    lost.send(LAST_GET);
    sleep(Duration::from_millis(1));
    let other = start_talk(&subject, LAST_GET);
    sleep(Duration::from_millis(1));
    let watch = Stopwatch::start();
    drop(lost);
    let answers = other.join().unwrap_or_default();
    watch.check(Duration::ZERO);
    check(
        is_served(&answers) || is_early(),
        "a client did not wait for a place",
    );
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// The same as the first, and a drain begins while the client waits: it is refused at once.
pub fn drain_while_a_client_waits_for_a_place() {
    let (subject, running, slow) = spawn_with_slow_client(LAST_GET);
    sleep(Duration::from_millis(1));
    let other = start_talk(&subject, LAST_GET);
    sleep(Duration::from_millis(1));
    let watch = Stopwatch::start();
    subject.handle.drain();
    other.join();
    watch.check(Duration::ZERO);
    let answers = slow.read_to_end(&subject);
    check(
        answers.len() == 1 || is_early(),
        "a slow client was not served",
    );
    subject.finish(&running);
    watch.check(Duration::ZERO);
    check_nothing_left();
    subject.check_responses();
}

/// The same, and the server is drained and destroyed while the client waits for a place.
pub fn stops_while_a_client_waits_for_a_place() {
    let (subject, running, slow) = spawn_with_slow_client(LAST_GET);
    let other = start_talk(&subject, LAST_GET);
    let drainer = {
        let subject = subject.clone();
        user(move || subject.handle.drain())
    };
    subject.destroy_at_once(&running);
    slow.read_to_end(&subject);
    other.join();
    drainer.join();
    subject.check_responses();
}

/// Keeps its place until it is cut, or for a while.
pub fn busy(request: &mut Request<'_>) -> &'static str {
    request.cancel_token().wait_timeout(BUSY);
    "hello"
}

/// Clients that come while all places are taken are refused with a 503.
pub fn refusals() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy);
    let clients = [(); 3].map(|()| start_talk(&subject, LAST_GET));
    let answers = clients.map(|client| client.join().unwrap_or_default());
    for answers in &answers {
        let is_answered = matches!(&answers[..], [answer] if [200, 503].contains(&answer.status));
        check(
            is_answered || is_early(),
            "a client was neither served nor refused",
        );
    }
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// Refusals against a drain and a destroy.
pub fn refusals_against_stops() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy);
    let clients = [(); 3].map(|()| start_talk(&subject, LAST_GET));
    subject.handle.drain();
    subject.destroy();
    let watch = Stopwatch::start();
    subject.finish(&running);
    watch.check(Duration::ZERO);
    check_nothing_left();
    join_all(clients);
    subject.check_responses();
}

/// More clients than can be refused at a time: the others are turned away.
pub fn more_than_eight_refusals() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy);
    // They do not read, so that refusing them takes a while.
    let clients: Vec<_> = (0..11)
        .map(|_| {
            let subject = subject.clone();
            user(move || {
                let mut client = Client::connect(subject.addr)?;
                client.send(GET);
                sleep(Duration::from_millis(300));
                Some(client.read_to_end(&subject))
            })
        })
        .collect();
    for client in clients {
        client.join();
    }
    let served = subject.witness.seen().opened.len();
    let rejected = subject.witness.count("Rejected");
    check(
        served + rejected == 11,
        "a client was neither served nor turned away",
    );
    check(rejected > 0 || is_early(), "eleven clients had ten places");
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// So many connections whose `Closed` hook runs that there is no thread for one more: the next client
/// is accepted when one of them is gone, and then at once.
pub fn crowded_by_slow_hooks() {
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        noted.note(event);
        if matches!(event, Event::Closed { .. }) {
            sleep(Duration::from_secs(10));
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    let watch = Stopwatch::start();
    for _ in 0..12 {
        let answers = talk(&subject, LAST_GET);
        check(is_served(&answers) || is_early(), "a client was not served");
    }
    watch.check(Duration::from_secs(10));
    subject.destroy_and_finish(&running);
    subject.check_responses();
}
