//! Stops of upgraded connections.

use super::*;

type Cut = fn(&Handle);

/// The ways to cut a connection, and the reason of each.
const CUTS: [(Cut, CloseReason); 3] = [
    (
        |handle| assert_eq!(handle.destroy(), 1),
        CloseReason::Destroyed,
    ),
    (
        |handle| assert!(handle.close(handle.connections()[0].id)),
        CloseReason::ClosedByHandle,
    ),
    (
        |handle| {
            let outcome = handle.shutdown(SHORT);
            assert!(
                matches!(outcome, Outcome::Destroyed { cut: 1, .. }),
                "{outcome:?}"
            );
        },
        CloseReason::Destroyed,
    ),
];

#[test]
fn a_cut_wakes_a_blocked_upgraded_stream_and_fires_its_token() {
    let waits: [fn(Upgraded) -> std::io::Error; 3] = [
        |mut stream| stream.read(&mut [0]).unwrap_err(),
        |mut stream| fill(|| stream.write(&[0; 65536])),
        |mut stream| {
            thread::spawn(move || stream.read(&mut [0]).unwrap_err())
                .join()
                .unwrap()
        },
    ];
    let ways = CUTS
        .iter()
        .flat_map(|cut| (0..waits.len()).map(move |number| (cut, number)));
    for ((cut, reason), number) in ways {
        let wait = waits[number];
        let (sender, seen) = mpsc::channel();
        let (about_to, waits) = mpsc::channel();
        let (running, facts) = taking(Server::builder(), move |stream, token| {
            about_to.send(()).unwrap();
            let error = wait(stream);
            sender.send((error.kind(), token.is_cancelled())).unwrap();
        });
        let mut client = upgraded(running.local_addr());
        waits.recv_timeout(SOON).unwrap();
        if number == 1 {
            until("the system takes no more", || {
                let so_far = || client.stream.peek(&mut vec![0; 1 << 22]).unwrap();
                let before = so_far();
                thread::sleep(SHORT);
                before == so_far()
            });
        }
        cut(&running.handle());
        let want = (ErrorKind::ConnectionAborted, true);
        assert_eq!(
            seen.recv_timeout(SOON).unwrap(),
            want,
            "{reason:?}, {number}"
        );
        client.expect_end();
        assert_eq!(facts.reason(1), *reason, "{number}");
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn a_cut_reaches_an_unused_stream_that_was_moved_away() {
    for (cut, reason) in CUTS {
        let (running, facts, streams) = moving(Server::builder());
        let mut client = Client::connect(running.local_addr());
        client.say(&format!("{UPGRADE}too late"));
        assert_eq!(client.head_response().status, 101);
        let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
        cut(&running.handle());
        assert!(token.is_cancelled() && token.wait_timeout(LONG));
        client.expect_end();
        let kind = |result: std::io::Result<usize>| result.unwrap_err().kind();
        assert_eq!(
            kind(stream.read(&mut [0])),
            ErrorKind::ConnectionAborted,
            "{reason:?}"
        );
        assert_eq!(
            kind(stream.write(&[0])),
            ErrorKind::ConnectionAborted,
            "{reason:?}"
        );
        running.destroy();
        let handle = running.handle();
        assert!(!handle.wait_timeout(SHORT), "it is held");
        assert_eq!(handle.connection_count(), 1);
        drop(stream);
        assert_ends(&running);
        assert_eq!(facts.reason(1), reason);
    }
}

#[test]
fn close_idle_and_new_clients_leave_upgraded_connections_alone() {
    let (running, _facts, streams) = moving(Server::builder().max_connections(1));
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    assert_eq!(running.close_idle(), 0);
    thread::sleep(Duration::from_millis(1100)); // a new connection is not evicted for a second
    let mut newcomer = Client::connect(running.local_addr());
    newcomer.say(GET);
    assert_eq!(newcomer.response().status, 503);
    assert!(!token.is_cancelled());
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    drop(stream);
    until("its place is free", || running.connection_count() == 0);
    drop(Client::answered(running.local_addr()));
}

#[test]
fn drain_signals_an_upgraded_stream_and_leaves_it_open() {
    let (running, facts, streams) = moving(Server::builder());
    let mut client = upgraded(running.local_addr());
    let (mut stream, token) = streams.recv_timeout(SOON).unwrap();
    assert!(!token.is_draining() && !token.wait_for_stop(SHORT));
    thread::scope(|scope| {
        let told = scope.spawn(|| token.wait_for_stop(LONG));
        running.drain();
        assert!(told.join().unwrap());
    });
    assert!(token.is_draining() && !token.is_cancelled());
    assert!(
        !running.wait_timeout(SHORT * 30),
        "more than a silent one has"
    );
    client.say("a");
    assert_eq!(read_exact(&mut stream, 1), b"a");
    stream.write_all(b"b").unwrap();
    assert_eq!(client.take(1), b"b");
    thread::scope(|scope| {
        let outcome = scope.spawn(|| running.shutdown(LONG));
        drop(stream);
        assert_eq!(outcome.join().unwrap(), Outcome::Drained);
    });
    client.expect_end();
    assert_ends(&running);
    assert_eq!(facts.reason(1), CloseReason::Completed);
}

#[test]
fn one_destroy_ends_many_upgrades() {
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let echo = move |mut stream: Upgraded, _| {
        let mut piece = [0; 64];
        while let Ok(n) = stream.read(&mut piece) {
            if n == 0 || stream.write_all(&piece[..n]).is_err() {
                break;
            }
        }
        counter.fetch_add(1, SeqCst);
    };
    let (running, _facts) = taking(Server::builder(), echo);
    let mut clients: Vec<Client> = (0..50).map(|_| upgraded(running.local_addr())).collect();
    for client in &mut clients {
        client.say("ping");
        assert_eq!(client.take(4), b"ping");
    }
    assert_eq!(running.destroy(), 50);
    clients.iter_mut().for_each(Client::expect_end);
    assert_ends(&running);
    assert_eq!(ended.load(SeqCst), 50);
}
