//! A request head. The result and the end of the head do not depend on the pieces in which it arrives. They agree with the
//! naive parser. No part of the head is lost, changed or added.

use crate::hardstop::proto::{
    directives, BodyLength, Directives, EmptyHost, Head, HeadLimits, Refusal,
};
use crate::hardstop::Version;
use crate::naive::{self, control, is_token};
use crate::{ends, plan};

/// Small enough for the fuzzer to reach.
const MAX_BYTES: usize = 1024;
const MAX_FIELDS: usize = 8;
const LIMITS: HeadLimits = HeadLimits {
    bytes: MAX_BYTES,
    fields: MAX_FIELDS,
    https: false,
};

/// The number of bytes after which the result was known, and the result.
type Outcome = (usize, Option<Result<usize, String>>);

pub fn head(input: &[u8]) {
    let (sizes, bytes) = plan(input);
    let parse = |head: &mut Head, ends: &mut dyn Iterator<Item = usize>| -> Outcome {
        for end in ends {
            match head.parse(&bytes[..end], LIMITS) {
                Ok(None) => {}
                Ok(Some(n)) => return (end, Some(Ok(n))),
                Err(refusal) => return (end, Some(Err(words(&refusal)))),
            }
        }
        (bytes.len(), None)
    };
    let mut head = Head::default();
    let whole = parse(&mut head, &mut [bytes.len()].into_iter());
    let (decided, bytewise) = parse(&mut Head::default(), &mut (0..=bytes.len()));
    assert_eq!(bytewise, whole.1, "byte by byte");
    let mut pieces = ends(sizes.clone(), bytes.len());
    let known = pieces.find(|&end| end >= decided).unwrap_or(bytes.len());
    let in_pieces = parse(&mut Head::default(), &mut ends(sizes, bytes.len()));
    assert_eq!(in_pieces, (known, whole.1.clone()), "in pieces");

    let goes_on = |bytes| naive::may_become_head(bytes, MAX_BYTES, MAX_FIELDS);
    assert!(
        decided == 0 || goes_on(&bytes[..decided - 1]),
        "the result was known earlier"
    );
    let naive = naive::head(bytes, MAX_BYTES, MAX_FIELDS);
    match (whole.1, &naive) {
        (Some(Ok(n)), Some((want, m))) => {
            assert_eq!(n, *m);
            assert_eq!(decided, n, "the head is complete with its last byte");
            check(&head, want);
            for (empty_host, is_unix) in [(EmptyHost::Refused, false), (EmptyHost::Allowed, true)] {
                let got = directives(&head, empty_host);
                check_directives(got, naive::terms(want, is_unix));
            }
            check_again(&head);
        }
        (Some(Err(_)), None) => assert!(
            !goes_on(&bytes[..decided]),
            "the refused bytes could become a head"
        ),
        (None, None) => assert!(goes_on(bytes), "the bytes can no longer become a head"),
        (got, want) => panic!("{got:?}, but {:?}", want.as_ref().map(|it| it.1)),
    }
}

fn check(head: &Head, want: &naive::Head<'_>) {
    assert_eq!(head.method, want.method);
    assert_eq!(head.target, want.target);
    assert_eq!(head.path, want.path);
    assert_eq!(head.query(), want.query);
    let minor = u8::from(head.version == Version::Http11);
    assert_eq!(minor, want.minor);
    let segments: Vec<_> = head.segments().collect();
    assert_eq!(segments, want.segments);
    let fields: Vec<_> = head.headers.iter().collect();
    assert_eq!(fields, want.fields);

    assert!(is_token(head.method.as_bytes()));
    assert!(!head
        .target
        .contains(|it: char| it.is_control() || it == ' '));
    assert!(!head.path.contains(|it: char| it.is_ascii_control()));
    for (name, value) in fields {
        assert!(is_token(name.as_bytes()));
        assert!(!value.iter().any(control));
        let mut named = want.fields.iter();
        let first = named.find(|field| field.0.eq_ignore_ascii_case(name));
        let first = first.map(|field| field.1);
        let all = want
            .fields
            .iter()
            .filter(|field| field.0.eq_ignore_ascii_case(name));
        let all: Vec<_> = all.map(|field| field.1).collect();
        let shouted = name.to_ascii_uppercase();
        assert!(head.headers.get_all_bytes(&shouted).eq(all));
        assert_eq!(head.headers.get_bytes(&shouted), first);
        assert_eq!(
            head.headers.get(name).map(str::as_bytes),
            first.filter(|value| std::str::from_utf8(value).is_ok())
        );
    }
}

fn check_directives(got: Result<Directives, Refusal>, want: Option<naive::Terms>) {
    match (got, want) {
        (Ok(got), Some(want)) => {
            let length = match got.body {
                BodyLength::Known(length) => Some(length),
                BodyLength::Chunked => None,
            };
            assert_eq!(length, want.length);
            assert_eq!(got.keep_alive, want.keep_alive);
            assert_eq!(got.asks_keep_alive, want.asks_keep_alive);
            assert_eq!(got.expects_continue, want.expects_continue);
        }
        (Err(refusal), None) => assert!([400, 417, 501].contains(&refusal.status.as_u16())),
        (Ok(_), None) => panic!("a head with invalid fields is accepted"),
        (Err(refusal), Some(_)) => panic!("a valid head is refused: {}", refusal.reason),
    }
}

/// Writes the parsed head out and checks that it parses to the same head.
fn check_again(head: &Head) {
    let minor = u8::from(head.version == Version::Http11);
    let line = format!("{} {} HTTP/1.{minor}\r\n", head.method, head.target);
    let mut text = line.into_bytes();
    for (name, value) in head.headers.iter() {
        text.extend_from_slice(&[name.as_bytes(), b":", value, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    let mut again = Head::default();
    let n = again.parse(&text, LIMITS).unwrap();
    assert_eq!(n, Some(text.len()));
    assert_eq!(again.method, head.method);
    assert_eq!(again.target, head.target);
    assert_eq!(again.path, head.path);
    assert_eq!(again.version, head.version);
    assert!(again.headers.iter().eq(head.headers.iter()));
}

fn words(refusal: &Refusal) -> String {
    format!("{} {}", refusal.status, refusal.reason)
}
