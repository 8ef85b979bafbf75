//! `Request::is_disconnected` over a transport: the socket is looked at, and not what it carries.

use super::*;
use crate::disconnects::{sees_client, sees_end};

#[test]
fn a_client_that_ends_without_a_goodbye_is_seen_to_be_gone() {
    let (sender, seen) = mpsc::sync_channel(9);
    let sender = Mutex::new(sender);
    for (odd, why) in ALL {
        let sender = sender.lock().unwrap().clone();
        let server = over(odd).bind("127.0.0.1:0").unwrap();
        let running = server.spawn(move |request| {
            if request.path() == "/wait" {
                sender.send(sees_client(request)).unwrap();
                sender.send(sees_end(request)).unwrap();
            }
            "hello"
        });
        let running = running.unwrap();
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(&GET.replace("/ ", "/wait "));
        assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it was there");
        drop(peer);
        assert!(seen.recv_timeout(LONG).unwrap(), "{why}");
        running.destroy();
        assert_ends(&running);
    }
}

#[test]
fn a_client_that_says_goodbye_hides_its_end_and_one_that_stays_is_answered() {
    for (odd, why) in ALL {
        let (sender, seen) = mpsc::sync_channel(9);
        let (go_on, end) = mpsc::sync_channel(9);
        let end = Mutex::new(end);
        let server = over(odd).bind("127.0.0.1:0").unwrap();
        let running = server.spawn(move |request| {
            if request.path() == "/wait" {
                end.lock().unwrap().recv_timeout(SOON).unwrap();
            }
            sender.send(sees_client(request)).unwrap();
            "hello"
        });
        let running = running.unwrap();
        let mut peer = Peer::connect(running.local_addr(), odd);
        peer.say(GET);
        assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it stays");
        peer.hear("hello");
        peer.say(&GET.replace("/ ", "/wait "));
        until_state(&running.handle(), ConnectionState::Handling);
        peer.say("bye");
        drop(peer);
        go_on.send(()).unwrap();
        assert!(seen.recv_timeout(SOON).unwrap(), "{why}: it is hidden");
        running.destroy();
        assert_ends(&running);
    }
}
