//! The files example, run as a user does: what it serves, and above all what it does not serve.

mod conditions;
mod refusals;

use crate::support::client::{Answer, Client};
use crate::support::example::{path, Example};
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
    /// Calls `fill` with the root, then serves it.
    fn new(name: &str, fill: impl FnOnce(&Path)) -> Site {
        let place =
            std::env::temp_dir().join(format!("hardstop-files-{}-{name}", std::process::id()));
        let root = place.join("root");
        fs::create_dir_all(&root).unwrap();
        fs::write(place.join("secret"), "secret").unwrap();
        fill(&root);
        let (example, addr) =
            Example::start_with("files", &[root.to_str().unwrap(), "127.0.0.1:0"]);
        Site {
            place,
            addr,
            example,
        }
    }

    /// Sends a request with that line and these headers, each with its line end, over a new
    /// connection.
    fn ask(&self, line: &str, fields: &str) -> Answer {
        let mut client = Client::connect(self.addr);
        client.say(&format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            self.addr
        ));
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
        let _ = fs::remove_dir_all(&self.place); // a temporary directory
    }
}

/// Writes a file that was last modified so many seconds after 1970.
fn write(path: impl AsRef<Path>, text: &str, seconds: u64) {
    fs::write(&path, text).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn a_file_has_its_content_type_and_a_directory_its_index() {
    let site = Site::new("types", |root| {
        fs::create_dir_all(root.join("a dir/empty")).unwrap();
        write(root.join("a dir/index.html"), "<p>index", 784_111_777);
        for name in [
            "a.TXT",
            "b.js",
            "c",
            "d.unknown",
            "e.svg",
            "f.jpeg",
            "g.mjs",
            "100%.txt",
            "grün.md",
        ] {
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
        (
            "/a%20dir/index.html",
            "<p>index",
            "text/html; charset=utf-8",
        ),
    ];
    for (path, body, content_type) in table {
        let head = site.ask(&format!("HEAD {path}"), "");
        let answer = site.get(path);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, body),
            "{path}"
        );
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
                assert_eq!(
                    answer.header(name).as_deref(),
                    Some(value),
                    "{path}: {}",
                    answer.head
                );
            }
        }
    }
    for (path, location) in [
        ("/a%20dir", "/a%20dir/"),
        ("/a%20dir/empty?x=//y", "/a%20dir/empty/"),
    ] {
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

/// Regression: apt could not use a directory as a flat repository, because it requests `/./Packages`
/// and versions contain `~`.
#[test]
fn a_part_of_one_dot_names_the_directory_that_it_is_in() {
    let package = "hello_2.10~rc1-1_all.deb";
    let site = Site::new("dots", |root| {
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        for name in ["file", "dir/file", "dir/index.html"] {
            write(root.join(name), name, 784_111_777);
        }
        write(root.join(package), "package", 784_111_777);
    });
    let table = [
        ("/./file", "file"),
        ("/%2e/file", "file"),
        ("/%2E/file", "file"),
        ("/././file", "file"),
        ("/./dir/./file", "dir/file"),
        ("/dir/%2e/./file", "dir/file"),
        ("/dir/.", "dir/index.html"),
        ("/dir/./", "dir/index.html"),
        ("/dir/%2E", "dir/index.html"),
        ("/hello_2.10~rc1-1_all.deb", "package"),
        ("/./hello_2.10%7erc1-1_all.deb", "package"),
    ];
    for (path, body) in table {
        let answer = site.get(path);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, body),
            "{path}"
        );
    }
    let root = site.get("/").text();
    assert!(root.contains(&format!(">{package}</a>")), "{root}");
    for path in ["/.", "/./", "/%2e", "/././."] {
        assert_eq!(site.get(path).text(), root, "{path}");
    }
    for path in ["/./dir", "/%2e/./dir"] {
        let answer = site.get(path);
        assert_eq!(answer.status, 307, "{path}");
        assert_eq!(answer.header("location").as_deref(), Some("/dir/"));
    }
}

#[test]
fn ten_thousand_files_and_odd_names_are_listed_in_order() {
    let odd = [
        "<img src=x onerror=alert(1)>",
        "\"quoted'",
        "a&amp;b",
        "50%25",
        "q?x#y",
        "ü 3",
    ];
    let site = Site::new("list", |root| {
        fs::create_dir_all(root.join("many/sub")).unwrap();
        (0..10_000).for_each(|n| drop(File::create(root.join(format!("many/{n:05}"))).unwrap()));
        fs::create_dir(root.join("<odd>")).unwrap();
        #[cfg(unix)]
        odd.iter()
            .for_each(|name| write(root.join("<odd>").join(name), name, 784_111_777));
    });
    let page = site.get("/many/");
    assert_eq!(
        page.header("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    let text = page.text();
    let links: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("<li>"))
        .collect();
    assert_eq!(links.len(), 10_001);
    for (n, link) in links[..10_000].iter().enumerate() {
        assert_eq!(*link, format!("<li><a href=\"{n:05}\">{n:05}</a>"));
    }
    assert_eq!(links[10_000], "<li><a href=\"sub/\">sub/</a>");
    assert_eq!(site.ask("HEAD /many/", "").status, 200);

    let text = site.get("/%3Codd%3E/").text();
    assert!(text.contains("<title>/&lt;odd&gt;/</title>"), "{text}");
    assert!(!text.contains("<img"), "{text}");
    let links: Vec<&str> = text
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect();
    assert_eq!(links.len(), odd.len());
    let mut bodies: Vec<String> = links
        .iter()
        .map(|link| site.get(&format!("/%3Codd%3E/{link}")).text())
        .collect();
    bodies.sort_unstable();
    let mut names = odd;
    names.sort_unstable();
    assert_eq!(bodies, names);
}

#[test]
fn a_file_of_a_gibibyte_is_not_held_in_memory() {
    const GIB: u64 = 1 << 30;
    let site = Site::new("sparse", |root| {
        File::create(root.join("large"))
            .unwrap()
            .set_len(GIB)
            .unwrap();
    });
    let head = site.ask("HEAD /large", "");
    assert_eq!(head.header("content-length"), Some(GIB.to_string()));
    let range = format!("Range: bytes={}-\r\n", GIB - 10);
    let end = site.ask("GET /large", &range);
    assert_eq!((end.status, end.body), (206, vec![0; 10]));
    assert!(
        end.head
            .contains(&format!(" bytes {}-{}/{GIB}\r\n", GIB - 10, GIB - 1)),
        "{}",
        end.head
    );

    let mut client = Client::connect(site.addr);
    client.say(&format!(
        "GET /large HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        site.addr
    ));
    // A plain `read` would fail when a signal interrupts it.
    let received = io::copy(&mut client.stream, &mut io::sink()).unwrap();
    assert!(
        (GIB..GIB + 1000).contains(&received),
        "with its head: {received}"
    );
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string(format!("/proc/{}/status", site.example.id())).unwrap();
        let most = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 100_000, "{kib} KiB in memory");
    }
}

#[test]
fn a_root_that_is_not_a_directory_is_an_error_at_the_start() {
    let site = Site::new("start", |root| fs::create_dir(root.join("dir")).unwrap());
    let begin = |dir: &std::ffi::OsStr| {
        let mut command = Command::new(path("files"));
        command
            .arg(dir)
            .arg("127.0.0.1:0")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    };
    for name in ["secret", "nothing"] {
        let place = site.place.join(name);
        let output = begin(place.as_os_str());
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("{name}: ")), "{said}");
    }
    assert!(begin(site.place.join("root/dir").as_os_str())
        .status
        .success());
    #[cfg(target_os = "linux")] // other systems may not have such a name
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = site.place.join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
        fs::create_dir(&odd).unwrap();
        let output = begin(odd.as_os_str());
        assert!(
            output.status.success(),
            "a name that is no UTF-8: {output:?}"
        );
    }
}
