//! The promises over a Unix socket: those about serving and stopping, and those about its file.

use crate::client::{recorder, until, Client, Fact, Facts, GET, SOON};
use crate::lifecycle::{assert_ends, site, HALF_BODY, STATES};
use hardstop::{Builder, CloseReason, ConnectionState, Event, Outcome, Running, Server};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::io::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// A fresh directory, which goes with all that is in it.
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

fn serve_with(builder: Builder, path: &Path) -> (Running, Facts) {
    let (hook, facts) = recorder();
    let server = builder.on_event(hook).bind_unix(path).unwrap();
    (server.spawn(site).unwrap(), facts)
}

fn serve(path: &Path) -> (Running, Facts) {
    serve_with(Server::builder(), path)
}

fn try_connect(path: &Path) -> io::Result<Client> {
    let unix = UnixStream::connect(path)?;
    Client::over(TcpStream::from(OwnedFd::from(unix)))
}

fn connect(path: &Path) -> Client {
    try_connect(path).expect("somebody listens")
}

fn answered(path: &Path) -> Client {
    let mut client = connect(path);
    client.say(GET);
    assert_eq!(client.response().status, 200);
    client
}

/// A client that has said so much, and the number of its connection, which is the only one in that state.
fn bring(of: &(Running, Facts), path: &Path, say: &str, state: ConnectionState) -> (Client, u64) {
    let (running, facts) = of;
    loop {
        let open = |fact: &&Fact| matches!(fact, Fact::Opened(_));
        let (mut client, before) = (connect(path), facts.so_far().iter().filter(open).count());
        client.say(say);
        let (mut number, mut is_over) = (None, false);
        until(&format!("the connection is {state:?}"), || {
            let open = running.handle().connections();
            let found = open.iter().find(|info| info.state == state);
            number = found.map(|info| u64::from(info.id));
            // One that has no thread yet ends without any event.
            number = number.filter(|number| facts.so_far().contains(&Fact::Opened(*number)));
            // Those that linger end by themselves after a second, which may have been missed.
            let next = u64::try_from(before).unwrap() + 1;
            is_over = facts.so_far().iter().any(|fact| matches!(fact, Fact::Closed(id, _) if *id == next));
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

/// A socket's file whose listener is gone: std leaves it, as a crash does.
fn leave_a_stale_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(is_there(path));
}

// Serving.

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
        client.say(&format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"));
        client.say(&"x".repeat(size));
        assert_eq!(client.response().body.len(), size);
    }
    client.say("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.say("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "hello world");
    client.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head_response().status, 100);
    client.say("hi");
    assert_eq!(client.response().text(), "hi");
    drop(client);
    assert_eq!(facts.reason(1), CloseReason::PeerClosed);
    let opened = facts.so_far().iter().filter(|fact| matches!(fact, Fact::Opened(_))).count();
    assert_eq!(opened, 1);
    running.destroy();
    assert_ends(&running);
}

#[test]
fn a_client_of_a_unix_socket_that_sends_too_much_still_gets_the_answer() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let mut client = connect(&place.socket());
    client.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    client.say(&"x".repeat(2_000_000));
    assert_eq!(client.response().status, 413);
    client.expect_end();
    assert_eq!(facts.reason(1), CloseReason::Refused(413.into()));
    drop(running);
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
    let open = running.handle().connections();
    assert_eq!(open.iter().map(|info| info.peer).collect::<Vec<_>>(), [None]);
}

#[test]
fn two_clients_of_a_unix_socket_are_two_connections() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let (mut first, mut second) = (answered(&place.socket()), answered(&place.socket()));
    let open = running.handle().connections();
    let ids: Vec<_> = open.iter().map(|info| info.id).collect();
    assert_eq!(ids.iter().map(|id| u64::from(*id)).collect::<Vec<_>>(), [1, 2]);
    assert!(running.handle().close(ids[0]));
    first.expect_end();
    assert_eq!(facts.reason(1), CloseReason::HandleClosed);
    second.say(GET);
    assert_eq!(second.response().status, 200);
}

// Stopping.

#[test]
fn destroy_cuts_every_state_over_a_unix_socket() {
    let place = Place::new();
    for (say, state, name) in STATES {
        let server = serve(&place.socket());
        let (mut client, number) = bring(&server, &place.socket(), say, state);
        let (running, facts) = server;
        let began = Instant::now();
        assert_eq!(running.destroy(), 1, "{name}");
        let took = began.elapsed();
        assert!(!is_there(&place.socket()), "{name}");
        assert!(try_connect(&place.socket()).is_err(), "{name}");
        client.expect_end();
        assert_ends(&running);
        println!("{name}: {took:?}, and {:?} until nobody was left", began.elapsed());
        assert_eq!(facts.reason(number), CloseReason::Destroyed, "{name}");
    }
}

#[test]
fn close_cuts_every_state_over_a_unix_socket() {
    let place = Place::new();
    let server = serve(&place.socket());
    for (say, state, name) in STATES {
        let (mut client, number) = bring(&server, &place.socket(), say, state);
        let (running, facts) = &server;
        let id = running.handle().connections()[0].id;
        assert!(running.handle().close(id), "{name}");
        client.expect_end();
        assert_eq!(facts.reason(number), CloseReason::HandleClosed, "{name}");
    }
    answered(&place.socket());
}

#[test]
fn close_idle_cuts_those_that_wait_over_a_unix_socket() {
    let place = Place::new();
    let (server, path) = (serve(&place.socket()), place.socket());
    let (mut silent, _) = bring(&server, &path, "", ConnectionState::New);
    let (mut idle, _) = bring(&server, &path, GET, ConnectionState::Idle);
    let (mut busy, _) = bring(&server, &path, HALF_BODY, ConnectionState::Handling);
    let (running, facts) = server;
    assert_eq!(running.handle().close_idle(), 2);
    silent.expect_end();
    idle.expect_end();
    assert_eq!(facts.reason(1), CloseReason::IdleClosed);
    busy.say("56789");
    assert_eq!(busy.response().text(), "123456789");
    answered(&place.socket());
}

#[test]
fn a_drain_serves_the_backlog_of_a_unix_socket() {
    let place = Place::new();
    let server = Server::builder().bind_unix(place.socket()).unwrap();
    let mut clients: Vec<Client> = (0..50).map(|_| connect(&place.socket())).collect();
    clients.iter_mut().for_each(|client| client.say(GET));
    let handle = server.handle();
    handle.drain();
    assert!(!is_there(&place.socket()));
    let late = try_connect(&place.socket()).map(drop);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NotFound);
    let running = server.spawn(site).unwrap();
    for client in &mut clients {
        let answer = client.response();
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
    }
    assert_ends(&running);
}

#[test]
fn a_drain_ends_idle_connections_of_a_unix_socket_and_gives_silent_ones_a_second() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    let mut idle = answered(&place.socket());
    let mut silent = connect(&place.socket());
    facts.wait_for(|fact| *fact == Fact::Opened(2));
    let mut late = connect(&place.socket());
    facts.wait_for(|fact| *fact == Fact::Opened(3));
    running.handle().drain();
    idle.expect_end();
    assert_eq!(facts.reason(1), CloseReason::Drained);
    late.say(GET);
    assert_eq!(late.response().text(), "hello");
    silent.expect_end();
    assert_eq!(facts.reason(2), CloseReason::Drained);
    assert_ends(&running);
}

#[test]
fn a_request_that_came_before_a_drain_is_served_on_a_kept_connection_of_a_unix_socket() {
    let place = Place::new();
    for _ in 0..100 {
        let (running, _) = serve(&place.socket());
        let mut client = answered(&place.socket());
        client.say(GET);
        running.handle().drain(); // whether it has been read by now or not
        let answer = client.response();
        assert_eq!(answer.text(), "hello");
        client.expect_end();
        assert_ends(&running);
    }
}

#[test]
fn a_shutdown_cuts_what_is_left_on_a_unix_socket_at_its_deadline() {
    let place = Place::new();
    let server = serve(&place.socket());
    let (mut client, _) = bring(&server, &place.socket(), HALF_BODY, ConnectionState::Handling);
    let (running, facts) = server;
    let outcome = running.shutdown(Duration::from_millis(50));
    assert_eq!(outcome, Outcome::Destroyed { cut: 1 });
    client.expect_end();
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
    assert_ends(&running);
}

/// Its file is gone before the backlog is taken. So only a client is too late that was held up in the middle of its
/// `connect`, between the file and the queue; or for a second before its request.
#[test]
fn no_client_of_a_unix_socket_is_lost_when_it_is_drained_under_load() {
    const THREADS: usize = 16;
    let place = Place::new();
    let (mut served, mut refused, mut late, mut lost) = (0, 0, 0, Vec::new());
    for round in 0..50 {
        let server = Server::builder().bind_unix(place.socket()).unwrap();
        let running = server.spawn(|_| "hello").unwrap();
        let (start, drains) = (Barrier::new(THREADS + 1), AtomicBool::new(false));
        let client = || {
            let (mut served, mut late, mut lost) = (0, 0, Vec::new());
            start.wait();
            while let Ok(mut stream) = UnixStream::connect(place.socket()) {
                let (too_late, connected) = (drains.load(SeqCst), Instant::now());
                stream.set_read_timeout(Some(SOON)).unwrap();
                let mut text = String::new();
                let asked = stream.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes());
                let too_late = too_late || connected.elapsed() > Duration::from_millis(500);
                match asked.and_then(|()| stream.read_to_string(&mut text)) {
                    Ok(_) if text.ends_with("\r\n\r\nhello") => served += 1,
                    _ if too_late && text.is_empty() => late += 1,
                    other => lost.push((other, text)),
                }
            }
            (served, late, lost)
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..THREADS).map(|_| scope.spawn(client)).collect();
            start.wait();
            thread::sleep(Duration::from_micros(300 * round));
            drains.store(true, SeqCst);
            assert_eq!(running.shutdown(SOON), Outcome::Drained);
            for client in clients {
                let (more, after, bad) = client.join().unwrap();
                served += more;
                late += after;
                refused += 1; // its last try
                lost.extend(bad);
            }
        });
        assert_ends(&running);
    }
    println!("{served} served, {refused} refused, {late} too late, {} lost", lost.len());
    assert!(lost.is_empty(), "{} of {served}: {lost:?}", lost.len());
    assert!(late <= 4, "{late} too late: more than chance holds up in that moment");
}

/// While the accept loop lets go of a destroyed server's port before it did so of a client that it had just accepted,
/// one client in two hundred still had a connection.
#[test]
fn a_client_that_is_accepted_at_the_moment_of_a_destroy_is_cut_when_that_returns() {
    let place = Place::new();
    for round in 0..2000 {
        let running = Server::builder().bind_unix(place.socket()).unwrap().spawn(site).unwrap();
        let _answered = answered(&place.socket()); // so that most rounds find it waiting in the kernel
        let mut client = UnixStream::connect(place.socket()).unwrap();
        running.destroy();
        client.set_nonblocking(true).unwrap();
        let read = client.read(&mut [0]).map_err(|error| error.kind());
        assert_ne!(read, Err(ErrorKind::WouldBlock), "its connection is open, round {round}");
    }
}

#[test]
fn a_path_is_free_again_at_once_after_a_destroy() {
    let place = Place::new();
    for _ in 0..100 {
        let (running, _) = serve(&place.socket());
        let _client = answered(&place.socket());
        running.destroy();
        let (second, _) = serve(&place.socket());
        let _client = answered(&place.socket());
        second.destroy();
    }
}

// The file.

/// Both ways to make it: at its path, and with a mode in a directory beside it.
const WAYS: [fn() -> Builder; 2] = [Server::builder, || Server::builder().socket_mode(0o600)];

/// The names in a directory. Of those that the library makes for a moment none may be left.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_stale_socket_is_replaced() {
    let place = Place::new();
    for way in WAYS {
        leave_a_stale_socket(&place.socket());
        let (running, _) = serve_with(way(), &place.socket());
        answered(&place.socket());
        assert_eq!(names_in(&place.0), ["socket"]);
        running.destroy();
        assert!(!is_there(&place.socket()));
        drop(UnixDatagram::bind(place.socket()).unwrap()); // stale, too, though of another type
        let (_running, _) = serve_with(way(), &place.socket());
        answered(&place.socket());
        assert_eq!(names_in(&place.0), ["socket"]);
    }
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let place = Place::new();
    let (running, facts) = serve(&place.socket());
    for way in WAYS.iter().cycle().take(10) {
        let error = way().bind_unix(place.socket()).map(drop);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let path = place.socket().display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
    }
    answered(&place.socket());
    running.destroy();
    assert_ends(&running);
    let opened = facts.so_far().iter().filter(|fact| matches!(fact, Fact::Opened(_))).count();
    assert_eq!(opened, 1, "nobody but the client");

    // Another program's: neither one that has accepted nothing yet nor one of datagrams is disturbed.
    for way in WAYS {
        let other = UnixListener::bind(place.socket()).unwrap();
        other.set_nonblocking(true).unwrap();
        let error = way().bind_unix(place.socket()).map(drop);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        fs::remove_file(place.socket()).unwrap();
        let other = UnixDatagram::bind(place.socket()).unwrap();
        other.set_nonblocking(true).unwrap();
        let error = way().bind_unix(place.socket()).map(drop);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(other.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(names_in(&place.0), ["socket"]);
        fs::remove_file(place.socket()).unwrap();
    }
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let place = Place::new();
    let path = place.socket();
    let is_refused = |what: &str| {
        let before = names_in(&place.0);
        for way in WAYS {
            let error = way().bind_unix(&path).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{what}: {error}");
            assert!(error.to_string().contains(&path.display().to_string()));
            assert!(is_there(&path), "{what} has gone");
            assert_eq!(names_in(&place.0), before, "{what}");
        }
    };
    fs::write(&path, "precious").unwrap();
    is_refused("a regular file");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    is_refused("a directory");
    fs::remove_dir(&path).unwrap();
    let stale = place.0.join("stale");
    leave_a_stale_socket(&stale);
    symlink(&stale, &path).unwrap();
    is_refused("a symlink to a stale socket");
    assert!(is_there(&stale));
    fs::remove_file(&stale).unwrap();
    is_refused("a symlink to nothing");
}

#[test]
fn the_file_is_removed_at_every_end() {
    let place = Place::new();
    let path = &place.socket();
    let bind = || Server::builder().bind_unix(path).unwrap();
    drop(bind());
    assert!(!is_there(path), "dropped before it ran");
    bind().handle().destroy();
    assert!(!is_there(path), "destroyed before it ran");
    drop(bind().spawn(site).unwrap());
    assert!(!is_there(path), "the owner dropped");
    let running = bind().spawn(site).unwrap();
    running.handle().drain();
    assert!(!is_there(path), "drained");
    assert!(running.join());
    assert!(!is_there(path), "drained and joined");
    let running = bind().spawn(site).unwrap();
    assert_eq!(running.shutdown(SOON), Outcome::Drained);
    assert!(!is_there(path), "shut down");
    let handle = bind().spawn(site).unwrap().detach();
    assert!(is_there(path), "detached, it serves on");
    answered(path);
    handle.destroy();
    assert!(!is_there(path), "destroyed after it was detached");
    assert!(handle.wait_timeout(SOON));
    assert!(Server::builder().max_connections(0).bind_unix(path).is_err());
    assert!(!is_there(path), "never bound");
}

#[test]
fn a_file_that_has_taken_its_place_is_not_removed() {
    let place = Place::new();
    let path = &place.socket();
    let stops: [fn(&Running); 2] = [
        |running| running.handle().drain(),
        |running| {
            running.destroy();
        },
    ];
    for stop in stops {
        let (first, _) = serve(path);
        fs::remove_file(path).unwrap();
        fs::write(path, "precious").unwrap();
        stop(&first);
        assert_ends(&first);
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
        fs::remove_file(path).unwrap();

        let (first, _) = serve(path);
        fs::remove_file(path).unwrap();
        let (second, _) = serve(path);
        stop(&first);
        assert_ends(&first);
        drop(first);
        answered(path);
        stop(&second);
        assert!(!is_there(path));

        let (first, _) = serve(path);
        let moved = place.0.join("moved");
        fs::rename(path, &moved).unwrap();
        stop(&first);
        assert_ends(&first);
        assert!(is_there(&moved), "whoever has moved it looks after it");
        fs::remove_file(&moved).unwrap();
    }
}

/// An inode that is free is soon used again; a listener keeps its own from being so.
#[test]
fn a_new_socket_in_its_place_is_never_mistaken_for_its_own() {
    let place = Place::new();
    let path = &place.socket();
    for _ in 0..100 {
        let first = Server::builder().bind_unix(path).unwrap();
        fs::remove_file(path).unwrap();
        let _second = Server::builder().bind_unix(path).unwrap();
        let inode = fs::symlink_metadata(path).unwrap().ino();
        drop(first);
        assert_eq!(fs::symlink_metadata(path).unwrap().ino(), inode);
    }
}

#[test]
fn the_socket_has_exactly_the_mode_that_was_asked_for() {
    let place = Place::new();
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let builder = Server::builder().socket_mode(mode);
        let (running, _) = serve_with(builder, &place.socket());
        let file = fs::symlink_metadata(place.socket()).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o7777, mode);
        answered(&place.socket());
        assert_eq!(names_in(&place.0), ["socket"], "no name of a moment is left");
        running.destroy();
        assert_eq!(names_in(&place.0), [""; 0]);
    }
}

#[test]
fn a_path_that_cannot_be_listened_on_is_named() {
    let place = Place::new();
    let missing = place.0.join("missing").join("socket");
    let long = place.0.join("x".repeat(200));
    let file = place.0.join("file");
    File::create(&file).unwrap();
    let wrong = [
        (missing, ErrorKind::NotFound, "a directory that is not there"),
        (long, ErrorKind::InvalidInput, "a path that is too long"),
        (file.join("socket"), ErrorKind::NotADirectory, "a file that is no directory"),
    ];
    let before = names_in(&place.0);
    for way in WAYS {
        for (path, kind, what) in &wrong {
            let error = way().bind_unix(path).map(drop).unwrap_err();
            assert_eq!(error.kind(), *kind, "{what}: {error}");
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "{what}: {text}");
        }
        for path in ["", "/", "..", "\0abstract"] {
            assert!(way().bind_unix(path).is_err(), "{path:?}");
        }
        // A file cannot have the name of a directory: it is made beside it, and cannot be given that name.
        assert!(way().bind_unix(place.0.join("directory/")).is_err());
        assert_eq!(names_in(&place.0), before);
    }
    let here = names_in(Path::new("."));
    assert!(!here.iter().any(|name| name.starts_with(".hs")), "{here:?}");
}

/// An address has room for about a hundred bytes. Where the name is short, the one beside it is longer.
#[test]
fn a_path_that_is_too_long_for_a_mode_is_served_without_or_refused_by_name() {
    let place = Place::new();
    let room = 90_usize.saturating_sub(place.0.as_os_str().len()).max(1);
    let mut refused = 0;
    for length in room..room + 20 {
        let directory = place.0.join("x".repeat(length));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("s");
        if Server::builder().bind_unix(&path).is_err() {
            break; // the path itself is too long for any socket
        }
        match Server::builder().socket_mode(0o600).bind_unix(&path) {
            Ok(server) => drop(server),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("use a shorter path"), "{error}");
            }
        }
        assert_eq!(names_in(&directory), [""; 0], "something is left");
    }
    assert!(refused > 0, "none was too long");
}

#[test]
fn of_many_who_bind_one_path_at_once_one_listens() {
    const THREADS: usize = 4;
    let place = Place::new();
    for round in 0..200 {
        let way = WAYS[round % 2];
        let start = Arc::new(Barrier::new(THREADS));
        let binders = (0..THREADS).map(|_| {
            let (start, path) = (Arc::clone(&start), place.socket());
            thread::spawn(move || {
                start.wait();
                way().bind_unix(path)
            })
        });
        let binders: Vec<_> = binders.collect();
        let bound = binders.into_iter().map(|binder| binder.join().unwrap());
        let (bound, failed): (Vec<_>, Vec<_>) = bound.partition(Result::is_ok);
        assert_eq!(bound.len(), 1);
        for error in failed {
            assert_eq!(error.map(drop).unwrap_err().kind(), ErrorKind::AddrInUse);
        }
        UnixStream::connect(place.socket()).unwrap();
        assert_eq!(names_in(&place.0), ["socket"]);
    }
}
