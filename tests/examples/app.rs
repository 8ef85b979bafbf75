//! The app example, run as a user does, with a client in place of the browser.

use crate::support::client::{Answer, Client};
use crate::support::example::Example;
use std::net::SocketAddr;

/// The example, and who has logged in to it.
struct App {
    example: Example,
    addr: SocketAddr,
    password: String,
}

impl App {
    fn start() -> App {
        let (example, addr) = Example::start("app");
        let line = example.line();
        let password = line.strip_prefix("the password is ").expect(&line);
        App {
            password: String::from(password),
            example,
            addr,
        }
    }

    /// Sends one request on a connection of its own.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut client = Client::connect(self.addr);
        let addr = self.addr;
        let length = body.len();
        client.say(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n\
             {headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ));
        if method == "HEAD" {
            client.head_response()
        } else {
            client.response()
        }
    }

    fn post(&self, path: &str, headers: &str, form: &str) -> Answer {
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        self.ask("POST", path, &headers, form)
    }

    /// Logs in, and returns the header that shows it.
    fn log_in(&self) -> String {
        let form = format!("password={}", self.password);
        let answer = self.post("/login", "", &form);
        assert_eq!(answer.status, 303);
        assert_eq!(answer.header("location").as_deref(), Some("/"));
        let cookie = answer.header("set-cookie").unwrap();
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
            "{cookie}"
        );
        let (cookie, _) = cookie.split_once(';').unwrap();
        format!("Cookie: other=1; lamp_session=set-by-another-server; {cookie}\r\n")
    }
}

#[test]
fn nothing_but_the_login_is_for_those_who_have_not_logged_in() {
    let app = App::start();
    let table = [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/status.json"),
        ("POST", "/brightness"),
        ("GET", "/firmware"),
        ("PUT", "/firmware"),
        ("GET", "/no-such-page"),
    ];
    for (method, path) in table {
        for cookie in [
            "",
            "Cookie: lamp_session=\r\n",
            "Cookie: lamp_session=0000\r\n",
        ] {
            let answer = app.ask(method, path, cookie, "");
            if matches!(method, "GET" | "HEAD") {
                assert_eq!(answer.status, 303, "{method} {path} with {cookie:?}");
                assert_eq!(answer.header("location").as_deref(), Some("/login"));
            } else {
                assert_eq!(answer.status, 403, "{method} {path} with {cookie:?}");
            }
        }
    }
    assert_eq!(app.ask("GET", "/login", "", "").status, 200);
    assert_eq!(app.post("/login", "", "password=wrong").status, 403);
    assert_eq!(app.post("/login", "", "").status, 400);
}

#[test]
fn a_form_changes_the_brightness_until_the_user_logs_out() {
    let app = App::start();
    let cookie = app.log_in();
    let answer = app.post("/brightness", &cookie, "brightness=200");
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location").as_deref(), Some("/"));
    let status = app.ask("GET", "/status.json", &cookie, "");
    assert_eq!(status.text(), "{\"brightness\": 200}\n");
    assert!(app.ask("GET", "/", &cookie, "").text().contains("now 200"));
    for wrong in ["brightness=256", "brightness=", "brightness=x", "other=1"] {
        assert_eq!(
            app.post("/brightness", &cookie, wrong).status,
            400,
            "{wrong}"
        );
    }
    assert_eq!(app.post("/logout", &cookie, "").status, 303);
    assert_eq!(
        app.ask("GET", "/", &cookie, "").status,
        303,
        "the cookie is of no use"
    );
}

#[test]
fn a_method_that_a_page_does_not_have_gets_405_with_those_that_it_has() {
    let app = App::start();
    let cookie = app.log_in();
    let table = [
        ("DELETE", "/login", "GET, HEAD, POST"),
        ("POST", "/", "GET, HEAD"),
        ("GET", "/brightness", "POST"),
        ("HEAD", "/logout", "POST"),
        ("POST", "/firmware", "GET, HEAD, PUT"),
    ];
    for (method, path, allowed) in table {
        let answer = app.ask(method, path, &cookie, "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow").as_deref(), Some(allowed));
    }
    assert_eq!(app.ask("GET", "/no-such-page", &cookie, "").status, 404);
    assert_eq!(app.ask("HEAD", "/", &cookie, "").status, 200);
}

#[test]
fn a_firmware_is_replaced_as_a_whole_and_its_download_can_be_resumed() {
    let app = App::start();
    let cookie = app.log_in();
    assert_eq!(
        app.ask("GET", "/firmware", &cookie, "").text(),
        "the first version\n"
    );
    let firmware = "0123456789".repeat(200_000); // more than the default limit of a body
    assert_eq!(app.ask("PUT", "/firmware", &cookie, &firmware).status, 204);
    let whole = app.ask("GET", "/firmware", &cookie, "");
    assert_eq!(whole.text(), firmware);
    let range = format!("{cookie}Range: bytes=1999995-\r\n");
    let rest = app.ask("GET", "/firmware", &range, "");
    assert_eq!((rest.status, rest.text().as_str()), (206, "56789"));
    let tag = whole.header("etag").unwrap();
    let known = format!("{cookie}If-None-Match: {tag}\r\n");
    assert_eq!(app.ask("GET", "/firmware", &known, "").status, 304);
}

#[test]
fn a_part_of_a_firmware_or_an_upload_with_a_condition_is_refused() {
    let app = App::start();
    let cookie = app.log_in();
    for header in [
        "Content-Range: bytes 10-12/13",
        "If-Match: \"another\"",
        "If-None-Match: *",
        "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    ] {
        let answer = app.ask("PUT", "/firmware", &format!("{cookie}{header}\r\n"), "abc");
        assert_eq!(answer.status, 400, "{header}");
    }
    let kept = app.ask("GET", "/firmware", &cookie, "");
    assert_eq!(kept.text(), "the first version\n");
}

#[test]
fn a_firmware_that_is_cut_short_or_too_large_does_not_replace_the_old_one() {
    let app = App::start();
    let cookie = app.log_in();
    for (length, status) in [(100, 400), (64 * 1024 * 1024 + 1, 413)] {
        let mut client = Client::connect(app.addr);
        let addr = app.addr;
        client.say(&format!(
            "PUT /firmware HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n{cookie}\
             Content-Length: {length}\r\n\r\nshort"
        ));
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.response().status, status, "{length} bytes");
    }
    assert_eq!(
        app.ask("GET", "/firmware", &cookie, "").text(),
        "the first version\n"
    );
}

#[test]
fn a_page_of_another_site_is_refused_and_every_request_is_logged() {
    let app = App::start();
    let mut client = Client::connect(app.addr);
    client.say(&format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n",
        app.addr
    ));
    assert_eq!(client.response().status, 403);
    let log = app.example.rest();
    for part in ["POST /login", "403"] {
        assert!(
            log.iter().any(|line| line.contains(part)),
            "{part}: {log:?}"
        );
    }
}
