//! What clients say to each other.

use super::*;
use hardstop::CloseReason;
use std::io::Write;
use support::recorder::Fact;

#[test]
fn what_one_says_reaches_all_in_one_order() {
    let chat = Chat::open();
    let mut one = chat.join();
    let mut two = chat.join();
    assert_eq!(one.text(), "* 2 has joined, now there are 2");
    for n in 0..10 {
        one.say(&format!("a{n}"));
        two.say(&format!("b{n} & <b>\u{1f980}</b>"));
    }
    let heard: Vec<String> = (0..20).map(|_| one.text()).collect();
    for said in &heard {
        assert_eq!(&two.text(), said);
    }
    let of_one = heard.iter().filter_map(|said| said.strip_prefix("1: a"));
    assert!(of_one.eq((0..10).map(|n| n.to_string()).collect::<Vec<_>>()));
    let of_two = heard.iter().filter(|said| said.starts_with("2: b"));
    let said = (0..10).map(|n| format!("2: b{n} & <b>\u{1f980}</b>"));
    assert!(of_two.cloned().eq(said), "{heard:?}");
}

#[test]
fn pings_are_answered_and_do_not_mix_with_messages() {
    let chat = Chat::open();
    let mut pinging = chat.join();
    let mut talking = chat.join();
    assert_eq!(pinging.text(), "* 2 has joined, now there are 2");
    let talk = std::thread::spawn(move || {
        for n in 0..100 {
            talking.say(&format!("{n} {}", "x".repeat(1000)));
            talking.text();
        }
        talking
    });
    let mut pongs = 0_u8;
    let mut texts = 0;
    pinging.0.send(Message::Ping(vec![0].into())).unwrap();
    while pongs < 100 || texts < 100 {
        match pinging.0.read().unwrap() {
            Message::Pong(data) => {
                assert_eq!(data[..], [pongs]);
                pongs += 1;
                if pongs < 100 {
                    pinging.0.send(Message::Ping(vec![pongs].into())).unwrap();
                }
            }
            Message::Text(text) => {
                assert!(text.starts_with(&format!("2: {texts} x")), "{text}");
                texts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    drop(talk.join());
}

#[test]
fn a_client_that_answers_pings_stays_and_a_silent_one_is_dropped() {
    let chat = Chat::with_pings(Duration::from_millis(500));
    let mut silent = chat.join_raw();
    let mut alive = chat.join();
    assert_eq!(raw_text(&mut silent), "* 2 has joined, now there are 2");
    assert_eq!(alive.text(), "* 1 has left", "meanwhile it answers pings");
    assert_eq!(raw_frame(&mut silent), (0x89, Vec::new()), "it was pinged");
    silent.expect_end();
    let mut pings = 0;
    while pings < 3 {
        match alive.0.read().unwrap() {
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    alive.say("still here");
    assert_eq!(alive.text(), "2: still here");
}

#[test]
fn a_slow_client_is_cut_and_does_not_hold_up_the_others() {
    const SENDERS: usize = 4;
    let chat = Chat::open();
    let slow = chat.join_raw();
    let senders: Vec<Member> = (0..SENDERS).map(|_| chat.join()).collect();
    let senders = (2..).zip(senders).map(|(id, mut sender)| {
        std::thread::spawn(move || {
            let long = "x".repeat(16 * 1024);
            loop {
                sender.say(&long);
                // It reads all that the others say before it says more.
                loop {
                    let text = sender.text();
                    if text == "* 1 has left" {
                        return sender;
                    }
                    if text.starts_with(&format!("{id}: ")) {
                        break;
                    }
                }
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    for sender in senders {
        let sender = sender.join();
        sender.expect("it is served until the slow one is cut");
    }
    let cut = |fact: &Fact| matches!(fact, Fact::Closed(1, CloseReason::ClosedByHandle, _));
    support::until("the slow one is cut", || {
        chat.facts.so_far().iter().any(cut)
    });
    drop(slow);
}

#[test]
fn a_message_that_comes_with_the_handshake_is_heard() {
    let chat = Chat::open();
    let mut client = Client::connect(chat.addr());
    let mut bytes = handshake::request(chat.addr()).into_bytes();
    let hello = frame(0x81, b"hello");
    bytes.extend(&hello);
    bytes.extend(&hello[..3]); // the next one begins
    client.say_bytes(&bytes);
    assert_eq!(client.head_response().status, 101);
    assert_eq!(raw_text(&mut client), "* 1 has joined, now there are 1");
    assert_eq!(raw_text(&mut client), "1: hello");
    client.stream.write_all(&hello[3..]).unwrap();
    assert_eq!(raw_text(&mut client), "1: hello");
}
