//! Short waits before an answer: for the rest of a body, and for connections that are leaving.

use crate::client::{is_served, start_talk, Client, GET, LAST_GET};
use crate::library::hardstop::{CloseReason, ConnectionId, Request};
use crate::mock::net::TcpStream;
use crate::mock::thread::sleep;
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject};
use std::io::{self, Read, Write};
use std::time::Duration;

/// A request with half of its body, which the handler does not read.
const HALF_POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello";

/// How long it takes at most until a connection that waits for a rest sees that it must hurry.
const HURRY: Duration = Duration::from_millis(100);

/// The rest of a body comes late: the response follows it, and the connection goes on.
pub fn rest_of_a_body() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let mut client = Client::connect(subject.addr).unwrap();
    client.send(HALF_POST);
    sleep(Duration::from_millis(250));
    let watch = Stopwatch::start();
    client.send(b"world");
    let answer = client.receive();
    let goes_on = answer.is_some_and(|answer| !answer.is_last);
    check(
        goes_on || is_early(),
        "a rest came, and the connection ended",
    );
    let answer = client.ask(LAST_GET);
    let is_served = answer.is_some_and(|answer| answer.status == 200);
    check(is_served || is_early(), "a request after a rest was lost");
    watch.check(Duration::ZERO);
    client.read_to_end(&subject);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A drain does not wait for the rest of a body, and the client has its response.
pub fn rest_of_a_body_in_a_drain() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let mut client = Client::connect(subject.addr).unwrap();
    client.send(HALF_POST);
    sleep(Duration::from_millis(50));
    let watch = Stopwatch::start();
    subject.handle.drain();
    let answer = client.receive();
    watch.check(HURRY);
    let is_last = answer.is_some_and(|answer| answer.is_last);
    check(is_last || is_early(), "a drain took a response");
    client.read_to_end(&subject);
    subject.finish(&running);
    watch.check(HURRY);
    check_nothing_left();
    let is_drained = subject.witness.reasons() == [CloseReason::Drained];
    check(is_drained || is_early(), "it was the drain that ended it");
    subject.check_responses();
}

/// A client that finds no place waits for one that receives the rest of a body, which is given up.
pub fn place_of_the_rest_of_a_body() {
    let (subject, running) = Subject::spawn(|builder| builder.max_connections(1), |_| "hello");
    let mut slow = Client::connect(subject.addr).unwrap();
    slow.send(HALF_POST);
    sleep(Duration::from_millis(50));
    let watch = Stopwatch::start();
    let other = start_talk(&subject, LAST_GET);
    let answer = slow.receive();
    let is_last = answer.is_some_and(|answer| answer.is_last);
    check(is_last || is_early(), "an unread body, and it goes on");
    let answers = other.join().unwrap_or_default();
    watch.check(HURRY);
    check(
        is_served(&answers) || is_early(),
        "a client did not wait for a place",
    );
    slow.read_to_end(&subject);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A transport that takes its time to say goodbye: the first one less than the others.
struct Polite {
    tcp: TcpStream,
    goodbye: Duration,
}

const SHORT_GOODBYE: Duration = Duration::from_millis(500);

impl Polite {
    fn new(tcp: TcpStream, id: ConnectionId) -> Polite {
        let mut goodbye = Duration::from_secs(2);
        if u64::from(id) == 1 {
            goodbye = SHORT_GOODBYE;
        }
        Polite { tcp, goodbye }
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        sleep(self.goodbye);
    }
}

impl Read for Polite {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buf)
    }
}

impl Write for Polite {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So many connections that were cut and are slow to leave that there is no thread for one more: the
/// next client waits until the first of them is gone, and no longer.
pub fn crowded_by_slow_goodbyes() {
    let (subject, running) = Subject::spawn(
        |builder| {
            let transport = |tcp, id| Ok(Polite::new(tcp, id));
            builder.max_connections(1).transport(transport)
        },
        |_: &mut Request<'_>| "hello",
    );
    let watch = Stopwatch::start();
    let mut clients = Vec::new();
    for _ in 0..11 {
        let Some(mut client) = Client::connect(subject.addr) else {
            continue;
        };
        let is_served = client.ask(GET).is_some_and(|answer| answer.status == 200);
        check(is_served || is_early(), "a client did not wait for a place");
        clients.push(client);
    }
    watch.check(SHORT_GOODBYE);
    subject.destroy_and_finish(&running);
    for client in clients {
        client.read_to_end(&subject);
    }
}
