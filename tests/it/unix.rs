//! The promises over a Unix socket: serving, stopping, and its file.

mod file;
mod stops;

use crate::disconnects::{sees_client, sees_end};
use crate::support::client::Client;
use crate::support::recorder::{recorder, Fact, Recorder};
use crate::support::server::{assert_ends, site, HALF_BODY, STATES};
use crate::support::{until, GET, LONG, SOON};
use hardstop::{Builder, CloseReason, ConnectionState, Event, Outcome, Running, Server};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::io::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// A new directory, which is removed with everything in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, SeqCst));
        let path = std::env::temp_dir().join(format!("hardstop-{process}-{count}"));
        fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn serve_with(builder: Builder, path: &Path) -> (Running, Recorder) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind_unix(path).unwrap();
    (server.spawn(site).unwrap(), facts)
}

fn serve(path: &Path) -> (Running, Recorder) {
    serve_with(Server::builder(), path)
}

fn try_connect(path: &Path) -> io::Result<Client> {
    let unix = UnixStream::connect(path)?;
    Client::over(TcpStream::from(OwnedFd::from(unix)))
}

fn connect(path: &Path) -> Client {
    try_connect(path).expect("the server listens")
}

fn answered(path: &Path) -> Client {
    let mut client = connect(path);
    client.say(GET);
    assert_eq!(client.response().status, 200);
    client
}

/// Connects a client, sends that, and waits for that state, in which there is no other connection.
/// Returns the client and the number of its connection.
fn bring(
    of: &(Running, Recorder),
    path: &Path,
    say: &str,
    state: ConnectionState,
) -> (Client, u64) {
    let (running, facts) = of;
    loop {
        let open = |fact: &&Fact| matches!(fact, Fact::Opened(_));
        let (mut client, before) = (connect(path), facts.so_far().iter().filter(open).count());
        client.say(say);
        let (mut number, mut is_over) = (None, false);
        until(&format!("the connection is {state:?}"), || {
            let open = running.connections();
            let found = open.iter().find(|info| info.state == state);
            number = found.map(|info| u64::from(info.id));
            // A connection without a thread ends without events.
            number = number.filter(|number| facts.so_far().contains(&Fact::Opened(*number)));
            // A lingering connection ends by itself after a second, which may have been missed.
            let next = u64::try_from(before).unwrap() + 1;
            is_over = facts
                .so_far()
                .iter()
                .any(|fact| matches!(fact, Fact::Closed(id, ..) if *id == next));
            number.is_some() || is_over
        });
        if let Some(number) = number {
            return (client, number);
        }
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Leaves the file of a socket without a listener. Std does not remove it, nor does a crash.
fn leave_a_stale_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(is_there(path));
}

#[test]
fn requests_are_served_over_a_unix_socket() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let mut client = answered(&place.socket());
    client.say(&GET.repeat(20));
    for _ in 0..20 {
        assert_eq!(client.response().text(), "hello");
    }
    let sizes = [0, 1, 300_000];
    for size in sizes {
        client.say(&format!(
            "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        ));
        client.say(&"x".repeat(size));
        assert_eq!(client.response().body.len(), size);
    }
    client.say("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.say("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "hello world");
    client
        .say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head_response().status, 100);
    client.say("hi");
    assert_eq!(client.response().text(), "hi");
    drop(client);
    assert_eq!(facts.reason(1), CloseReason::PeerClosed);
    let opened = facts
        .so_far()
        .iter()
        .filter(|fact| matches!(fact, Fact::Opened(_)))
        .count();
    assert_eq!(opened, 1);
    running.destroy();
    assert_ends(&running);
}

#[test]
fn a_client_of_a_unix_socket_that_sends_too_much_gets_its_response() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let mut client = connect(&place.socket());
    client.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    client.say(&"x".repeat(2_000_000));
    assert_eq!(client.response().status, 413);
    client.expect_end();
    drop(client); // or the server would linger
    assert_eq!(facts.reason(1), CloseReason::Refused(413.into()));
    drop(running);
}

/// Regression: it got a 400, although RFC 9112 §3.2 has clients send it where the URI of the
/// request names no host.
#[test]
fn a_request_over_a_unix_socket_may_have_an_empty_host() {
    let table = [
        ("GET / HTTP/1.1\r\nHost:\r\n", 200, "an empty one"),
        ("GET / HTTP/1.1\r\nHost: \t \r\n", 200, "white space"),
        ("GET / HTTP/1.0\r\nHost:\r\n", 200, "in HTTP/1.0"),
        ("OPTIONS * HTTP/1.1\r\nHost:\r\n", 200, "about the server"),
        ("GET / HTTP/1.1\r\nHost: x\r\n", 200, "one with a name"),
        ("GET http://x:80/ HTTP/1.1\r\nHost: x\r\n", 200, "a URI"),
        ("GET / HTTP/1.1\r\n", 400, "none at all"),
        ("GET / HTTP/1.1\r\nHost:\r\nHost:\r\n", 400, "two"),
        ("GET / HTTP/1.1\r\nHost:\r\nHost: x\r\n", 400, "another one"),
        ("GET / HTTP/1.1\r\nHost: :80\r\n", 400, "only a port"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400, "not a host"),
        ("GET / HTTP/1.1\r\nHost: \u{e9}\r\n", 400, "not ASCII"),
        (
            "GET http://x/ HTTP/1.1\r\nHost:\r\n",
            400,
            "the target names another one",
        ),
        (
            "GET http:///a HTTP/1.1\r\nHost:\r\n",
            400,
            "a target without a host is no http URI",
        ),
    ];
    for wrapped in [false, true] {
        let builder = match wrapped {
            false => Server::builder(),
            true => Server::builder().transport(|tcp, _| Ok(tcp)),
        };
        let place = Place::new();
        let server = builder.bind_unix(place.socket()).unwrap();
        let _running = server
            .spawn(|request| format!("{:?}", request.header("Host")))
            .unwrap();
        for (head, status, why) in table {
            let mut client = connect(&place.socket());
            client.say(&format!("{head}\r\n"));
            let answer = client.response();
            assert_eq!(answer.status, status, "{why}");
            if head.contains("Host:") && !head.contains("x") && status == 200 {
                assert_eq!(answer.text(), "Some(\"\")", "{why}");
            }
        }
    }
}

#[test]
fn a_client_of_a_unix_socket_has_no_address() {
    let place = Place::new();
    let (sender, told) = mpsc::channel();
    let events = sender.clone();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Opened { peer, .. } = event {
            events.send(*peer).unwrap();
        }
    });
    let server = builder.bind_unix(place.socket()).unwrap();
    assert_eq!(server.local_addr().port(), 0);
    let running = server.spawn(move |request| {
        sender.send(request.peer_addr()).unwrap();
        "hello"
    });
    let running = running.unwrap();
    let _client = answered(&place.socket());
    assert_eq!(told.recv_timeout(SOON).unwrap(), None, "in the event");
    assert_eq!(told.recv_timeout(SOON).unwrap(), None, "in the request");
    let open = running.connections();
    assert_eq!(
        open.iter().map(|info| info.peer).collect::<Vec<_>>(),
        [None]
    );
}

#[test]
fn two_clients_of_a_unix_socket_are_two_connections() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let (mut first, mut second) = (answered(&place.socket()), answered(&place.socket()));
    let open = running.connections();
    let ids: Vec<_> = open.iter().map(|info| info.id).collect();
    assert_eq!(
        ids.iter().map(|id| u64::from(*id)).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(running.close(ids[0]));
    first.expect_end();
    assert_eq!(facts.reason(1), CloseReason::ClosedByHandle);
    second.say(GET);
    assert_eq!(second.response().status, 200);
}

#[test]
fn a_handler_sees_that_a_client_of_a_unix_socket_has_gone() {
    let place = Place::new();
    let (sender, seen) = mpsc::sync_channel(9);
    let server = Server::builder().bind_unix(place.socket()).unwrap();
    let running = server.spawn(move |request| {
        sender.send(sees_client(request)).unwrap();
        if request.path() == "/wait" {
            sender.send(sees_end(request)).unwrap();
        }
        "hello"
    });
    let running = running.unwrap();
    let table = [
        ("", false, "it closes"),
        (GET, false, "it closes with a response unread"),
        ("", true, "it ends its sending side"),
    ];
    for (before, half_closes, why) in table {
        let mut client = connect(&place.socket());
        if !before.is_empty() {
            client.say(before);
            assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it stays");
        }
        client.say("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it was there");
        if half_closes {
            client.stream.shutdown(Shutdown::Write).unwrap();
        } else {
            drop(client);
        }
        assert!(seen.recv_timeout(LONG).unwrap(), "{why}");
    }
    running.destroy();
    assert_ends(&running);
}
