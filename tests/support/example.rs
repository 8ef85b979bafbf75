//! Runs an example as a user does. The process ends when its stdin does, so also when a test fails.

use super::SOON;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// The path of an example. Cargo does not name it to tests: it is in a folder beside that of the
/// tests.
pub(crate) fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

#[derive(Debug)]
pub(crate) struct Example {
    child: Child,
    output: Receiver<String>,
}

impl Example {
    /// Starts an example on a free port, and waits until it prints the address.
    pub(crate) fn start(name: &str) -> (Example, SocketAddr) {
        Example::start_with(name, &["127.0.0.1:0"])
    }

    /// Starts an example with other arguments, among them an address.
    pub(crate) fn start_with(name: &str, args: &[&str]) -> (Example, SocketAddr) {
        Example::start_program(path(name), args)
    }

    /// Starts an example that is a package of its own.
    pub(crate) fn start_program(program: PathBuf, args: &[&str]) -> (Example, SocketAddr) {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a whole `cargo test` builds the examples, `cargo test --test` does not");
        let (lines, output) = mpsc::channel();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        for stream in [stdout, Box::new(child.stderr.take().unwrap())] {
            let lines = lines.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines() {
                    let _ = lines.send(line.unwrap()); // the test may have failed already
                }
            });
        }
        let example = Example { child, output };
        let line = example.line();
        let addr = line.strip_prefix("listening on http://").expect(&line);
        let addr = addr.parse().expect(addr);
        (example, addr)
    }

    /// The next line of its stdout or stderr.
    pub(crate) fn line(&self) -> String {
        let line = self.output.recv_timeout(SOON);
        line.expect("the example prints a line")
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it has not been stopped");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Closes its stdin, which ends it, as Enter does, but not without a word.
    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Ends it with Enter, and returns everything that it still prints.
    pub(crate) fn rest(mut self) -> Vec<String> {
        if let Some(stdin) = &mut self.child.stdin {
            let _ = writeln!(stdin); // it may have ended already
        }
        self.stop();
        let mut rest = Vec::new();
        loop {
            match self.output.recv_timeout(SOON) {
                Ok(line) => rest.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error} after {rest:?}"),
            }
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest:?}");
        rest
    }
}
