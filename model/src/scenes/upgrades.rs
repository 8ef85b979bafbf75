//! Connections that have left HTTP.

use crate::client::{talk, Client};
use crate::library::hardstop::{
    Event, Handle, Lease, Outcome, Request, Response, Running, Server, Upgraded,
};
use crate::mock::net::TcpStream;
use crate::mock::thread::{join_all, sleep, user, User};
use crate::oracle::{check, check_nothing_left, is_early, Stopwatch, Subject, Witness};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Where a handler leaves streams for another thread.
type Shelf<T> = Arc<Mutex<Vec<T>>>;

fn take<T>(shelf: &Shelf<T>) -> Option<T> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn put<T>(shelf: &Shelf<T>, it: T) {
    shelf
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(it);
}

/// A server whose upgraded streams are left on a shelf.
fn spawn_with_shelf() -> (Subject, Running, Shelf<Upgraded>) {
    let shelf = Shelf::default();
    let filled = Arc::clone(&shelf);
    let (subject, running) = Subject::spawn(
        |builder| builder,
        move |_| {
            let filled = Arc::clone(&filled);
            Response::upgrade("echo", move |stream| put(&filled, stream))
        },
    );
    (subject, running, shelf)
}

/// A client that asks for an upgrade and reads until the end.
fn start_client(subject: &Subject) -> User<()> {
    let subject = subject.clone();
    user(move || drop(talk(&subject, UPGRADE)))
}

/// Waits until the stream is there; `None` if the server is stopped before that, or it takes long.
fn wait_for<T>(shelf: &Shelf<T>, subject: &Subject) -> Option<T> {
    for _ in 0..50 {
        if let Some(it) = take(shelf) {
            return Some(it);
        }
        if subject.handle.wait_timeout(Duration::from_millis(50)) {
            break;
        }
    }
    take(shelf)
}

/// Drops every stream that is or comes there until the server has ended.
fn empty<T>(shelf: &Shelf<T>, subject: &Subject) {
    loop {
        while let Some(it) = take(shelf) {
            drop(it);
        }
        if subject.handle.wait_timeout(Duration::from_millis(50)) {
            break;
        }
    }
}

/// A stream that another thread reads until it fails, and drops, against a destroy.
pub fn dropped_elsewhere_destroyed() {
    let (subject, running, shelf) = spawn_with_shelf();
    let client = start_client(&subject);
    let holder = {
        let (subject, shelf) = (subject.clone(), Arc::clone(&shelf));
        user(move || {
            let Some(mut stream) = wait_for(&shelf, &subject) else {
                return;
            };
            let read = stream.read(&mut [0; 8]);
            check(
                read.is_err() || is_early(),
                "a stream that was cut can be read",
            );
            check(
                stream.write(b"x").is_err(),
                "a stream that was cut can be written",
            );
        })
    };
    subject.destroy();
    holder.join();
    empty(&shelf, &subject);
    subject.finish(&running);
    check_nothing_left();
    client.join();
}

/// A stream that another thread drops at once, against a drain: that waits for it.
pub fn dropped_elsewhere_drained() {
    let (subject, running, shelf) = spawn_with_shelf();
    let client = start_client(&subject);
    let holder = {
        let (subject, shelf) = (subject.clone(), Arc::clone(&shelf));
        user(move || {
            drop(wait_for(&shelf, &subject));
            let is_ended = subject.handle.wait();
            check(
                is_ended,
                "a thread that has dropped its stream counts as the server's",
            );
        })
    };
    subject.handle.drain();
    subject.check_port_is_closed();
    subject.finish(&running);
    check_nothing_left();
    holder.join();
    client.join();
}

/// A drain that waits for a stream returns as soon as that is dropped, also by a thread that panics.
pub fn dropped_by_a_panic() {
    let (subject, running, shelf) = spawn_with_shelf();
    let client = start_client(&subject);
    let watch = Stopwatch::start();
    let holder = {
        let (subject, shelf) = (subject.clone(), Arc::clone(&shelf));
        user(move || {
            let _stream = wait_for(&shelf, &subject);
            panic!("on purpose");
        })
    };
    holder.join();
    let dropped = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    // The stream was dropped before the drain; or its client was silent, or late.
    dropped.check(Duration::from_millis(1100));
    watch.check(Duration::from_millis(1200));
    check_nothing_left();
    client.join();
}

/// `Closed` of a stream that a panicking thread drops is reported within a second while the server
/// serves.
pub fn closed_by_a_panic() {
    let (subject, running, shelf) = spawn_with_shelf();
    let client = start_client(&subject);
    while subject.witness.count("Upgraded") == 0 && !is_early() {
        sleep(Duration::from_millis(1));
    }
    let holder = {
        let (subject, shelf) = (subject.clone(), Arc::clone(&shelf));
        user(move || {
            let _stream = wait_for(&shelf, &subject);
            panic!("on purpose");
        })
    };
    holder.join();
    sleep(Duration::from_millis(1001));
    let closed = subject.witness.seen().closed.len();
    check(closed == 1 || is_early(), "a Closed is reported late");
    subject.destroy_and_finish(&running);
    client.join();
}

/// The same in a drain, in which another stream lives on: it is reported at once.
pub fn closed_by_a_panic_in_a_drain() {
    let (subject, running, shelf) = spawn_with_shelf();
    let clients = [(); 2].map(|()| start_client(&subject));
    sleep(Duration::from_millis(1));
    subject.handle.drain();
    let kept = take(&shelf);
    let dropped = take(&shelf);
    check(dropped.is_some() || is_early(), "a client was not served");
    let holder = user(move || {
        let _stream = dropped;
        panic!("on purpose");
    });
    holder.join();
    sleep(Duration::from_millis(1));
    let closed = subject.witness.seen().closed.len();
    check(closed == 1 || is_early(), "a Closed is reported late");
    drop(kept);
    empty(&shelf, &subject);
    subject.finish(&running);
    check_nothing_left();
    join_all(clients);
}

/// The socket of a stream, its lease dropped first, on threads of the user's.
pub fn raw_socket_and_lease() {
    let shelf: Shelf<(TcpStream, Lease)> = Shelf::default();
    let filled = Arc::clone(&shelf);
    let (subject, running) = Subject::spawn(
        |builder| builder,
        move |_| {
            let filled = Arc::clone(&filled);
            Response::upgrade("echo", move |stream| {
                if let Ok((tcp, _, lease)) = stream.into_tcp() {
                    put(&filled, (tcp, lease));
                }
            })
        },
    );
    let client = start_client(&subject);
    let holder = {
        let (subject, shelf) = (subject.clone(), Arc::clone(&shelf));
        user(move || {
            if let Some((mut tcp, lease)) = wait_for(&shelf, &subject) {
                drop(lease);
                let mut rest = Vec::new();
                let _ = tcp.read_to_end(&mut rest); // it returns, as the connection has ended
            }
        })
    };
    subject.destroy();
    holder.join();
    empty(&shelf, &subject);
    subject.finish(&running);
    check_nothing_left();
    client.join();
}

/// A lease that is dropped while the closure of the upgrade runs on: the connection ends at once.
pub fn lease_dropped_in_the_closure() {
    let handler = |_: &mut Request<'_>| {
        Response::upgrade("echo", |stream| {
            if let Ok((mut tcp, _, lease)) = stream.into_tcp() {
                drop(lease);
                let mut rest = Vec::new();
                let _ = tcp.read_to_end(&mut rest); // it returns, as the connection has ended
            }
        })
    };
    let (subject, running) = Subject::spawn(|builder| builder, handler);
    let watch = Stopwatch::start();
    talk(&subject, UPGRADE);
    watch.check(Duration::ZERO);
    subject.destroy_and_finish(&running);
}

/// The last drop of all, on a thread of the user's: it ends the drain that another thread waits for.
pub fn last_drop_of_all() {
    let (subject, running, shelf) = spawn_with_shelf();
    let mut client = Client::connect(subject.addr).unwrap();
    client.send(UPGRADE);
    let stream = wait_for(&shelf, &subject);
    let waiter = {
        let subject = subject.clone();
        user(move || subject.handle.shutdown(Duration::from_secs(30)))
    };
    let holder = user(move || {
        sleep(Duration::from_secs(1));
        drop(stream);
    });
    let watch = Stopwatch::start();
    subject.handle.drain();
    subject.finish(&running);
    watch.check(Duration::from_secs(1));
    check_nothing_left();
    waiter.join();
    watch.check(Duration::from_secs(1));
    holder.join();
}

/// Streams that live on elsewhere do not keep the stacks of the threads that made them.
pub fn stacks_of_upgraded_streams() {
    let (subject, running, shelf) = spawn_with_shelf();
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(subject.addr).unwrap();
        client.send(UPGRADE);
        streams.extend(wait_for(&shelf, &subject));
        clients.push(client);
    }
    // Long enough for spare threads to end, and for the accept loop to come by.
    sleep(Duration::from_secs(10));
    let stacks = crate::mock::kernel::with(|world| world.threads.unjoined);
    // The accept thread's is one.
    check(
        stacks <= 1 || is_early(),
        "stacks of ended threads are kept",
    );
    drop(streams);
    subject.destroy_and_finish(&running);
}

/// A stream that a thread of the user's drops, where the hook shuts the server down: that thread
/// cannot wait, and the deadline is kept for it.
pub fn closed_hook_shuts_down() {
    let place: Arc<OnceLock<Handle>> = Arc::default();
    let found = Arc::clone(&place);
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| {
        noted.note(event);
        if let (Event::Closed { .. }, Some(handle)) = (event, found.get()) {
            let outcome = handle.shutdown(Duration::from_millis(200));
            check(
                outcome == Outcome::Pending,
                "a hook could wait for its own end",
            );
        }
    });
    let (subject, server) = Subject::of(witness, builder.bind("127.0.0.1:0").unwrap());
    let _ = place.set(subject.handle.clone());
    let shelf = Shelf::default();
    let filled = Arc::clone(&shelf);
    let handler = move |_: &mut Request<'_>| {
        let filled = Arc::clone(&filled);
        Response::upgrade("echo", move |stream| put(&filled, stream))
    };
    let running = server.spawn(subject.noting(handler)).unwrap();
    let clients = [(); 2].map(|()| start_client(&subject));
    drop(wait_for(&shelf, &subject));
    let kept = take(&shelf);
    if is_early() {
        subject.handle.drain(); // the clients may have been lost
        drop(kept);
        empty(&shelf, &subject);
    } else {
        // Nobody drops the other one before the deadline has cut it.
        sleep(Duration::from_secs(1));
        let holder = user(move || drop((kept, take(&shelf))));
        holder.join();
    }
    subject.finish(&running);
    check_nothing_left();
    join_all(clients);
}
