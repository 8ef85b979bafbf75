//! Frames: fragments, limits, and frames that break the rules.

use super::*;
use std::io::Read;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;

const MAX: usize = 16 * 1024;

#[test]
fn a_message_in_fragments_is_heard_whole_with_a_ping_in_between() {
    let chat = Chat::open();
    let mut one = chat.join();
    let text = "three \u{1f980} pieces".as_bytes(); // cut in the middle of a character
    let pieces = [
        (&text[..8], Data::Text, false),
        (&text[8..12], Data::Continue, false),
        (&text[12..], Data::Continue, true),
    ];
    for (piece, opcode, is_last) in pieces {
        let piece = Frame::message(piece.to_vec(), OpCode::Data(opcode), is_last);
        one.0.send(Message::Frame(piece)).unwrap();
        one.0.send(Message::Ping(vec![7].into())).unwrap();
        if !is_last {
            assert_eq!(one.0.read().unwrap(), Message::Pong(vec![7].into()));
        }
    }
    assert_eq!(one.text(), "1: three \u{1f980} pieces");
}

#[test]
fn a_message_of_the_greatest_length_is_heard() {
    let chat = Chat::open();
    let mut one = chat.join_raw();
    let longest = vec![b'x'; MAX];
    one.say_bytes(&frame(0x81, &longest));
    assert_eq!(raw_text(&mut one).len(), "1: ".len() + MAX);
    one.say_bytes(&frame(0x01, &longest[1..]));
    one.say_bytes(&frame(0x80, b"x"));
    assert_eq!(raw_text(&mut one).len(), "1: ".len() + MAX);
}

#[test]
fn a_client_that_breaks_the_rules_is_told_which_one() {
    let too_long = frame(0x81, &vec![b'x'; 1 << 20]);
    let too_long_in_all = [frame(0x01, &[b'x'; MAX]), frame(0x80, b"x")].concat();
    let claimed = [&[0x81, 0xFF][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let in_pieces = [frame(0x01, b"\xf0\x9f"), frame(0x80, b"x")].concat();
    let table: [(&[u8], u16, &str); 11] = [
        (
            &too_long,
            1009,
            "a frame that is too long, and is sent whole",
        ),
        (
            &too_long_in_all,
            1009,
            "fragments that are too long together",
        ),
        (&claimed, 1009, "a length beyond all memory"),
        (&frame(0x81, b"\xff"), 1007, "a text that is not UTF-8"),
        (&in_pieces, 1007, "a text whose pieces are not UTF-8"),
        (&frame(0x82, b"x"), 1003, "binary data"),
        (b"\x81\x01x", 1002, "a frame without a mask"),
        (
            &frame(0xC1, b"x"),
            1002,
            "a reserved bit, as for compression",
        ),
        (&frame(0x83, b"x"), 1002, "an unknown opcode"),
        (&frame(0x09, b"x"), 1002, "a ping in fragments"),
        (&frame(0x80, b"x"), 1002, "an end without a beginning"),
    ];
    for (bytes, code, why) in table {
        let chat = Chat::open();
        let mut one = chat.join_raw();
        one.say_bytes(bytes);
        let (opcode, payload) = raw_frame(&mut one);
        assert_eq!(opcode, 0x88, "{why}: {payload:?}");
        assert_eq!(payload[..2], code.to_be_bytes(), "{why}");
        assert!(payload.len() > 2, "{why}: a reason in words");
        let end = one.stream.read(&mut [0]);
        assert_eq!(end.unwrap(), 0, "{why}: nothing follows");
        assert_still_reads(&mut one);
        drop(one);
        assert_eq!(
            chat.running.shutdown(SOON),
            hardstop::Outcome::Drained,
            "{why}"
        );
    }
}
