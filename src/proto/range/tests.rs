use super::{requested_range, RequestedRange};

#[test]
fn a_single_range_of_bytes_is_served() {
    use RequestedRange::{Unsatisfiable, Whole};
    let part = |first, length| RequestedRange::Part { first, length };
    // More digits than 64 bits have.
    let huge = "99999999999999999999999";
    let to_huge = format!("bytes=9-{huge}");
    let from_huge = format!("bytes={huge}-");
    let huge_suffix = format!("bytes=-{huge}");
    let both_huge = format!("bytes={huge}-{huge}");
    let table = [
        ("bytes=0-0", part(0, 1), "§14.1.2: the first byte"),
        ("bytes=2-5", part(2, 4), "§14.1.2: both ends belong to it"),
        ("bytes=9-9", part(9, 1), "the last byte"),
        ("bytes=0-9", part(0, 10), "all bytes"),
        ("bytes=00-09", part(0, 10), "leading zeros"),
        ("Bytes=2-5", part(2, 4), "§14.1: a unit has no case"),
        ("bytes=7-", part(7, 3), "§14.1.2: to the end"),
        ("bytes=0-", part(0, 10), "from the beginning to the end"),
        ("bytes=9-10", part(9, 1), "§14.1.2: as much as there is"),
        (&to_huge, part(9, 1), "§14.1.2: as much as there is"),
        ("bytes=-3", part(7, 3), "§14.1.2: the last three"),
        ("bytes=-10", part(0, 10), "the last ten"),
        ("bytes=-11", part(0, 10), "§14.1.2: as much as there is"),
        (&huge_suffix, part(0, 10), "§14.1.2: as much as there is"),
        ("bytes=-0", Unsatisfiable, "§14.1.2: no byte at all"),
        ("bytes=10-", Unsatisfiable, "§14.1.2: beyond the end"),
        ("bytes=10-20", Unsatisfiable, "§14.1.2: beyond the end"),
        ("bytes=11-", Unsatisfiable, "§14.1.2: beyond the end"),
        (&from_huge, Unsatisfiable, "§14.1.2: beyond the end"),
        (&both_huge, Unsatisfiable, "§14.1.2: beyond the end"),
        ("bytes=5-2", Whole, "§14.1.1: invalid, so it is ignored"),
        ("bytes=11-10", Whole, "§14.1.1: invalid, wherever it is"),
        ("bytes=0-1,3-4", Whole, "§14.2: several may be ignored"),
        ("bytes=0-1, 3-4", Whole, "§14.2: several may be ignored"),
        ("bytes=0-,-1", Whole, "§14.2: several may be ignored"),
        ("bytes=0-1,", Whole, "§14.2: a list may be ignored"),
        ("lines=0-1", Whole, "§14.2: an unknown unit is ignored"),
        ("bytes=-", Whole, "malformed"),
        ("bytes=", Whole, "malformed"),
        ("bytes", Whole, "malformed"),
        ("bytes 0-1", Whole, "the form of Content-Range"),
        ("0-1", Whole, "malformed"),
        ("=0-1", Whole, "malformed"),
        ("", Whole, "malformed"),
        ("bytes=+1-2", Whole, "malformed"),
        ("bytes=1-+2", Whole, "malformed"),
        ("bytes=--2", Whole, "malformed"),
        ("bytes=1--2", Whole, "malformed"),
        ("bytes=1-2-3", Whole, "malformed"),
        ("bytes= 1-2", Whole, "malformed"),
        ("bytes=1 - 2", Whole, "malformed"),
        ("bytes=a-b", Whole, "malformed"),
        ("bytes=0x1-2", Whole, "malformed"),
        ("bytes=\u{661}-2", Whole, "a digit beyond ASCII"),
    ];
    for (value, want, why) in table {
        assert_eq!(
            requested_range(value.as_bytes(), 10),
            want,
            "{value}: {why}"
        );
    }
    assert_eq!(requested_range(b"bytes=\xff-2", 10), Whole, "not UTF-8");
}

#[test]
fn an_empty_body_has_no_ranges() {
    for value in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=1-"] {
        let range = requested_range(value.as_bytes(), 0);
        assert_eq!(range, RequestedRange::Whole, "{value}");
    }
}

#[test]
fn a_range_of_the_longest_body_does_not_overflow() {
    let table = [
        (
            "bytes=18446744073709551614-18446744073709551615",
            Some((u64::MAX - 1, 1)),
        ),
        ("bytes=-18446744073709551615", Some((0, u64::MAX))),
        ("bytes=18446744073709551615-", None),
    ];
    for (value, want) in table {
        let want = match want {
            Some((first, length)) => RequestedRange::Part { first, length },
            None => RequestedRange::Unsatisfiable,
        };
        assert_eq!(requested_range(value.as_bytes(), u64::MAX), want, "{value}");
    }
}
