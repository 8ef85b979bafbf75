use super::super::date::imf_fixdate;
use super::{select, Candidate, Headers, Selection};
use Selection::{NotModified, PreconditionFailed, RangeNotSatisfiable, Whole};

const MODIFIED: u64 = 784_111_777;
const NOW: u64 = 1_704_067_200;
const PART: Selection = Selection::Part {
    first: 1,
    length: 2,
};

/// Ten bytes with a strong tag and a date.
const STRONG: Candidate<'_> = Candidate {
    etag: Some(b"\"v1\""),
    last_modified: Some(MODIFIED),
    length: Some(10),
    now: NOW,
};

const WEAK: Candidate<'_> = Candidate {
    etag: Some(b"W/\"v1\""),
    last_modified: Some(NOW - 1),
    ..STRONG
};

/// What nothing is known of, such as a pipe.
const UNKNOWN: Candidate<'_> = Candidate {
    etag: None,
    last_modified: None,
    length: None,
    now: NOW,
};

/// Returns the fields of a text that has one on each line.
fn headers(text: &str) -> Headers {
    let mut headers = Headers::default();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

fn check(candidate: &Candidate<'_>, table: &[(&str, Selection, &str)]) {
    for (fields, want, why) in table {
        let got = select("GET", &headers(fields), candidate);
        assert_eq!(got, *want, "{fields}: {why}");
    }
}

#[test]
fn if_none_match_compares_weakly() {
    let table = [
        ("If-None-Match: \"v1\"", NotModified, "§13.1.2"),
        (
            "if-none-match: \"v1\"",
            NotModified,
            "§5.1: names have no case",
        ),
        (
            "If-None-Match: W/\"v1\"",
            NotModified,
            "§8.8.3.2: weak comparison",
        ),
        (
            "If-None-Match: *",
            NotModified,
            "§13.1.2: there is a response",
        ),
        ("If-None-Match: \"v2\"", Whole, "§13.1.2"),
        ("If-None-Match: \"V1\"", Whole, "§8.8.3: tags have a case"),
        ("If-None-Match: w/\"v1\"", Whole, "§8.8.3: so has the W"),
        ("If-None-Match: \"\"", Whole, "another tag, which is empty"),
        ("If-None-Match: \"v1", Whole, "malformed: one quote"),
        ("If-None-Match: v1", Whole, "malformed: no quotes"),
        ("If-None-Match: W/ \"v1\"", Whole, "malformed: a space"),
        ("If-None-Match: ", Whole, "no tag at all"),
    ];
    check(&STRONG, &table);
    check(&WEAK, &table);
    let table = [
        (
            "If-None-Match: *",
            NotModified,
            "§13.1.2: there is a response",
        ),
        ("If-None-Match: \"v1\"", Whole, "it has no tag"),
        ("If-None-Match: \"\"", Whole, "it has no tag"),
    ];
    check(&UNKNOWN, &table);
}

#[test]
fn if_match_compares_strongly() {
    let table = [
        ("If-Match: \"v1\"", Whole, "§13.1.1"),
        ("If-Match: *", Whole, "§13.1.1: there is a response"),
        ("If-Match: \"v2\"", PreconditionFailed, "§13.1.1"),
        (
            "If-Match: W/\"v1\"",
            PreconditionFailed,
            "§8.8.3.2: strong comparison",
        ),
        ("If-Match: v1", PreconditionFailed, "malformed"),
        ("If-Match: ", PreconditionFailed, "no tag at all"),
    ];
    check(&STRONG, &table);
    let table = [
        ("If-Match: *", Whole, "§13.1.1: there is a response"),
        (
            "If-Match: \"v1\"",
            PreconditionFailed,
            "§8.8.3.2: its tag is weak",
        ),
        (
            "If-Match: W/\"v1\"",
            PreconditionFailed,
            "§8.8.3.2: both are weak",
        ),
    ];
    check(&WEAK, &table);
    let table = [
        ("If-Match: *", Whole, "§13.1.1: there is a response"),
        ("If-Match: \"v1\"", PreconditionFailed, "it has no tag"),
    ];
    check(&UNKNOWN, &table);
}

#[test]
fn entity_tags_are_listed_in_any_number_of_lines() {
    let table = [
        (
            "If-None-Match: \"a\", \"v1\"",
            NotModified,
            "§5.6.1: a list",
        ),
        (
            "If-None-Match: \"v1\" ,\"a\"",
            NotModified,
            "§5.6.1: white space",
        ),
        (
            "If-None-Match: \"a\",\"v1\"",
            NotModified,
            "§5.6.1: no white space",
        ),
        (
            "If-None-Match: ,, \"a\",\t,\"v1\",",
            NotModified,
            "§5.6.1.2: empty elements",
        ),
        (
            "If-None-Match: \"a\"\nIf-None-Match: \"v1\"",
            NotModified,
            "§5.3: several lines",
        ),
        (
            "If-None-Match: \"a\"\nIf-None-Match: *",
            NotModified,
            "one of them is a star",
        ),
        (
            "If-None-Match: a\nIf-None-Match: \"v1\"",
            NotModified,
            "one of them is malformed",
        ),
        (
            "If-None-Match: \"a,b\", \"v1\"",
            NotModified,
            "§8.8.3: a comma in a tag",
        ),
        ("If-None-Match: \"a, \"v1\"", Whole, "a tag is not closed"),
        ("If-None-Match: \"a\" \"v1\"", Whole, "a comma is missing"),
        (
            "If-None-Match: \"a\", *",
            Whole,
            "§13.1.2: a star stands alone",
        ),
        ("If-None-Match: \"a\", b, \"v1\"", Whole, "behind a mistake"),
        ("If-Match: \"a\", \"v1\"", Whole, "§5.6.1: a list"),
        (
            "If-Match: \"a\"\nIf-Match: \"v1\"",
            Whole,
            "§5.3: several lines",
        ),
        ("If-Match: \"a\", \"b\"", PreconditionFailed, "none of them"),
    ];
    check(&STRONG, &table);
    let odd = Candidate {
        etag: Some(b"\"a, \x80\""),
        ..STRONG
    };
    let mut headers = Headers::default();
    headers.push(b"If-None-Match", b"\"v1\", \"a, \x80\"");
    let got = select("GET", &headers, &odd);
    assert_eq!(
        got, NotModified,
        "§8.8.3: a tag has commas and bytes beyond ASCII"
    );
    for malformed in [&b"v1"[..], b"\"v1\"x", b"", b"\"v1\", \"v1\""] {
        let candidate = Candidate {
            etag: Some(malformed),
            ..STRONG
        };
        let table = [
            (
                "If-None-Match: \"v1\"",
                Whole,
                "the response's own tag is malformed",
            ),
            (
                "If-None-Match: v1",
                Whole,
                "the response's own tag is malformed",
            ),
            ("If-Range: v1\nRange: bytes=1-2", Whole, "the same"),
        ];
        check(&candidate, &table);
    }
}

#[test]
fn a_date_is_compared_in_seconds() {
    let table = [
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            NotModified,
            "§13.1.3",
        ),
        (
            "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
            NotModified,
            "§5.6.7: RFC 850",
        ),
        (
            "If-Modified-Since: Sun Nov  6 08:49:37 1994",
            NotModified,
            "§5.6.7: asctime",
        ),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT",
            NotModified,
            "§13.1.3: later",
        ),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            Whole,
            "§13.1.3: earlier",
        ),
        (
            "If-Modified-Since: yesterday",
            Whole,
            "§13.1.3: no date, so it is ignored",
        ),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\n\
             If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.1.3: more than one, so it is ignored",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.1.4",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:38 GMT",
            Whole,
            "§13.1.4: later",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            PreconditionFailed,
            "§13.1.4: earlier",
        ),
        (
            "If-Unmodified-Since: Thu, 06 Nov 1969 08:49:36 GMT",
            PreconditionFailed,
            "§13.1.4: before 1970",
        ),
        (
            "If-Unmodified-Since: 0",
            Whole,
            "§13.1.4: no date, so it is ignored",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\n\
             If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            Whole,
            "§13.1.4: more than one, so it is ignored",
        ),
    ];
    check(&STRONG, &table);
    let table = [
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.1.3: ignored without a date",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.1.4: ignored without a date",
        ),
    ];
    check(&UNKNOWN, &table);
}

#[test]
fn conditions_are_evaluated_in_the_order_of_the_rfc() {
    let table = [
        (
            "If-Match: \"v1\"\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            Whole,
            "§13.2.2: step 1 replaces step 2",
        ),
        (
            "If-Match: \"v2\"\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            PreconditionFailed,
            "§13.2.2: step 1",
        ),
        (
            "If-Match: \"v2\"\nIf-None-Match: \"v1\"",
            PreconditionFailed,
            "§13.2.2: step 1 before step 3",
        ),
        (
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\nIf-None-Match: \"v1\"",
            PreconditionFailed,
            "§13.2.2: step 2 before step 3",
        ),
        (
            "If-Match: \"v1\"\nIf-None-Match: \"v1\"",
            NotModified,
            "§13.2.2: step 1 leads to step 3",
        ),
        (
            "If-None-Match: \"v2\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.2.2: step 3 replaces step 4",
        ),
        (
            "If-None-Match: v1\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            Whole,
            "§13.2.2: step 3 replaces step 4, even if it is malformed",
        ),
        (
            "If-None-Match: \"v1\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            NotModified,
            "§13.2.2: step 3",
        ),
        (
            "Range: bytes=1-2\nIf-None-Match: \"v1\"",
            NotModified,
            "§13.2.2: step 3 before step 5",
        ),
        (
            "Range: bytes=1-2\nIf-Range: \"v1\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            NotModified,
            "§13.2.2: step 4 before step 5",
        ),
        (
            "Range: bytes=1-2\nIf-Match: \"v2\"",
            PreconditionFailed,
            "§13.2.2: step 1 before step 5",
        ),
        (
            "Range: bytes=1-2\nIf-Match: \"v1\"",
            PART,
            "§13.2.2: step 1, then step 5",
        ),
        (
            "Range: bytes=20-\nIf-None-Match: \"v1\"",
            NotModified,
            "§14.2: conditions come before a 416",
        ),
        (
            "Range: bytes=20-\nIf-Range: \"v2\"",
            Whole,
            "§13.2.2: step 5 comes before a 416",
        ),
        (
            "Range: bytes=20-\nIf-Range: \"v1\"",
            RangeNotSatisfiable,
            "§14.2",
        ),
    ];
    check(&STRONG, &table);
}

#[test]
fn a_range_is_served_to_get_alone() {
    let table = [
        ("Range: bytes=1-2", PART, Whole, "§14.2: a range is for GET"),
        (
            "Range: bytes=20-",
            RangeNotSatisfiable,
            Whole,
            "§14.2: a range is for GET",
        ),
        (
            "Range: bytes=1-2\nRange: bytes=1-2",
            Whole,
            Whole,
            "a range is no list of lines",
        ),
        ("Range: nonsense", Whole, Whole, "malformed"),
        (
            "If-None-Match: \"v1\"",
            NotModified,
            NotModified,
            "§13.1.2: both",
        ),
        (
            "If-Match: \"v2\"",
            PreconditionFailed,
            PreconditionFailed,
            "§13.1.1: both",
        ),
        ("", Whole, Whole, "no condition"),
    ];
    for (fields, get, head, why) in table {
        assert_eq!(
            select("GET", &headers(fields), &STRONG),
            get,
            "{fields}: {why}"
        );
        assert_eq!(
            select("HEAD", &headers(fields), &STRONG),
            head,
            "{fields}: {why}"
        );
    }
    check(
        &UNKNOWN,
        &[("Range: bytes=1-2", Whole, "parts of it cannot be sent")],
    );
}

#[test]
fn if_range_needs_exactly_the_same_version() {
    let range = |condition: &str| headers(&format!("Range: bytes=1-2\nIf-Range: {condition}"));
    let table = [
        ("\"v1\"", PART, "§13.1.5"),
        ("\"v2\"", Whole, "§13.1.5"),
        ("W/\"v1\"", Whole, "§13.1.5: strong comparison"),
        ("\"v1\", \"v2\"", Whole, "§13.1.5: no list"),
        ("*", Whole, "§13.1.5: no star"),
        ("v1", Whole, "malformed"),
        ("", Whole, "malformed"),
        (
            "\"v1\"\nIf-Range: \"v1\"",
            Whole,
            "§13.1.5: no list of lines",
        ),
        (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            PART,
            "§13.1.5: the same date",
        ),
        (
            "Sunday, 06-Nov-94 08:49:37 GMT",
            PART,
            "§5.6.7: the same date",
        ),
        (
            "Sun, 06 Nov 1994 08:49:38 GMT",
            Whole,
            "§13.1.5: exactly, and not later",
        ),
        (
            "Sun, 06 Nov 1994 08:49:36 GMT",
            Whole,
            "§13.1.5: exactly, and not earlier",
        ),
    ];
    for (condition, want, why) in table {
        let got = select("GET", &range(condition), &STRONG);
        assert_eq!(got, want, "{condition}: {why}");
    }
    let date = imf_fixdate(NOW - 1);
    for condition in ["\"v1\"", "W/\"v1\"", &date] {
        let got = select("GET", &range(condition), &WEAK);
        assert_eq!(got, Whole, "{condition}: §13.1.5: its validators are weak");
    }
    for (age, want) in [(0, Whole), (1, Whole), (2, PART), (3, PART)] {
        let candidate = Candidate {
            last_modified: Some(NOW - age),
            ..STRONG
        };
        let got = select("GET", &range(&imf_fixdate(NOW - age)), &candidate);
        assert_eq!(got, want, "§8.8.2.2: modified {age} s ago");
    }
    for condition in ["\"v1\"", "\"\"", &date] {
        let candidate = Candidate {
            length: Some(10),
            ..UNKNOWN
        };
        let got = select("GET", &range(condition), &candidate);
        assert_eq!(got, Whole, "{condition}: it has no version");
    }
}
