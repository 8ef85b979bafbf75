//! The example that serves files, run as the process that a user runs: what it serves, and above all what it does not.
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
#![allow(clippy::incompatible_msrv, reason = "only the library has to build with the oldest compiler")]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/client.rs"]
mod client;
#[path = "it/example.rs"]
mod example;

use client::{Answer, Client};
use example::Example;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A directory with `root`, which is served, and the file `secret` beside it.
struct Site {
    place: PathBuf,
    addr: SocketAddr,
    example: Example,
}

impl Site {
    /// What `fill` puts into it is there before it is served.
    fn new(name: &str, fill: impl FnOnce(&Path)) -> Site {
        let place = std::env::temp_dir().join(format!("hardstop-files-{}-{name}", std::process::id()));
        let root = place.join("root");
        fs::create_dir_all(&root).unwrap();
        fs::write(place.join("secret"), "secret").unwrap();
        fill(&root);
        let (example, addr) = Example::start_with("files", &[root.to_str().unwrap(), "127.0.0.1:0"]);
        Site { place, addr, example }
    }

    /// Sends a request with that line and these fields, each with its line end, over a connection of its own.
    fn ask(&self, line: &str, fields: &str) -> Answer {
        let mut client = Client::connect(self.addr);
        client.say(&format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n", self.addr));
        match line.starts_with("HEAD") {
            true => client.head_response(),
            false => client.response(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place); // it is in the system's place for what nobody needs
    }
}

/// Makes a file that was last changed so many seconds after 1970.
fn write(path: impl AsRef<Path>, text: &str, seconds: u64) {
    fs::write(&path, text).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn nothing_is_served_that_is_outside_or_hidden_or_no_file() {
    let site = Site::new("escapes", |root| {
        fs::create_dir_all(root.join("dir/.git")).unwrap();
        fs::write(root.join("dir/.git/config"), "secret").unwrap();
        fs::write(root.join("dir/file"), "public").unwrap();
        fs::write(root.join(".env"), "secret").unwrap();
        #[cfg(unix)]
        {
            for name in
                ["a:b", "a\\b", "nul.txt", "COM1", "lpt\u{b9}.x", "backup~", "end.", "end ", "CON .txt", "a:$DATA"]
            {
                fs::write(root.join(name), "secret").unwrap(); // what Windows would read as something else
            }
            use std::os::unix::fs::symlink;
            symlink(root.join("../secret"), root.join("link")).unwrap();
            symlink(root.join("dir/file"), root.join("inner-link")).unwrap();
            symlink(root.join(".."), root.join("up")).unwrap();
            symlink("/", root.join("dir/slash")).unwrap();
            symlink("../secret", root.join("dir/index.html")).unwrap();
            assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
            drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
        }
    });
    assert_eq!(site.get("/dir/file").text(), "public", "so a 404 below is not for want of files");
    let secret = site.place.join("secret");
    let secret = secret.to_str().unwrap();
    let mut paths: Vec<String> = Vec::new();
    let ups = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "..%00",
        "..;",
        "...",
        "..%20",
        "..%c0%af",
        ". .",
        "%u002e%u002e",
        "..%5c..",
    ];
    for up in ups {
        for slash in ["/", "%2f", "%2F", "\\", "%5c", "%5C", "%252f", "%255c", "%c0%af", "//", "/./", "%2f/"] {
            for begin in ["/", "//", "/dir/../", "/dir%2f", "/%5c"] {
                paths.push(format!("{begin}{up}{slash}secret"));
                paths.push(format!("{begin}{up}{slash}{up}{slash}secret"));
            }
        }
    }
    for slash in ["/", "//", "/%2f", "%2f", "/dir/", "/dir/%2f", "/file:", "/file://", "/file%3a%2f%2f", "file:///"] {
        paths.push(format!("{slash}{}", secret.trim_start_matches('/')));
        paths.push(format!("{slash}{}", secret.replace('/', "%2F")));
    }
    let others = [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "/dir/.git/config",
        "/dir/%2egit/config",
        "/dir/.git/",
        "/dir/.git",
        "/.",
        "/./",
        "/..",
        "/../",
        "/dir/..",
        "/dir/../",
        "/dir/./file",
        "/dir//file",
        "//dir/file",
        "//",
        "///",
        "/dir//",
        "/dir/file/",
        "/dir/file/.",
        "/dir/file%00",
        "/dir/file%00.txt",
        "/.env%00.txt",
        "/%00",
        "/dir/file%0a",
        "/dir%5cfile",
        "/dir/file%20",
        "/dir/file.",
        "/dir./file",
        "/dir%20/file",
        "/dir/file::$DATA",
        "/dir/file:stream",
        "/a:b",
        "/a%3ab",
        "/a%3A%24DATA",
        "/a:$DATA",
        "/dir::$INDEX_ALLOCATION/file",
        "/a%5cb",
        "/C:/secret",
        "/c%3a/secret",
        "/C:secret",
        "/%5c%5c127.0.0.1%5cc$%5csecret",
        "/%5c%5c%3f%5cC:%5csecret",
        "/%5c%5c.%5cpipe%5cx",
        "/nul.txt",
        "/NUL",
        "/COM1",
        "/com1.txt",
        "/lpt%c2%b9.x",
        "/AUX.h",
        "/con",
        "/CON%20.txt",
        "/conin$",
        "/backup~",
        "/GIT~1/config",
        "/end.",
        "/end%20",
        "/link",
        "/link/",
        "/inner-link",
        "/up",
        "/up/",
        "/up/secret",
        "/up/root/dir/file",
        "/dir/slash/",
        "/dir/slash/etc/hostname",
        "/pipe",
        "/pipe/",
        "/socket",
        "/dir/file/../../../secret",
        "/~/secret",
        "/%7e/secret",
        "/secret",
        "/dir/%FF",
        "/dir/index.html",
    ];
    paths.extend(others.map(String::from));
    let mut client = Client::connect(site.addr);
    for path in &paths {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.addr));
        let answer = client.response();
        assert!([400, 404].contains(&answer.status), "{path}: {} {}", answer.head, answer.text());
        assert!(!answer.text().contains("secret"), "{path}");
        if answer.header("connection").is_some() {
            client = Client::connect(site.addr); // that was no target at all, which is as good
        }
    }
    let list = site.get("/").text();
    let links: Vec<&str> = list.lines().filter(|line| line.starts_with("<li>")).collect();
    assert_eq!(links, ["<li><a href=\"dir/\">dir/</a>"], "what is not served is not listed");
    let list = site.get("/dir/").text();
    assert!(list.contains("\"file\"") && !list.contains("index") && !list.contains("slash"), "{list}");
}

#[test]
fn a_file_comes_with_its_type_and_a_directory_with_its_index() {
    let site = Site::new("types", |root| {
        fs::create_dir_all(root.join("a dir/empty")).unwrap();
        write(root.join("a dir/index.html"), "<p>index", 784_111_777);
        for name in ["a.TXT", "b.js", "c", "d.unknown", "e.svg", "f.jpeg", "g.mjs", "100%.txt", "grün.md"] {
            write(root.join(name), name, 784_111_777);
        }
    });
    let binary = "application/octet-stream";
    let text = "text/plain; charset=utf-8";
    let table = [
        ("/a.TXT", "a.TXT", text),
        ("/b.js", "b.js", "text/javascript; charset=utf-8"),
        ("/c", "c", binary),
        ("/d.unknown", "d.unknown", binary),
        ("/e.svg?query", "e.svg", "image/svg+xml"),
        ("/f.jpeg", "f.jpeg", "image/jpeg"),
        ("/g.mjs", "g.mjs", "text/javascript; charset=utf-8"),
        ("/100%25.txt", "100%.txt", text),
        ("/gr%C3%BCn.md", "grün.md", text),
        ("/a%20dir/", "<p>index", "text/html; charset=utf-8"),
        ("/a%20dir/index.html", "<p>index", "text/html; charset=utf-8"),
    ];
    for (path, body, content_type) in table {
        let head = site.ask(&format!("HEAD {path}"), "");
        let answer = site.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{path}");
        for answer in [&answer, &head] {
            let length = body.len().to_string();
            let fields = [
                ("content-type", content_type),
                ("content-length", &length),
                ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("accept-ranges", "bytes"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-cache"),
            ];
            for (name, value) in fields {
                assert_eq!(answer.header(name).as_deref(), Some(value), "{path}: {}", answer.head);
            }
        }
    }
    for (path, location) in [("/a%20dir", "/a%20dir/"), ("/a%20dir/empty?x=//y", "/a%20dir/empty/")] {
        let answer = site.get(path);
        assert_eq!(answer.status, 307, "{path}");
        assert_eq!(answer.header("location").as_deref(), Some(location));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "TRACE"] {
        let answer = site.ask(&format!("{method} /c"), "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"));
    }
}

#[test]
fn a_part_is_sent_if_it_is_asked_for_as_the_rfc_has_it() {
    let site = Site::new("ranges", |root| {
        write(root.join("ten"), "0123456789", 784_111_777);
        write(root.join("empty"), "", 784_111_777);
        fs::write(root.join("new"), "0123456789").unwrap();
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        File::options().write(true).open(root.join("new")).unwrap().set_modified(tomorrow).unwrap();
    });
    let whole = (200, "0123456789", None);
    let none = (416, "416 Range Not Satisfiable\n", Some("bytes */10"));
    let table = [
        ("bytes=0-0", (206, "0", Some("bytes 0-0/10"))),
        ("bytes=2-5", (206, "2345", Some("bytes 2-5/10"))),
        ("Bytes=2-5", (206, "2345", Some("bytes 2-5/10"))),
        ("bytes=7-", (206, "789", Some("bytes 7-9/10"))),
        ("bytes=0-", (206, "0123456789", Some("bytes 0-9/10"))),
        ("bytes=9-99999999999999999999999", (206, "9", Some("bytes 9-9/10"))),
        ("bytes=-3", (206, "789", Some("bytes 7-9/10"))),
        ("bytes=-99999999999999999999999", (206, "0123456789", Some("bytes 0-9/10"))),
        ("bytes=-0", none),
        ("bytes=10-", none),
        ("bytes=10-20", none),
        ("bytes=99999999999999999999999-", none),
        ("bytes=5-2", whole),
        ("bytes=11-10", whole),
        ("bytes=-", whole),
        ("bytes=", whole),
        ("bytes=+1-2", whole),
        ("bytes=1-+2", whole),
        ("bytes=--2", whole),
        ("bytes=0-1,3-4", whole),
        ("bytes=0-1,", whole),
        ("bytes=a-b", whole),
        ("bytes=0x1-2", whole),
        ("lines=0-1", whole),
        ("bytes 0-1", whole),
        ("0-1", whole),
    ];
    for (range, (status, body, content_range)) in table {
        let answer = site.ask("GET /ten", &format!("Range: {range}\r\n"));
        let got = (answer.status, answer.text(), answer.header("content-range"));
        assert_eq!(got, (status, String::from(body), content_range.map(String::from)), "{range}");
        let head = site.ask("HEAD /ten", &format!("Range: {range}\r\n"));
        assert_eq!((head.status, head.header("content-length").as_deref()), (200, Some("10")), "RFC 9110 §14.2");
    }
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        let answer = site.ask("GET /empty", &format!("Range: {range}\r\n"));
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{range}");
    }
    let tag = site.get("/ten").header("etag").unwrap();
    let weak = site.get("/new").header("etag").unwrap();
    assert!(weak.starts_with("W/\""), "{weak}");
    let date = site.get("/new").header("last-modified").unwrap();
    let tomorrow = fs::metadata(site.place.join("root/new")).unwrap().modified().unwrap();
    assert_ne!(date, hardstop::http_date(tomorrow), "RFC 9110 §8.8.2.1");
    let table = [
        ("/ten", tag.as_str(), 206),
        ("/ten", "Sun, 06 Nov 1994 08:49:37 GMT", 206),
        ("/ten", "Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("/ten", "\"another\"", 200),
        ("/ten", "*", 200),
        ("/ten", "nonsense", 200),
        ("/new", weak.as_str(), 200),
        ("/new", weak.trim_start_matches("W/"), 200),
        ("/new", date.as_str(), 200),
    ];
    for (path, validator, status) in table {
        let answer = site.ask(&format!("GET {path}"), &format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n"));
        assert_eq!(answer.status, status, "{path} {validator}");
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let site = Site::new("conditions", |root| write(root.join("file"), "old", 784_111_777));
    let first = site.get("/file");
    let tag = first.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let modified = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let table = [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: W/{tag}\r\n"), 304),
        (format!("If-None-Match: \"a\", {tag} ,\"b\"\r\n"), 304),
        (String::from("If-None-Match: *\r\n"), 304),
        (String::from("If-None-Match: \"a\"\r\n"), 200),
        (format!("If-None-Match: {}\r\n", tag.trim_matches('"')), 200),
        (format!("If-None-Match: \"a\"\r\n{modified}"), 200),
        (format!("{modified}If-None-Match: {tag}\r\nRange: bytes=0-0\r\n"), 304),
        (String::from(modified), 304),
        (String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n"), 304),
        (String::from("If-Modified-Since: Mon, 05 Dec 1994 00:00:00 GMT\r\n"), 304),
        (String::from("If-Modified-Since: Sun, 01 Jan 1995 00:00:00 GMT\r\n"), 304),
        (String::from("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 200),
        (String::from("If-Modified-Since: Mon, 31 Oct 1994 23:59:59 GMT\r\n"), 200),
        (String::from("If-Modified-Since: Fri, 31 Dec 1993 23:59:59 GMT\r\n"), 200),
        (String::from("If-Modified-Since: Sun, 6 Nov 2094 08:49:37 GMT\r\n"), 200),
        (String::from("If-Modified-Since: Sun, 06 anF 2094 08:49:37 GMT\r\n"), 200),
        (String::from("If-Modified-Since: Sun, 06 Nov 2094 08:49:37 UTC\r\n"), 200),
        (String::from("If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT;\r\n"), 200),
        (String::from("If-Modified-Since: 2094-11-06\r\n"), 200),
        (String::from("If-Modified-Since: Sün, 06 Nov 2094 08:49:37 GM\r\n"), 200),
    ];
    for (fields, status) in &table {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(&format!("{method} /file"), fields);
            assert_eq!(answer.status, *status, "{method} {fields}");
            assert_eq!(answer.header("etag").as_ref(), Some(&tag));
        }
    }

    let unmodified = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let table = [
        (format!("If-Match: {tag}\r\n"), 200),
        (format!("If-Match: \"a\", {tag}\r\nRange: bytes=0-0\r\n"), 206),
        (String::from("If-Match: *\r\n"), 200),
        (String::from("If-Match: \"a\"\r\nRange: bytes=0-0\r\n"), 412),
        (format!("If-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"), 412),
        (format!("If-Match: {tag}\r\nIf-None-Match: {tag}\r\n"), 304),
        (format!("If-Match: \"a\"\r\n{unmodified}"), 412),
        (String::from(unmodified), 200),
        (String::from("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 412),
        (String::from("If-Unmodified-Since: 1970-01-01\r\n"), 200),
    ];
    for (fields, status) in &table {
        assert_eq!(site.ask("GET /file", fields).status, *status, "{fields}");
    }

    // What has just been written may change again at the same time: its tag is weak, and another one than it will be.
    fs::write(site.place.join("root/file"), "new").unwrap();
    let new = site.get("/file").header("etag").unwrap();
    assert!(new.starts_with("W/\""), "{new}");
    assert_eq!(site.ask("GET /file", &format!("If-None-Match: {new}\r\n")).status, 304);
    assert_eq!(site.ask("GET /file", &format!("If-None-Match: {tag}\r\n")).status, 200);
    assert_eq!(site.ask("GET /file", &format!("If-Match: {new}\r\n")).status, 412, "it may be another one");
    assert_eq!(site.ask("GET /file", modified).status, 200);
    let file = File::options().write(true).open(site.place.join("root/file")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3)).unwrap();
    assert_eq!(site.ask("GET /file", &format!("If-None-Match: {new}\r\n")).status, 200);
}

#[test]
fn dates_are_those_of_the_calendar() {
    let table = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_677_628_800, "Wed, 01 Mar 2023 00:00:00 GMT"),
        (1_735_603_200, "Tue, 31 Dec 2024 00:00:00 GMT"),
        (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
        (1_761_955_199, "Fri, 31 Oct 2025 23:59:59 GMT"),
    ];
    let site = Site::new("dates", |root| {
        for (seconds, _) in table {
            write(root.join(seconds.to_string()), "", seconds);
        }
    });
    for (seconds, date) in table {
        assert_eq!(site.get(&format!("/{seconds}")).header("last-modified").as_deref(), Some(date));
    }
}

#[test]
fn ten_thousand_files_and_those_with_odd_names_are_listed_in_their_order() {
    let odd = ["<img src=x onerror=alert(1)>", "\"quoted'", "a&amp;b", "50%25", "q?x#y", "ü 3"];
    let site = Site::new("list", |root| {
        fs::create_dir_all(root.join("many/sub")).unwrap();
        (0..10_000).for_each(|n| drop(File::create(root.join(format!("many/{n:05}"))).unwrap()));
        fs::create_dir(root.join("<odd>")).unwrap();
        #[cfg(unix)]
        odd.iter().for_each(|name| write(root.join("<odd>").join(name), name, 784_111_777));
    });
    let page = site.get("/many/");
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let text = page.text();
    let links: Vec<&str> = text.lines().filter(|line| line.starts_with("<li>")).collect();
    assert_eq!(links.len(), 10_001);
    for (n, link) in links[..10_000].iter().enumerate() {
        assert_eq!(*link, format!("<li><a href=\"{n:05}\">{n:05}</a>"));
    }
    assert_eq!(links[10_000], "<li><a href=\"sub/\">sub/</a>");
    assert_eq!(site.ask("HEAD /many/", "").status, 200);

    let text = site.get("/%3Codd%3E/").text();
    assert!(text.contains("<title>/&lt;odd&gt;/</title>"), "{text}");
    assert!(!text.contains("<img"), "{text}");
    let links: Vec<&str> = text.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    assert_eq!(links.len(), odd.len());
    let mut bodies: Vec<String> = links.iter().map(|link| site.get(&format!("/%3Codd%3E/{link}")).text()).collect();
    bodies.sort_unstable();
    let mut names = odd;
    names.sort_unstable();
    assert_eq!(bodies, names);
}

#[test]
fn a_file_of_a_gibibyte_is_sent_without_being_held() {
    const GIB: u64 = 1 << 30;
    let site = Site::new("sparse", |root| File::create(root.join("large")).unwrap().set_len(GIB).unwrap());
    let head = site.ask("HEAD /large", "");
    assert_eq!(head.header("content-length"), Some(GIB.to_string()));
    let range = format!("Range: bytes={}-\r\n", GIB - 10);
    let end = site.ask("GET /large", &range);
    assert_eq!((end.status, end.body), (206, vec![0; 10]));
    assert!(end.head.contains(&format!(" bytes {}-{}/{GIB}\r\n", GIB - 10, GIB - 1)), "{}", end.head);

    let mut client = Client::connect(site.addr);
    client.say(&format!("GET /large HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", site.addr));
    // As `read` alone, it would fail when a signal interrupts it.
    let received = io::copy(&mut client.stream, &mut io::sink()).unwrap();
    assert!((GIB..GIB + 1000).contains(&received), "with its head: {received}");
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string(format!("/proc/{}/status", site.example.id())).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 100_000, "{kib} KiB in memory");
    }
}

#[test]
fn a_page_of_another_name_is_not_answered() {
    let site = Site::new("hosts", |root| write(root.join("file"), "public", 784_111_777));
    let port = site.addr.port();
    let table = [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("LocalHost:{port}"), 200),
        (format!("localhost.:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        // What a browser asks for through `ssh -L` or `docker -p`.
        (String::from("127.0.0.1:1"), 200),
        (String::from("localhost:8022"), 200),
        (String::from("127.0.0.1"), 200),
        (String::from("localhost"), 200),
        (String::from("[::1]"), 200),
        (format!("evil.example:{port}"), 421),
        (format!("localhost.evil.example:{port}"), 421),
        (format!("127.0.0.1.evil.example:{port}"), 421),
        (format!("evil.localhost:{port}"), 421),
        (format!("localhost..:{port}"), 421),
        (format!("192.0.2.1:{port}"), 421),
        (format!("0.0.0.0:{port}"), 421),
        (format!("x127.0.0.1:{port}"), 421),
        (format!("127.0.0.1@evil.example:{port}"), 400),
        (String::new(), 400),
    ];
    for (host, status) in table {
        let mut client = Client::connect(site.addr);
        client.say(&format!("GET /file HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status, status, "{host}");
        assert_eq!(answer.text() == "public", status == 200, "{host}");
    }
    let mut client = Client::connect(site.addr);
    client.say("GET /file HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 421, "one that says no name");
}

#[test]
fn no_foreign_page_may_load_what_is_served() {
    let site = Site::new("foreign", |root| {
        write(root.join("script.js"), "secret = 1", 784_111_777);
        fs::create_dir(root.join("dir")).unwrap();
    });
    let tag = site.get("/script.js").header("etag").unwrap();
    let table = [
        ("/script.js", String::new(), 200),
        ("/script.js", String::from("Range: bytes=0-1\r\n"), 206),
        ("/script.js", format!("If-None-Match: {tag}\r\n"), 304),
        ("/", String::new(), 200),
        ("/dir", String::new(), 307),
    ];
    for (path, fields, status) in table {
        let answer = site.ask(&format!("GET {path}"), &fields);
        assert_eq!(answer.status, status, "{path} {fields}");
        let policy = answer.header("cross-origin-resource-policy");
        assert_eq!(policy.as_deref(), Some("same-origin"), "{path} {fields}");
    }
}

#[test]
fn what_is_no_directory_is_said_at_the_start() {
    let site = Site::new("start", |root| fs::create_dir(root.join("dir")).unwrap());
    let begin = |dir: &std::ffi::OsStr| {
        let mut command = Command::new(example::path("files"));
        command.arg(dir).arg("127.0.0.1:0").stdin(std::process::Stdio::null()).output().unwrap()
    };
    for name in ["secret", "nothing"] {
        let place = site.place.join(name);
        let output = begin(place.as_os_str());
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("{name}: ")), "{said}");
    }
    assert!(begin(site.place.join("root/dir").as_os_str()).status.success());
    #[cfg(target_os = "linux")] // other systems may not have such a name
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = site.place.join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
        fs::create_dir(&odd).unwrap();
        let output = begin(odd.as_os_str());
        assert!(output.status.success(), "a name that is no UTF-8: {output:?}");
    }
}
