//! The dashboard's check of `Host` and `Origin`, against the pages of other sites.

use super::*;

#[allow(dead_code, reason = "it is run as a process; its check is called here")]
#[path = "../../../examples/dashboard.rs"]
mod example;

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
        include_str!("../../../examples/dashboard.rs"),
        include_str!("../../../src/guide/recipes.md"),
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
