//! The cancel token of a handler, in a drain and when its connection is cut. See also
//! `stop_destroy`.

use crate::support::client::{assert_is_last, Client};
use crate::support::server::assert_ends;
use crate::support::{GET, LONG, SHORT, SOON};
use hardstop::{Outcome, Response, Running, Server};
use std::io::{Read, Write};
use std::sync::mpsc::{self};
use std::thread;

#[test]
fn drain_ends_wait_for_stop_without_firing_the_token() {
    let (sender, seen) = mpsc::sync_channel(9);
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(move |request| {
        let token = request.cancel_token();
        let early = (token.is_draining(), token.wait_for_stop(SHORT));
        sender.send(early).unwrap();
        let told = (token.is_draining(), token.wait_for_stop(LONG));
        sender.send(told).unwrap();
        sender
            .send((token.is_cancelled(), token.wait_timeout(SHORT)))
            .unwrap();
        "hello"
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    assert_eq!(seen.recv_timeout(SOON).unwrap(), (false, false), "before");
    running.drain();
    let (_, told) = seen.recv_timeout(SOON).unwrap();
    assert!(told, "the wait for a stop ends");
    assert_eq!(seen.recv_timeout(SOON).unwrap(), (false, false), "not cut");
    assert_is_last(client);
    assert_ends(&running);
}

#[test]
fn a_stream_that_polls_is_draining_ends_itself() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let running = server.spawn(|request| {
        let token = request.cancel_token();
        Response::stream(move |body| {
            while !token.is_draining() {
                body.write_all(b"more\n")?;
                body.flush()?;
            }
            body.write_all(b"bye\n")
        })
    });
    let running = running.unwrap();
    let mut client = Client::connect(running.local_addr());
    client.say(GET);
    let (handle, (sender, outcome)) = (running.handle(), mpsc::sync_channel(9));
    client.head_response();
    thread::spawn(move || sender.send(handle.shutdown(LONG)).unwrap());
    let mut read = Vec::new();
    client.stream.read_to_end(&mut read).unwrap();
    assert!(read.ends_with(b"bye\n\r\n0\r\n\r\n"), "it is whole");
    assert_eq!(outcome.recv_timeout(SOON).unwrap(), Outcome::Drained);
    assert_ends(&running);
}

#[test]
fn wait_for_stop_ends_on_a_cut_too() {
    let cuts: [fn(&Running); 2] = [
        |running| assert_eq!(running.destroy(), 1),
        |running| assert!(running.close(running.connections()[0].id)),
    ];
    for cut in cuts {
        let (sender, told) = mpsc::sync_channel(9);
        let (started, start) = mpsc::sync_channel(9);
        let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |request| {
            started.send(()).unwrap();
            let token = request.cancel_token();
            let is_told = token.wait_for_stop(LONG);
            sender.send((is_told, token.is_cancelled())).unwrap();
            "never sent"
        });
        let running = running.unwrap();
        let mut client = Client::connect(running.local_addr());
        client.say(GET);
        // A connection is `Handling` before its handler is called. One that is cut then calls none.
        start.recv_timeout(SOON).unwrap();
        cut(&running);
        assert_eq!(told.recv_timeout(SOON).unwrap(), (true, true));
        client.expect_end();
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn an_event_stream_ends_itself_on_drain_and_is_cut_by_destroy() {
    for drains in [true, false] {
        let (sender, ended) = mpsc::sync_channel(9);
        let running = Server::bind("127.0.0.1:0").unwrap().spawn(move |request| {
            let (token, sender) = (request.cancel_token(), sender.clone());
            Response::stream(move |body| {
                while !token.wait_for_stop(SHORT) {
                    body.write_all(b"data: tick\n\n")?;
                    body.flush()?;
                }
                let _ = sender.send(token.is_cancelled());
                body.write_all(b"data: last\n\n")
            })
        });
        let running = running.unwrap();
        let mut client = Client::connect(running.local_addr());
        client.say(GET);
        client.stream.peek(&mut [0]).unwrap();
        if drains {
            assert_eq!(running.shutdown(LONG), Outcome::Drained);
            assert!(!ended.recv_timeout(SOON).unwrap());
            let events = client.response().text(); // chunked, so a cut response would have no end
            assert!(events.ends_with("data: tick\n\ndata: last\n\n"), "{events}");
        } else {
            assert_eq!(running.destroy(), 1);
        }
        client.expect_end();
        assert_ends(&running);
    }
}
