//! Every call of the server to the system fails once, in each of its manners, while clients talk to it
//! and it is stopped.
//!
//! Whatever fails: the server goes on, a client that lost something has been reported, nobody else has
//! lost anything, and nothing is left in the end. What is checked of services and times is checked in
//! the exact mode only; in the early one, any client may come too late.

use crate::client::{Client, GET, LAST_GET};
use crate::library::hardstop::{
    Builder, CloseReason, Error, Phase, Request, Response, Running, Server, Upgraded,
};
use crate::mock::faults::{Call, Strike, MANNERS};
use crate::mock::kernel::{choose, fail, quietly, with};
use crate::mock::thread::{join_all, sleep, user, User};
use crate::oracle::{check, check_nothing_left, is_early, Fact, Stopwatch, Subject, Witness};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// No run makes as many calls in its first three seconds and a stop, if none fails.
const MAX_CALLS: usize = 170;

/// How many runs go through every call and every manner. In the first ones, no call fails.
pub const CASES: usize = MAX_CALLS * MANNERS;

/// By then, every client has got what it can get, also if the accept loop has waited under its lock.
const TALK: Duration = Duration::from_secs(3);

/// By then, an error of accepting has been reported, and no other call is made.
const REPORT: Duration = Duration::from_millis(500);

/// How long a client waits for the server.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a server can be held up by a listener that has stayed in its mode, or could not be shut
/// down.
const LISTENER_WAIT: Duration = Duration::from_secs(1);

const GRACE: Duration = Duration::from_secs(2);

const UPGRADE: &[u8] =
    b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const STOP: &[u8] = b"GET /stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Destroy,
    Drain,
    /// A shutdown by a handler, which cannot wait, so that another thread keeps the deadline.
    ByHandler,
}

pub fn every_call_fails_destroyed() {
    run(Stop::Destroy, |builder| builder);
}

pub fn every_call_fails_drained() {
    run(Stop::Drain, |builder| builder);
}

pub fn every_call_fails_shut_down() {
    run(Stop::ByHandler, |builder| builder);
}

pub fn every_call_fails_over_a_transport() {
    run(Stop::Destroy, |builder| builder.transport(|tcp, _| Ok(tcp)));
}

/// One client, and whether it has got what it wanted.
struct Visit {
    addr: SocketAddr,
    served: Fact,
}

/// A server that runs.
struct Started {
    subject: Subject,
    running: Running,
    /// Noted when the closure of the upgrade has got an error.
    upgrade_broke: Fact,
}

fn run(stop: Stop, configure: fn(Builder) -> Builder) {
    let case = choose(CASES);
    with(|world| world.faults.plan(case / MANNERS, case % MANNERS));
    let Some(Started {
        subject,
        running,
        upgrade_broke,
    }) = start(configure)
    else {
        return check_nothing_left();
    };
    let mut users = Vec::new();
    let talks = [keep_alive, half_a_head, upgrade, upload];
    let mut visits = Vec::from(talks.map(|talk| start_visit(&subject, &mut users, talk)));
    sleep(TALK);
    visit_until_served(&subject, &mut visits);
    sleep(REPORT);
    if !is_early() {
        check_service(&subject, &visits, upgrade_broke.is_so());
    }

    let before = with(|world| world.faults.struck.len());
    let failed_before = failed_starts(&subject);
    let watch = Stopwatch::start();
    let late = end(&subject, &mut users, stop);
    subject.finish(&running);
    check_nothing_left();
    let struck = with(|world| world.faults.struck.clone());
    watch.check(longest_end(stop, &struck));
    join_all(users);
    if is_early() {
        return; // a client may have stopped waiting for what was to come
    }
    let failed = failed_starts(&subject) - failed_before;
    check_late(&subject, &late, failed, &struck[before..]);
    subject.check_responses();
    let calls = with(|world| world.faults.calls);
    check(
        case / MANNERS > 0 || calls < MAX_CALLS,
        "there are more calls than cases",
    );
}

/// Binds a server and starts it. `None` if one of the two fails, which must leave nothing.
fn start(configure: fn(Builder) -> Builder) -> Option<Started> {
    let witness = Arc::<Witness>::default();
    let noted = witness.hook();
    let builder = Server::builder().on_event(move |event| noted.note(event));
    let Ok(server) = configure(builder).bind("127.0.0.1:0") else {
        let struck = with(|world| world.faults.struck.clone());
        check(
            matches!(&struck[..], [strike, ..] if strike.call == Call::SetMode),
            "a bind has failed, though the system has not refused what it needs",
        );
        witness.check_hook_is_dropped();
        return None;
    };
    let (subject, server) = Subject::of(witness, server);
    let handle = subject.handle.clone();
    let upgrade_broke = Fact::default();
    let noted = upgrade_broke.clone();
    let handler = subject.noting(
        move |request: &mut Request<'_>| -> Result<Response, Error> {
            let path = request.path().to_string();
            request.body().read_to_text()?;
            request.is_disconnected();
            match path.as_str() {
                "/up" => {
                    let broken = noted.clone();
                    return Ok(Response::upgrade("echo", move |stream| {
                        if echo(stream).is_err() {
                            broken.note();
                        }
                    }));
                }
                "/stop" => drop(handle.shutdown(GRACE)),
                _ => {}
            }
            Ok("hello".into())
        },
    );
    match server.spawn(handler) {
        Ok(running) => Some(Started {
            subject,
            running,
            upgrade_broke,
        }),
        Err(_) => {
            subject.check_destroyed();
            check(subject.handle.wait(), "wait returned false");
            subject.witness.check_handler_is_dropped();
            subject.check_ended();
            None
        }
    }
}

/// Sends back what comes, until the end or a failure.
fn echo(mut stream: Upgraded) -> std::io::Result<()> {
    let mut piece = [0; 16];
    loop {
        let n = match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        stream.write_all(&piece[..n])?;
    }
}

fn connect(subject: &Subject) -> Client {
    let Some(client) = Client::connect(subject.addr) else {
        fail("a client was refused while the server accepts");
    };
    let patience = client.stream.set_read_timeout(Some(PATIENCE));
    check(patience.is_ok(), "a call of a client has failed");
    client
}

/// Connects, and talks on a thread of its own.
fn start_visit(subject: &Subject, users: &mut Vec<User<()>>, talk: Talk) -> Visit {
    go_on(subject, users, connect(subject), talk)
}

/// Has a client talk on a thread of its own.
fn go_on(subject: &Subject, users: &mut Vec<User<()>>, mut client: Client, talk: Talk) -> Visit {
    let addr = client.addr;
    let served = Fact::default();
    let noted = served.clone();
    let subject = subject.clone();
    users.push(user(move || {
        if talk(&mut client) {
            noted.note();
        }
        // A client for which nothing comes, and no end either, ends its side at last.
        if client.receive().is_none() {
            let _ = client.stream.shutdown(Shutdown::Write); // the server may have closed it
        }
        client.read_to_end(&subject);
    }));
    Visit { addr, served }
}

/// What a client says; whether it has got what it wanted.
type Talk = fn(&mut Client) -> bool;

fn is_ok(client: &mut Client) -> bool {
    client.receive().is_some_and(|answer| answer.status == 200)
}

fn keep_alive(client: &mut Client) -> bool {
    (0..2).all(|_| client.send(GET) && is_ok(client))
}

/// It is served if it is still there when the server is stopped.
fn half_a_head(client: &mut Client) -> bool {
    client.send(b"GET / HTTP/1.1\r\nHo")
}

fn upgrade(client: &mut Client) -> bool {
    let mut echoed = [0; 4];
    client
        .ask(UPGRADE)
        .is_some_and(|answer| answer.status == 101)
        && client.send(b"ping")
        && client.stream.read_exact(&mut echoed).is_ok()
        && &echoed == b"ping"
}

fn upload(client: &mut Client) -> bool {
    client
        .send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345")
        && client.send(b"67890")
        && is_ok(client)
}

fn last_get(client: &mut Client) -> bool {
    client.send(LAST_GET) && is_ok(client)
}

fn stop_by_handler(client: &mut Client) -> bool {
    client.send(STOP) && is_ok(client)
}

/// A later client. There is one more if a call has failed during its visit.
fn visit_until_served(subject: &Subject, visits: &mut Vec<Visit>) {
    loop {
        let before = with(|world| world.faults.struck.len());
        let mut client = connect(subject);
        let visit = Visit {
            addr: client.addr,
            served: Fact::default(),
        };
        let is_served = last_get(&mut client);
        client.read_to_end(subject);
        if is_served {
            visit.served.note();
        }
        visits.push(visit);
        if is_served || is_early() {
            return;
        }
        let after = with(|world| world.faults.struck.len());
        check(after > before, "the server did not go on");
    }
}

/// Stops the server. Returns the clients that were in the accept queue, or whose handler did it.
fn end(subject: &Subject, users: &mut Vec<User<()>>, stop: Stop) -> Vec<Visit> {
    match stop {
        Stop::Destroy => {
            subject.destroy();
            Vec::new()
        }
        Stop::Drain => {
            // Nobody else runs until they are in the queue.
            let queued = quietly(|| {
                [(); 2].map(|()| {
                    let mut client = connect(subject);
                    client.send(LAST_GET);
                    client
                })
            });
            subject.handle.drain();
            subject.check_port_is_closed();
            Vec::from(queued.map(|client| go_on(subject, users, client, is_ok)))
        }
        Stop::ByHandler => {
            let by_handler = start_visit(subject, users, stop_by_handler);
            sleep(LISTENER_WAIT * 3);
            if subject.handle.phase() == Phase::Accepting {
                subject.handle.shutdown(GRACE);
            }
            vec![by_handler]
        }
    }
}

/// How long a stop may take. A listener may have stayed in its mode before that.
fn longest_end(stop: Stop, struck: &[Strike]) -> Duration {
    let mut longest = match stop {
        Stop::Destroy => Duration::ZERO,
        // Until the clients with half a head and the upgrade leave.
        Stop::Drain => PATIENCE,
        Stop::ByHandler => LISTENER_WAIT * 3 + GRACE,
    };
    for strike in struck {
        if strike.on_listener {
            longest += LISTENER_WAIT;
        } else if strike.leaves_open() {
            longest += PATIENCE;
        }
    }
    longest
}

/// Checks what the clients have got before the stop, and what has been reported of it.
fn check_service(subject: &Subject, visits: &[Visit], upgrade_broke: bool) {
    let struck = with(|world| world.faults.struck.clone());
    let witness = &subject.witness;
    let accept_failed = witness.count("AcceptFailed");
    let spawn_failed = witness.count("SpawnFailed");
    // What happens to an upgraded stream is reported to its closure.
    let to_closure = usize::from(upgrade_broke);
    check_losses(
        lost(subject, visits),
        accept_failed + spawn_failed + broken(subject, visits) + to_closure,
        &struck,
    );

    // While the accept loop waits in the kernel, an error is left to the next look at the listener.
    let refused = count(&struck, |strike| {
        strike.is_out_of_descriptors() && strike.call == Call::Accept && strike.was_nonblocking
    });
    let seen = witness.seen();
    let is_unopened = |visit: &&Visit| !seen.opened.values().any(|peer| *peer == Some(visit.addr));
    let unopened = visits.iter().filter(is_unopened).count();
    let aborted = count(&struck, Strike::is_abort);
    check(
        accept_failed + spawn_failed + aborted == refused + unopened,
        "a client was never opened, or accepting has failed, without an event of its own",
    );
    drop(seen);
    check(
        spawn_failed <= count(&struck, |strike| strike.call == Call::Spawn) / 2,
        "a client was turned away at the first failure",
    );
    for strike in &struck {
        let has_ended = || {
            strike
                .client
                .and_then(|client| reason_of(subject, client))
                .is_some()
        };
        check(
            !strike.is_missing_timeout() || has_ended(),
            "a connection goes on whose timeout could not be set",
        );
    }
}

/// Checks what the clients got who were in the accept queue, or whose handler stopped the server.
fn check_late(subject: &Subject, late: &[Visit], failed: usize, struck: &[Strike]) {
    // A drain that cannot keep a client leaves the ones behind it, too.
    let leaves_queue = failed == 1 && struck.iter().any(Strike::is_out_of_descriptors);
    if !leaves_queue {
        check_losses(lost(subject, late), failed + broken(subject, late), struck);
    }
}

/// How many clients were reported that could not be accepted or got no thread.
fn failed_starts(subject: &Subject) -> usize {
    subject.witness.count("AcceptFailed") + subject.witness.count("SpawnFailed")
}

/// Checks that each loss is reported, and that nobody loses anything but where it had to be.
fn check_losses(lost: usize, reported: usize, struck: &[Strike]) {
    let harmful = count(struck, |strike| !strike.is_harmless());
    check(
        lost <= reported + count(struck, Strike::is_abort),
        "a client has lost something, and nothing was reported",
    );
    check(
        lost <= harmful,
        "a client has lost something, though nothing that it needs has failed",
    );
    check(
        reported <= harmful,
        "something was reported that has not failed",
    );
}

/// How many of these clients were not served, or not until the stop.
fn lost(subject: &Subject, visits: &[Visit]) -> usize {
    let is_lost = |visit: &&Visit| {
        let reason = reason_of(subject, visit.addr);
        !visit.served.is_so() || reason.is_some_and(is_failure)
    };
    visits.iter().filter(is_lost).count()
}

/// How many of their connections have ended with a reason that says that something went wrong. That
/// happens only to those of which a call has failed. None of them has been slow.
fn broken(subject: &Subject, visits: &[Visit]) -> usize {
    let mut broken = 0;
    for visit in visits {
        let Some(reason) = reason_of(subject, visit.addr).filter(|reason| is_failure(*reason))
        else {
            continue;
        };
        broken += 1;
        check(
            with(|world| world.faults.have_hit(visit.addr)),
            "a connection has broken of which no call has failed",
        );
        check(
            !matches!(
                reason,
                CloseReason::IdleTimeout
                    | CloseReason::HeadTimeout
                    | CloseReason::BodyTimeout
                    | CloseReason::WriteTimeout
            ),
            "a failure is reported as a timeout",
        );
    }
    broken
}

fn count(struck: &[Strike], is_one: fn(&Strike) -> bool) -> usize {
    struck.iter().filter(|strike| is_one(strike)).count()
}

/// Why the connection of this client has ended, if it has.
fn reason_of(subject: &Subject, client: SocketAddr) -> Option<CloseReason> {
    let seen = subject.witness.seen();
    let mut opened = seen.opened.iter();
    let (id, _) = opened.find(|(_, peer)| **peer == Some(client))?;
    seen.closed.get(id).copied()
}

/// Whether the reason says that something went wrong.
fn is_failure(reason: CloseReason) -> bool {
    !matches!(
        reason,
        CloseReason::Completed | CloseReason::Destroyed | CloseReason::Drained
    )
}
