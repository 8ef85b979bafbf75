//! Code of the user's, called by the library: hooks that call every method, panics, tokens,
//! transports.

use crate::client::{start_talk, talk, Client, GET, LAST_GET};
use crate::library::hardstop::{
    CancelToken, CloseReason, ConnectionId, Event, Handle, Outcome, Request, Response, Server,
};
use crate::mock::kernel::choose;
use crate::mock::net::TcpStream;
use crate::mock::thread::{join_all, sleep, user};
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject, Witness};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The most events of which a hook looks for its own.
const EVENTS: usize = 8;

/// Serves a client and then stops, while the hook does something at an event of the schedule's choice.
fn with_hook(act: fn(&Handle)) {
    let chosen = choose(EVENTS);
    let place: Arc<OnceLock<Handle>> = Arc::default();
    let found = Arc::clone(&place);
    let so_far = AtomicUsize::new(0);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        let number = so_far.fetch_add(1, Ordering::SeqCst);
        if let (true, Some(handle)) = (number == chosen, found.get()) {
            act(handle);
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let _ = place.set(subject.handle.clone());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    let clients = [GET, LAST_GET].map(|request| start_talk(&subject, request));
    subject.handle.drain();
    subject.destroy_and_finish(&running);
    join_all(clients);
    subject.check_responses();
}

/// A hook that destroys the server.
pub fn hook_destroys() {
    with_hook(|handle| {
        handle.destroy();
    });
}

/// A hook that drains the server, and shuts it down.
pub fn hook_drains() {
    with_hook(|handle| {
        handle.drain();
        let outcome = handle.shutdown(Duration::from_secs(1));
        check(
            outcome == Outcome::Pending,
            "a hook could wait for its own end",
        );
    });
}

/// A hook that closes every connection.
pub fn hook_closes() {
    with_hook(|handle| {
        for info in handle.connections() {
            handle.close(info.id);
        }
        handle.close_idle();
    });
}

/// A hook that waits, and asks.
pub fn hook_waits_and_asks() {
    with_hook(|handle| {
        check(!handle.wait(), "a hook has waited for itself");
        check(
            !handle.wait_timeout(Duration::from_secs(1)),
            "a hook has waited for itself",
        );
        check(
            handle.connection_count() <= 2,
            "there are more connections than clients",
        );
        handle.phase();
    });
}

/// A hook that panics at an event of the schedule's choice.
pub fn hook_panics() {
    with_hook(|_| panic!("on purpose"));
}

/// Calls everything that a handle has, where it cannot wait.
pub(super) struct CallsAll(pub(super) Handle);

impl Drop for CallsAll {
    fn drop(&mut self) {
        let handle = &self.0;
        check(!handle.wait(), "a drop has waited for itself");
        let outcome = handle.shutdown(Duration::from_secs(1));
        check(
            outcome == Outcome::Pending,
            "a drop could wait for its own end",
        );
        handle.drain();
        handle.destroy();
        check(handle.connection_count() == 0, "a connection is left");
    }
}

/// Binds a server whose hook owns its handle, and calls everything when it is dropped.
fn bind_with_a_hook_that_owns_its_handle() -> (Subject, Server) {
    let place: Arc<OnceLock<CallsAll>> = Arc::default();
    let found = Arc::clone(&place);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        if let Some(CallsAll(handle)) = found.get() {
            handle.phase();
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let _ = place.set(CallsAll(subject.handle.clone()));
    (subject, server)
}

/// A hook that owns its server's handle is dropped at the end, and calls everything then.
pub fn drop_of_a_hook_calls_all() {
    let (subject, server) = bind_with_a_hook_that_owns_its_handle();
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    let client = start_talk(&subject, GET);
    subject.handle.drain();
    subject.finish(&running);
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// The same of a server that never runs, with somebody who waits for its end.
pub fn drop_of_a_hook_that_never_ran_calls_all() {
    let (subject, server) = bind_with_a_hook_that_owns_its_handle();
    let client = start_talk(&subject, GET);
    let waiter = {
        let subject = subject.clone();
        user(move || {
            check(subject.handle.wait(), "wait returned false");
            subject.witness.check_hook_is_dropped();
        })
    };
    drop(server);
    subject.check_destroyed();
    subject.check_ended();
    waiter.join();
    check_nothing_left();
    client.join();
}

/// A hook that does all of it while the server serves on, and nobody stops it meanwhile.
pub fn hook_closes_while_serving() {
    let chosen = choose(EVENTS);
    let place: Arc<OnceLock<Handle>> = Arc::default();
    let found = Arc::clone(&place);
    let so_far = AtomicUsize::new(0);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        let number = so_far.fetch_add(1, Ordering::SeqCst);
        if let (true, Some(handle)) = (number == chosen, found.get()) {
            for info in handle.connections() {
                handle.close(info.id);
            }
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let _ = place.set(subject.handle.clone());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    let clients = [(); 2].map(|()| start_talk(&subject, LAST_GET));
    join_all(clients);
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// A handler that panics: its client gets a 500, and the server serves the next one.
pub fn handler_panics() {
    let handler = |request: &mut Request<'_>| {
        if request.path() == "/panic" {
            panic!("on purpose");
        }
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let panicking = start_talk(&subject, b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
    let answers = talk(&subject, LAST_GET);
    check(
        answers.len() == 1 || is_early(),
        "the server did not go on after a panic",
    );
    let answers = panicking.join().unwrap_or_default();
    let is_told = matches!(&answers[..], [answer] if answer.status == 500 && answer.is_last);
    check(is_told || is_early(), "a panic was not answered with a 500");
    check(
        subject.witness.count("HandlerPanicked") <= 1,
        "one panic was reported twice",
    );
    subject.handle.drain();
    subject.finish(&running);
    check_nothing_left();
    let reasons = subject.witness.reasons();
    check(
        reasons.contains(&CloseReason::HandlerPanicked) || is_early(),
        "a panic was not the reason of an end",
    );
    subject.check_responses();
}

/// Handlers that panic against a destroy.
pub fn handler_panics_destroyed() {
    let handler = |_: &mut Request<'_>| -> Response { panic!("on purpose") };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let clients = [(); 2].map(|()| start_talk(&subject, GET));
    subject.destroy_and_finish(&running);
    join_all(clients);
    subject.check_responses();
}

/// A token that outlives its connection, asked for on another thread.
pub fn token_kept() {
    let shelf: Arc<Mutex<Option<CancelToken>>> = Arc::default();
    let filled = Arc::clone(&shelf);
    let handler = move |request: &mut Request<'_>| {
        *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.cancel_token());
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    talk(&subject, LAST_GET);
    let token = shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(token) = token {
        let watch = Stopwatch::start();
        let is_over = token.wait_timeout(Duration::from_secs(20));
        check(is_over || is_early(), "a token did not learn of the end");
        watch.check(Duration::from_secs(1));
        check(
            token.is_cancelled() || is_early(),
            "a token does not know the end",
        );
    }
    subject.destroy_and_finish(&running);
    subject.check_responses();
}

/// Two threads that wait on the same token, against a close of that connection.
pub fn token_of_a_closed_connection() {
    let handler = |request: &mut Request<'_>| {
        let token = request.cancel_token();
        let other = token.clone();
        let other = user(move || other.wait_timeout(Duration::from_secs(20)));
        let is_cut = token.wait_timeout(Duration::from_secs(20));
        check(is_cut || is_early(), "a token did not learn of a cut");
        check(
            other.join() == Some(true) || is_early(),
            "a token did not learn of a cut",
        );
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    let watch = Stopwatch::start();
    let mut closed = 0;
    while !is_early() && subject.witness.seen().closed.is_empty() {
        for info in subject.handle.connections() {
            closed += usize::from(subject.handle.close(info.id));
        }
        sleep(Duration::from_millis(1));
    }
    watch.check(Duration::from_millis(20));
    check(
        closed == 1 || is_early(),
        "one connection was closed more than once, or never",
    );
    subject.destroy_and_finish(&running);
    client.join();
}

/// A handler that waits for a stop: a drain wakes it, and its response arrives.
pub fn token_of_a_drain() {
    let handler = |request: &mut Request<'_>| {
        let token = request.cancel_token();
        let is_stopping = token.wait_for_stop(Duration::from_secs(20));
        check(
            is_stopping || is_early(),
            "a token did not learn of a drain",
        );
        check(
            token.is_draining() || is_early(),
            "a token does not know of a drain",
        );
        "hello"
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let client = start_talk(&subject, GET);
    while subject.witness.seen().calls == 0 && !is_early() {
        sleep(Duration::from_millis(1));
    }
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    watch.check(Duration::ZERO);
    check_nothing_left();
    let answers = client.join().unwrap_or_default();
    check(
        answers.len() == 1 || is_early(),
        "the response of a drain was lost",
    );
    subject.check_responses();
}

/// `close` and `close_idle` against a client that asks again and again.
pub fn close_against_requests() {
    let (subject, running) = Subject::spawn(|builder| builder, |_| "hello");
    let client = {
        let subject = subject.clone();
        user(move || {
            let mut client = Client::connect(subject.addr)?;
            for _ in 0..2 {
                client.ask(GET)?;
            }
            Some(client.read_to_end(&subject))
        })
    };
    let cut = subject.handle.close_idle();
    check(cut <= 1, "one client, and more were cut");
    for info in subject.handle.connections() {
        subject.handle.close(info.id);
    }
    subject.handle.drain();
    subject.finish(&running);
    check_nothing_left();
    client.join();
    subject.check_responses();
}

/// A transport that reads one byte as its handshake, and passes the rest on.
pub(super) struct Shaken(TcpStream);

impl Shaken {
    pub(super) fn new(
        mut tcp: TcpStream,
        _id: ConnectionId,
    ) -> Result<Shaken, Box<dyn std::error::Error + Send + Sync>> {
        tcp.read_exact(&mut [0])?;
        Ok(Shaken(tcp))
    }
}

impl Read for Shaken {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Shaken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A handshake that never comes, against a destroy.
pub fn silent_handshake_destroyed() {
    let (subject, running) = Subject::spawn(|builder| builder.transport(Shaken::new), |_| "hello");
    let client = start_talk(&subject, b"");
    subject.destroy_at_once(&running);
    client.join();
}

/// A handshake that never comes, against a drain: it has a second.
pub fn silent_handshake_drained() {
    let (subject, running) = Subject::spawn(|builder| builder.transport(Shaken::new), |_| "hello");
    let silent = start_talk(&subject, b"");
    let served = start_talk(&subject, b"!GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    watch.check(Duration::from_millis(1200));
    check_nothing_left();
    silent.join();
    served.join();
    subject.check_responses();
}

/// A handshake that never comes ends by itself after `header_timeout`.
pub fn silent_handshake_times_out() {
    let configure = |builder: crate::library::hardstop::Builder| {
        builder
            .transport(Shaken::new)
            .header_timeout(Duration::from_secs(2))
    };
    let (subject, running) = Subject::spawn(configure, |_| "hello");
    let watch = Stopwatch::start();
    talk(&subject, b"");
    watch.check(Duration::from_millis(2000));
    subject.destroy_and_finish(&running);
}

/// A transport that never returns from a read whose time is over: the accept loop cuts it.
pub fn transport_that_reads_on() {
    struct Stubborn(TcpStream);
    impl Read for Stubborn {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            loop {
                match self.0.read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        }
    }
    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let configure = |builder: crate::library::hardstop::Builder| {
        let builder = builder.transport(|tcp, _id| Ok(Stubborn(tcp)));
        builder.idle_timeout(Duration::from_secs(2))
    };
    let (subject, running) = Subject::spawn(configure, |_| "hello");
    let watch = Stopwatch::start();
    talk(&subject, b"");
    watch.check(Duration::from_secs(6));
    subject.destroy_and_finish(&running);
}

/// Events keep their order for each connection, also if the hook is slow.
pub fn slow_hook_against_destroy() {
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        if matches!(event, Event::Closed { .. }) {
            sleep(Duration::from_millis(5));
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let running = server
        .spawn(subject.noting(|_: &mut Request<'_>| "hello"))
        .unwrap();
    let clients = [(); 2].map(|()| start_talk(&subject, LAST_GET));
    subject.destroy_and_finish(&running);
    join_all(clients);
    subject.check_responses();
}

/// A transport of which somebody keeps the socket: the client sees the end all the same.
pub fn transport_kept_by_somebody() {
    let shelf: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let filled = Arc::clone(&shelf);
    let transport = move |tcp: TcpStream, _id: ConnectionId| {
        let kept = tcp.try_clone()?;
        filled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(kept);
        Ok(tcp)
    };
    let (subject, running) =
        Subject::spawn(move |builder| builder.transport(transport), |_| "hello");
    let watch = Stopwatch::start();
    let client = start_talk(&subject, LAST_GET);
    client.join();
    watch.check(Duration::ZERO);
    subject.destroy();
    check(subject.handle.wait(), "wait returned false");
    shelf.lock().unwrap_or_else(PoisonError::into_inner).clear();
    subject.finish(&running);
    check_nothing_left();
    subject.check_responses();
}
