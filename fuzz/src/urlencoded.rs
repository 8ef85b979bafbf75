//! Percent-encoding and forms, compared with a naive decoder and with the input of an encoder.

use crate::hardstop::proto::urlencoded::{decode, encoded_byte, pairs};
use crate::naive;

pub fn urlencoded(input: &[u8]) {
    decoding_is_what_the_naive_decoder_says(input);
    what_was_encoded_comes_back(input);
}

fn decoding_is_what_the_naive_decoder_says(input: &[u8]) {
    let spaced = |text: &[u8]| -> Vec<u8> {
        let space = |&byte| if byte == b'+' { b' ' } else { byte };
        text.iter().map(space).collect()
    };
    let naive = |text: &[u8]| {
        let bytes = naive::percent_decoded(text);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert_eq!(decode(input, false), naive(input));
    assert_eq!(decode(input, true), naive(&spaced(input)));
    // At worst, each byte becomes U+FFFD, which has three bytes.
    assert!(decode(input, true).len() <= 3 * input.len());

    let mut want = Vec::new();
    for pair in spaced(input).split(|&byte| byte == b'&') {
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        if !pair.is_empty() {
            want.push((naive(name), naive(value)));
        }
    }
    assert_eq!(pairs(input).collect::<Vec<_>>(), want);

    if let Some((byte, rest)) = encoded_byte(input) {
        let encoded = format!("%{byte:02x}").into_bytes();
        assert_eq!(input[..3].to_ascii_lowercase(), encoded);
        assert_eq!(rest, &input[3..]);
    }
}

/// Takes each line as a pair and encodes it in every way that the decoder must accept.
fn what_was_encoded_comes_back(input: &[u8]) {
    let mut want = Vec::new();
    for line in String::from_utf8_lossy(input).split('\n') {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        want.push((String::from(name), String::from(value)));
    }
    let encoded = |text: &str| -> String {
        let encode = |(at, byte): (usize, u8)| match byte {
            b' ' if at % 2 == 0 => "+".into(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' if at % 3 > 0 => char::from(byte).into(),
            b'-' | b'.' | b'_' | b'*' => char::from(byte).into(),
            _ if at % 2 == 0 => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        text.bytes().enumerate().map(encode).collect()
    };
    let encode = |(name, value): &(String, String)| encoded(name) + "=" + &encoded(value);
    let form: Vec<String> = want.iter().map(encode).collect();
    // The empty pairs between the others are skipped.
    let form = form.join("&&");
    assert_eq!(pairs(form.as_bytes()).collect::<Vec<_>>(), want, "{form}");
}
