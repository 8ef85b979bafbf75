//! How long a client is spared that has a place, and what a server that is full remembers.

use super::hooks::Shaken;
use super::places::busy;
use crate::client::{is_served, start_talk, talk, Answer, Client, GET, LAST_GET};
use crate::library::hardstop::{Builder, Request};
use crate::mock::kernel::with;
use crate::mock::thread::{sleep, user};
use crate::oracle::{check, is_early, Stopwatch, Subject};
use std::time::Duration;

/// Long enough for every thread that can run.
const MOMENT: Duration = Duration::from_millis(1);

/// How long a client may take to begin its first request.
const GRACE: Duration = Duration::from_secs(1);

const BUSY_GET: &[u8] = b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n";

/// A handshake, and a request that is the last one.
const SHAKEN_GET: &[u8] = b"!GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Keeps its place on one path, and answers at once on the others.
fn busy_on_its_path(request: &mut Request<'_>) -> &'static str {
    if request.path() == "/busy" {
        busy(request)
    } else {
        "hello"
    }
}

fn check_is_served(answers: &[Answer], otherwise: &str) {
    check(is_served(answers) || is_early(), otherwise);
}

fn check_is_refused(answers: &[Answer], otherwise: &str) {
    let is_refused = matches!(answers, [answer] if answer.status == 503);
    check(is_refused || is_early(), otherwise);
}

/// A client that has begun its next request makes room at once, however new it is.
pub fn eviction_of_a_next_head() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let mut first = Client::connect(subject.addr).unwrap();
    let answer = first.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG");
    check(
        answer.is_some() || is_early(),
        "the only client was not answered",
    );
    sleep(MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_served(&answers, "the head of a next request kept its place");
    first.read_to_end(&subject);
    subject.destroy_and_finish(&running);
}

/// The second for a first request is over, and a byte of it does not begin another one.
pub fn eviction_of_a_late_first_head() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let mut late = Client::connect(subject.addr).unwrap();
    sleep(GRACE + MOMENT);
    late.send(b"G");
    sleep(MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_served(&answers, "a late head kept its place");
    late.read_to_end(&subject);
    subject.destroy_and_finish(&running);
}

/// A silent client is spared for a second and no longer, also if a search has come in between.
pub fn eviction_of_a_silent_one() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let silent = Client::connect(subject.addr).unwrap();
    sleep(GRACE / 2);
    let answers = talk(&subject, LAST_GET);
    check_is_refused(&answers, "a new client was not spared");
    sleep(GRACE / 2 + MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_served(&answers, "a silent client kept its place");
    silent.read_to_end(&subject);
    subject.destroy_and_finish(&running);
}

/// A client is refused while a handler runs. Then the connection is idle, and the next client has
/// its place.
pub fn place_after_a_refusal() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy_on_its_path);
    let mut first = Client::connect(subject.addr).unwrap();
    first.send(BUSY_GET);
    sleep(MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_refused(&answers, "there were two clients in one place");
    first.receive();
    sleep(MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_served(&answers, "a search that had found nothing was not repeated");
    first.read_to_end(&subject);
    subject.destroy_and_finish(&running);
}

/// A search for a place against a connection that becomes idle: the next search finds it.
pub fn search_against_an_idle_one() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let mut first = Client::connect(subject.addr).unwrap();
    first.send(GET);
    let other = start_talk(&subject, LAST_GET);
    first.receive();
    other.join();
    sleep(MOMENT);
    let answers = talk(&subject, LAST_GET);
    check_is_served(&answers, "a connection became idle unseen");
    first.read_to_end(&subject);
    subject.destroy_and_finish(&running);
}

/// After the end of a response, nobody waits for it any longer: a client is refused at once.
pub fn refusal_after_an_ending() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy_on_its_path);
    let mut first = Client::connect(subject.addr).unwrap();
    first.ask(GET);
    first.send(BUSY_GET);
    sleep(MOMENT);
    let watch = Stopwatch::start();
    let answers = talk(&subject, LAST_GET);
    check_is_refused(&answers, "there were two clients in one place");
    watch.check(Duration::ZERO);
    subject.destroy_and_finish(&running);
    first.read_to_end(&subject);
}

/// More clients than can be refused at a time, one after the other: each is refused with a 503.
pub fn nine_refusals_in_turn() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), busy);
    let mut first = Client::connect(subject.addr).unwrap();
    first.send(GET);
    sleep(MOMENT);
    for _ in 0..9 {
        let answers = talk(&subject, LAST_GET);
        check_is_refused(&answers, "a client was not refused with a 503");
        sleep(MOMENT);
    }
    subject.destroy_and_finish(&running);
    first.read_to_end(&subject);
}

/// A server with one place, over a transport whose handshake is one byte.
fn with_handshake(builder: Builder) -> Builder {
    builder.max_connections(1).transport(Shaken::new)
}

/// A client that has waited for its place after its handshake has its second from then on.
pub fn spared_after_a_wait() {
    with(|world| world.net.buffer = 1024);
    let (subject, running) = Subject::spawn(with_handshake, |_| "x".repeat(3000));
    let mut slow = Client::connect(subject.addr).unwrap();
    slow.send(SHAKEN_GET);
    sleep(MOMENT);
    let waiting = {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            client.send(b"!");
            sleep(GRACE + MOMENT * 20);
            client.send(LAST_GET);
            Some(client.read_to_end(&subject))
        })
    };
    sleep(GRACE - MOMENT * 10);
    slow.read_to_end(&subject);
    sleep(MOMENT * 20);
    let answers = talk(&subject, SHAKEN_GET);
    check_is_refused(&answers, "there were two clients in one place");
    let answers = waiting.join().flatten().unwrap_or_default();
    check_is_served(&answers, "a client that had waited was not spared");
    subject.destroy_and_finish(&running);
}

/// The handshake of a client that is being refused has a second.
pub fn silent_handshake_of_a_refused_client() {
    let (subject, running) = Subject::spawn(with_handshake, busy);
    let mut first = Client::connect(subject.addr).unwrap();
    first.send(SHAKEN_GET);
    sleep(MOMENT);
    let watch = Stopwatch::start();
    talk(&subject, b"");
    watch.check(GRACE);
    subject.destroy_and_finish(&running);
    first.read_to_end(&subject);
}
