//! A response and its body, looked at and taken apart.

use super::layers::Marked;
use super::*;
use crate::support::temp_file::TempFile;
use hardstop::ResponseBody;

fn listed(response: &Response) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = response.headers();
    headers
        .map(|(name, value)| (String::from(name), text(value)))
        .collect()
}

#[test]
fn a_response_lists_its_headers_and_not_the_librarys_own() {
    type Make = fn() -> Response;
    let table: [(Make, &[(&str, &str)]); 7] = [
        (|| Response::new(204), &[]),
        (
            || Response::json("{}"),
            &[("Content-Type", "application/json")],
        ),
        (
            || {
                let response = Response::redirect("/a:b").with_header("x-a", "");
                response
                    .with_header("X-A", "1: 2")
                    .with_header("content-type", "a/b")
            },
            &[
                ("Content-Type", "a/b"),
                ("Location", "/a:b"),
                ("x-a", ""),
                ("X-A", "1: 2"),
            ],
        ),
        (
            || {
                let response = Response::new(200).with_header("Content-Length", "9");
                response.with_header("Connection", "close").with_close()
            },
            &[],
        ),
        (
            || Response::new(426).with_header("Upgrade", "h2c"),
            &[("Upgrade", "h2c")],
        ),
        (|| Response::upgrade("echo", drop), &[("Upgrade", "echo")]),
        (
            || Response::new(200).with_header("X", "a\r\nEvil: yes"),
            &[],
        ),
    ];
    for (make, want) in table {
        let got = listed(&make());
        let got: Vec<(&str, &str)> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(got, want);
    }
    let response = Response::text("a")
        .with_header("X", "1")
        .with_header("x", "2");
    assert_eq!(response.header("x"), Some("1"), "the first of two");
    assert_eq!(
        response.header("CONTENT-TYPE"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(response.header("Date"), None);
    let bytes = response.with_header("Y", b"\xff").with_header("y", "2");
    assert_eq!(bytes.header("Y"), None, "the first one is not UTF-8");
}

#[test]
fn a_removed_header_is_not_sent_and_the_others_are() {
    let server = serve(|req| {
        let response = Response::text("a")
            .with_header("X", "1")
            .with_header("Y", "2");
        let response = response.with_header("x", "3").with_header("Upgrade", "h2c");
        match req.query() {
            Some(name) => response.with_close().without_header(name),
            None => response,
        }
    });
    let all = "x: 1\r\ny: 2\r\nx: 3\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
    let plain = "content-type: text/plain; charset=utf-8\r\nconnection: close\r\n";
    let table = [
        (
            "X",
            format!("{plain}y: 2\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"),
        ),
        (
            "y",
            format!("{plain}x: 1\r\nx: 3\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"),
        ),
        ("upgrade", format!("{plain}x: 1\r\ny: 2\r\nx: 3\r\n\r\n")),
        ("content-TYPE", format!("connection: close\r\n{all}")),
        ("z", format!("{plain}{all}")),
        // These are the library's.
        ("connection", format!("{plain}{all}")),
        ("date", format!("{plain}{all}")),
        ("content-length", format!("{plain}{all}")),
    ];
    for (name, want) in table {
        let said = dialogue(
            server.local_addr(),
            format!("GET /?{name} HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        let (_, fields) = said.split_once("Content-Length: 1\r\n").expect(&said);
        assert_eq!(fields.to_lowercase(), format!("{want}a"), "{name}");
        assert_eq!(said.matches("\r\nDate: ").count(), 1, "{name}");
    }
}

#[test]
fn the_protocol_of_an_upgrade_cannot_be_removed() {
    let server = serve(|_| Response::upgrade("echo", drop).without_header("Upgrade"));
    let mut client = Client::connect(server.local_addr());
    client.say("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    let answer = client.head_response();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade").as_deref(), Some("echo"));
    assert_eq!(answer.header("connection").as_deref(), Some("upgrade"));
}

#[test]
fn a_replaced_body_is_framed_as_if_it_had_been_the_first_one() {
    type Make = fn() -> Response;
    let head = |method: &str, make: Make| {
        let server = always(make);
        let mut client = Client::connect(server.local_addr());
        client.say(&request(method, "1.1").repeat(2));
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = if method == "HEAD" {
                client.head_response()
            } else {
                client.response()
            };
            assert_eq!(answer.header("X").as_deref(), Some("y"), "headers stay");
            let length = answer.header("Content-Length").unwrap_or_default();
            let coding = answer.header("Transfer-Encoding").unwrap_or_default();
            answers.push((answer.status, length, coding, answer.text()));
        }
        assert_eq!(answers[0], answers[1]);
        answers.remove(0)
    };
    // The method, the status, the length, the coding, and the body.
    type Row = (
        &'static str,
        Make,
        (u16, &'static str, &'static str, &'static str),
        &'static str,
    );
    let table: [Row; 9] = [
        (
            "GET",
            || before().with_body("four"),
            (201, "4", "", "four"),
            "a text",
        ),
        (
            "HEAD",
            || before().with_body("four"),
            (201, "4", "", ""),
            "a text, to HEAD",
        ),
        (
            "GET",
            || before().with_body(vec![b'a'; 3]),
            (201, "3", "", "aaa"),
            "bytes",
        ),
        (
            "GET",
            || before().with_body(&b"ab"[..]),
            (201, "2", "", "ab"),
            "static bytes",
        ),
        (
            "GET",
            || before().with_body(String::new()),
            (201, "0", "", ""),
            "nothing",
        ),
        (
            "GET",
            || before().with_body(ResponseBody::reader(&b"abc"[..], 3)),
            (201, "3", "", "abc"),
            "a reader with a length",
        ),
        (
            "GET",
            || before().with_body(ResponseBody::stream(|out| out.write_all(b"abc"))),
            (201, "", "chunked", "abc"),
            "a stream",
        ),
        (
            "HEAD",
            || before().with_body(ResponseBody::stream(|_| panic!("called for HEAD"))),
            (201, "", "chunked", ""),
            "a stream, to HEAD",
        ),
        (
            "GET",
            || before().with_status(304).with_body("four"),
            (304, "", "", ""),
            "a text, of a 304",
        ),
    ];
    for (method, make, want, why) in table {
        let (status, length, coding, body) = head(method, make);
        let got = (status, length.as_str(), coding.as_str(), body.as_str());
        assert_eq!(got, want, "{why}");
    }
}

/// A response whose body is never called, as another one replaces it.
fn before() -> Response {
    Response::stream(|_| panic!("this body has been replaced"))
        .with_status(201)
        .with_header("X", "y")
}

#[test]
fn a_body_knows_its_bytes_and_its_length() {
    let stream = || ResponseBody::stream(|_| Ok(()));
    let table = [
        (
            ResponseBody::from("caf\u{e9}"),
            Some(&b"caf\xc3\xa9"[..]),
            Some(5),
        ),
        (ResponseBody::from(String::from("a")), Some(b"a"), Some(1)),
        (ResponseBody::from(vec![1]), Some(&[1]), Some(1)),
        (ResponseBody::from(&b""[..]), Some(b""), Some(0)),
        (ResponseBody::reader(io::empty(), 7), None, Some(7)),
        (ResponseBody::reader(io::empty(), 0), None, Some(0)),
        (ResponseBody::reader(io::empty(), None), None, None),
        (stream(), None, None),
        (Response::new(200).into_parts().1, Some(b""), Some(0)),
        (
            Response::upgrade("x", drop)
                .with_body("a 101 has no body")
                .into_parts()
                .1,
            Some(b""),
            Some(0),
        ),
    ];
    for (body, bytes, length) in table {
        assert_eq!(body.as_bytes(), bytes, "{body:?}");
        assert_eq!(body.len(), length, "{body:?}");
        assert_eq!(body.is_empty(), length == Some(0), "{body:?}");
        let response = Response::new(200).with_body(body);
        assert_eq!(response.body().len(), length);
        let (rest, _) = response.into_parts();
        assert_eq!(
            rest.body().as_bytes(),
            Some(&b""[..]),
            "it has been taken out"
        );
    }
}

/// A reader that gives its parts one by one, and fails behind them if `fails`.
struct Parts {
    parts: Vec<&'static [u8]>,
    fails: bool,
}

impl Read for Parts {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.parts.is_empty() {
            if self.fails {
                return Err(io::Error::new(ErrorKind::Other, "the disk is gone"));
            }
            return Ok(0);
        }
        self.parts.remove(0).read(buf)
    }
}

fn parts(parts: &[&'static [u8]], fails: bool) -> Parts {
    let parts = parts.to_vec();
    Parts { parts, fails }
}

#[test]
fn a_body_writes_itself_into_any_writer() {
    let two: &[&[u8]] = &[b"ab", b"cd"];
    let disk = Some("the disk is gone");
    let early = Some("the response's reader ended before its length");
    let file = TempFile::new("body-writes-itself", b"abc");
    let file = Response::file(File::open(&file.0).unwrap()).unwrap();
    let table: [(ResponseBody, &str, Option<&str>); 14] = [
        (ResponseBody::from("abc"), "<abc>", None),
        (file.into_parts().1, "<abc>", None),
        (
            ResponseBody::stream(|out| write!(out, "{}", out.is_disconnected())),
            "<false>",
            None,
        ),
        (ResponseBody::from(""), "", None),
        (
            ResponseBody::stream(|out| {
                out.write_all(b"a")?;
                out.flush()?;
                out.write_all(b"b")
            }),
            "<a>|<b>",
            None,
        ),
        (
            ResponseBody::stream(|out| {
                out.write_all(b"a")?;
                Err(io::Error::new(ErrorKind::Other, "the disk is gone"))
            }),
            "<a>",
            disk,
        ),
        // The next read may block, so what there is goes on at once.
        (
            ResponseBody::reader(parts(two, false), None),
            "<ab>|<cd>|",
            None,
        ),
        (
            ResponseBody::reader(parts(two, true), None),
            "<ab>|<cd>|",
            disk,
        ),
        (ResponseBody::reader(parts(two, false), 4), "<ab><cd>", None),
        (
            ResponseBody::reader(parts(two, false), 5),
            "<ab><cd>",
            early,
        ),
        (ResponseBody::reader(parts(two, true), 5), "<ab><cd>", disk),
        // A file that grows is cut where it ended when the response was made.
        (ResponseBody::reader(parts(two, false), 3), "<ab><c>", None),
        (ResponseBody::reader(parts(two, true), 4), "<ab><cd>", None),
        (ResponseBody::reader(parts(&[], true), 0), "", None),
    ];
    for (body, want, error) in table {
        let told = format!("{body:?}: {want}");
        let mut encoder = Marked(Vec::new());
        let written = body.write_to(&mut encoder);
        assert_eq!(String::from_utf8(encoder.0).unwrap(), want, "{told}");
        let failed = written.err().map(|error| error.to_string());
        assert_eq!(failed.as_deref(), error, "{told}");
    }
}

#[test]
fn a_writer_that_fails_fails_the_body() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(ErrorKind::Other, "no space"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bodies = [
        ResponseBody::from("a"),
        ResponseBody::stream(|out| out.write_all(b"a")),
        ResponseBody::reader(&b"abc"[..], None),
        ResponseBody::reader(&b"abc"[..], 3),
        ResponseBody::reader(&b"abc"[..], 2),
    ];
    for body in bodies {
        assert_eq!(
            body.write_to(&mut Full).unwrap_err().to_string(),
            "no space"
        );
    }
}

/// The next read may block, so each piece must have got through before it.
#[test]
fn a_flush_that_fails_fails_the_body_of_a_reader_without_a_length() {
    struct Stuck(Vec<u8>);
    impl Write for Stuck {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.write(data)
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::new(ErrorKind::Other, "stuck"))
        }
    }
    let body = ResponseBody::reader(parts(&[b"ab", b"cd"], false), None);
    let mut out = Stuck(Vec::new());
    assert_eq!(body.write_to(&mut out).unwrap_err().to_string(), "stuck");
    assert_eq!(out.0, b"ab");
}

#[test]
fn a_response_knows_the_error_that_it_was_made_from() {
    let server = |layered: bool| {
        observed(Server::builder(), move |_| {
            let response = Response::from(Error::new(405, "only GET")).with_header("Allow", "GET");
            if layered {
                let reason = response.error().unwrap().to_string();
                return response.with_body(reason.to_uppercase()).with_status(404);
            }
            response
        })
    };
    for (layered, status, text) in [
        (false, 405, "405 Method Not Allowed: only GET\n"),
        (true, 404, "ONLY GET"),
    ] {
        let (server, events) = server(layered);
        let mut client = Client::connect(server.local_addr());
        client.say(GET);
        let answer = client.response();
        assert_eq!(answer.status, status);
        assert_eq!(answer.text(), text);
        assert_eq!(answer.header("Allow").as_deref(), Some("GET"));
        assert_eq!(
            events.take_failure(),
            "only GET",
            "a layer does not change it"
        );
    }
    assert!(Response::new(404).error().is_none(), "nothing has failed");
}
