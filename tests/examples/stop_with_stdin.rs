//! The stop_with_stdin example, run as a user does.

use crate::support::client::Client;
use crate::support::example::Example;
use crate::support::until;
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A client that waits for a response, which takes three seconds.
fn busy(addr: SocketAddr) -> Client {
    let mut client = Client::answered(addr);
    client.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    client
}

#[test]
fn the_end_of_stdin_drains_the_server() {
    let (mut example, addr) = Example::start("stop_with_stdin");
    let (mut idle, mut busy) = (Client::answered(addr), busy(addr));
    example.stop();
    idle.expect_end();
    let answer = busy.response();
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().starts_with("hello from process "),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    busy.expect_end();
    assert!(Client::try_connect(addr).is_err());
    let mut rest = example.rest();
    rest.sort_unstable(); // one line comes from stdout, the other from stderr
    assert_eq!(
        rest,
        ["Drained", "stdin is at its end, so the server drains"]
    );
}

#[test]
fn the_line_destroy_cuts_everything_at_once() {
    let (mut example, addr) = Example::start("stop_with_stdin");
    let (mut idle, mut busy) = (Client::answered(addr), busy(addr));
    example.say("another line");
    example.say("destroy");
    assert_eq!(example.line(), "destroyed, 2 connections cut");
    idle.expect_end();
    assert_eq!(
        busy.stream.read(&mut [0; 64]).unwrap_or(0),
        0,
        "there is no response"
    );
    assert!(example.rest().is_empty());
}

/// Set in the process that a test starts and kills, and which starts the example.
const PARENT: &str = "PARENT_OF_STOP_WITH_STDIN";

#[test]
fn the_example_ends_when_its_parent_is_killed() {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "stop_with_stdin::a_parent"])
        .env(PARENT, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let addr =
        lines.find_map(|line| Some(line.unwrap().split_once("parent of ")?.1.parse().unwrap()));
    let addr = addr.expect("the parent starts the example");
    let mut busy = busy(addr);
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(busy.response().text().starts_with("hello from process "));
    busy.expect_end();
    until("the port is closed", || Client::try_connect(addr).is_err());
}

/// Does nothing, except in the process that the test above starts.
#[test]
fn a_parent() {
    if env::var_os(PARENT).is_some() {
        let (_example, addr) = Example::start("stop_with_stdin");
        println!("parent of {addr}");
        let _ = io::stdin().read(&mut [0]); // ends if the test fails before it has killed this process
    }
}
