//! How clients and the server end.

use super::*;
use hardstop::{CloseReason, ConnectionState, Outcome};
use std::io::Read;
use std::net::Shutdown;
use support::recorder::Fact;
use support::SHORT;
use tungstenite::protocol::CloseFrame;

#[test]
fn a_client_that_says_good_bye_gets_its_close_frame_back() {
    let chat = Chat::open();
    let mut staying = chat.join();
    for (id, code) in [(2, CloseCode::Normal), (3, CloseCode::Away)] {
        let mut leaving = chat.join();
        let joined = format!("* {id} has joined, now there are 2");
        assert_eq!(staying.text(), joined);
        let reason = "enough".into();
        leaving.0.close(Some(CloseFrame { code, reason })).unwrap();
        leaving.expect_close(code);
        assert_eq!(staying.text(), format!("* {id} has left"));
    }
    let mut leaving = chat.join_raw();
    staying.text();
    leaving.say_bytes(&frame(0x88, b""));
    assert_eq!(
        raw_frame(&mut leaving),
        (0x88, Vec::new()),
        "without a code"
    );
    assert_eq!(leaving.stream.read(&mut [0]).unwrap(), 0, "nothing follows");
    assert_eq!(staying.text(), "* 4 has left");
}

#[test]
fn a_client_that_is_gone_has_left() {
    let chat = Chat::open();
    let mut staying = chat.join();
    let gone = chat.join_raw();
    assert_eq!(staying.text(), "* 2 has joined, now there are 2");
    drop(gone);
    assert_eq!(staying.text(), "* 2 has left");
}

#[test]
fn a_drain_says_good_bye_to_all_and_loses_nobody() {
    let chat = Chat::open();
    let mut clients = [chat.join(), chat.join(), chat.join()];
    for (at, client) in clients.iter_mut().enumerate() {
        for _ in at + 1..3 {
            client.text(); // those that came later
        }
    }
    let mut half = chat.join_raw();
    for client in &mut clients {
        client.text();
    }
    half.say_bytes(&frame(0x81, b"half a frame")[..9]);
    chat.room.close();
    let mut late = Member::connect(chat.addr());
    late.expect_close(CloseCode::Away);
    for client in &mut clients {
        client.expect_close(CloseCode::Away);
    }
    let (opcode, payload) = raw_frame(&mut half);
    assert_eq!((opcode, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    half.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(chat.running.shutdown(SOON), Outcome::Drained);
    assert!(chat.running.join());
    let closed = |fact: &&Fact| matches!(fact, Fact::Closed(_, CloseReason::Completed, _));
    assert_eq!(chat.facts.so_far().iter().filter(closed).count(), 5);
}

#[test]
fn a_client_may_say_more_before_it_answers_the_good_bye() {
    let chat = Chat::open();
    let mut slow = chat.join_raw();
    chat.room.close();
    assert_eq!(raw_frame(&mut slow).0, 0x88);
    slow.say_bytes(&frame(0x81, b"still talking"));
    slow.say_bytes(&frame(0x89, b"a ping"));
    assert_eq!(slow.stream.read(&mut [0]).unwrap(), 0, "nothing follows");
    assert_still_reads(&mut slow);
    drop(slow);
    assert_eq!(chat.running.shutdown(SOON), Outcome::Drained);
}

#[test]
fn a_client_that_ignores_the_good_bye_is_cut_after_the_grace() {
    let chat = Chat::open();
    let mut stubborn = chat.join_raw();
    chat.room.close();
    assert_eq!(raw_frame(&mut stubborn).0, 0x88);
    stubborn.say_bytes(&frame(0x81, b"still talking"));
    assert_eq!(chat.running.shutdown(SHORT), Outcome::Destroyed { cut: 1 });
    assert!(chat.running.join());
    assert_eq!(
        stubborn.stream.read(&mut [0]).unwrap(),
        0,
        "nothing follows"
    );
}

#[test]
fn a_destroy_cuts_all_at_once_in_every_state() {
    let chat = Chat::open();
    let mut one = chat.join();
    let mut two = chat.join();
    assert_eq!(one.text(), "* 2 has joined, now there are 2");
    let mut half_frame = chat.join_raw();
    one.text();
    two.text();
    half_frame.say_bytes(&frame(0x81, b"half a frame")[..9]);
    let mut half_handshake = Client::connect(chat.addr());
    half_handshake.say("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n");
    support::until("its head has begun", || {
        let open = chat.running.handle().connections();
        open.iter().any(|it| it.state == ConnectionState::Head)
    });
    assert_eq!(chat.running.destroy(), 4);
    assert!(chat.running.join());
    one.expect_cut();
    two.expect_cut();
    half_frame.expect_end();
    half_handshake.expect_end();
    for id in 1..=4 {
        let closed = |fact: &Fact| match fact {
            Fact::Closed(each, reason, _) => *each == id && *reason == CloseReason::Destroyed,
            _ => false,
        };
        let facts = chat.facts.so_far();
        assert!(facts.iter().any(closed), "{id} in {facts:?}");
    }
}

#[test]
fn a_handshake_that_does_not_end_holds_up_nobody() {
    let chat = Chat::open();
    let mut half = Client::connect(chat.addr());
    let request = handshake::request(chat.addr());
    let (begin, end) = request.split_at(request.len() - 2);
    half.say(begin);
    let mut one = chat.join();
    one.say("hello");
    assert_eq!(one.text(), "2: hello", "and only that client is there");
    half.say(end);
    assert_eq!(half.head_response().status, 101);
    assert_eq!(raw_text(&mut half), "* 1 has joined, now there are 2");
}
