//! Responses that cannot be sent, or fail half-way.

use super::*;

/// More than is collected before it leaves.
static MANY: [u8; 20_000] = [b'a'; 20_000];

#[test]
fn a_failing_response_is_cut_and_reported() {
    type Make = fn() -> Response;
    let many = std::str::from_utf8(&MANY).unwrap();
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let table: [(Make, &str, String); 9] = [
        (
            || Response::reader(&MANY[..], 20_001),
            "the response's reader ended before its length",
            String::from(many),
        ),
        (
            || Response::reader(Failing(&MANY), 20_001),
            "the disk is gone",
            String::from(many),
        ),
        (
            || Response::reader(Failing(b"abc"), None),
            "the disk is gone",
            chunk("abc"),
        ),
        (
            || Response::reader(Failing(&MANY), None),
            "the disk is gone",
            chunk(many),
        ),
        (
            || {
                Response::stream(|w| {
                    w.write_all(b"abc")?;
                    w.flush()?;
                    Err(io::Error::new(ErrorKind::Other, "no more"))
                })
            },
            "no more",
            chunk("abc"),
        ),
        (
            || {
                Response::stream(|w| {
                    w.write_all(b"abc")?;
                    w.flush()?;
                    w.write_all(b"de")?;
                    Err(Error::new(404, "its own status comes too late").into())
                })
            },
            "its own status comes too late",
            chunk("abc") + &chunk("de"),
        ),
        (
            || {
                Response::stream(|w| {
                    w.write_all(&MANY)?;
                    Err(io::Error::new(ErrorKind::Other, "too large to be held"))
                })
            },
            "too large to be held",
            chunk(many),
        ),
        (
            || {
                Response::stream(|w| {
                    MANY.chunks(10_000)
                        .try_for_each(|piece| w.write_all(piece))?;
                    MANY.chunks(10_000)
                        .try_for_each(|piece| w.write_all(piece))?;
                    Err(io::Error::new(ErrorKind::Other, "too many to be held"))
                })
            },
            "too many to be held",
            chunk(&many[..10_000]).repeat(4),
        ),
        (
            || {
                Response::stream(|w| {
                    w.flush()?; // the head alone
                    Err(io::Error::new(ErrorKind::Other, "after the head"))
                })
            },
            "after the head",
            String::new(),
        ),
    ];
    for (make, why, body) in table {
        let (server, events) = observed(Server::builder(), move |_| make());
        let said = dialogue(server.local_addr(), request("GET", "1.1").repeat(2));
        assert_eq!(
            statuses(&said),
            [200],
            "nothing comes after half a response: {why}"
        );
        let (_, sent) = said.split_once("\r\n\r\n").unwrap();
        assert!(
            sent == body,
            "what was there, and no end of the body: {why}"
        );
        assert_eq!(events.take_failure(), why);
        assert_eq!(events.take_reason(), CloseReason::ResponseFailed);
    }
}

#[test]
fn a_reader_beyond_its_length_is_cut_off() {
    for length in [1, 3, 70_000, 140_000] {
        let server = always(move || Response::reader(io::repeat(b'a'), length));
        let mut client = Client::connect(server.local_addr());
        client.say(&request("GET", "1.1").repeat(2));
        for _ in 0..2 {
            let answer = client.response();
            assert_eq!(answer.header("Content-Length"), Some(length.to_string()));
            assert!(answer.body == vec![b'a'; usize::try_from(length).unwrap()]);
        }
    }
}

#[test]
fn a_reader_beyond_its_length_is_reported() {
    for length in [3, 70_000] {
        let make = move |_: &mut hardstop::Request<'_>| Response::reader(io::repeat(b'a'), length);
        let (server, events) = observed(Server::builder(), make);
        let said = last_words(server.local_addr(), &[request("GET", "1.1").as_bytes()]);
        assert_eq!(statuses(&said), [200]);
        let first =
            events.take_until(|fact| matches!(fact, Fact::RequestFailed(..) | Fact::Closed(..)));
        let why = "the response's reader went on after its length";
        assert_eq!(
            first,
            Fact::RequestFailed(1, String::from(why)),
            "a length of {length}"
        );
    }
}

#[test]
fn a_panic_is_a_500_or_an_early_end_and_the_server_goes_on() {
    let (server, events) = observed(Server::builder(), |req| match req.path() {
        "/handler" => panic!("one {}", 1),
        "/stream" => Response::stream(|writer| {
            writer.write_all(b"abc")?;
            writer.flush()?;
            panic!("two")
        }),
        "/odd" => std::panic::panic_any(3),
        _ => Response::text("fine"),
    });
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        dialogue(server.local_addr(), request.repeat(2))
    };
    for (path, message, status, end) in [
        ("/handler", "one 1", 500, "500 Internal Server Error\n"),
        ("/stream", "two", 200, "\r\n\r\n3\r\nabc\r\n"),
        ("/odd", "", 500, "500 Internal Server Error\n"),
    ] {
        let said = get(path);
        assert_eq!(statuses(&said), [status], "{said}");
        assert!(said.ends_with(end), "{said}");
        assert_eq!(said.contains("\r\nConnection: close\r\n"), status == 500);
        assert_eq!(events.take_panic(), message);
        assert_eq!(events.take_reason(), CloseReason::HandlerPanicked);
    }
    let mut client = Client::connect(server.local_addr());
    client.say(&request("GET", "1.1"));
    assert_eq!(client.response().text(), "fine");
}

#[test]
fn a_header_that_would_split_the_response_is_never_sent() {
    type Make = fn() -> Response;
    let value = "a field value in the response has a control byte: encode it";
    let name = "a field name in the response is not a token: use letters, digits and hyphens";
    let table: [(Make, &str); 10] = [
        (
            || Response::text("a").with_header("X", "a\r\nEvil: b"),
            value,
        ),
        (|| Response::text("a").with_header("X", "a\nEvil: b"), value),
        (|| Response::text("a").with_header("X", "a\rEvil: b"), value),
        (|| Response::text("a").with_header("X", "a\0Evil"), value),
        (|| Response::redirect("/\r\nEvil: b"), value),
        (|| Response::bytes("a/b\r\nEvil: b", &b"a"[..]), value),
        (|| Response::text("a").with_header("X\r\nEvil", "b"), name),
        (|| Response::text("a").with_header("Evil:", "b"), name),
        (|| Response::text("a").with_header("", "Evil"), name),
        (
            || {
                Response::text("a")
                    .with_header("X", "a\r\n\r\nEvil")
                    .with_status(404)
            },
            value,
        ),
    ];
    for (make, why) in table {
        let (server, events) = observed(Server::builder(), move |_| make());
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2 {
            client.say(&request("GET", "1.1"));
            let answer = client.response();
            assert_eq!(answer.status, 500);
            assert_eq!(answer.text(), "500 Internal Server Error\n");
            assert!(!answer.head.contains("Evil"), "{}", answer.head);
            assert_eq!(events.take_failure(), why);
        }
    }
}

#[test]
fn a_status_code_that_is_not_final_becomes_500() {
    for status in [0, 99, 100, 101, 199, 600, 999, 1000, u16::MAX] {
        let handler = move |_: &mut hardstop::Request<'_>| Response::text("a").with_status(status);
        let (server, events) = observed(Server::builder(), handler);
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2 {
            client.say(&request("GET", "1.1"));
            assert_eq!(client.response().status, 500, "{status}");
            assert_eq!(
                events.take_failure(),
                "the status code is not from 200 to 599"
            );
        }
    }
}

#[test]
fn a_body_error_becomes_the_status() {
    let server = Server::builder().max_body_bytes(4);
    let (server, events) = observed(server, |req| {
        let path = req.path().to_string();
        if path == "/file" {
            File::open("/no/such/file")?;
        }
        if path == "/own" {
            return Err(Error::new(409, "in use"));
        }
        let mut text = Vec::new();
        io::copy(req.body(), &mut text)?;
        Ok::<_, Error>(text.len().to_string())
    });
    let post =
        |path: &str, fields: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let table = [
        (post("/", "Content-Length: 4\r\n") + "abcd", 200, "4", None),
        (
            post("/", "Content-Length: 5\r\n"),
            413,
            "413 Content Too Large: the body is larger than 4 bytes\n",
            Some("the body is larger than 4 bytes"),
        ),
        (
            post("/", "Transfer-Encoding: chunked\r\n") + "x\r\n",
            400,
            "400 Bad Request: a chunk's line is not `1 to 16 hex digits;name=value`\n",
            Some("a chunk's line is not"),
        ),
        (
            post("/own", ""),
            409,
            "409 Conflict: in use\n",
            Some("in use"),
        ),
        (
            post("/file", ""),
            500,
            "500 Internal Server Error\n",
            Some(""),
        ),
    ];
    for (request, status, body, failed) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&request);
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        if let Some(why) = failed {
            assert!(events.take_failure().starts_with(why));
        }
    }
}

#[test]
fn a_streaming_closure_fails_when_its_client_is_gone() {
    let (told, result) = sync_channel(9);
    let server = serve(move |_| {
        let told = told.clone();
        Response::stream(move |writer| loop {
            let written = writer.write_all(&[0; 1000]).and_then(|()| writer.flush());
            if let Err(error) = written {
                let again = writer.write(b"a").is_err() && writer.flush().is_err();
                told.send(again).unwrap();
                return Err(error);
            }
        })
    });
    leave_after_a_byte(server.local_addr());
    assert!(result.recv_timeout(SOON).unwrap(), "it goes on failing");
}

fn leave_after_a_byte(addr: SocketAddr) {
    let mut tcp = TcpStream::connect(addr).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    tcp.write_all(request("GET", "1.1").as_bytes()).unwrap();
    tcp.read_exact(&mut [0]).unwrap();
}

/// A reader that a signal interrupts before each of its pieces.
struct Interrupted {
    pieces: Vec<&'static [u8]>,
    is_interrupted: bool,
}

impl Read for Interrupted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        match self.pieces.pop() {
            Some(mut piece) => piece.read(buf),
            None => Ok(0),
        }
    }
}

#[test]
fn a_reader_that_is_interrupted_is_read_again() {
    let running = serve(|request| {
        let reader = Interrupted {
            pieces: vec![b"world", b"hello "],
            is_interrupted: false,
        };
        let length = if request.path() == "/known" {
            Some(11)
        } else {
            None
        };
        Response::reader(reader, length)
    });
    for path in ["/known", "/unknown"] {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().text(), "hello world", "{path}");
    }
}
