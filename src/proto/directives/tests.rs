use super::super::head::HeadLimits;
use super::{directives, BodyLength, EmptyHost, Head};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 16 * 1024,
    fields: 100,
    https: false,
};

/// Parses a head with these fields.
fn head(version: &str, fields: &[u8]) -> Head {
    let line = format!("POST / HTTP/{version}\r\n");
    let text = [line.as_bytes(), fields, b"\r\n"].concat();
    let mut head = Head::default();
    assert_eq!(head.parse(&text, LIMITS).unwrap(), Some(text.len()));
    head
}

/// Returns the length of the body of a request with these fields, whether the connection is kept,
/// and whether the client waits for `100 Continue`; or the status code of the refusal.
fn ask(version: &str, fields: &[u8]) -> Result<(BodyLength, bool, bool), u16> {
    let head = head(version, fields);
    let directives =
        directives(&head, EmptyHost::Refused).map_err(|refusal| refusal.status.as_u16())?;
    Ok((
        directives.body,
        directives.keep_alive,
        directives.expects_continue,
    ))
}

#[test]
fn a_content_length_is_digits_and_nothing_else() {
    let table: [(&[u8], Option<u64>); 18] = [
        (b"0", Some(0)),
        (b"5", Some(5)),
        (b"007", None),
        (b"18446744073709551615", Some(u64::MAX)),
        (b"00", None),
        (b"18446744073709551616", None),
        (b"99999999999999999999999", None),
        (b"", None),
        (b"+5", None),
        (b"-5", None),
        (b"-0", None),
        (b"5 5", None),
        (b"5,5", None),
        (b"5, 5", None),
        (b"0x5", None),
        (b"5.0", None),
        (b"5e1", None),
        (b"\xd9\xa5", None),
    ];
    for (value, want) in table {
        let fields = [b"Host: x\r\nContent-Length: ", value, b"\r\n"].concat();
        let got = ask("1.1", &fields);
        let want = want
            .map(|length| (BodyLength::Known(length), true, false))
            .ok_or(400);
        assert_eq!(got, want, "{}", value.escape_ascii());
    }
}

#[test]
fn header_fields_determine_the_directives() {
    use BodyLength::{Chunked, Known};
    let ok = |length, keep_alive, waits| Ok((length, keep_alive, waits));
    let table = [
        ("1.1", "", ok(Known(0), true, false)),
        ("1.0", "", ok(Known(0), false, false)),
        (
            "1.0",
            "Connection: keep-alive\r\n",
            ok(Known(0), true, false),
        ),
        (
            "1.0",
            "Connection: a, KEEP-alive\r\n",
            ok(Known(0), true, false),
        ),
        ("1.1", "Connection: close\r\n", ok(Known(0), false, false)),
        (
            "1.1",
            "Connection: a,\tClose ,b\r\n",
            ok(Known(0), false, false),
        ),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            ok(Known(0), false, false),
        ),
        (
            "1.1",
            "Connection: close-not\r\n",
            ok(Known(0), true, false),
        ),
        ("1.1", "Content-Length: 9\r\n", ok(Known(9), true, false)),
        (
            "1.1",
            "Transfer-Encoding: Chunked\r\n",
            ok(Chunked, true, false),
        ),
        (
            "1.1",
            "Content-Length: 9\r\nExpect: 100-Continue\r\n",
            ok(Known(9), true, true),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
            ok(Chunked, true, true),
        ),
        ("1.1", "Expect: 100-continue\r\n", ok(Known(0), true, false)),
        (
            "1.0",
            "Content-Length: 9\r\nExpect: 100-continue\r\n",
            ok(Known(9), false, false),
        ),
        ("1.0", "Expect: wonders\r\n", ok(Known(0), false, false)),
        ("1.1", "Expect: wonders\r\n", Err(417)),
        (
            "1.1",
            "Content-Length: 9\r\nContent-Length: 9\r\n",
            Err(400),
        ),
        (
            "1.1",
            "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(400),
        ),
        ("1.1", "Transfer-Encoding: gzip\r\n", Err(400)),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", Err(501)),
        (
            "1.1",
            "Transfer-Encoding: gzip, deflate ,chunked\r\n",
            Err(501),
        ),
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n", Err(400)),
        ("1.1", "Transfer-Encoding: chunked,\r\n", Err(400)),
        ("1.0", "Transfer-Encoding: chunked\r\n", Err(400)),
        ("1.0", "Transfer-Encoding: gzip, chunked\r\n", Err(400)),
        ("1.1", "Host: x\r\n", Err(400)),
    ];
    for (version, fields, want) in table {
        let fields = format!("Host: x\r\n{fields}");
        let got = ask(version, fields.as_bytes());
        assert_eq!(got, want, "HTTP/{version} {fields:?}");
    }
    assert_eq!(ask("1.1", b""), Err(400), "no Host");
}

#[test]
fn upgrades_and_forms_are_recognized() {
    let table = [
        ("1.1", "Connection: Upgrade\r\n", true, false),
        ("1.1", "Connection: keep-alive, upgrade\r\n", true, false),
        ("1.0", "Connection: upgrade\r\n", false, false),
        ("1.1", "Upgrade: a\r\n", false, false),
        (
            "1.1",
            "Content-Type: Application/X-WWW-Form-Urlencoded\r\n",
            false,
            true,
        ),
        (
            "1.1",
            "Content-Type: application/x-www-form-urlencoded ; a=b\r\n",
            false,
            true,
        ),
        (
            "1.1",
            "Content-Type: application/x-www-form-urlencoded-not\r\n",
            false,
            false,
        ),
        ("1.1", "Content-Type: text/plain\r\n", false, false),
    ];
    for (version, fields, upgrades, is_form) in table {
        let head = head(version, format!("Host: x\r\n{fields}").as_bytes());
        let got = directives(&head, EmptyHost::Refused).unwrap();
        assert_eq!(got.upgrades, upgrades, "HTTP/{version} {fields:?}");
        assert_eq!(got.is_form, is_form, "HTTP/{version} {fields:?}");
    }
}

#[test]
fn a_field_that_must_come_once_is_refused_twice() {
    let single = [
        "Host: x\r\n",
        "Content-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Type: a\r\n",
        "Authorization: a\r\n",
    ];
    for field in single {
        let head = head("1.1", field.repeat(2).as_bytes());
        let refusal = directives(&head, EmptyHost::Refused).unwrap_err();
        assert_eq!(refusal.reason, "a field came twice that must come once");
    }
}

#[test]
fn a_name_with_another_letter_is_no_directive() {
    let fields = [
        ("Host", "y"),
        ("Connection", "close"),
        ("Expect", "wonders"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Authorization", "a"),
    ];
    let outcome = |name: &str, value: &str| {
        let fields = format!("Host: x\r\nAuthorization: b\r\n{name}: {value}\r\n");
        directives(&head("1.1", fields.as_bytes()), EmptyHost::Refused)
    };
    let without = outcome("a", "b");
    assert!(without.is_ok());
    for (name, value) in fields {
        let with = outcome(name, value);
        assert_ne!(with, without, "{name}");
        assert_eq!(outcome(&name.to_ascii_uppercase(), value), with, "{name}");
        assert_eq!(outcome(&name.to_ascii_lowercase(), value), with, "{name}");
        assert_eq!(outcome(&format!("{name}s"), value), without, "{name}");
        for place in 0..name.len() {
            let mut other = String::from(name);
            other.replace_range(place..=place, "_");
            assert_eq!(outcome(&other, value), without, "{other}");
        }
    }
}
