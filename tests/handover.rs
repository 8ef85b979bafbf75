//! The hand-over example, run as the processes that a user runs: generations of a server that share one listener.
//!
//! Whatever becomes of a test, its processes end with it: see `Family`.

#![cfg(unix)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::incompatible_msrv,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they fail, and only the library has to build with the oldest compiler"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;

use client::{until, Answer, Client, GET, SOON};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
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

/// A generation's number and its process id, as it names them in every answer.
type Name = (u32, u32);

fn example() -> PathBuf {
    // Cargo tells tests where binaries are, but not where examples are: beside the tests' own folder.
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/handover")
}

/// The first generation and all that descend from it: a process group, which a shell kills when this is dropped
/// without having ended, and even when the test is killed.
struct Family {
    first: Child,
    watcher: Child,
    addr: SocketAddr,
    /// Where the sockets for commands are. Not in cargo's folder, whose path may be too long for a socket.
    place: PathBuf,
}

impl Family {
    /// Starts the first generation, and waits until it serves.
    fn start(program: &Path, stdin: Stdio) -> Family {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("hardstop-handover-{}-{}", std::process::id(), NUMBER.fetch_add(1, SeqCst));
        let place = std::env::temp_dir().join(name);
        fs::create_dir(&place).unwrap();
        let mut first = Command::new(program)
            .arg("127.0.0.1:0") // where to listen if stdin does not
            .arg(place.join("control"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a whole `cargo test` builds the example, `cargo test --test handover` does not");
        let mut sh = Command::new("sh"); // in a group of its own, too: nothing ends it but its stdin
        sh.args(["-c", "read ended || kill -s KILL -- -$0", &first.id().to_string()]);
        let watcher = sh.process_group(0).stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut line = String::new();
        let stdout = first.stdout.take().unwrap();
        let (watcher, addr) = (watcher.unwrap(), ([127, 0, 0, 1], 0).into());
        let mut family = Family { first, watcher, addr, place };
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let (name, addr) = line.split_once(", serves http://").expect(&line);
        assert_eq!(named(name), (1, family.first.id()));
        family.addr = addr.trim_end().parse().unwrap();
        family
    }

    /// Has that generation start its successor, and tells who that is.
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

    /// Ends the newest generation, and checks that nobody is left.
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
        let refuses = || TcpStream::connect(self.addr).is_err();
        until("nobody listens, not even a thread on its way out", refuses);
        let left: Vec<_> = fs::read_dir(&self.place).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let mut pipe = self.watcher.stdin.take().unwrap();
        pipe.write_all(b"ended\n").unwrap();
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait(); // its children are gone, whatever it says
        let _ = self.first.wait();
        let _ = fs::remove_dir_all(&self.place); // it is only temporary
    }
}

/// Reads `generation 1, process 7`, with a line's end or without.
fn named(text: &str) -> Name {
    let numbers = text.trim_end().strip_prefix("generation ").expect(text);
    let (generation, process) = numbers.split_once(", process ").expect(text);
    (generation.parse().expect(text), process.parse().expect(text))
}

/// Whether the process is gone, or would be if its parent looked after it: that of a successor is not this one.
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

/// Who has answered how many requests, on connections of one request and on those that are kept alive.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<(Name, bool), usize>>);

impl Tally {
    fn count(&self, answer: &Answer, kept: bool) {
        assert_eq!(answer.status, 200, "{}", answer.head);
        *self.0.lock().unwrap().entry((named(&answer.text()), kept)).or_default() += 1;
    }

    fn has(&self, name: Name, least: usize) -> bool {
        let tally = self.0.lock().unwrap();
        [true, false].iter().all(|kept| tally.get(&(name, *kept)).is_some_and(|n| *n >= least))
    }
}

/// Ends the clients, also when the test fails.
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

/// Connects again only after an answer has said that it is the last.
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
fn no_request_is_refused_or_lost_while_generations_follow_each_other() {
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
            until("it has answered both kinds of clients", || tally.has(newest, 100));
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
fn a_predecessor_answers_what_has_begun_and_takes_no_more_commands() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let mut begun = Client::answered(family.addr);
    begun.say("GET / HT");
    let second = family.hand_over(first);
    until("it takes no more commands", || !family.control(1).exists());
    assert!(!has_ended(first.1), "it has left somebody alone");
    begun.say("TP/1.1\r\nHost: x\r\n\r\n");
    let answer = begun.response();
    assert_eq!(named(&answer.text()), first);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    begun.expect_end();
    until("the predecessor has ended", || has_ended(first.1));
    family.end(second);
}

#[test]
fn a_listener_as_stdin_is_served_and_nothing_else_is_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let rows = [
        (OwnedFd::from(listener).into(), true, "as systemd does"),
        (Stdio::null(), false, "no socket"),
        (Stdio::piped(), false, "a pipe"),
        (OwnedFd::from(client).into(), false, "a client's socket"),
        (OwnedFd::from(server).into(), false, "a server's connection"),
        (OwnedFd::from(pair).into(), false, "another kind of socket"),
    ];
    for (stdin, is_served, what) in rows {
        let family = Family::start(&example(), stdin);
        assert_eq!(family.addr == addr, is_served, "{what}");
        let first = (1, family.first.id());
        assert_eq!(named(&family.ask("GET /").text()), first, "{what}");
        family.end(first);
    }
}

#[test]
fn what_comes_over_the_port_is_no_command() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let fields =
        ["Host: HERE\r\n", "Host: HERE\r\nOrigin: http://HERE\r\n", "Host: x\r\nOrigin: http://evil.example\r\n"];
    for path in ["/stop", "/successor"] {
        for (method, fields) in ["GET", "POST"].iter().flat_map(|method| fields.map(|fields| (method, fields))) {
            let fields = fields.replace("HERE", &family.addr.to_string());
            let mut client = Client::connect(family.addr);
            client.say(&format!("{method} {path} HTTP/1.1\r\n{fields}\r\n"));
            let answer = client.response();
            assert_eq!(named(&answer.text()), first, "{method} {path} {fields}");
            assert_eq!(answer.header("connection"), None, "{method} {path} {fields}");
        }
    }
    family.end(first);
}

#[test]
fn only_its_own_user_may_command_it_and_only_by_the_two_commands() {
    let family = Family::start(&example(), Stdio::null());
    let first = (1, family.first.id());
    let mode = fs::metadata(family.control(1)).unwrap().permissions().mode();
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

/// A folder with the program in it, which can be replaced there.
fn program_of_its_own(name: &str) -> (PathBuf, PathBuf) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let program = directory.join("handover");
    // Not a copy: while one is written, another test's child that is being started holds it open, and it cannot run.
    fs::hard_link(example(), &program).unwrap();
    (directory, program)
}

#[test]
fn one_command_is_carried_out_at_a_time() {
    let (directory, program) = program_of_its_own("one");
    let family = Family::start(&program, Stdio::null());
    let first = (1, family.first.id());

    // Its successor is `cat`, which reads what the program's arguments name: an address, which is no file, and a pipe
    // where the sockets for commands begin with the same name.
    let pipe = family.place.join("control");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::remove_file(&program).unwrap();
    let cat = ["/bin/cat", "/usr/bin/cat"].into_iter().find(|cat| Path::new(cat).exists());
    symlink(cat.unwrap(), &program).unwrap();
    thread::scope(|scope| {
        let begun = scope.spawn(|| family.command(1, "/successor"));
        let (path, (opened, told)) = (pipe.clone(), mpsc::channel());
        thread::spawn(move || opened.send(fs::OpenOptions::new().write(true).open(path))); // waits for a reader
        let pipe = told.recv_timeout(SOON).expect("`cat` is there and reads it").unwrap();
        for what in ["/stop", "/successor"] {
            let answer = family.command(1, what);
            assert_eq!(answer.status, 409, "{what}: {}", answer.text());
        }
        assert_eq!(family.ask("GET /").header("connection").as_deref(), Some("close"));
        drop(pipe); // `cat` ends, and complains of the address
        let answer = begun.join().unwrap();
        assert_eq!(answer.status, 503, "{}", answer.text());
    });
    fs::remove_file(&pipe).unwrap();
    let answer = family.ask("GET /");
    assert_eq!((named(&answer.text()), answer.header("connection")), (first, None), "it goes on");
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
    drop(kept); // it would be waited for
    family.end(first);
}

#[test]
fn without_a_successor_the_predecessor_goes_on() {
    let (directory, program) = program_of_its_own("without");
    let family = Family::start(&program, Stdio::null());
    let first = (1, family.first.id());
    let mut kept = Client::answered(family.addr);

    fs::remove_file(&program).unwrap();
    assert_goes_on(&family, &mut kept, "No such file");

    let no = ["/bin/false", "/usr/bin/false"].into_iter().find(|no| Path::new(no).exists());
    symlink(no.unwrap(), &program).unwrap();
    assert_goes_on(&family, &mut kept, "exit status: 1");

    fs::remove_file(&program).unwrap();
    fs::hard_link(example(), &program).unwrap(); // a newer one, in the place of the first
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
    let says = format!("generation 1, process {first} goes on: ");
    assert!(text.contains(&says) && text.contains(why), "{text}");
    kept.say(GET);
    let answer = kept.response();
    assert_eq!(named(&answer.text()), (1, first));
    assert_eq!(answer.header("connection"), None, "it stays");
    for process in fs::read_dir("/proc").into_iter().flatten() {
        let stat = fs::read_to_string(process.unwrap().path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1);
        assert_ne!(parent, Some(first.to_string().as_str()), "left behind: {stat}");
    }
}
