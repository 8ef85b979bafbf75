//! The limits and timeouts of the builder, and the response to each.

mod settings;

use crate::support::client::Client;
use crate::support::recorder::Fact;
use crate::support::server::{observed, serve};
use crate::support::{check_at_once, until, OnDrop, SOON};
use hardstop::{Builder, CloseReason, ConnectionState, Error, Event, Request, Response, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(200);

/// Reads the body, and answers with its length.
fn count(req: &mut Request<'_>) -> Result<String, Error> {
    Ok(req.body().read_to_vec()?.len().to_string())
}

/// Sends this, then one `a` after the other until the server ends the connection. Returns what the
/// server has sent.
fn drip(addr: SocketAddr, beginning: &str) -> String {
    let mut tcp = TcpStream::connect(addr).unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.write_all(beginning.as_bytes()).unwrap();
    let mut sender = tcp.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        while sender.write_all(b"a").is_ok() {
            thread::sleep(SHORT / 4); // a drip, not a wait
        }
    });
    let mut said = Vec::new();
    let ended = tcp.read_to_end(&mut said);
    let is_reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
    assert!(ended.as_ref().err().map_or(true, is_reset), "{ended:?}");
    dripping.join().unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_slow_head_gets_408() {
    let builder = || Server::builder().header_timeout(SHORT);
    for beginning in [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "\r\nG",
        "\nG",
    ] {
        let (server, events) = observed(builder(), count);
        let mut client = Client::connect(server.local_addr());
        client.say(beginning);
        let answer = client.response();
        assert_eq!(answer.status, 408, "{beginning:?}");
        assert_eq!(
            answer.text(),
            "408 Request Timeout: the head took too long\n"
        );
        assert_eq!(answer.header("Connection").as_deref(), Some("close"));
        client.expect_end();
        drop(client); // or the server would linger
        assert_eq!(events.take_reason(), CloseReason::HeadTimeout);
    }
}

/// Regression: the empty line that some clients send after a body made the connection busy until
/// the head's timeout. One that ends with LF alone got a response, a 400.
#[test]
fn an_empty_line_does_not_begin_a_request() {
    for line in ["\r\n", "\n"] {
        let (server, events) = observed(Server::builder().idle_timeout(SHORT), count);
        let mut client = Client::connect(server.local_addr());
        client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na");
        client.say(line);
        assert_eq!(client.response().status, 200, "{line:?}");
        client.expect_end();
        assert_eq!(events.take_reason(), CloseReason::IdleTimeout, "{line:?}");
    }
}

#[test]
fn a_dripping_head_gets_408() {
    let (server, events) = observed(Server::builder().header_timeout(SHORT * 2), count);
    let said = drip(server.local_addr(), "GET /");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert_eq!(events.take_reason(), CloseReason::HeadTimeout);
}

#[test]
fn the_head_timeout_restarts_with_each_request() {
    let (server, events) = observed(Server::builder().header_timeout(SHORT), count);
    let mut client = Client::connect(server.local_addr());
    for _ in 0..3 {
        thread::sleep(SHORT * 2); // an idle connection does not wait for a head
        client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET");
    assert_eq!(client.response().status, 200);
    assert_eq!(
        client.response().status,
        408,
        "the pipelined half of a head"
    );
    drop(client); // or the server would linger
    assert_eq!(events.take_reason(), CloseReason::HeadTimeout);
}

#[test]
fn an_idle_connection_ends_without_a_response() {
    for first in ["", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let (server, events) = observed(Server::builder().idle_timeout(SHORT), count);
        let mut client = Client::connect(server.local_addr());
        if !first.is_empty() {
            client.say(first);
            assert_eq!(client.response().status, 200);
        }
        client.expect_end();
        assert_eq!(events.take_reason(), CloseReason::IdleTimeout);
    }
}

#[test]
fn a_stalled_body_gets_408() {
    let table = [
        "Content-Length: 5\r\n\r\n",
        "Content-Length: 5\r\n\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
    ];
    check_at_once(table, |rest| {
        let (server, events) = observed(Server::builder().body_timeout(SHORT), count);
        let mut client = Client::connect(server.local_addr());
        client.say(&format!("POST / HTTP/1.1\r\nHost: x\r\n{rest}"));
        let answer = client.response();
        assert_eq!(answer.status, 408, "{rest:?}");
        assert_eq!(
            answer.text(),
            "408 Request Timeout: the body came too slowly\n"
        );
        assert_eq!(answer.header("Connection").as_deref(), Some("close"));
        client.expect_end();
        drop(client); // or the server would linger
        assert_eq!(events.take_reason(), CloseReason::BodyTimeout);
    });
}

#[test]
fn a_dripping_body_gets_408() {
    // A drip may fall behind by twice this time, in which no pause is as long.
    let server = Server::builder().body_timeout(SHORT * 3);
    let server = server.min_rate(1_000_000);
    let (server, events) = observed(server, count);
    let (length, chunked) = ("Content-Length: 1000000", "Transfer-Encoding: chunked");
    let burst = "a".repeat(100_000);
    let table = [
        (length, "", "from the first byte on"),
        (length, &*burst, "after a burst"),
        (chunked, "fffff\r\n", "in a chunk"),
        (chunked, "1;a=", "in a chunk's extension"),
        (chunked, "0\r\nTrailer:", "in a trailer"),
    ];
    thread::scope(|scope| {
        for (fields, body, why) in table {
            let addr = server.local_addr();
            let beginning = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}");
            scope.spawn(move || {
                let said = drip(addr, &beginning);
                assert!(said.starts_with("HTTP/1.1 408 "), "{why}: {said}");
            });
        }
    });
    for _ in table {
        assert_eq!(events.take_reason(), CloseReason::BodyTimeout);
    }
}

/// The upload is slower than the default minimum rate, for longer than it might fall behind that,
/// which is twice the timeout.
#[test]
fn slow_progress_is_allowed_without_a_minimum_rate() {
    let (timeout, pause) = (SHORT * 5, SHORT / 2);
    let server = Server::builder().body_timeout(timeout).min_rate(None);
    let (server, events) = observed(server, |req| match req.path() {
        "/endless" => Ok(Response::reader(std::io::repeat(0), 1 << 40)),
        _ => count(req).map(Response::from),
    });
    let mut sending = Client::connect(server.local_addr());
    sending.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n");
    let mut reading = Client::connect(server.local_addr());
    reading.say("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..30 {
        thread::sleep(pause); // a drip, not a wait
        sending.say("a");
        reading.stream.read_exact(&mut [0; 200_000]).unwrap();
    }
    let told = events.so_far();
    let ended = |fact: &Fact| matches!(fact, Fact::Closed(..));
    assert!(!told.iter().any(ended), "{told:?}");
    assert_eq!(sending.response().text(), "30");
}

#[test]
fn an_unread_response_ends_the_connection() {
    type Make = fn() -> Response;
    let table: [Make; 3] = [
        || Response::bytes("a/b", vec![0; 64 << 20]),
        || Response::reader(std::io::repeat(0), 1 << 40),
        || Response::reader(std::io::repeat(0), None),
    ];
    for make in table {
        let builder = Server::builder().write_timeout(SHORT);
        let (server, events) = observed(builder, move |_| make());
        let mut client = Client::connect(server.local_addr());
        client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); // and reads nothing
        assert_eq!(events.take_reason(), CloseReason::WriteTimeout);
    }
}

/// Returns why a response ends that a client reads in pieces of 50 kB, with such a pause after each.
fn reason_of_a_slow_reader(builder: Builder, pause: Duration) -> CloseReason {
    let builder = builder.write_timeout(SHORT * 5).min_rate(100_000_000);
    let endless = |_: &mut Request<'_>| Response::reader(std::io::repeat(0), 1 << 40);
    let (server, events) = observed(builder, endless);
    let mut tcp = TcpStream::connect(server.local_addr()).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // The system's buffers hold megabytes that the client need not read after the end.
        let _end = OnDrop(|| has_ended.store(true, SeqCst));
        scope.spawn(|| {
            let mut piece = [0; 50_000];
            while !has_ended.load(SeqCst) && tcp.read(&mut piece).map_or(false, |n| n > 0) {
                thread::sleep(pause); // a slow reader, not a wait
            }
        });
        let reason = events.take_reason();
        drop(server);
        reason
    })
}

#[test]
fn a_slowly_read_response_ends_the_connection() {
    // The client reads four megabytes a second, so that it never reads nothing for as long.
    let reason = reason_of_a_slow_reader(Server::builder(), SHORT / 4);
    assert_eq!(reason, CloseReason::WriteTimeout);
}

/// Regression: a wait for room in the system's buffer counted for no longer than what was left of
/// the credit. So a client that took a little in each of them was never cut.
#[test]
fn a_response_read_slowly_but_all_the_time_ends_the_connection() {
    type Wrap = fn(Builder) -> Builder;
    let table: [(Wrap, &str); 2] = [
        (|builder| builder, "plain"),
        (|builder| builder.transport(|tcp, _| Ok(tcp)), "wrapped"),
    ];
    for (wrap, why) in table {
        // The client reads five times as much at most. Each wait of the server lasts 33 ms.
        let reason = reason_of_a_slow_reader(wrap(Server::builder()), SHORT / 20);
        assert_eq!(reason, CloseReason::WriteTimeout, "{why}");
    }
}

#[test]
fn a_head_over_its_byte_limit_is_refused() {
    let (server, _events) = observed(Server::builder().max_head_bytes(100), count);
    let head = |bytes: usize| {
        let start = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\nA: ";
        format!("{start}{}\r\n\r\n", "a".repeat(bytes - start.len() - 4))
    };
    let line = |bytes: usize| {
        let end = " HTTP/1.1\r\n";
        format!("GET /{}{end}", "a".repeat(bytes - 5 - end.len()))
    };
    let table = [
        (head(100) + &"b".repeat(200), 200, "the body does not count"),
        (head(101), 431, "one byte more"),
        (
            head(101)[..100].to_string(),
            431,
            "not yet whole, but too long already",
        ),
        (head(5000), 431, "many more"),
        (line(101), 414, "a line that is too long"),
        (line(101)[..100].to_string(), 414, "a line without an end"),
        (line(5000), 414, "a very long one"),
        (line(100), 431, "a line that leaves no room for a field"),
    ];
    for (request, want, why) in table {
        let mut client = Client::connect(server.local_addr());
        client.say(&request);
        let answer = client.response();
        assert_eq!(answer.status, want, "{why}");
        if want != 200 {
            assert_eq!(
                answer.header("Connection").as_deref(),
                Some("close"),
                "{why}"
            );
            assert!(answer.text().ends_with(" is too large\n"), "{why}");
            client.expect_end();
        }
    }
    // The limit applies to each head, not to everything that arrives together.
    let mut client = Client::connect(server.local_addr());
    let request = format!("{}{}", head(100), "b".repeat(200));
    client.say(&request.repeat(10));
    for _ in 0..10 {
        assert_eq!(client.response().text(), "200");
    }
}

#[test]
fn the_default_limit_of_a_head_is_16_kib() {
    let server = serve(count);
    for (bytes, want) in [(16 * 1024, 200), (16 * 1024 + 1, 431)] {
        let start = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
        let value = "a".repeat(bytes - start.len() - 4);
        let mut client = Client::connect(server.local_addr());
        client.say(&format!("{start}{value}\r\n\r\n"));
        assert_eq!(client.response().status, want, "{bytes}");
    }
}

#[test]
fn a_head_over_its_header_limit_is_refused() {
    let default = 100;
    for (builder, max) in [
        (Server::builder(), default),
        (Server::builder().max_headers(3), 3),
    ] {
        let (server, _events) = observed(builder, count);
        for (fields, want) in [(max, 200), (max + 1, 431)] {
            let more = "A: b\r\n".repeat(fields - 1);
            let mut client = Client::connect(server.local_addr());
            client.say(&format!("GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n"));
            let answer = client.response();
            assert_eq!(answer.status, want, "{fields} of {max}");
            if want == 431 {
                let why = "the head has too many fields\n";
                assert!(answer.text().ends_with(why), "{}", answer.text());
                client.expect_end();
            }
        }
    }
}

// Regression: a form of 1 MiB could have half a million fields, which took 42 MiB of memory.
#[test]
fn a_form_over_its_field_limit_gets_413() {
    fn form(request: &mut Request<'_>) -> Result<String, Error> {
        Ok(request.body().read_form()?.len().to_string())
    }
    let default = 1000;
    for (builder, max) in [
        (Server::builder(), default),
        (Server::builder().max_form_fields(3), 3),
        (Server::builder().max_form_fields(0), 0),
        (Server::builder().max_form_fields(5000), 5000),
    ] {
        let (server, _events) = observed(builder, form);
        let mut client = Client::connect(server.local_addr());
        let fields = |number: usize| "a&".repeat(number);
        let table = [
            (fields(max), 200, "as many as are allowed"),
            (fields(max + 1), 413, "one more"),
            (
                format!("&&{}&&&", fields(max)),
                200,
                "empty ones do not count",
            ),
            (
                format!("{}b", fields(max)),
                413,
                "the last one needs no ampersand",
            ),
        ];
        for (body, want, why) in table {
            let length = body.len();
            let media_type = "application/x-www-form-urlencoded";
            let head = format!("Host: x\r\nContent-Type: {media_type}\r\nContent-Length: {length}");
            client.say(&format!("POST / HTTP/1.1\r\n{head}\r\n\r\n{body}"));
            let answer = client.response();
            assert_eq!(answer.status, want, "{max}: {why}");
            let text = match want {
                200 => max.to_string(),
                _ => format!("413 Content Too Large: the form has more than {max} fields\n"),
            };
            assert_eq!(answer.text(), text, "{why}");
        }
    }
}

/// Regression: a connection with a slow `Closed` hook looked idle. It was chosen again and again to
/// make room, for ever and with the lock held.
#[test]
fn a_slow_closed_hook_does_not_delay_new_connections() {
    let (told, closed) = mpsc::sync_channel(9);
    let (go_on, going_on) = mpsc::channel::<()>();
    let going_on = Mutex::new(going_on);
    let builder = Server::builder().max_connections(1).on_event(move |event| {
        if let Event::Closed { id, .. } = event {
            told.send(u64::from(*id)).unwrap();
            if u64::from(*id) == 1 {
                let _ = going_on.lock().unwrap().recv_timeout(SOON); // the sender is dropped if the test has failed
            }
        }
    });
    let running = builder.bind("127.0.0.1:0").unwrap();
    let running = running.spawn(count).unwrap();
    let ask = || Client::answered(running.local_addr());
    drop(ask());
    assert_eq!(closed.recv_timeout(SOON), Ok(1)); // and its hook still runs
    let _second = ask();
    until("the second waits for its next request", || {
        let connections = running.connections();
        connections
            .iter()
            .any(|info| info.state == ConnectionState::Idle)
    });
    let _third = ask(); // the second makes room for it
    go_on.send(()).unwrap();
    running.destroy();
    assert!(running.join());
}

/// A transport whose handshake is one byte from the client. It takes a timeout for the end of the
/// handshake, as rustls does once something has arrived.
struct Sloppy(TcpStream);

impl Read for Sloppy {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Sloppy {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.read(&mut [0]);
        Ok(())
    }
}

/// Regression: such a handshake got `idle_timeout` instead of `header_timeout`.
#[test]
fn a_handshake_times_out_even_if_its_transport_hides_it() {
    let (told, closed) = mpsc::sync_channel(9);
    let builder = Server::builder()
        .header_timeout(SHORT)
        .transport(|tcp, _| Ok(Sloppy(tcp)))
        .on_event(move |event| {
            if let Event::Closed { reason, .. } = event {
                let _ = told.send(*reason); // the test may have ended
            }
        });
    let running = builder.bind("127.0.0.1:0").unwrap().spawn(count).unwrap();
    let _silent = Client::connect(running.local_addr());
    assert_eq!(closed.recv_timeout(SOON), Ok(CloseReason::HeadTimeout));
}
