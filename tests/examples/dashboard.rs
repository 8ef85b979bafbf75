//! The dashboard example, run as a user does, with clients in place of open pages.

#[allow(dead_code, reason = "it is run as a process; its check is called here")]
#[path = "../../examples/dashboard.rs"]
mod example;

use crate::support::client::{Answer, Client};
use crate::support::example::Example;
use crate::support::until;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;

const GONE: &str = "generation 1 is gone, with its threads and sockets; the program keeps running";

/// An open page, with its event stream.
struct Page(Client);

impl Page {
    fn open(addr: SocketAddr) -> Page {
        let mut client = Client::connect(addr);
        client.say(&format!("GET /events HTTP/1.1\r\nHost: {addr}\r\n\r\n"));
        let head = client.head_response();
        assert_eq!(head.status, 200);
        assert_eq!(
            head.header("content-type").as_deref(),
            Some("text/event-stream")
        );
        Page(client)
    }

    /// The next event: the server's generation, the number of this page's own connection, and the
    /// rows.
    fn event(&mut self) -> (u32, String, Vec<String>) {
        let size = usize::from_str_radix(&self.0.line(), 16).unwrap();
        let event = String::from_utf8(self.0.take(size)).unwrap();
        assert_eq!(self.0.line(), "");
        let lines: Vec<&str> = event.lines().collect();
        let data = |n: usize| lines[n].strip_prefix("data: ").expect(&event);
        assert_eq!(
            (lines[0], lines[4], lines.len()),
            ("retry: 500", "", 5),
            "{event:?}"
        );
        (
            data(1).parse().unwrap(),
            String::from(data(2)),
            rows(data(3)),
        )
    }

    /// Waits for an event with such rows.
    fn see(&mut self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut rows = Vec::new();
        until(what, || {
            rows = self.event().2;
            wanted(&rows)
        });
        rows
    }
}

fn rows(html: &str) -> Vec<String> {
    html.split("<tr ").skip(1).map(String::from).collect()
}

fn ask(addr: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    let mut client = Client::connect(addr);
    client.say(&format!("{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
    client.response()
}

/// Presses a button of the page, over a new connection, which is kept alive.
fn press(addr: SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr);
    client.say(&format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n\r\n"
    ));
    assert!(
        client.response().text().ends_with("Done."),
        "it comes whole, even if all are cut next"
    );
    client
}

/// Waits for the next generation, and opens its page.
fn see_second_generation(example: &Example, addr: SocketAddr) {
    assert!(
        Client::try_connect(addr).is_err(),
        "the port is closed for three seconds"
    );
    assert_eq!(example.line(), format!("listening on http://{addr}"));
    let page = ask(addr, "GET", "/", &format!("Host: {addr}"));
    assert!(
        page.text().contains("<p role=\"status\">Generation 2</p>"),
        "{}",
        page.text()
    );
    assert_eq!(Page::open(addr).event().0, 2);
}

#[test]
fn a_destroy_cuts_all_pages_and_the_next_generation_serves_at_the_same_port() {
    let (example, addr) = Example::start("dashboard");
    let mut pages: Vec<Page> = (0..3).map(|_| Page::open(addr)).collect();
    let mut silent = Client::connect(addr);
    for (number, page) in (1..).zip(&mut pages) {
        let (generation, me, _) = page.event();
        assert_eq!((generation, me), (1, number.to_string()));
        let rows = page.see("all are shown", |rows| rows.len() == 4);
        for (number, row) in (1..).zip(&rows[..3]) {
            assert!(
                row.starts_with(&format!(
                    "id=c{number}><th scope=row>{number}<td>127.0.0.1:"
                )),
                "{row}"
            );
            assert!(
                row.contains("<td>Responding<td>") && row.contains("<td>1<td>GET /events<td>"),
                "{row}"
            );
            assert!(
                row.contains(&format!("<button formaction=/close/{number}>")),
                "{row}"
            );
        }
        assert!(rows[3].contains("<td>New<td>"), "{rows:?}");
    }
    let mut presser = press(addr, "/destroy");
    presser.expect_end();
    pages.iter_mut().for_each(|page| page.0.expect_end());
    silent.expect_end();
    assert_eq!(example.line(), "destroyed: 5 connections were cut");
    assert_eq!(example.line(), GONE);
    see_second_generation(&example, addr);
    assert!(example.rest().is_empty());
}

#[test]
fn a_drain_ends_all_pages_in_order_and_the_next_generation_serves_at_the_same_port() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    page.event();
    press(addr, "/drain");
    until("the last chunk comes", || {
        let size = page.0.line();
        size == "0" || {
            page.0.take(usize::from_str_radix(&size, 16).unwrap() + 2);
            false
        }
    });
    assert_eq!(page.0.line(), "");
    page.0.expect_end();
    assert_eq!(example.line(), GONE);
    see_second_generation(&example, addr);
    assert!(example.rest().is_empty());
}

#[test]
fn cutting_one_connection_or_the_idle_ones_leaves_the_others() {
    let (example, addr) = Example::start("dashboard");
    let (mut first, mut second) = (Page::open(addr), Page::open(addr));
    let mut silent = Client::connect(addr);
    second.see("all are shown", |rows| rows.len() == 3);
    press(addr, "/close-idle");
    silent.expect_end();
    first.event();
    press(addr, "/close/1");
    first.0.expect_end();
    for nobody in [
        "/close/1",
        "/close/99",
        "/close/+2",
        "/close/",
        "/close/x",
        "/other",
    ] {
        press(addr, nobody);
    }
    second.see("it alone is left", |rows| {
        rows.len() == 1 && rows[0].starts_with("id=c2>")
    });
    assert!(example.rest().is_empty());
}

#[test]
fn the_page_needs_no_javascript_and_no_foreign_resources() {
    let (example, addr) = Example::start("dashboard");
    let _one = Page::open(addr);
    let page = ask(addr, "GET", "/", &format!("Host: {addr}"));
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
    let html = page.text();
    let (_, table) = html.split_once("<tbody>").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let rows = rows(table);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows[0].contains("<td>GET /events<td>") && rows[1].contains("<td>Handling<td>"),
        "{rows:?}"
    );
    for placeholder in ["GENERATION", "ROWS", "src=", "http://", "https://", "url("] {
        assert!(!html.contains(placeholder), "{placeholder}");
    }
    assert!(example.rest().is_empty());
}

#[test]
fn a_foreign_host_is_refused_whatever_its_port() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    let table = [
        ("127.0.0.1:PORT", 200, "as the program prints it"),
        ("localhost:PORT", 200, "the same by name"),
        ("LOCALHOST:PORT", 200, "names have no case"),
        (
            "LocalHost.:PORT",
            200,
            "nor does a final dot make another one",
        ),
        ("localhost.", 200, "without a port, too"),
        ("127.0.0.1.:PORT", 200, "browsers take this for an address"),
        ("[::1]:PORT", 200, "IPv6"),
        ("[::1]", 200, "its colons are no port's"),
        ("127.0.0.1", 200, "a forwarded port 80"),
        ("localhost", 200, "the same by name"),
        (
            "localhost:",
            200,
            "RFC 3986, section 3.2.3: a port may be empty",
        ),
        ("127.0.0.1:1", 200, "another forwarded port"),
        ("localhost:65535", 200, "the same by name"),
        ("[::1]:9", 200, "the same over IPv6"),
        ("evil.example", 421, "a name that leads here"),
        ("evil.example:PORT", 421, "with the port"),
        (
            "127.0.0.1.evil.example:PORT",
            421,
            "begins like the address",
        ),
        ("localhost.evil.example:PORT", 421, "begins like the name"),
        ("evil-localhost:PORT", 421, "ends like it"),
        ("evil.localhost:PORT", 421, "not a name of this server"),
        ("localhost..:PORT", 421, "two dots"),
        ("127.0.0.2:PORT", 421, "not an address of this server"),
        ("127.0.0.11", 421, "its last digits are no port"),
        ("0.0.0.0:PORT", 421, "some systems lead this here"),
        ("[::]:PORT", 421, "the same over IPv6"),
        ("[::11]", 421, "longer than the address"),
        ("1.0.0.127", 421, "another address"),
        ("localhost%2eevil.example", 421, "an escape"),
        ("", 400, "no host"),
        (":PORT", 400, "only a port"),
        ("127.0.0.1@evil.example:PORT", 400, "the address as a user"),
        (
            "localhost:PORT@evil.example",
            400,
            "the same with a password",
        ),
        ("localhost:PORT, evil.example", 400, "two in one"),
        ("localhost:PORT\r\nHost: evil.example", 400, "two"),
    ];
    for (host, status, why) in table {
        let host = host.replace("PORT", &addr.port().to_string());
        assert_eq!(
            ask(addr, "GET", "/", &format!("Host: {host}")).status,
            status,
            "{host:?}: {why}"
        );
        if status != 200 {
            let fields = format!("Host: {host}\r\nOrigin: http://{host}");
            assert_eq!(
                ask(addr, "GET", "/events", &fields).status,
                status,
                "{host:?}: {why}"
            );
            assert_eq!(
                ask(addr, "POST", "/destroy", &fields).status,
                status,
                "{host:?}: {why}"
            );
        }
    }
    let mut old = Client::connect(addr);
    old.say("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status, 421, "no Host at all");
    page.event(); // this page was not affected
    assert!(example.rest().is_empty());
}

/// The origins that a browser sends for pages of other sites than `ADDR`.
const FOREIGN: [(&str, &str); 16] = [
    ("null", "a page from a file, of data, or in a sandbox"),
    ("http://evil.example", "a page from elsewhere"),
    ("http://evil.example:PORT", "with the same port"),
    ("http://127.0.0.1", "of another server on this machine"),
    ("http://127.0.0.1:1", "of yet another one"),
    (
        "http://localhost:PORT",
        "not the name that the request is for",
    ),
    ("https://ADDR", "another scheme"),
    ("http://ADDR0", "a longer port"),
    ("http://ADDR/", "an origin has no path"),
    ("http://ADDR.evil.example", "a longer name"),
    ("http://ADDR@evil.example", "the address as a user"),
    (
        "http://evil.example#http://ADDR",
        "the address as a fragment",
    ),
    ("http://ADDR, http://evil.example", "two in one"),
    ("http://ADDR http://evil.example", "the same by RFC 6454"),
    ("ADDR", "no scheme"),
    ("", "none"),
];

/// Each of these as a header for that server.
fn foreign(addr: SocketAddr) -> impl Iterator<Item = (String, &'static str)> {
    FOREIGN.into_iter().map(move |(origin, why)| {
        let origin = origin
            .replace("ADDR", &addr.to_string())
            .replace("PORT", &addr.port().to_string());
        (format!("Host: {addr}\r\nOrigin: {origin}"), why)
    })
}

/// Regression: each POST had a thread, and 3,000 pipelined ones had 3,001 at a time.
#[test]
fn pipelined_posts_get_one_thread_for_all_of_them() {
    const POSTS: usize = 3000;
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    let mut client = Client::connect(addr);
    let mut sender = client.stream.try_clone().unwrap();
    let post = format!("POST /close/99 HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n\r\n");
    let sending = thread::spawn(move || sender.write_all(post.repeat(POSTS).as_bytes()));
    let mut most_threads = 0;
    for n in 0..POSTS {
        let status = client.response().status;
        assert!(status == 200 || (n > 0 && status == 503), "{n}: {status}");
        if n % 100 == 0 {
            most_threads = most_threads.max(threads(&example));
        }
    }
    sending.join().unwrap().unwrap();
    assert!(most_threads < 20, "{most_threads} threads");
    // The buttons still work.
    let mut silent = Client::connect(addr);
    page.see("it is there", |rows| {
        rows.iter().any(|row| row.contains("<td>New<td>"))
    });
    until("there is room for one more", || {
        let fields = format!("Host: {addr}\r\nOrigin: http://{addr}");
        ask(addr, "POST", "/close-idle", &fields).status == 200
    });
    silent.expect_end();
    assert!(example.rest().is_empty());
}

/// The number of threads that an example has, or 0 where the system does not tell.
fn threads(example: &Example) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", example.id()));
    tasks.map_or(0, |tasks| tasks.count())
}

#[test]
fn a_foreign_origin_is_refused_whatever_the_method() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    for (fields, why) in foreign(addr) {
        for path in ["/", "/events"] {
            assert_eq!(
                ask(addr, "GET", path, &fields).status,
                403,
                "{fields} {path}: {why}"
            );
        }
        for path in ["/destroy", "/drain", "/close-idle", "/close/1"] {
            assert_eq!(
                ask(addr, "POST", path, &fields).status,
                403,
                "{fields} {path}: {why}"
            );
        }
        for method in ["PUT", "DELETE", "OPTIONS", "post"] {
            assert_eq!(
                ask(addr, method, "/destroy", &fields).status,
                403,
                "{method} {fields}: {why}"
            );
        }
    }
    page.event(); // this page was not affected
    assert!(example.rest().is_empty());
}

#[test]
fn only_get_and_head_work_without_an_origin_and_change_nothing() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    let here = format!("Host: {addr}");
    for path in ["/destroy", "/drain", "/close-idle", "/close/1"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"] {
            assert_eq!(
                ask(addr, method, path, &here).status,
                403,
                "{method} {path}"
            );
        }
        assert_eq!(ask(addr, "GET", path, &here).status, 404, "{path}");
        let mut client = Client::connect(addr);
        client.say(&format!("HEAD {path} HTTP/1.1\r\n{here}\r\n\r\n"));
        assert_eq!(client.head_response().status, 404, "{path}");
    }
    page.event(); // this page was not affected
    assert!(example.rest().is_empty());
}

#[test]
fn the_page_works_through_a_forwarded_port() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    // `ssh -L` and `docker -p` pass on unchanged what the browser sends.
    for host in [
        "localhost",
        "localhost:8022",
        "LOCALHOST:8022",
        "127.0.0.1:8022",
        "[::1]:8022",
        "localhost.:8022",
    ] {
        let mut silent = Client::connect(addr);
        page.see("it is there", |rows| {
            rows.iter().any(|row| row.contains("<td>New<td>"))
        });
        let fields = format!("Host: {host}\r\nOrigin: http://{}", host.to_lowercase());
        assert_eq!(ask(addr, "GET", "/", &fields).status, 200, "{host}");
        assert_eq!(
            ask(addr, "POST", "/close-idle", &fields).status,
            200,
            "{host}"
        );
        silent.expect_end();
    }
    assert!(example.rest().is_empty());
}

#[test]
fn a_foreign_page_opens_no_websocket() {
    let handler = |req: &mut hardstop::Request<'_>| -> Result<hardstop::Response, hardstop::Error> {
        example::refuse_foreign_pages(req)?;
        Ok(hardstop::Response::upgrade("websocket", drop))
    };
    let running = hardstop::Server::bind("127.0.0.1:0")
        .unwrap()
        .spawn(handler)
        .unwrap();
    let addr = running.local_addr();
    let open = |fields: &str| {
        let mut client = Client::connect(addr);
        client.say(&format!(
            "GET / HTTP/1.1\r\n{fields}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ));
        client.head_response().status
    };
    for (fields, why) in foreign(addr) {
        assert_eq!(open(&fields), 403, "{fields}: {why}");
    }
    assert_eq!(
        open("Host: evil.example\r\nOrigin: http://evil.example"),
        421,
        "DNS rebinding"
    );
    assert_eq!(
        open(&format!("Host: {addr}\r\nOrigin: http://{addr}")),
        101,
        "its own page"
    );
    assert_eq!(
        open("Host: localhost:8022\r\nOrigin: http://localhost:8022"),
        101,
        "through a forwarded port"
    );
    assert_eq!(open(&format!("Host: {addr}")), 101, "no browser");
}

#[test]
fn the_recipes_show_the_check_of_the_dashboard() {
    let (example, recipes) = (
        include_str!("../../examples/dashboard.rs"),
        include_str!("../../src/guide/recipes.md"),
    );
    let start = example
        .find("/// Refuses requests that come from the pages of other sites")
        .unwrap();
    let length = example[start..].find("\n}\n").unwrap() + 3;
    let check = example[start..start + length].replace("pub(crate) fn", "fn");
    assert!(
        recipes.contains(&check),
        "src/guide/recipes.md has another one than:\n{check}"
    );
}

#[test]
fn a_request_target_is_shown_as_text() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    // The body does not arrive, so the connection is listed for a second after its response.
    let evil = "P&ST /%3Cscript%3Ealert(1)%3C/script%3E&amp; HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    let shown = "<td>P&amp;ST /&lt;script>alert(1)&lt;/script>&amp;amp;<td>";
    until("it is shown", || {
        let mut client = Client::connect(addr);
        client.say(evil);
        let (first, second) = (page.event().2.concat(), page.event().2.concat());
        assert!(
            !first.contains("<script") && !second.contains("<script"),
            "{first} {second}"
        );
        first.contains(shown) || second.contains(shown)
    });
    assert!(example.rest().is_empty());
}
