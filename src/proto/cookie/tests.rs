use super::super::headers::Headers;
use super::cookies;

/// The value of a field, the cookie's value in it, and the reason.
type Case = (&'static [u8], Option<&'static [u8]>, &'static str);

/// The same for several fields, with their names.
type Cases = (&'static [Field], Option<&'static [u8]>, &'static str);
type Field = (&'static str, &'static [u8]);

/// Returns the first value of the cookie `a`.
fn first(fields: &[Field]) -> Option<Vec<u8>> {
    let mut headers = Headers::default();
    for (name, value) in fields {
        headers.push(name.as_bytes(), value);
    }
    let value = cookies(&headers, "a").next();
    value.map(<[u8]>::to_vec)
}

#[test]
fn a_cookie_is_found_by_its_exact_name_and_returned_as_it_was_sent() {
    let table: [Case; 36] = [
        (b"", None, "nothing"),
        (b";;; ;", None, "empty pairs"),
        (b"a=1", Some(b"1"), "one cookie"),
        (b"b=2; a=1; c=3", Some(b"1"), "one of several"),
        (
            b"b=2;a=1;c=3",
            Some(b"1"),
            "no spaces, as some clients send",
        ),
        (b"b=2 ;\t a=1 \t; c=3", Some(b"1"), "more white space"),
        (b"a = 1", Some(b"1"), "white space around the sign"),
        (b"a=1; a=2", Some(b"1"), "the first of one name"),
        (b"a=; a=2", Some(b""), "an empty value is one"),
        (b"a=", Some(b""), "an empty value at the end"),
        (b"a", None, "the value of a cookie without a name"),
        (b"a; a=1", Some(b"1"), "a cookie without a name before it"),
        (b"=a", None, "an empty name"),
        (
            b"=a=1",
            None,
            "an empty name, and an equals sign in the value",
        ),
        (b"A=1", None, "names have a case"),
        (b"aa=1; ba=1; a.=1", None, "longer names"),
        (b"$a=1; a$=1", None, "a dollar sign is a part of the name"),
        (
            b"a=b=c==",
            Some(b"b=c=="),
            "the first equals sign splits, as in base64",
        ),
        (b"b=a=1", None, "the name in another value"),
        (b"b=\"; a=1\"", Some(b"1\""), "a semicolon in quotes splits"),
        (b"a=\"1\"", Some(b"\"1\""), "quotes are a part of the value"),
        (b"a=\"", Some(b"\""), "one quote"),
        (b"a=\"1 2\"", Some(b"\"1 2\""), "a space in quotes"),
        (b"a=1 2", Some(b"1 2"), "a space"),
        (b"a=1,2", Some(b"1,2"), "a comma splits nothing"),
        (b"b=2, a=1", None, "not even cookies"),
        (b"a=%20+%3B", Some(b"%20+%3B"), "nothing is decoded"),
        (b"%61=1", None, "in names neither"),
        (b"\"a\"=1", None, "a name in quotes"),
        (b"a\\=1", None, "a name with a backslash"),
        (b"a=\\", Some(b"\\"), "a backslash"),
        (b"a=\xc3\xa9", Some(b"\xc3\xa9"), "UTF-8"),
        (b"b=\xff; a=1", Some(b"1"), "another cookie is not UTF-8"),
        (b"a=\xff; a=1", Some(b"\xff"), "the first one is not UTF-8"),
        (
            b"\xc2\xa0a=1",
            None,
            "a space beyond ASCII is no white space",
        ),
        (
            b"{\"b\":1}; a=1; }",
            Some(b"1"),
            "what is no cookie around it",
        ),
    ];
    for (value, want, why) in table {
        let got = first(&[("Cookie", value)]);
        assert_eq!(got.as_deref(), want, "{why}");
    }
}

#[test]
fn cookies_come_in_any_number_of_cookie_fields_and_in_no_other() {
    let table: [Cases; 6] = [
        (&[], None, "no field"),
        (&[("COOKIE", b"a=1")], Some(b"1"), "fields have no case"),
        (
            &[("cookie", b"b=1"), ("Cookie", b"a=1")],
            Some(b"1"),
            "the second one",
        ),
        (
            &[("Cookie", b"a=1"), ("Cookie", b"a=2")],
            Some(b"1"),
            "the first one",
        ),
        (
            &[("Cookie", b"a"), ("Cookie", b"=1")],
            None,
            "a pair in two fields",
        ),
        (
            &[
                ("Set-Cookie", b"a=1"),
                ("Cookie2", b"a=1"),
                ("X-Cookie", b"a=1"),
            ],
            None,
            "others",
        ),
    ];
    for (fields, want, why) in table {
        assert_eq!(first(fields).as_deref(), want, "{why}");
    }
}

#[test]
fn a_name_that_no_cookie_can_have_is_not_found() {
    let mut headers = Headers::default();
    headers.push(b"Cookie", b"a; b=1; c=2");
    for name in ["", "b=1; c", "b=1", " b", "b ", ";", "="] {
        assert_eq!(cookies(&headers, name).next(), None, "{name:?}");
    }
}

#[test]
fn all_cookies_of_a_name_are_found_in_their_order() {
    let mut headers = Headers::default();
    headers.push(b"Cookie", b"a=1; b=2; a=; a=\xff");
    headers.push(b"Accept", b"a=3");
    headers.push(b"Cookie", b"a=4");
    let values: Vec<&[u8]> = cookies(&headers, "a").collect();
    assert_eq!(values, [&b"1"[..], b"", b"\xff", b"4"]);
}
