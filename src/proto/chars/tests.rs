use super::{eq_ignore_case, is_control, is_token, position_of_control, trim_ows, ByteSet};

#[test]
fn a_token_is_made_of_77_different_bytes() {
    let tokens: Vec<u8> = (0..=u8::MAX).filter(|&byte| is_token(&[byte])).collect();
    let want = b"!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~";
    assert_eq!(tokens, want);
    assert!(!is_token(b"") && !is_token(b"a b") && is_token(b"a-b"));
}

#[test]
fn only_spaces_and_tabs_are_trimmed() {
    let table: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b" \t ", b""),
        (b"a", b"a"),
        (b"\t a b\t ", b"a b"),
        (b"\x0ba\x0c", b"\x0ba\x0c"),
        (b"\xa0a", b"\xa0a"),
    ];
    for (text, want) in table {
        assert_eq!(trim_ows(text), want, "{}", text.escape_ascii());
    }
}

#[test]
fn texts_are_equal_whatever_the_case_of_ascii_letters() {
    for byte in 0..=u8::MAX {
        for other in 0..0x80_u8 {
            let other = char::from(other).to_string();
            let want = byte.eq_ignore_ascii_case(&other.as_bytes()[0]);
            let text = [b'a', byte, b'Z'];
            let got = eq_ignore_case(&text, &format!("A{other}z"));
            assert_eq!(got, want, "{} and {other:?}", text.escape_ascii());
        }
    }
    assert!(!eq_ignore_case(b"ab", "a") && !eq_ignore_case(b"a", "ab"));
}

#[test]
fn the_prefix_in_a_set_ends_before_the_first_other_byte() {
    let set = ByteSet::alphanumeric_and(b"-");
    let table: [(&[u8], usize); 6] = [
        (b"", 0),
        (b" a", 0),
        (b"a-9 a", 3),
        (b"a-9", 3),
        (b"abcdefghijkl:", 12),
        (b"a\xe9", 1),
    ];
    for (text, want) in table {
        assert_eq!(set.prefix_len(text), want, "{}", text.escape_ascii());
    }
}

/// Bytes are searched in words, so that each pair is tried at every place of one, and in the rest.
#[test]
fn the_first_control_is_found_at_every_place() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            for place in 0..=9 {
                let mut text = *b"a\x80\xff ~\tzA!?_";
                text[place] = first;
                text[place + 1] = second;
                let want = text.iter().position(|byte| is_control(*byte));
                let got = position_of_control(&text);
                assert_eq!(got, want.unwrap_or(text.len()), "{}", text.escape_ascii());
            }
        }
    }
    for len in 0..40 {
        assert_eq!(position_of_control(&b"a".repeat(len)), len);
        assert_eq!(position_of_control(&b"\t".repeat(len)), len);
        let text = [&b"\t".repeat(len)[..], b"\x7f\0"].concat();
        assert_eq!(position_of_control(&text), len);
    }
}
