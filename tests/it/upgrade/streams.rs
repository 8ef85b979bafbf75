//! The stream of an upgraded connection: its lifetime, its timeouts, and its parts.

use super::*;

/// Regression: a client of a server with one place got a 503 if it came again as soon as it saw
/// the end of its upgraded connection.
#[test]
fn a_client_finds_its_place_free_after_an_upgraded_stream() {
    let is_served = (0..20).any(|_| {
        let (gate, arrivals, open) = Gate::new();
        let gate = Arc::new(gate);
        let (running, facts) = taking(Server::builder().max_connections(1), move |stream, _| {
            drop(stream);
            gate.pass();
        });
        upgraded(running.local_addr()).expect_end();
        arrivals.recv_timeout(SOON).unwrap();
        let mut again = Client::connect(running.local_addr());
        again.say(GET);
        facts.wait_for(|fact| *fact == Fact::Opened(2));
        open.send(()).unwrap();
        let status = again.response().status;
        running.destroy();
        assert_ends(&running);
        status == 200 // else the machine was too busy to continue within a second
    });
    assert!(is_served);
}

thread_local! {
    /// Dropped at the end of its thread.
    static AT_THE_END: RefCell<Option<OnDrop>> = RefCell::default();
}

struct OnDrop(Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(()); // the test may have ended
    }
}

#[test]
fn wait_includes_a_stream_that_outlived_its_thread() {
    let (sender, streams) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let (running, facts) = taking(Server::builder(), move |stream, _| {
        AT_THE_END.with(|it| *it.borrow_mut() = Some(OnDrop(ended.clone())));
        sender.send(stream).unwrap();
    });
    let mut client = upgraded(running.local_addr());
    let mut stream = streams.recv_timeout(SOON).unwrap();
    end.recv_timeout(SOON).expect("its thread has ended");
    drop(Client::answered(running.local_addr())); // makes the server join ended threads
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    running.drain();
    assert!(!running.wait_timeout(SHORT));
    thread::scope(|scope| {
        let joined = scope.spawn(|| running.join());
        assert!(!facts
            .so_far()
            .iter()
            .any(|fact| matches!(fact, Fact::Closed(1, ..))));
        drop(stream);
        assert!(joined.join().unwrap());
    });
    let closed = |fact: &Fact| matches!(fact, Fact::Closed(1, CloseReason::Completed, _));
    assert!(
        facts.so_far().iter().any(closed),
        "reported before `join` returned"
    );
}

#[test]
fn dropping_the_stream_ends_the_connection_while_its_closure_goes_on() {
    let (gate, arrivals, open) = Gate::new();
    let gate = Arc::new(gate);
    let (running, facts) = taking(Server::builder(), move |stream, _| {
        drop(stream);
        gate.pass();
    });
    let mut client = upgraded(running.local_addr());
    arrivals.recv_timeout(SOON).unwrap();
    client.expect_end();
    running.drain();
    assert!(!running.wait_timeout(SHORT), "the closure goes on");
    drop(open);
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Completed);
}

/// With old compilers, `thread::current` panics in the destructor of a thread-local, which would
/// abort the process.
#[test]
fn a_stream_in_a_thread_local_ends_with_its_thread() {
    thread_local! {
        static KEPT: RefCell<Option<Upgraded>> = const { RefCell::new(None) };
    }
    let (running, facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let keeper = thread::spawn(move || KEPT.with(|kept| *kept.borrow_mut() = Some(stream)));
    keeper.join().unwrap();
    client.expect_end();
    assert_eq!(facts.reason(1), CloseReason::Completed);
    running.destroy();
    assert_ends(&running);
}

#[test]
fn http_timeouts_and_rates_do_not_apply_to_upgraded_streams() {
    let builder = Server::builder()
        .header_timeout(SHORT * 4)
        .idle_timeout(SHORT * 4)
        .body_timeout(SHORT * 4)
        .write_timeout(SHORT * 4)
        .min_rate(u32::MAX);
    let (running, _facts, streams) = moving(builder);
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    const BYTES: usize = 20 << 20; // more than the system buffers
    thread::scope(|scope| {
        let stream = &mut stream;
        let served = scope.spawn(move || {
            let read = read_exact(stream, 1);
            stream.write_all(&vec![b'x'; BYTES]).unwrap();
            read
        });
        thread::sleep(SHORT * 16); // a slow client
        client.say("a");
        thread::sleep(SHORT * 16);
        assert_eq!(client.take(BYTES).len(), BYTES);
        assert_eq!(served.join().unwrap(), b"a");
    });
    assert!(!token.is_cancelled());
}

#[test]
fn set_timeouts_bounds_reads_and_writes_and_the_stream_goes_on() {
    let (running, _facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    stream.set_timeouts(Some(SHORT), Some(SHORT)).unwrap();
    assert!(late.contains(&stream.read(&mut [0]).unwrap_err().kind()));
    let mut sent = 0;
    let error = fill(|| {
        let n = stream.write(&[0; 65536])?;
        sent += n;
        Ok(n)
    });
    assert!(late.contains(&error.kind()), "{error}");
    assert_eq!(client.take(sent).len(), sent);
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    for zero in [(Some(Duration::ZERO), None), (None, Some(Duration::ZERO))] {
        stream.set_timeouts(zero.0, zero.1).unwrap_err();
    }
    stream.set_timeouts(None, None).unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| read_exact(&mut stream, 1));
        thread::sleep(SHORT * 4); // a slow client
        client.say("b");
        assert_eq!(read.join().unwrap(), b"b");
    });
}

/// A stream in its parts, whose client had sent bytes along with its head.
struct Parts {
    client: Client,
    tcp: TcpStream,
    unread: Vec<u8>,
    lease: Lease,
    token: CancelToken,
}

impl Parts {
    fn of(running: &Running, streams: &Receiver<(Upgraded, CancelToken)>, sent: &str) -> Parts {
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{UPGRADE}{sent}"));
        assert_eq!(client.head_response().status, 101);
        let (stream, token) = streams.recv_timeout(SOON).unwrap();
        let (tcp, unread, lease) = stream.into_tcp().unwrap();
        assert_eq!(tcp.write_timeout().unwrap(), None, "not the library's own");
        Parts {
            client,
            tcp,
            unread,
            lease,
            token,
        }
    }
}

#[test]
fn into_tcp_lets_two_threads_read_and_write_at_the_same_time() {
    let (running, facts, streams) = moving(Server::builder());
    let Parts {
        mut client,
        tcp,
        unread,
        lease,
        token,
    } = Parts::of(&running, &streams, "abc");
    assert_eq!(unread, b"abc");
    const BYTES: usize = 8 << 20;
    let (mut reader, mut writer) = (tcp.try_clone().unwrap(), tcp);
    let mut sender = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        // If reads and writes waited for each other, none of the four would end.
        scope.spawn(|| writer.write_all(&vec![b'x'; BYTES]).unwrap());
        scope.spawn(|| sender.write_all(&vec![b'y'; BYTES]).unwrap());
        let read = scope.spawn(|| read_exact(&mut reader, BYTES));
        assert!(client.take(BYTES).iter().all(|byte| *byte == b'x'));
        assert!(read.join().unwrap().iter().all(|byte| *byte == b'y'));
    });
    assert!(!token.is_cancelled());
    drop(lease);
    client.expect_end();
    until("it is gone", || running.connection_count() == 0);
    assert_eq!(facts.reason(1), CloseReason::Completed);
    assert_eq!(
        reader.read(&mut [0]).unwrap_or(0),
        0,
        "the sockets have ended, too"
    );
    writer.write_all(&[0; 9]).unwrap_err();
}

#[test]
fn a_lease_keeps_its_connection_registered_and_destroy_wakes_its_socket() {
    let (running, facts, streams) = moving(Server::builder());
    let Parts {
        mut client,
        mut tcp,
        unread,
        lease,
        token,
    } = Parts::of(&running, &streams, "");
    assert_eq!(unread, b"");
    thread::scope(|scope| {
        let read = scope.spawn(|| tcp.read(&mut [0; 9]));
        client.say("");
        assert_eq!(running.destroy(), 1);
        let read = read.join().unwrap();
        assert_eq!(read.unwrap_or(0), 0, "a socket shows a cut as an end");
    });
    assert!(token.is_cancelled());
    client.expect_end();
    assert!(!running.wait_timeout(SHORT), "it is leased");
    drop(lease);
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[test]
fn dropping_a_lease_ends_the_connection_while_its_socket_is_held() {
    let (running, _facts, streams) = moving(Server::builder());
    let Parts {
        mut client,
        tcp,
        lease,
        token,
        ..
    } = Parts::of(&running, &streams, "");
    drop(lease);
    client.expect_end();
    assert!(token.wait_timeout(SOON), "its token has fired");
    running.destroy();
    assert_ends(&running); // the server does not wait for the socket
    drop(tcp);
}

/// A transport that sends a goodbye.
struct Polite(TcpStream);

impl Read for Polite {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Polite {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        let _ = self.0.write_all(b"goodbye"); // it may have been cut
    }
}

#[test]
fn into_tcp_over_a_transport_gives_the_stream_back() {
    let (running, _facts, streams) = moving(Server::builder().transport(|tcp, _| Ok(Polite(tcp))));
    let mut client = upgraded(running.local_addr());
    client.say("abc");
    let (stream, _) = streams.recv_timeout(SOON).unwrap();
    let mut stream = stream
        .into_tcp()
        .expect_err("its bytes are not the socket's");
    assert_eq!(read_exact(&mut stream, 3), b"abc");
    stream.write_all(b"def").unwrap();
    drop(stream);
    assert_eq!(client.take(10), b"defgoodbye");
    client.expect_end();
}

#[test]
fn destroy_wakes_an_upgraded_stream_over_a_transport() {
    let (running, facts, streams) = moving(Server::builder().transport(|tcp, _| Ok(Polite(tcp))));
    let mut client = upgraded(running.local_addr());
    let (mut stream, _) = streams.recv_timeout(SOON).unwrap();
    let reads = thread::spawn(move || stream.read(&mut [0]).unwrap_err().kind());
    assert_eq!(running.destroy(), 1);
    assert_eq!(reads.join().unwrap(), ErrorKind::ConnectionAborted);
    client.expect_end();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Destroyed);
}

#[cfg(unix)]
#[test]
fn into_tcp_works_for_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("hardstop-upgrade-{}", std::process::id()));
    let (sender, streams) = mpsc::channel();
    let server = Server::builder().bind_unix(&path).unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |stream| sender.send(stream).unwrap())
    });
    let running = running.unwrap();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client
        .write_all(format!("{UPGRADE}abc").as_bytes())
        .unwrap();
    let stream = streams.recv_timeout(SOON).unwrap();
    let (mut tcp, unread, lease) = stream.into_tcp().unwrap();
    assert_eq!(unread, b"abc");
    tcp.write_all(b"def").unwrap();
    drop(lease);
    let mut got = String::new();
    client.read_to_string(&mut got).unwrap();
    assert!(
        got.starts_with("HTTP/1.1 101 ") && got.ends_with("\r\n\r\ndef"),
        "{got}"
    );
    running.destroy();
    assert_ends(&running);
}
