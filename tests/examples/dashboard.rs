//! The dashboard example, run as a user does, with clients in place of open pages.

mod foreign_pages;

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
fn a_request_target_is_shown_as_text() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    // The body does not arrive, so the connection lingers after its response, and is listed.
    let evil = "P&ST /%3Cscript%3Ealert(1)%3C/script%3E&amp; HTTP/1.1\r\n\
                Host: x\r\nContent-Length: 9\r\n\r\n";
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
