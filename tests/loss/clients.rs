//! The clients that load a server.

use super::messages::{handler, read_response, request};
use super::notes::{locked, End, Note, Round};
use super::support::server::open;
use super::support::SOON;
use super::CLIENTS;
use hardstop::{Event, Running, Server};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::iter;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

pub(crate) fn connect(round: &Round) -> Result<(TcpStream, Note), Note> {
    let number = round.next_number();
    let connected = TcpStream::connect(round.addr);
    let stamp = round.stamp();
    let note = |port, end| Note {
        number,
        port,
        connected: stamp,
        sent: usize::MAX,
        end,
    };
    match connected {
        Ok(stream) => {
            stream.set_read_timeout(Some(SOON)).unwrap();
            stream.set_write_timeout(Some(SOON)).unwrap();
            let port = stream.local_addr().unwrap().port();
            Ok((stream, note(port, End::Nothing)))
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => note(0, End::Refused),
            _ => note(0, End::Wrong(format!("could not connect: {error}"))),
        }),
    }
}

pub(crate) fn send(
    round: &Round,
    reader: &mut BufReader<TcpStream>,
    note: &mut Note,
    says_close: bool,
) {
    let mut write = |piece: &str| reader.get_mut().write_all(piece.as_bytes());
    let pieces = request(note.number, says_close);
    if pieces.iter().try_for_each(|piece| write(piece)).is_ok() {
        note.sent = round.stamp();
    }
}

/// Reads a response, and the end of the connection if it is the last one.
pub(crate) fn receive(round: &Round, reader: &mut BufReader<TcpStream>, number: usize) -> End {
    match reader.fill_buf() {
        Ok(bytes) if !bytes.is_empty() => {}
        Err(error) if is_timeout(&error) => {
            return End::Wrong(String::from("no answer and no end"))
        }
        _ => return End::Nothing,
    }
    match read_response(reader, number) {
        Ok(End::Whole { goes_on: false }) => match reader.read(&mut [0]) {
            Ok(0) => End::Whole { goes_on: false },
            Err(_) if round.is_over.load(SeqCst) => End::Whole { goes_on: false },
            behind => End::Wrong(format!("behind the last response came {behind:?}")),
        },
        Ok(end) => end,
        Err(error) if is_timeout(&error) => End::Wrong(String::from("the answer does not go on")),
        Err(_) => End::Truncated,
    }
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
}

/// Sends one request on each connection, until the port is closed.
pub(crate) fn reconnecting(round: &Round) {
    loop {
        let (stream, mut note) = match connect(round) {
            Ok(connected) => connected,
            Err(note) => return round.note(note),
        };
        let mut reader = BufReader::with_capacity(65_536, stream);
        let says_close = note.number / 8 % 2 == 0;
        send(round, &mut reader, &mut note, says_close);
        note.end = receive(round, &mut reader, note.number);
        round.note(note);
    }
}

/// Sends many requests at once on each connection, until the port is closed.
pub(crate) fn pipelining(round: &Round) {
    loop {
        let (stream, first) = match connect(round) {
            Ok(connected) => connected,
            Err(note) => return round.note(note),
        };
        let mut reader = BufReader::with_capacity(65_536, stream);
        let more: Vec<Note> = (1..10).map(|_| first.next(round)).collect();
        let notes = iter::once(first).chain(more);
        let mut notes: Vec<Note> = notes.collect();
        for note in &mut notes {
            send(round, &mut reader, note, false);
        }
        let mut goes_on = true;
        for mut note in notes {
            if goes_on {
                note.end = receive(round, &mut reader, note.number);
                goes_on = note.end == (End::Whole { goes_on: true });
            }
            round.note(note);
        }
    }
}

/// Sends one request after the other on one connection, until it ends.
pub(crate) fn kept_alive(round: &Round) {
    let (stream, mut note) = match connect(round) {
        Ok(connected) => connected,
        Err(note) => return round.note(note),
    };
    stream.set_nodelay(true).unwrap(); // or a written request may still be on this side
    let mut reader = BufReader::with_capacity(65_536, stream);
    loop {
        send(round, &mut reader, &mut note, false);
        note.end = receive(round, &mut reader, note.number);
        let (goes_on, next) = (End::Whole { goes_on: true }, note.next(round));
        let last = std::mem::replace(&mut note, next);
        let ends = last.end != goes_on;
        round.note(last);
        if ends {
            return;
        }
    }
}

/// Threads that act as clients in one round after the other.
pub(crate) struct Clients {
    pub(crate) go: Vec<Sender<Arc<Round>>>,
    pub(crate) done: Receiver<Instant>,
}

impl Clients {
    /// Starts clients that behave in these ways, in turn.
    pub(crate) fn new(what: &[fn(&Round)]) -> Clients {
        let (sender, done) = mpsc::channel();
        let start = |client: fn(&Round)| {
            let ((go, rounds), sender) = (mpsc::channel::<Arc<Round>>(), sender.clone());
            thread::spawn(move || {
                for round in rounds {
                    client(&round);
                    sender.send(Instant::now()).unwrap();
                }
            });
            go
        };
        let go = what
            .iter()
            .cycle()
            .take(CLIENTS)
            .copied()
            .map(start)
            .collect();
        Clients { go, done }
    }

    /// Starts a server and its load, and returns after so many responses. Every other server polls
    /// for clients.
    pub(crate) fn begin(&self, first_number: usize, enough: usize) -> (Arc<Round>, Running) {
        static ROUNDS: AtomicUsize = AtomicUsize::new(0);
        let opened = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&opened);
        let builder = Server::builder().on_event(move |event| {
            if let Event::Opened {
                peer: Some(peer), ..
            } = event
            {
                locked(&seen).push(peer.port());
            }
        });
        let server = open(builder, ROUNDS.fetch_add(1, SeqCst) % 2 == 1);
        let round = Arc::new(Round {
            addr: server.local_addr(),
            stamps: AtomicUsize::new(0),
            numbers: AtomicUsize::new(first_number),
            answered: AtomicUsize::new(0),
            enough,
            stopper: thread::current(),
            is_over: AtomicBool::new(false),
            notes: Mutex::default(),
            calls: Mutex::default(),
            opened,
        });
        let called = Arc::clone(&round);
        let running = server
            .spawn(move |request| handler(&called, request))
            .unwrap();
        self.go
            .iter()
            .for_each(|go| go.send(Arc::clone(&round)).unwrap());
        round.wait_for_load();
        (round, running)
    }

    /// Waits for all clients, and returns when the last one ended.
    pub(crate) fn end(&self) -> Instant {
        let done = || {
            self.done
                .recv_timeout(SOON)
                .expect("a client does not come to its end")
        };
        self.go.iter().map(|_| done()).max().unwrap()
    }
}
