//! Random legal requests, compared with what a handler sees of each.

use crate::support::client::Client;
use crate::support::server::serve;
use hardstop::{Error, Request, Response, Version};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread;

/// The number of connections, each from its own seed, with up to twenty requests.
const SEEDS: u64 = 400;

#[test]
fn a_handler_sees_exactly_what_a_legal_request_says() {
    let server = serve(report);
    let (addr, seeds) = (server.local_addr(), Mutex::new(0..SEEDS));
    let requests = AtomicUsize::new(0);
    let client = || {
        while let Some(seed) = { seeds.lock().unwrap().next() } {
            let _told = OnPanic(seed);
            requests.fetch_add(converse(addr, &mut Random(seed)), Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(client);
        }
    });
    let requests = requests.into_inner();
    assert!(requests > 1500, "{requests} are few");
}

/// Generates the requests of one client, and compares the responses. Returns the number of
/// requests.
fn converse(addr: SocketAddr, random: &mut Random) -> usize {
    let mut client = Client::connect(addr);
    client.stream.set_nodelay(true).unwrap();
    let (mut requests, mut goes_on) = (0, true);
    for _ in 0..1 + random.below(4) {
        // They are pipelined, in pieces of any size.
        let mut batch = Vec::new();
        while goes_on && batch.len() < 5 {
            batch.push(generate(random));
            goes_on = batch[batch.len() - 1].keep_alive;
        }
        let wires: Vec<&[u8]> = batch.iter().map(|it| &it.wire[..]).collect();
        let largest = random.pick(&[1, 7, 100, 10_000]);
        send(&mut client, &wires.concat(), largest, random);
        for made in &batch {
            receive(&mut client, made);
        }
        requests += batch.len();
    }
    if !goes_on {
        client.expect_end();
    }
    requests
}

struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed of that connection is {}", self.0);
        }
    }
}

/// Reports everything that a handler can see of a request.
fn report(req: &mut Request<'_>) -> Result<Response, Error> {
    let body = req.body().read_to_vec()?;
    let mut fields = String::new();
    for (name, value) in req.headers().iter() {
        writeln!(fields, "{name}={}", value.escape_ascii()).unwrap();
    }
    let (method, target, path) = (req.method(), req.target(), req.path());
    let (query, version) = (req.query(), req.version());
    let head = [method, target, path].join("\n");
    let body = body.escape_ascii();
    let report = format!("{head}\n{query:?} {version:?}\n{fields}{body}");
    Ok(Response::text(report))
}

fn send(client: &mut Client, mut wire: &[u8], largest: usize, random: &mut Random) {
    let largest = largest.max(wire.len() / 500); // a large body would take long, byte by byte
    while !wire.is_empty() {
        let (piece, rest) = wire.split_at(wire.len().min(1 + random.below(largest)));
        client.say_bytes(piece);
        wire = rest;
    }
}

fn receive(client: &mut Client, made: &Made) {
    let is_head = made.report.starts_with("HEAD\n");
    let answer = loop {
        let answer = match is_head {
            true => client.head_response(),
            false => client.response(),
        };
        if !(answer.status == 100 && made.may_be_continued) {
            break answer;
        }
    };
    let wire = made.wire.escape_ascii();
    assert_eq!(answer.status, 200, "{wire}");
    if is_head {
        let length = made.report.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length), "{wire}");
    } else {
        assert_eq!(answer.text(), made.report, "{wire}");
    }
    let (connection, hint) = match (made.keep_alive, made.says_keep_alive) {
        (false, _) => (Some("close"), None),
        (true, true) => (Some("keep-alive"), Some("timeout=74")),
        (true, false) => (None, None),
    };
    assert_eq!(answer.header("connection").as_deref(), connection, "{wire}");
    assert_eq!(answer.header("keep-alive").as_deref(), hint, "{wire}");
}

/// A request, and what a handler has to see of it.
struct Made {
    wire: Vec<u8>,
    report: String,
    keep_alive: bool,
    says_keep_alive: bool,
    may_be_continued: bool,
}

fn generate(random: &mut Random) -> Made {
    let (minor, version) = match random.below(8) {
        0 => ('0', Version::Http10),
        1 => (random.pick(&['2', '9']), Version::Http11),
        _ => ('1', Version::Http11),
    };
    let is_new = version == Version::Http11;
    let mut method = match random.below(3) {
        0 => random.text(TOKEN, 1..12),
        1 => String::from(random.pick(&["HEAD", "PUT", "DELETE", "OPTIONS", "get"])),
        _ => String::from(random.pick(&["GET", "POST"])),
    };
    if method == "CONNECT" {
        method += "ION";
    }
    let host = random.pick(HOSTS);
    let (target, path, query) = target(&mut method, host, random);

    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, value: &[u8]| fields.push((name.into(), value.into()));
    for _ in 0..random.below(6) {
        let own = format!("X-{}", random.text(TOKEN, 0..9));
        let name = random.pick(&["Accept", "Cookie", "Referer", &own]);
        add(name, &random.value());
    }
    if is_new || target.contains("://") || random.below(2) == 0 {
        add("Host", random.any_case(host).as_bytes());
    }
    let (mut says_close, mut says_keep_alive) = (false, false);
    for _ in 0..random.pick(&[0, 0, 1, 2]) {
        let mut options = Vec::new();
        for _ in 0..random.below(4) {
            let choice = ["close", "keep-alive", "keep-alive", "closed", "te", "", ""];
            let option = random.pick(&choice);
            let option = match option == "close" && random.below(2) == 0 {
                true => "x-close", // or hardly a connection would persist
                false => option,
            };
            says_close |= option == "close";
            says_keep_alive |= option == "keep-alive";
            options.push(random.any_case(option) + random.pick(&["", " ", "\t"]));
        }
        let options = options.join(random.pick(&[",", ", ", " ,\t"]));
        add("Connection", options.trim_matches([' ', '\t']).as_bytes());
    }
    let (body, framed) = match random.below(if is_new { 4 } else { 3 }) {
        0 => Default::default(),
        3 => {
            add("Transfer-Encoding", random.any_case("chunked").as_bytes());
            let body = random.body();
            let framed = chunked(&body, random);
            (body, framed)
        }
        _ => {
            let body = random.body();
            add("Content-Length", body.len().to_string().as_bytes());
            (body.clone(), body)
        }
    };
    let expects = random.below(10) == 0;
    if expects {
        add("Expect", random.any_case("100-continue").as_bytes());
    }
    for at in (1..fields.len()).rev() {
        fields.swap(at, random.below(at + 1));
    }
    for (name, _) in &mut fields {
        *name = random.any_case(name);
    }

    let mut wire = Vec::from(random.pick(&["", "", "", "\r\n", "\n"]));
    wire.extend_from_slice(format!("{method} {target} HTTP/1.{minor}\r\n").as_bytes());
    let mut report = format!("{method}\n{target}\n{path}\n{query:?} {version:?}\n");
    for (name, value) in &fields {
        wire.extend_from_slice(&field_line(name, value, random));
        writeln!(report, "{name}={}", value.escape_ascii()).unwrap();
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(&framed);
    write!(report, "{}", body.escape_ascii()).unwrap();
    Made {
        wire,
        report,
        says_keep_alive,
        keep_alive: (is_new || says_keep_alive) && !says_close,
        may_be_continued: expects && is_new && !framed.is_empty(),
    }
}

/// The target, its decoded path, and its query.
fn target(
    method: &mut String,
    host: &str,
    random: &mut Random,
) -> (String, String, Option<String>) {
    let form = random.below(8);
    if form == 0 {
        *method = String::from("OPTIONS");
        return ("*".into(), "*".into(), None);
    }
    let (mut encoded, mut decoded) = (String::new(), String::new());
    // Only a target in absolute form may have an empty path.
    let is_absolute = form == 1;
    for _ in usize::from(is_absolute)..1 + random.below(4) {
        encoded.push('/');
        decoded.push('/');
        for _ in 0..random.below(6) {
            let plain = char::from(random.pick(PATH));
            let other = random.pick(&[
                ' ', '/', '%', '?', '"', '\u{85}', '\u{e4}', '\u{20ac}', '😀',
            ]);
            let (char, encode) = random.pick(&[(plain, false), (plain, true), (other, true)]);
            decoded.push(char);
            match encode {
                true => random.percent_encode(char, &mut encoded),
                false => encoded.push(char),
            }
        }
    }
    let mut query = None;
    if random.below(3) == 0 {
        let mut text = random.text(PATH, 0..9);
        text += random.pick(&["", "?", "%20", "&a=b", "{}`\\"]);
        text += random.pick(&["", "", "100%", "%u00e9", "\"<a>", "\u{e4}\u{20ac}😀"]);
        encoded = encoded + "?" + &text;
        query = Some(text);
    }
    if is_absolute {
        let scheme = random.pick(&["http", "HTTP", "hTtp"]);
        encoded = format!("{scheme}://{}{encoded}", random.any_case(host));
        if decoded.is_empty() {
            let of_all = method == "OPTIONS" && query.is_none();
            decoded.push(if of_all { '*' } else { '/' });
        }
    }
    (encoded, decoded, query)
}

fn field_line(name: &str, value: &[u8], random: &mut Random) -> Vec<u8> {
    let before = random.pick(&[" ", "", "\t", "  \t "]);
    let after = random.pick(&["", "", " ", " \t"]);
    let parts = [
        name.as_bytes(),
        b":",
        before.as_bytes(),
        value,
        after.as_bytes(),
    ];
    [&parts.concat()[..], b"\r\n"].concat()
}

/// The same data in chunks, with extensions and trailers, which handlers do not see.
fn chunked(mut data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut wire = Vec::new();
    while !data.is_empty() {
        let (chunk, rest) = data.split_at(1 + random.below(data.len()));
        let size = random.any_case(&format!("{:x}", chunk.len()));
        wire.extend_from_slice(random.pick(&["", "", "0", "0000"]).as_bytes());
        wire.extend_from_slice(size.as_bytes());
        wire.extend_from_slice(random.extensions().as_bytes());
        wire.extend_from_slice(&[b"\r\n", chunk, b"\r\n"].concat());
        data = rest;
    }
    wire.extend_from_slice(random.pick(&["0", "0", "000"]).as_bytes());
    wire.extend_from_slice(random.extensions().as_bytes());
    wire.extend_from_slice(b"\r\n");
    for _ in 0..random.pick(&[0, 0, 1, 3]) {
        let name = random.pick(&["X-Sum", "Content-Length", "Host"]);
        let value = random.value();
        wire.extend_from_slice(&field_line(name, &value, random));
    }
    wire.extend_from_slice(b"\r\n");
    wire
}

const HOSTS: &[&str] = &[
    "x",
    "example.com",
    "example.com:8080",
    "a-b_c~1.test:",
    "h%c3%a4us!$&'()*+,;=",
    "127.0.0.1:65535",
    "[::1]",
    "[2001:db8::7]:443",
    "[::ffff:1.2.3.4]:0080",
];

const TOKEN: &[u8] =
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The characters that stand for themselves in a path, by RFC 3986 or because browsers leave them
/// so.
const PATH: &[u8] = b"ABCXYZabcxyz0189-._~!$&'()*+,;=:@[]|^";

/// SplitMix64: small, and random enough for this.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn text(&mut self, bytes: &[u8], length: std::ops::Range<usize>) -> String {
        let length = length.start + self.below(length.len());
        (0..length).map(|_| char::from(self.pick(bytes))).collect()
    }

    fn any_case(&mut self, text: &str) -> String {
        let mut flip = |char: char| match self.below(3) {
            0 => char.to_ascii_uppercase(),
            1 => char.to_ascii_lowercase(),
            _ => char,
        };
        text.chars().map(&mut flip).collect()
    }

    fn percent_encode(&mut self, char: char, to: &mut String) {
        for byte in char.to_string().bytes() {
            *to += "%";
            *to += &self.any_case(&format!("{byte:02x}"));
        }
    }

    /// The value of a header: visible bytes, those above 127, and white space except at the ends.
    fn value(&mut self) -> Vec<u8> {
        let mut value: Vec<u8> = Vec::new();
        for _ in 0..self.below(20) {
            value.push(match self.below(8) {
                0 => b' ',
                1 => b'\t',
                2 => self.pick(&[0x80, 0xa0, 0xc3, 0xff]),
                _ => self.pick(b"!\"#%'(),/:;<=>?@[\\]{}~az09"),
            });
        }
        value.trim_ascii().into()
    }

    /// Any bytes, among them some that look like the end of a message or the beginning of another.
    fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for _ in 0..self.pick(&[0, 1, 5, 40]) {
            match self.below(4) {
                0 => body.extend_from_slice(b"\r\n0\r\n\r\n"),
                1 => body.extend_from_slice(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                _ => body.push(self.below(256) as u8),
            }
        }
        if self.below(50) == 0 {
            body.resize(20_000, b'x');
        }
        body
    }

    fn extensions(&mut self) -> String {
        let mut extensions = String::new();
        for _ in 0..self.pick(&[0, 0, 0, 1, 2]) {
            extensions += self.pick(&[";", " ;", "\t; "]);
            extensions += &self.text(TOKEN, 1..5);
            extensions += self.pick(&["", "=b", " = b", "=\"\"", "=\"a;\\\"\\\\ \u{e4}\t\""]);
        }
        extensions
    }
}
