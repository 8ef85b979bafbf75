//! Streams that wait for a channel, which no stop wakes: `src/guide/recipes.md` has the recipe.

use crate::support::client::Client;
use crate::support::server::{assert_ends, serve, serve_site};
use crate::support::{until, GET, LONG, SHORT, SOON};
use hardstop::{Error, Outcome, Phase, Response, Running, Server};
use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The feed of the recipe. `None` once it is closed.
#[derive(Clone)]
struct Feed(Arc<Mutex<Option<Vec<SyncSender<String>>>>>);

impl Feed {
    fn new() -> Feed {
        Feed(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    fn subscribe(&self) -> Option<Receiver<String>> {
        let (sender, messages) = mpsc::sync_channel(16);
        self.0.lock().unwrap().as_mut()?.push(sender);
        Some(messages)
    }

    /// Returns how many clients are left.
    fn send(&self, message: &str) -> usize {
        match self.0.lock().unwrap().as_mut() {
            Some(clients) => {
                clients.retain(|client| client.try_send(message.to_owned()).is_ok());
                clients.len()
            }
            None => 0,
        }
    }

    fn close(&self) {
        self.0.lock().unwrap().take();
    }
}

fn listen(feed: &Feed) -> Result<Response, Error> {
    let messages = feed.subscribe();
    let messages = messages.ok_or_else(|| Error::new(503, "the server stops"))?;
    Ok(Response::stream(move |body| {
        body.flush()?;
        for message in messages {
            write!(body, "data: {message}\n\n")?;
            body.flush()?;
        }
        Ok(())
    }))
}

fn broadcast() -> (Running, Feed) {
    let feed = Feed::new();
    let listened = feed.clone();
    (serve(move |_| listen(&listened)), feed)
}

/// Connects a client, and waits until it has got the head of its stream.
fn listener(running: &Running) -> Client {
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    client.stream.peek(&mut [0]).unwrap();
    client
}

#[test]
fn streams_end_at_once_when_their_channels_are_closed_before_a_stop() {
    let (running, feed) = broadcast();
    let mut clients = [(); 2].map(|()| listener(&running));
    let leaving = listener(&running);
    assert_eq!(feed.send("hello"), 3);
    drop(leaving);
    until("the client that left is removed", || {
        thread::sleep(SHORT); // so that nobody is taken for a slow client
        feed.send("again") == 2
    });
    feed.close();
    assert_eq!(running.shutdown(LONG), Outcome::Drained);
    for client in &mut clients {
        let text = client.response().text(); // chunked, so a cut response would have no end
        assert!(text.starts_with("data: hello\n\ndata: again\n\n"), "{text}");
        client.expect_end();
    }
    assert_ends(&running);
}

#[test]
fn a_client_that_does_not_keep_up_is_removed() {
    let (running, feed) = broadcast();
    let mut client = listener(&running);
    let message = "x".repeat(1 << 20);
    until("it is too slow", || feed.send(&message) == 0);
    let text = client.response().text(); // what it was given, and an orderly end
    assert!(text.ends_with("xx\n\n"));
}

/// A stop and its name.
type NamedStop = (&'static str, fn(Running));

#[test]
fn wait_for_stop_lets_a_thread_close_the_channels_at_any_stop() {
    let stops: [NamedStop; 4] = [
        ("destroy", |running| assert_eq!(running.destroy(), 1)),
        ("drain", |running| running.detach().drain()),
        ("shutdown", |running| {
            assert_eq!(running.shutdown(LONG), Outcome::Drained);
        }),
        ("the drop of the owner", drop),
    ];
    for (name, stop) in stops {
        let (running, feed) = broadcast();
        let mut client = listener(&running);
        let handle = running.handle();
        let closer = thread::spawn({
            let handle = running.handle();
            move || {
                let has_stopped = handle.wait_for_stop(LONG);
                feed.close();
                has_stopped
            }
        });
        stop(running);
        assert!(handle.wait_timeout(SOON), "{name}");
        assert!(closer.join().unwrap(), "{name}");
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest); // its end, or a reset
        assert!(rest.starts_with(b"HTTP/1.1 200"), "{name}");
    }
}

#[test]
fn wait_for_stop_ends_in_time_and_does_not_stop_the_server() {
    let (running, _facts) = serve_site(Server::builder());
    assert!(!running.wait_for_stop(SHORT));
    assert_eq!(running.phase(), Phase::Accepting);
    running.drain();
    assert!(running.wait_for_stop(Duration::ZERO), "it has stopped");
    running.destroy();
    assert!(running.handle().wait_for_stop(LONG), "at once");
}

#[test]
fn wait_for_stop_wakes_a_handler() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let handle = server.handle();
    let (sender, began) = mpsc::channel();
    let sender = Mutex::new(sender);
    let running = server.spawn(move |_| {
        sender.lock().unwrap().send(()).unwrap();
        handle.wait_for_stop(LONG).to_string()
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    began.recv_timeout(SOON).unwrap();
    assert_eq!(running.shutdown(LONG), Outcome::Drained);
    assert_eq!(client.response().text(), "true");
}
