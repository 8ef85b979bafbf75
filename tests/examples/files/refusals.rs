//! Requests that get no file: paths outside the directory, hidden and special files, and foreign
//! pages.

use super::*;

#[test]
fn files_outside_hidden_or_special_are_not_served() {
    let site = Site::new("escapes", |root| {
        fs::create_dir_all(root.join("dir/.git")).unwrap();
        fs::write(root.join("dir/.git/config"), "secret").unwrap();
        fs::write(root.join("dir/file"), "public").unwrap();
        fs::write(root.join(".env"), "secret").unwrap();
        #[cfg(unix)]
        {
            for name in [
                "a:b",
                "a\\b",
                "nul.txt",
                "COM1",
                "lpt\u{b9}.x",
                "backup~",
                "GIT~1",
                "git~1.txt",
                "GI7EBA~1.X",
                "\u{2024}one-dot-leader",
                "\u{fe52}small-dot",
                "\u{ff0e}wide-dot",
                "end.",
                "end ",
                "CON .txt",
                "a:$DATA",
            ] {
                fs::write(root.join(name), "secret").unwrap(); // names that have another meaning on Windows
            }
            use std::os::unix::fs::symlink;
            symlink(root.join("../secret"), root.join("link")).unwrap();
            symlink(root.join("dir/file"), root.join("inner-link")).unwrap();
            symlink(root.join(".."), root.join("up")).unwrap();
            symlink("/", root.join("dir/slash")).unwrap();
            symlink("../secret", root.join("dir/index.html")).unwrap();
            assert!(Command::new("mkfifo")
                .arg(root.join("pipe"))
                .status()
                .unwrap()
                .success());
            drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
        }
    });
    assert_eq!(
        site.get("/dir/file").text(),
        "public",
        "the file exists, so a 404 below is a refusal"
    );
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
        for slash in [
            "/", "%2f", "%2F", "\\", "%5c", "%5C", "%252f", "%255c", "%c0%af", "//", "/./", "%2f/",
        ] {
            for begin in ["/", "//", "/dir/../", "/dir%2f", "/%5c"] {
                paths.push(format!("{begin}{up}{slash}secret"));
                paths.push(format!("{begin}{up}{slash}{up}{slash}secret"));
            }
        }
    }
    for slash in [
        "/",
        "//",
        "/%2f",
        "%2f",
        "/dir/",
        "/dir/%2f",
        "/file:",
        "/file://",
        "/file%3a%2f%2f",
        "file:///",
    ] {
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
        "/..",
        "/../",
        "/dir/..",
        "/dir/../",
        "/./..",
        "/.//dir/file",
        "/././/dir/file",
        "/./.env",
        "/dir/./.git/config",
        "/dir/./../file",
        "/dir/%2e/%2e%2e/file",
        "/dir//file",
        "//dir/file",
        "//",
        "///",
        "/dir//",
        "/dir/file/",
        "/dir/file/.",
        "/dir/file/./",
        "/dir/file/./file",
        "/dir/file/%2e",
        "/dir/.%20",
        "/dir/.%00",
        "/dir/%252e/file",
        "/dir/.;/file",
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
        "/GIT~1",
        "/git~1.txt",
        "/GI7EBA~1.X",
        "/%E2%80%A4one-dot-leader",
        "/%EF%B9%92small-dot",
        "/%EF%BC%8Ewide-dot",
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
        client.say(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            site.addr
        ));
        let answer = client.response();
        assert!(
            [400, 404].contains(&answer.status),
            "{path}: {} {}",
            answer.head,
            answer.text()
        );
        assert!(!answer.text().contains("secret"), "{path}");
        if answer.header("connection").is_some() {
            client = Client::connect(site.addr); // the target was invalid, which is as good
        }
    }
    let list = site.get("/").text();
    let links: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("<li>"))
        .collect();
    assert_eq!(
        links,
        ["<li><a href=\"dir/\">dir/</a>"],
        "what is not served is not listed"
    );
    let list = site.get("/dir/").text();
    assert!(
        list.contains("\"file\"") && !list.contains("index") && !list.contains("slash"),
        "{list}"
    );
}

#[test]
fn a_request_with_a_foreign_host_gets_no_file() {
    let site = Site::new("hosts", |root| {
        write(root.join("file"), "public", 784_111_777);
    });
    let port = site.addr.port();
    let table = [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("LocalHost:{port}"), 200),
        (format!("localhost.:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        // The hosts that a browser sends through `ssh -L` or `docker -p`.
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
        client.say(&format!(
            "GET /file HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        let answer = client.response();
        assert_eq!(answer.status, status, "{host}");
        assert_eq!(answer.text() == "public", status == 200, "{host}");
    }
    let mut client = Client::connect(site.addr);
    client.say("GET /file HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 421, "a request without a host");
}

#[test]
fn a_foreign_page_cannot_load_files() {
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

/// Linux ignores these characters in directories that ignore case, and HFS+ some of them, so that
/// such a name opens a hidden file.
#[cfg(unix)] // other systems may not have such names
#[test]
fn names_with_invisible_characters_are_not_served() {
    // The first and the last of each range of Unicode's Default_Ignorable_Code_Point.
    let invisible = [
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{17b4}',
        '\u{17b5}',
        '\u{180b}',
        '\u{180f}',
        '\u{200b}',
        '\u{200c}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{206a}',
        '\u{206f}',
        '\u{3164}',
        '\u{fe00}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff0}',
        '\u{fff8}',
        '\u{1bca0}',
        '\u{1bca3}',
        '\u{1d173}',
        '\u{1d17a}',
        '\u{e0000}',
        '\u{e0fff}',
    ];
    let names = |c: char| [format!("{c}.env"), format!("a{c}b"), format!("end{c}")];
    let site = Site::new("invisible", |root| {
        for c in invisible {
            for name in names(c) {
                write(root.join(name), "secret", 784_111_777);
            }
        }
        // The neighbours of the ranges are visible, or other file systems do not ignore them.
        write(
            root.join("a\u{ae}\u{2010}\u{2028}\u{2070}\u{fe10}b"),
            "public",
            784_111_777,
        );
    });
    for c in invisible {
        for name in names(c) {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            assert_eq!(
                site.get(&format!("/{encoded}")).status,
                404,
                "{}",
                name.escape_unicode()
            );
        }
    }
    let list = site.get("/").text();
    let links: Vec<&str> = list
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect();
    assert_eq!(links.len(), 1, "what is not served is not listed: {list}");
    assert_eq!(site.get(&format!("/{}", links[0])).text(), "public");
}
