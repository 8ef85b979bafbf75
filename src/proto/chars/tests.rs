use super::{is_token, trim_ows};

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
