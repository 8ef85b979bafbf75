//! The program, run as the process that a user runs.

use super::*;
use support::example::Example;

fn start() -> (Example, SocketAddr) {
    let program = env!("CARGO_BIN_EXE_hardstop-websocket");
    let (example, addr) = Example::start_program(program.into(), &["127.0.0.1:0"]);
    let line = example.line();
    assert!(line.starts_with("press Enter to say good-bye"), "{line}");
    (example, addr)
}

fn two(addr: SocketAddr) -> [Member; 2] {
    let mut one = Member::connect(addr);
    assert_eq!(one.text(), "* 1 has joined, now there are 1");
    let mut two = Member::connect(addr);
    assert_eq!(two.text(), "* 2 has joined, now there are 2");
    assert_eq!(one.text(), "* 2 has joined, now there are 2");
    one.say("hello");
    assert_eq!(one.text(), "1: hello");
    assert_eq!(two.text(), "1: hello");
    [one, two]
}

const GONE: &str = "the server is gone, with its threads and sockets; the program could go on";

#[test]
fn enter_says_good_bye_to_all() {
    let (mut example, addr) = start();
    let mut clients = two(addr);
    example.say("");
    for client in &mut clients {
        client.expect_close(CloseCode::Away);
    }
    assert_eq!(example.line(), "Drained");
    assert_eq!(example.rest(), [GONE]);
}

#[test]
fn the_end_of_stdin_says_good_bye_to_all() {
    let (mut example, addr) = start();
    let mut clients = two(addr);
    example.stop();
    for client in &mut clients {
        client.expect_close(CloseCode::Away);
    }
    let rest = example.rest();
    let note = "stdin is at its end, so this stops; a terminal or a pipe would keep it running";
    for line in [note, "Drained", GONE] {
        assert!(rest.iter().any(|each| each == line), "{line} in {rest:?}");
    }
}

#[test]
fn quit_cuts_all_at_once() {
    let (mut example, addr) = start();
    let mut clients = two(addr);
    example.say("/quit");
    for client in &mut clients {
        client.expect_cut();
    }
    assert_eq!(example.line(), "destroyed: 2 connections were cut");
    assert_eq!(example.rest(), [GONE]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_stopped_and_goes_on_keeps_its_clients() {
    let (example, addr) = start();
    let [mut one, mut two] = two(addr);
    let process = format!("/proc/{}/stat", example.id());
    for (signal, is_stopped) in [("-STOP", true), ("-CONT", false)] {
        let mut kill = std::process::Command::new("kill");
        let status = kill.args([signal, &example.id().to_string()]).status();
        assert!(status.unwrap().success());
        support::until("the signal has arrived", || {
            let stat = std::fs::read_to_string(&process).unwrap();
            stat.contains(") T ") == is_stopped
        });
    }
    for client in [&mut one, &mut two] {
        client.say("still here");
    }
    for client in [&mut one, &mut two] {
        let heard = [client.text(), client.text()];
        assert!(
            heard.iter().all(|text| text.ends_with(": still here")),
            "{heard:?}"
        );
    }
    drop((one, two)); // they need no good-bye
    assert_eq!(example.rest(), ["Drained", GONE]);
}
