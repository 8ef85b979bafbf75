//! The handover example, run as a user does: generations of a server that share one listener.
//!
//! The processes of a test end with it in any case: see `Family`.

use crate::support::client::{Answer, Client};
use crate::support::example::path;
use crate::support::{until, GET, SOON};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::Duration;

/// The number of a generation and its process id, as in every response.
type Name = (u32, u32);

fn example() -> PathBuf {
    path("handover")
}

/// The first generation and its descendants: a process group, which a shell kills if this is
/// dropped before its end, and even if the test is killed.
struct Family {
    first: Child,
    watcher: Child,
    addr: SocketAddr,
    /// The directory of the command sockets. Not in cargo's folder, whose path may be too long for
    /// a socket.
    place: PathBuf,
}

impl Family {
    /// Starts the first generation, and waits until it serves.
    fn start(program: &Path, stdin: Stdio) -> Family {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "hardstop-handover-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, SeqCst)
        );
        let place = std::env::temp_dir().join(name);
        fs::create_dir(&place).unwrap();
        let mut first = Command::new(program)
            .arg("127.0.0.1:0") // the address, if stdin is not a listener
            .arg(place.join("control"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect(
                "a whole `cargo test` builds the example, `cargo test --test handover` does not",
            );
        let mut sh = Command::new("sh"); // in a group of its own, so that only its stdin ends it
        sh.args([
            "-c",
            "read ended || kill -s KILL -- -$0",
            &first.id().to_string(),
        ]);
        let watcher = sh
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut line = String::new();
        let stdout = first.stdout.take().unwrap();
        let (watcher, addr) = (watcher.unwrap(), ([127, 0, 0, 1], 0).into());
        let mut family = Family {
            first,
            watcher,
            addr,
            place,
        };
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let (name, addr) = line.split_once(", serves http://").expect(&line);
        assert_eq!(named(name), (1, family.first.id()));
        family.addr = addr.trim_end().parse().unwrap();
        family
    }

    /// Makes a generation start its successor, and returns its name.
    fn hand_over(&self, (generation, _): Name) -> Name {
        let answer = self.command(generation, "/successor");
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        named(text.split_once(", serves http://").expect(&text).0)
    }

    fn ask(&self, what: &str) -> Answer {
        let mut client = Client::connect(self.addr);
        client.say(&format!("{what} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.response()
    }

    fn control(&self, generation: u32) -> PathBuf {
        self.place.join(format!("control.{generation}"))
    }

    fn command(&self, generation: u32, what: &str) -> Answer {
        let socket = UnixStream::connect(self.control(generation)).expect("it takes commands");
        let mut client = Client::over(TcpStream::from(OwnedFd::from(socket))).unwrap();
        client.say(&format!("POST {what} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.response()
    }

    /// Ends the newest generation, and checks that no process is left.
    fn end(mut self, (generation, process): Name) {
        let stops = format!("generation {generation}, process {process} stops\n");
        assert_eq!(self.command(generation, "/stop").text(), stops);
        until("the last generation has ended", || has_ended(process));
        let mut status = None;
        until("the first generation has ended", || {
            status = self.first.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success());
        // An attempt that takes long would be an open port whose queue is full.
        let refuses = || {
            let attempt = TcpStream::connect_timeout(&self.addr, SOON);
            attempt.map_or_else(
                |error| error.kind() == ErrorKind::ConnectionRefused,
                |_| false,
            )
        };
        until("the port is closed", refuses);
        let left: Vec<_> = fs::read_dir(&self.place).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let mut pipe = self.watcher.stdin.take().unwrap();
        pipe.write_all(b"ended\n").unwrap();
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait(); // the children are gone, whatever the status
        let _ = self.first.wait();
        let _ = fs::remove_dir_all(&self.place); // a temporary directory
    }
}

/// Parses `generation 1, process 7`, with or without the end of the line.
fn named(text: &str) -> Name {
    let numbers = text.trim_end().strip_prefix("generation ").expect(text);
    let (generation, process) = numbers.split_once(", process ").expect(text);
    (
        generation.parse().expect(text),
        process.parse().expect(text),
    )
}

/// Whether a process has ended. It may still be a zombie, as the parent of a successor is not this
/// process.
fn has_ended(process: u32) -> bool {
    let state = if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().unwrap().to_owned()
    } else {
        let mut ps = Command::new("ps");
        ps.args(["-o", "stat=", "-p", &process.to_string()]);
        String::from_utf8(ps.output().unwrap().stdout).unwrap()
    };
    state.is_empty() || state.starts_with('Z')
}

/// The number of requests that each generation has answered, on connections of one request and on
/// kept-alive ones.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<(Name, bool), usize>>);

impl Tally {
    fn count(&self, answer: &Answer, kept: bool) {
        assert_eq!(answer.status, 200, "{}", answer.head);
        *self
            .0
            .lock()
            .unwrap()
            .entry((named(&answer.text()), kept))
            .or_default() += 1;
    }

    fn has(&self, name: Name, least: usize) -> bool {
        let tally = self.0.lock().unwrap();
        [true, false]
            .iter()
            .all(|kept| tally.get(&(name, *kept)).is_some_and(|n| *n >= least))
    }
}

/// Stops the clients, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn one_request_per_connection(addr: SocketAddr, tally: &Tally, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let mut client = Client::connect(addr);
        client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        tally.count(&client.response(), false);
        client.expect_end();
        thread::sleep(Duration::from_millis(1)); // a bounded load
    }
}

/// Reconnects only after a response with `Connection: close`.
fn kept_alive(addr: SocketAddr, tally: &Tally, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let mut client = Client::connect(addr);
        for request in 0.. {
            client.say(GET);
            let answer = client.response();
            tally.count(&answer, request > 0);
            if answer.header("connection").as_deref() == Some("close") {
                client.expect_end();
                break;
            } else if stop.load(SeqCst) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn no_request_is_refused_or_lost_during_handovers() {
    let family = Family::start(&example(), Stdio::null());
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let mut generations = vec![(1, family.first.id())];
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..6 {
            scope.spawn(|| one_request_per_connection(family.addr, &tally, &stop));
            scope.spawn(|| kept_alive(family.addr, &tally, &stop));
        }
        loop {
            let newest = *generations.last().unwrap();
            until("it has answered both kinds of clients", || {
                tally.has(newest, 100)
            });
            if generations.len() == 4 {
                break;
            }
            generations.push(family.hand_over(newest));
            until("the predecessor has ended", || has_ended(newest.1));
        }
    });
    family.end(generations[3]);
    let numbers: Vec<u32> = generations.iter().map(|name| name.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let tally = tally.0.into_inner().unwrap();
    println!("answers by generation and process, kept alive or not: {tally:?}");
    for (name, _) in tally.keys() {
        assert!(generations.contains(name), "{name:?} has answered");
    }
}

#[test]
fn a_predecessor_finishes_its_requests_and_takes_no_more_commands() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let mut begun = Client::answered(family.addr);
    begun.say("GET / HT");
    let second = family.hand_over(first);
    until("it takes no more commands", || !family.control(1).exists());
    assert!(!has_ended(first.1), "it has left a client alone");
    begun.say("TP/1.1\r\nHost: x\r\n\r\n");
    let answer = begun.response();
    assert_eq!(named(&answer.text()), first);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    begun.expect_end();
    until("the predecessor has ended", || has_ended(first.1));
    family.end(second);
}

#[test]
fn only_a_listener_as_stdin_is_served() {
    // Kept until it is served, as systemd does, so that no other server gets its port by chance.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let rows = [
        (Stdio::null(), "no socket"),
        (Stdio::piped(), "a pipe"),
        (OwnedFd::from(client).into(), "a client's socket"),
        (OwnedFd::from(server).into(), "a server's connection"),
        (OwnedFd::from(pair).into(), "another kind of socket"),
    ];
    for (stdin, what) in rows {
        let family = Family::start(&example(), stdin);
        assert_ne!(family.addr, addr, "{what}");
        assert_serves_and_ends(family, what);
    }
    // The program has the only handle of the listener then, and its end closes the port.
    let family = Family::start(&example(), OwnedFd::from(listener).into());
    assert_eq!(family.addr, addr, "as systemd does");
    assert_serves_and_ends(family, "as systemd does");
}

fn assert_serves_and_ends(family: Family, what: &str) {
    let first = (1, family.first.id());
    assert_eq!(named(&family.ask("GET /").text()), first, "{what}");
    family.end(first);
}

#[test]
fn a_request_over_the_port_is_not_a_command() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let fields = [
        "Host: HERE\r\n",
        "Host: HERE\r\nOrigin: http://HERE\r\n",
        "Host: x\r\nOrigin: http://evil.example\r\n",
    ];
    for path in ["/stop", "/successor"] {
        for (method, fields) in ["GET", "POST"]
            .iter()
            .flat_map(|method| fields.map(|fields| (method, fields)))
        {
            let fields = fields.replace("HERE", &family.addr.to_string());
            let mut client = Client::connect(family.addr);
            client.say(&format!("{method} {path} HTTP/1.1\r\n{fields}\r\n"));
            let answer = client.response();
            assert_eq!(named(&answer.text()), first, "{method} {path} {fields}");
            assert_eq!(
                answer.header("connection"),
                None,
                "{method} {path} {fields}"
            );
        }
    }
    family.end(first);
}

#[test]
fn only_the_same_user_can_send_the_two_commands() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let mode = fs::metadata(family.control(1))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    assert_eq!(family.command(1, "/").status, 404);
    assert_eq!(family.command(1, "/stop/").status, 404);
    let socket = UnixStream::connect(family.control(1)).unwrap();
    let mut client = Client::over(TcpStream::from(OwnedFd::from(socket))).unwrap();
    client.say("GET /stop HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().status, 404);
    assert_eq!(named(&family.ask("GET /").text()), first);
    family.end(first);
}

/// A directory with a link to the program, which can be replaced there.
fn program_of_its_own(name: &str) -> (PathBuf, PathBuf) {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let program = directory.join("handover");
    // Not a copy: a child process of another test could hold it open for writing, and then it
    // cannot run.
    fs::hard_link(example(), &program).unwrap();
    (directory, program)
}

#[test]
fn commands_run_one_at_a_time() {
    let (directory, program) = program_of_its_own("one");
    let family = Family::start(&program, Stdio::null());
    let first = (1, family.first.id());

    // The successor is `cat`, which reads the files that the program's arguments name: an address,
    // which is not a file, and a pipe at the path that the names of command sockets begin with.
    let pipe = family.place.join("control");
    assert!(Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap()
        .success());
    fs::remove_file(&program).unwrap();
    let cat = ["/bin/cat", "/usr/bin/cat"]
        .into_iter()
        .find(|cat| Path::new(cat).exists());
    symlink(cat.unwrap(), &program).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| family.command(1, "/successor"));
        let (path, (opened, told)) = (pipe.clone(), mpsc::channel());
        thread::spawn(move || opened.send(fs::OpenOptions::new().write(true).open(path))); // blocks until there is a reader
        let pipe = told
            .recv_timeout(SOON)
            .expect("`cat` is there and reads it")
            .unwrap();
        for what in ["/stop", "/successor"] {
            let answer = family.command(1, what);
            assert_eq!(answer.status, 409, "{what}: {}", answer.text());
        }
        assert_eq!(
            family.ask("GET /").header("connection").as_deref(),
            Some("close")
        );
        drop(pipe); // `cat` fails, as the address is not a file
        let answer = begun.join().unwrap();
        assert_eq!(answer.status, 503, "{}", answer.text());
    });
    fs::remove_file(&pipe).unwrap();
    let answer = family.ask("GET /");
    assert_eq!(
        (named(&answer.text()), answer.header("connection")),
        (first, None),
        "it goes on"
    );
    family.end(first);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_successor_that_cannot_take_commands_does_not_serve() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let mut kept = Client::answered(family.addr);
    fs::write(family.control(2), "somebody's").unwrap();
    assert_goes_on(&family, &mut kept, "exit status: 1");
    fs::remove_file(family.control(2)).unwrap();
    drop(kept); // or the end would wait for it
    family.end(first);
}

#[test]
fn a_predecessor_goes_on_without_a_successor() {
    let (directory, program) = program_of_its_own("without");
    let family = Family::start(&program, Stdio::null());
    let first = (1, family.first.id());
    let mut kept = Client::answered(family.addr);

    fs::remove_file(&program).unwrap();
    assert_goes_on(&family, &mut kept, "No such file");

    let no = ["/bin/false", "/usr/bin/false"]
        .into_iter()
        .find(|no| Path::new(no).exists());
    symlink(no.unwrap(), &program).unwrap();
    assert_goes_on(&family, &mut kept, "exit status: 1");

    fs::remove_file(&program).unwrap();
    fs::hard_link(example(), &program).unwrap(); // a newer program at the same path
    let second = family.hand_over(first);
    kept.say(GET);
    assert_eq!(named(&kept.response().text()), first);
    until("the predecessor has ended", || has_ended(first.1));
    family.end(second);
    fs::remove_dir_all(directory).unwrap();
}

fn assert_goes_on(family: &Family, kept: &mut Client, why: &str) {
    let first = family.first.id();
    let answer = family.command(1, "/successor");
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    let says = format!("generation 1, process {first} keeps serving: ");
    assert!(text.contains(&says) && text.contains(why), "{text}");
    kept.say(GET);
    let answer = kept.response();
    assert_eq!(named(&answer.text()), (1, first));
    assert_eq!(answer.header("connection"), None, "it stays");
    for process in fs::read_dir("/proc").into_iter().flatten() {
        let stat = fs::read_to_string(process.unwrap().path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1);
        assert_ne!(
            parent,
            Some(first.to_string().as_str()),
            "left behind: {stat}"
        );
    }
}
