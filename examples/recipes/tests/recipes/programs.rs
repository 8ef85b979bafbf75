//! The programs, run as the processes that a user runs.

use crate::support::client::Client;
use crate::support::server::serve;
use crate::support::SOON;
use hardstop::Request;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// A program that has begun to listen. It ends with the test.
struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(path: &str, args: &[&str]) -> Program {
        let mut command = Command::new(path);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, first_line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let _ = sender.send(line); // the test may have failed already
        });
        let line = first_line.recv_timeout(SOON).unwrap();
        let addr = line
            .trim_end()
            .strip_prefix("listening on http://")
            .unwrap();
        let addr = addr.parse().unwrap();
        Program { child, addr }
    }
}

#[test]
fn the_recipes_answer() {
    let program = Program::start(env!("CARGO_BIN_EXE_recipes"), &["127.0.0.1:0"]);
    let mut client = Client::connect(program.addr);
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.response().text().contains("<form method=post"));
    client.say(
        "POST /sum HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 17\r\n\r\n{\"numbers\":[1,2]}",
    );
    assert_eq!(client.response().text(), "{\"sum\":3.0}");
    let form = "--b\r\nContent-Disposition: form-data; name=file; filename=\"a b\"\r\n\r\n\
                data\r\n--b--\r\n";
    let length = form.len();
    client.say(&format!(
        "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n{form}"
    ));
    assert_eq!(client.response().text(), "file: \"a b\", 4 bytes\n");
    client.say("GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n");
    client.head_response();
    assert_eq!(client.take(17), b"c\r\ndata: tick\n\n\r\n");
}

#[test]
fn the_proxy_forwards_until_enter() {
    let upstream = serve(|req: &mut Request<'_>| req.path().to_owned());
    let addr = upstream.local_addr().to_string();
    let mut program = Program::start(env!("CARGO_BIN_EXE_proxy"), &[&addr, "127.0.0.1:0"]);
    let mut client = Client::connect(program.addr);
    client.say("GET /there HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "/there");
    program
        .child
        .stdin
        .take()
        .unwrap()
        .write_all(b"\n")
        .unwrap();
    client.expect_end();
    assert!(program.child.wait().unwrap().success());
}
