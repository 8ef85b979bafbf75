//! Panics in closures, and calls of the server in closures and hooks.

use super::*;

#[test]
fn a_panicking_closure_ends_its_connection_wherever_the_stream_is() {
    for moves in [false, true] {
        let (sender, streams) = mpsc::channel();
        let (running, facts) = taking(Server::builder(), move |stream, _| {
            let _kept = match moves {
                true => sender.send(stream).map_or(None, |()| None),
                false => Some(stream),
            };
            panic!("on purpose");
        });
        let mut client = upgraded(running.local_addr());
        client.expect_end();
        let panicked = Fact::HandlerPanicked(1, String::from("on purpose"));
        facts.wait_for(|fact| *fact == panicked);
        if moves {
            let mut stream = streams.recv_timeout(SOON).unwrap();
            let read = stream.read(&mut [0]);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        }
        assert_eq!(facts.reason(1), CloseReason::HandlerPanicked);
        let facts = facts.so_far();
        let panicked = facts.iter().position(|fact| *fact == panicked);
        let closed = |fact: &Fact| matches!(fact, Fact::Closed(1, CloseReason::HandlerPanicked, _));
        assert!(panicked < facts.iter().position(closed));
        drop(Client::answered(running.local_addr())); // the server goes on
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn a_stream_dropped_in_a_panic_is_reported_once_by_the_accept_thread() {
    let (sender, told) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Closed { reason, .. } = event {
            let name = thread::current().name().map(String::from);
            let _ = sender.send((*reason, name)); // the test may have ended
            panic!("a panic while another unwinds would end the process");
        }
    });
    let (send, streams) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |_| {
        let send = send.clone();
        Response::upgrade("echo", move |stream| send.send(stream).unwrap())
    });
    let running = running.unwrap();
    let is_reported = (0..20).any(|_| {
        let mut client = upgraded(running.local_addr());
        let stream = streams.recv_timeout(SOON).unwrap();
        let panics = thread::spawn(move || {
            let _stream = stream;
            panic!("on purpose");
        });
        panics.join().unwrap_err();
        client.expect_end();
        let (reason, name) = told.recv_timeout(SOON).unwrap();
        assert_eq!(reason, CloseReason::Completed);
        // On a busy machine, the connection's own thread may be the last to have it.
        assert!(["hardstop-accept", "hardstop"].contains(&name.as_deref().unwrap()));
        name.as_deref() == Some("hardstop-accept")
    });
    assert!(is_reported);
    running.drain();
    assert_ends(&running);
    told.try_recv().unwrap_err();
}

#[test]
fn wait_in_the_closed_hook_of_a_moved_stream_returns_at_once() {
    let handle = Arc::new(OnceLock::<Handle>::new());
    let cell = Arc::clone(&handle);
    let (sender, waited) = mpsc::channel();
    let builder = Server::builder().on_event(move |event| {
        if let Event::Closed { .. } = event {
            let handle = cell.get().unwrap();
            let waits = (handle.wait_timeout(SOON * 2), handle.shutdown(SOON * 2));
            sender.send(waits).unwrap();
        }
    });
    let (send, streams) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    handle.set(server.handle()).unwrap();
    let running = server.spawn(move |_| {
        let send = send.clone();
        Response::upgrade("echo", move |stream| send.send(stream).unwrap())
    });
    let running = running.unwrap();
    let _client = upgraded(running.local_addr());
    drop(streams.recv_timeout(SOON).unwrap()); // reports `Closed` on this thread
    let waits = waited.recv_timeout(SOON).unwrap();
    assert_eq!(waits, (false, Outcome::Pending), "a wait for itself");
    assert_ends(&running);
}

#[test]
fn destroy_in_the_upgraded_hook_does_not_deadlock() {
    let handle = Arc::new(OnceLock::<Handle>::new());
    let cell = Arc::clone(&handle);
    let builder = Server::builder().on_event(move |event| {
        if let Event::Upgraded { .. } = event {
            cell.get().unwrap().destroy();
        }
    });
    let (sender, seen) = mpsc::channel();
    let server = builder.bind("127.0.0.1:0").unwrap();
    handle.set(server.handle()).unwrap();
    let running = server.spawn(move |_| {
        let sender = sender.clone();
        Response::upgrade("echo", move |mut stream| {
            let read = stream.read(&mut [0]).map_err(|error| error.kind());
            sender.send(read).unwrap();
        })
    });
    let running = running.unwrap();
    let mut client = upgraded(running.local_addr());
    let want = Err(ErrorKind::ConnectionAborted);
    assert_eq!(seen.recv_timeout(SOON).unwrap(), want);
    client.expect_end();
    assert_ends(&running);
}
