//! The programs, run as the processes that a user runs.

use hardstop_https::provider;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const SOON: Duration = Duration::from_secs(20);

/// A program that has begun to listen; ended with the test, if it has not ended by itself.
struct Program {
    child: Child,
    lines: Receiver<String>,
    port: u16,
    agent: ureq::Agent,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it on any free port, with these arguments behind. Its agent trusts what it wrote into
    /// its file.
    fn start(program: &str, args: &[&str]) -> Program {
        let name = Path::new(program).file_name().unwrap();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new(program);
        command.arg(&file).arg("0").args(args).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines() {
                let _ = sender.send(line.unwrap()); // the test may have failed already
            }
        });
        let listening = lines.recv_timeout(SOON).unwrap();
        let address = listening.strip_prefix("listening on https://127.0.0.1:");
        let port = address.expect(&listening).parse().unwrap();
        let certificate = lines.recv_timeout(SOON).unwrap();
        let sha256 = certificate.strip_prefix("certificate ").unwrap();
        assert_eq!(sha256.len(), 64, "{certificate}");

        let pem = std::fs::read(file).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[
                Certificate::from_pem(&pem).unwrap()
            ]))
            .unversioned_rustls_crypto_provider(provider());
        let config = ureq::Agent::config_builder().tls_config(tls.build());
        let agent = config.timeout_global(Some(SOON)).build().new_agent();
        Program {
            child,
            lines,
            port,
            agent,
        }
    }

    fn get(&self, host: &str, path: &str) -> String {
        let url = format!("https://{host}:{}{path}", self.port);
        let mut response = self.agent.get(url).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    }
}

#[test]
fn hello_greets_by_name_and_by_address() {
    let hello = Program::start(env!("CARGO_BIN_EXE_hello"), &[]);
    assert_eq!(hello.get("localhost", "/there"), "hello from /there\n");
    assert_eq!(hello.get("127.0.0.1", "/"), "hello from /\n");
}

#[test]
fn the_countdown_destroys_what_is_open_and_goes_on() {
    let mut countdown = Program::start(env!("CARGO_BIN_EXE_countdown"), &["3"]);
    let addr = ("127.0.0.1", countdown.port);
    let mut silent = TcpStream::connect(addr).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(countdown.get("localhost", "/"), "Hello world!");
    assert_eq!(
        silent.read(&mut [0]).unwrap(),
        0,
        "in the middle of its handshake"
    );

    let mut log = Vec::new();
    while let Ok(line) = countdown.lines.recv_timeout(SOON) {
        log.push(line);
    }
    assert!(countdown.child.wait().unwrap().success());
    let (before, after) = log.split_at(log.iter().position(|line| line == "0").unwrap());
    let counted = before.iter().filter(|line| line.parse::<u32>().is_ok());
    assert!(counted.eq(["3", "2", "1"]), "{log:?}");
    for id in 1..=2 {
        assert!(before.contains(&format!("socket {id} opened")), "{log:?}");
        assert!(after.contains(&format!("socket {id} destroyed")), "{log:?}");
    }
    let end = [
        String::from("Server closed!"),
        String::from("host still running"),
        String::from("host still running"),
        String::from("host still running"),
        format!("port {} is free again", countdown.port),
    ];
    assert_eq!(after[3..], end, "{log:?}");
}
