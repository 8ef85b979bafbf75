//! The oauth_callback example, run as a user does, with a client in place of the browser.
//!
//! Every process here ends by itself after its timeout, also when a test fails.

use crate::support::client::{Answer, Client};
use crate::support::example::path;
use crate::support::SOON;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

/// The seconds that the tool waits for its callback: longer than any test that answers.
const LONG: &str = "60";

struct Tool {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The address it listens on, and the expected state.
    addr: SocketAddr,
    state: String,
    /// The address that the user has to open.
    opens: String,
}

impl Tool {
    fn start(args: &[&str]) -> Tool {
        let mut child = Command::new(path("oauth_callback"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a whole `cargo test` builds the examples, `cargo test --test` does not");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let opens = String::from(line.trim().strip_prefix("open ").expect(&line));
        let plain = opens.replace("%3A", ":").replace("%2F", "/");
        let (_, port) = plain.split_once("http://127.0.0.1:").expect(&line);
        let (port, _) = port.split_once("/callback").expect(&line);
        let addr = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let (_, state) = plain.split_once("state=").expect(&line);
        Tool {
            addr,
            state: String::from(state),
            child,
            stdout,
            opens,
        }
    }

    /// Sends a request for a target, with the right state in place of `STATE`.
    fn ask(&self, target: &str) -> Answer {
        self.say(&format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.addr
        ))
    }

    fn say(&self, request: &str) -> Answer {
        let mut client = Client::connect(self.addr);
        client.say(&request.replace("STATE", &self.state));
        client.response()
    }

    /// Its exit code, and the rest of its stdout and stderr.
    fn end(mut self) -> (i32, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap(); // to its end, which comes within the tool's timeout
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert!(TcpStream::connect(self.addr).is_err(), "the port is closed");
        (self.child.wait().unwrap().code().unwrap(), out, err)
    }
}

fn ended(code: i32, out: &str, err: &str) -> (i32, String, String) {
    (code, String::from(out), String::from(err))
}

#[test]
fn the_code_and_the_page_arrive_despite_a_silent_connection() {
    let tool = Tool::start(&[LONG]);
    let mut silent = Client::connect(tool.addr);
    assert_eq!(
        tool.opens,
        format!(
            "http://{}/callback?code=demo&state={}",
            tool.addr, tool.state
        )
    );
    let began = Instant::now();
    let page = tool.ask("/callback?code=demo&state=STATE");
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("<h1>Access was allowed</h1>") && page.text().ends_with("</html>\n"),
        "{page:?}"
    );
    for (name, value) in [
        ("connection", "close"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.header(name).as_deref(), Some(value));
    }
    assert_eq!(
        tool.end(),
        ended(0, &format!("within {LONG}s\nthe code is demo\n"), "")
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    silent.expect_end();
}

#[test]
fn a_silent_connection_does_not_delay_the_end() {
    // A drain alone would wait for a second, each time.
    let began = Instant::now();
    for _ in 0..20 {
        let tool = Tool::start(&[LONG]);
        let _silent = Client::connect(tool.addr);
        assert_eq!(tool.ask("/callback?code=c&state=STATE").status, 200);
        assert_eq!(tool.end().0, 0);
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn an_invalid_callback_does_not_end_the_wait() {
    let tool = Tool::start(&[LONG]);
    let table = [
        (
            400,
            "/callback?code=evil&state=0123456789abcdef0123456789abcdef",
        ),
        (400, "/callback?code=evil"),
        (400, "/callback?code=evil&state="),
        (400, "/callback?error=access_denied"),
        (400, "/callback?error=access_denied&state=STATE0"),
        (400, "/callback?state=STATE"),
        (400, "/callback?code=&state=STATE"),
        (400, "/callback?code=a%0Ab&state=STATE"),
        (400, "/callback"),
        (404, "/?code=evil&state=STATE"),
        (404, "/callback/?code=evil&state=STATE"),
        (404, "/favicon.ico"),
    ];
    for (status, target) in table {
        assert_eq!(tool.ask(target).status, status, "{target}");
    }
    let request = "GET /callback?code=evil&state=STATE HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let port = tool.addr.port();
    for host in [
        "evil.example",
        &format!("evil.example:{port}"),
        "127.0.0.1",
        &format!("localhost:{port}"),
    ] {
        assert_eq!(
            tool.say(&request.replace("HOST", host)).status,
            421,
            "{host}"
        );
    }
    let here = tool.addr.to_string();
    for method in ["POST", "HEAD"] {
        let request = request.replace("HOST", &here).replace("GET", method);
        let mut client = Client::connect(tool.addr);
        client.say(&request.replace("STATE", &tool.state));
        assert_eq!(client.head_response().status, 404, "{method}");
    }
    assert_eq!(
        tool.ask("/callback?state=STATE&code=the+real%20one").status,
        200
    );
    assert_eq!(
        tool.end(),
        ended(
            0,
            &format!("within {LONG}s\nthe code is the real one\n"),
            ""
        )
    );
}

#[test]
fn a_denial_is_reported() {
    let tool = Tool::start(&[LONG]);
    let _silent = Client::connect(tool.addr);
    let page = tool.ask("/callback?error=access_denied&error_description=%3Cb%3E&state=STATE");
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("<h1>Access was denied</h1>"),
        "{page:?}"
    );
    let said = "oauth_callback: access was denied: access_denied\n";
    assert_eq!(tool.end(), ended(1, &format!("within {LONG}s\n"), said));
}

#[test]
fn the_wait_ends_after_its_timeout() {
    let tool = Tool::start(&["1", "https://id.example/authorize"]);
    let mut silent = Client::connect(tool.addr);
    assert_eq!(
        tool.ask("/callback?code=evil&state=0").status,
        400,
        "does not end it, nor prolong it"
    );
    let said = "oauth_callback: there was no answer within 1s\n";
    assert_eq!(tool.end(), ended(2, "within 1s\n", said));
    silent.expect_end();
}

#[test]
fn an_invalid_number_of_seconds_is_an_error() {
    for text in ["https://id.example/authorize", "-1", "1.5", ""] {
        let output = Command::new(path("oauth_callback"))
            .arg(text)
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{text}: {output:?}"
        );
        assert!(
            output
                .stderr
                .starts_with(b"oauth_callback: invalid number of seconds: "),
            "{text}: {output:?}"
        );
    }
}

#[test]
fn the_address_to_open_requests_a_code_and_names_the_redirect() {
    let mut states = Vec::new();
    for (endpoint, joint) in [
        ("https://id.example/authorize", '?'),
        ("https://id.example/authorize?tenant=1", '&'),
    ] {
        let tool = Tool::start(&["0", endpoint]);
        let want = format!(
            "{endpoint}{joint}response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A{}%2Fcallback\
             &client_id=example&state={}",
            tool.addr.port(),
            tool.state
        );
        assert_eq!(tool.opens, want);
        assert_eq!(tool.state.len(), 32);
        states.push(tool.state.clone());
        assert_eq!(tool.end().0, 2);
    }
    assert_ne!(states[0], states[1]);
    assert_ne!(states[0][..16], states[0][16..]);
}
