use super::{decode, encoded_byte, pairs};

#[test]
fn decoding_has_a_result_for_every_input() {
    let table: [(&[u8], &str, &str, &str); 18] = [
        (b"", "", "", "nothing"),
        (b"abc", "abc", "abc", "nothing to do"),
        (b"a+b", "a+b", "a b", "a plus"),
        (b"a%20b", "a b", "a b", "a space"),
        (b"%2B", "+", "+", "a plus that is meant"),
        (b"%41%5a%5A", "AZZ", "AZZ", "digits of both cases"),
        (b"%2541", "%41", "%41", "once only"),
        (b"%", "%", "%", "a percent sign alone"),
        (b"%4", "%4", "%4", "one digit"),
        (b"a%4", "a%4", "a%4", "one digit at the end"),
        (b"%zz%41", "%zzA", "%zzA", "no digits"),
        (b"%%41", "%A", "%A", "a percent sign in front"),
        (b"%u00e9", "%u00e9", "%u00e9", "what is no encoding"),
        (
            b"%C3\xc3\xa9",
            "\u{fffd}\u{e9}",
            "\u{fffd}\u{e9}",
            "half a character before a whole one",
        ),
        (b"%+1%-1", "%+1%-1", "% 1%-1", "a sign is no digit"),
        (b"%C3%A9", "\u{e9}", "\u{e9}", "UTF-8"),
        (
            b"%C3x\xff",
            "\u{fffd}x\u{fffd}",
            "\u{fffd}x\u{fffd}",
            "not UTF-8",
        ),
        (b"%00%0a", "\0\n", "\0\n", "control bytes"),
    ];
    for (text, want, want_in_form, why) in table {
        assert_eq!(decode(text, false), want, "{why}");
        assert_eq!(decode(text, true), want_in_form, "{why}, in a form");
    }
}

#[test]
fn pairs_are_split_before_they_are_decoded() {
    type Pairs = &'static [(&'static str, &'static str)];
    let table: [(&str, Pairs, &str); 12] = [
        ("", &[], "nothing"),
        ("&&", &[], "empty ones"),
        ("a", &[("a", "")], "a name alone"),
        ("a=", &[("a", "")], "an empty value"),
        ("=b", &[("", "b")], "an empty name"),
        ("=", &[("", "")], "both empty"),
        ("a=b&c=d", &[("a", "b"), ("c", "d")], "two"),
        ("a=1&a=2", &[("a", "1"), ("a", "2")], "a name twice"),
        ("&a=b&", &[("a", "b")], "empty ones around"),
        ("a=b=c", &[("a", "b=c")], "the first equals sign splits"),
        (
            "a%3Db=c%26d",
            &[("a=b", "c&d")],
            "what is encoded splits nothing",
        ),
        (
            "a+b=c+d;e",
            &[("a b", "c d;e")],
            "a semicolon splits nothing",
        ),
    ];
    for (text, want, why) in table {
        let got: Vec<(String, String)> = pairs(text.as_bytes()).collect();
        let got: Vec<(&str, &str)> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(got, want, "{why}");
    }
}

#[test]
fn a_hex_digit_is_one_of_22_bytes() {
    let digits = "0123456789abcdefABCDEF";
    for byte in 0..=u8::MAX {
        let is_digit = digits.as_bytes().contains(&byte);
        let value = u8::from_str_radix(&char::from(byte).to_string(), 16).ok();
        let low = encoded_byte(&[b'%', b'0', byte]).map(|(value, _)| value);
        assert_eq!(low, value.filter(|_| is_digit), "{byte}");
    }
}
