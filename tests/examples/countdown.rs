//! The countdown example, run as a user does, its log checked line by line.
//!
//! Every process here ends by itself after some seconds, also when a test fails.

use crate::support::example::path;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Starts the example. Returns its stdout as it is printed, then its stderr, then its exit code.
fn countdown(args: &[&str]) -> Receiver<String> {
    let mut child = Command::new(path("countdown"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a whole `cargo test` builds the examples, `cargo test --test` does not");
    let (log, lines) = mpsc::channel();
    thread::spawn(move || {
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for line in BufReader::new(stdout).lines() {
            let _ = log.send(line.unwrap()); // the test may have failed already
        }
        for line in BufReader::new(stderr).lines() {
            let _ = log.send(format!("stderr: {}", line.unwrap()));
        }
        let _ = log.send(format!("exit code {:?}", child.wait().unwrap().code()));
    });
    lines
}

/// The log up to that line, or to its end if the line is empty.
fn log_until(lines: &Receiver<String>, last: &str) -> Vec<String> {
    let mut log: Vec<String> = Vec::new();
    while log.last().map_or(true, |line| line != last) {
        match lines.recv_timeout(SOON) {
            Ok(line) => log.push(line),
            Err(error) if last.is_empty() && error == mpsc::RecvTimeoutError::Disconnected => break,
            Err(error) => panic!("{error} before {last:?}, after {log:?}"),
        }
    }
    log
}

/// The log's first line, and the port in it.
fn listening(lines: &Receiver<String>) -> u16 {
    let line = lines.recv_timeout(SOON).unwrap();
    let port = line.strip_prefix("listening on http://127.0.0.1:");
    port.expect(&line).parse().expect(&line)
}

fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client
}

fn after_the_end(port: u16) -> [String; 6] {
    let host = || String::from("host still running");
    let (closed, free) = ("Server closed!", format!("port {port} is free again"));
    let code = String::from("exit code Some(0)");
    [closed.into(), host(), host(), host(), free, code]
}

#[test]
fn countdown_closes_idle_connections_destroys_open_ones_and_goes_on() {
    let lines = countdown(&["--port", "0", "--from", "3", "--idle", "1"]);
    let port = listening(&lines);

    let mut idle = connect(port);
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    idle.read_to_string(&mut answer).unwrap(); // kept alive until it has been idle for a second
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello world!"), "{answer}");
    let mut log = log_until(&lines, "socket 1 closed (IdleTimeout)");

    let mut busy = connect(port);
    busy.write_all(b"GET / HT").unwrap(); // a connection with half a head is not idle, and still open at 0
    log.extend(log_until(&lines, "0"));
    // The end may be a reset.
    assert_eq!(busy.read(&mut [0; 64]).unwrap_or(0), 0);

    // The lines of the sockets may be anywhere between the numbers.
    let (sockets, numbers): (Vec<_>, Vec<_>) =
        log.iter().partition(|line| line.starts_with("socket"));
    assert_eq!(numbers, ["3", "2", "1", "0"]);
    assert_eq!(
        sockets,
        [
            "socket 1 opened",
            "socket 1 closed (IdleTimeout)",
            "socket 2 opened"
        ]
    );
    let rest = log_until(&lines, "");
    assert_eq!(rest[0], "socket 2 destroyed");
    assert_eq!(rest[1..], after_the_end(port));
}

#[test]
fn countdown_without_a_connection_ends_at_once() {
    let lines = countdown(&["--port", "0", "--from", "1"]);
    let port = listening(&lines);
    assert_eq!(log_until(&lines, "0"), ["1", "0"]);
    assert_eq!(log_until(&lines, ""), after_the_end(port));
}

#[test]
fn countdown_names_a_busy_port() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let log = log_until(&countdown(&["--port", &port]), "");
    let why = format!("stderr: countdown: cannot listen on 127.0.0.1:{port}: address ");
    assert!(log[0].starts_with(&why), "{log:?}");
    assert_eq!(log[1..], ["exit code Some(2)"]);
}

#[test]
fn countdown_names_a_wrong_argument() {
    let table: &[(&[&str], &str)] = &[
        (&["--port"], "--port needs a number, not \"\""),
        (&["--port", "70000"], "--port needs a number, not \"70000\""),
        (&["--from", "-1"], "--from needs a number, not \"-1\""),
        (&["--from", "ten"], "--from needs a number, not \"ten\""),
        (&["--idle", "0"], "--idle needs a number, not \"0\""),
        (
            &["--port", "0", "--idle"],
            "--idle needs a number, not \"\"",
        ),
        (&["4000"], "unknown option 4000"),
        (&["--prot", "4000"], "unknown option --prot"),
    ];
    for (args, why) in table {
        let log = log_until(&countdown(args), "");
        let want = format!("stderr: countdown: {why}, see --help");
        assert_eq!(log, [want.as_str(), "exit code Some(2)"], "{args:?}");
    }
}

#[test]
fn countdown_prints_its_options() {
    for args in [["--help"].as_slice(), &["-h"], &["--port", "0", "--help"]] {
        let log = log_until(&countdown(args), "");
        assert!(log[0].starts_with("usage: countdown "), "{log:?}");
        for option in ["--port", "--from", "--idle"] {
            assert!(log.iter().any(|line| line.contains(option)), "{log:?}");
        }
        assert_eq!(log.last().unwrap(), "exit code Some(0)");
    }
}
