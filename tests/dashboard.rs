//! The example of a dashboard, run as the process that a user runs, with clients for the pages that are open.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a panic is how they fail"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;
#[path = "it/example.rs"]
mod example;

use client::{until, Answer, Client};
use example::Example;
use std::net::SocketAddr;

const GONE: &str = "generation 1 is gone, with its threads and sockets; the program goes on";

/// A page that is open: what it is told, again and again.
struct Page(Client);

impl Page {
    fn open(addr: SocketAddr) -> Page {
        let mut client = Client::connect(addr);
        client.say(&format!("GET /events HTTP/1.1\r\nHost: {addr}\r\n\r\n"));
        let head = client.head_response();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type").as_deref(), Some("text/event-stream"));
        Page(client)
    }

    /// The next event: the server's generation, the number of this page's own connection, and the rows.
    fn event(&mut self) -> (u32, String, Vec<String>) {
        let size = usize::from_str_radix(&self.0.line(), 16).unwrap();
        let event = String::from_utf8(self.0.take(size)).unwrap();
        assert_eq!(self.0.line(), "");
        let lines: Vec<&str> = event.lines().collect();
        let data = |n: usize| lines[n].strip_prefix("data: ").expect(&event);
        assert_eq!((lines[0], lines[4], lines.len()), ("retry: 500", "", 5), "{event:?}");
        (data(1).parse().unwrap(), String::from(data(2)), rows(data(3)))
    }

    /// The first of the next events that has such rows.
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

/// Presses a button of the page, over a connection of its own, which is kept alive.
fn press(addr: SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr);
    client.say(&format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\n\r\n"));
    assert!(client.response().text().ends_with("Done."), "it comes whole, even if all are cut next");
    client
}

/// Waits for the next generation, and has a look at it.
fn see_second_generation(example: &Example, addr: SocketAddr) {
    assert!(Client::try_connect(addr).is_err(), "for three seconds nobody listens");
    assert_eq!(example.line(), format!("listening on http://{addr}"));
    let page = ask(addr, "GET", "/", &format!("Host: {addr}"));
    assert!(page.text().contains("<p role=\"status\">Generation 2</p>"), "{}", page.text());
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
            assert!(row.starts_with(&format!("id=c{number}><th scope=row>{number}<td>127.0.0.1:")), "{row}");
            assert!(row.contains("<td>Responding<td>") && row.contains("<td>1<td>GET /events<td>"), "{row}");
            assert!(row.contains(&format!("<button formaction=/close/{number}>")), "{row}");
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
fn one_connection_is_cut_or_the_idle_ones_and_the_others_go_on() {
    let (example, addr) = Example::start("dashboard");
    let (mut first, mut second) = (Page::open(addr), Page::open(addr));
    let mut silent = Client::connect(addr);
    second.see("all are shown", |rows| rows.len() == 3);
    press(addr, "/close-idle");
    silent.expect_end();
    first.event();
    press(addr, "/close/1");
    first.0.expect_end();
    for nobody in ["/close/1", "/close/99", "/close/+2", "/close/", "/close/x", "/other"] {
        press(addr, nobody);
    }
    second.see("it alone is left", |rows| rows.len() == 1 && rows[0].starts_with("id=c2>"));
    assert!(example.rest().is_empty());
}

#[test]
fn the_page_has_its_table_without_javascript_and_nothing_from_elsewhere() {
    let (example, addr) = Example::start("dashboard");
    let _one = Page::open(addr);
    let page = ask(addr, "GET", "/", &format!("Host: {addr}"));
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
    let html = page.text();
    let (_, table) = html.split_once("<tbody>").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let rows = rows(table);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].contains("<td>GET /events<td>") && rows[1].contains("<td>Handling<td>"), "{rows:?}");
    for placeholder in ["GENERATION", "ROWS", "src=", "http://", "https://", "url("] {
        assert!(!html.contains(placeholder), "{placeholder}");
    }
    assert!(example.rest().is_empty());
}

#[test]
fn who_comes_by_another_name_or_from_another_page_is_refused() {
    let (example, addr) = Example::start("dashboard");
    let (mut page, port) = (Page::open(addr), addr.port());
    for host in
        ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", "127.0.0.1:1", &format!("127.0.0.2:{port}")]
    {
        for path in ["/", "/events"] {
            assert_eq!(ask(addr, "GET", path, &format!("Host: {host}")).status, 421, "{host}");
        }
        let fields = format!("Host: {host}\r\nOrigin: http://{host}");
        assert_eq!(ask(addr, "POST", "/destroy", &fields).status, 421, "{host}");
    }
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(ask(addr, "GET", "/", &format!("Host: {host}:{port}")).status, 200, "{host}");
    }
    let here = format!("Host: {addr}");
    let other = |origin: &str| format!("{here}\r\nOrigin: {origin}");
    let others =
        ["null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "https://ADDR", "http://ADDR/"];
    let others = others.map(|origin| other(&origin.replace("ADDR", &addr.to_string())));
    let localhost = other(&format!("http://localhost:{port}")); // not the name that the request is for
    for fields in others.iter().chain([&here, &localhost]) {
        for path in ["/destroy", "/drain", "/close-idle", "/close/1"] {
            assert_eq!(ask(addr, "POST", path, fields).status, 403, "{fields} {path}");
        }
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(ask(addr, method, "/destroy", &here).status, 404, "{method}");
    }
    page.event(); // it has gone on all the time
    assert!(example.rest().is_empty());
}

#[test]
fn what_a_client_asks_for_is_shown_as_text() {
    let (example, addr) = Example::start("dashboard");
    let mut page = Page::open(addr);
    // Its body does not come, so it is listed for a second after its answer.
    let evil = "P&ST /%3Cscript%3Ealert(1)%3C/script%3E&amp; HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    let shown = "<td>P&amp;ST /&lt;script>alert(1)&lt;/script>&amp;amp;<td>";
    until("it is shown", || {
        let mut client = Client::connect(addr);
        client.say(evil);
        let (first, second) = (page.event().2.concat(), page.event().2.concat());
        assert!(!first.contains("<script") && !second.contains("<script"), "{first} {second}");
        first.contains(shown) || second.contains(shown)
    });
    assert!(example.rest().is_empty());
}
