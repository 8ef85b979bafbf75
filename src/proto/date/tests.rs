use super::{http_date, imf_fixdate, parse_http_date};
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn a_date_follows_the_calendar() {
    let table = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT", "the beginning"),
        (
            86_399,
            "Thu, 01 Jan 1970 23:59:59 GMT",
            "a day's last second",
        ),
        (86_400, "Fri, 02 Jan 1970 00:00:00 GMT", "the next day"),
        (
            68_255_999,
            "Tue, 29 Feb 1972 23:59:59 GMT",
            "the first leap day",
        ),
        (68_256_000, "Wed, 01 Mar 1972 00:00:00 GMT", "the day after"),
        (
            784_111_777,
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "the RFC's own",
        ),
        (
            946_684_799,
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "a century's end",
        ),
        (
            951_782_400,
            "Tue, 29 Feb 2000 00:00:00 GMT",
            "2000 is a leap year",
        ),
        (
            951_868_800,
            "Wed, 01 Mar 2000 00:00:00 GMT",
            "the day after",
        ),
        (
            1_009_843_199,
            "Mon, 31 Dec 2001 23:59:59 GMT",
            "a common year's end",
        ),
        (
            1_709_164_800,
            "Thu, 29 Feb 2024 00:00:00 GMT",
            "a common leap year",
        ),
        (
            2_147_483_648,
            "Tue, 19 Jan 2038 03:14:08 GMT",
            "beyond 31 bits",
        ),
        (
            4_107_542_399,
            "Sun, 28 Feb 2100 23:59:59 GMT",
            "2100 is no leap year",
        ),
        (
            4_107_542_400,
            "Mon, 01 Mar 2100 00:00:00 GMT",
            "the next second",
        ),
        (
            4_294_967_296,
            "Sun, 07 Feb 2106 06:28:16 GMT",
            "beyond 32 bits",
        ),
        (
            13_574_563_200,
            "Tue, 29 Feb 2400 00:00:00 GMT",
            "2400 is one again",
        ),
        (
            253_402_300_799,
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "the last one",
        ),
        (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT", "it stays"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT", "it stays"),
    ];
    for (seconds, want, why) in table {
        assert_eq!(imf_fixdate(seconds), want, "{why}");
    }
}

/// Compares with a calendar that counts one day after the other.
#[test]
fn every_day_of_1300_years_follows_the_one_before() {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let mut weekdays = DAYS.iter().cycle();
    let mut days = 0_u64..;
    for year in 1970..3270 {
        let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (month, length) in MONTHS {
            let leap_day = u64::from(month == "Feb" && is_leap);
            for day in 1..=length + leap_day {
                let weekday = weekdays.next().unwrap();
                let want = format!("{weekday}, {day:02} {month} {year} 12:34:56 GMT");
                let noon = days.next().unwrap() * 86_400 + 45_296;
                assert_eq!(imf_fixdate(noon), want);
                assert_eq!(parse_http_date(want.as_bytes(), 0), Some(noon));
            }
        }
    }
}

#[test]
fn a_time_is_formatted_in_whole_seconds_from_1970_on() {
    let past = |millis| UNIX_EPOCH + Duration::from_millis(millis);
    assert_eq!(
        http_date(past(784_111_777_999)),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(
        http_date(UNIX_EPOCH - Duration::from_secs(1)),
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

/// The beginning of 2024.
const NOW: u64 = 1_704_067_200;

#[test]
fn a_date_is_read_in_three_formats() {
    let rfc = Some(784_111_777);
    let table = [
        ("Sun, 06 Nov 1994 08:49:37 GMT", rfc, "IMF-fixdate"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", rfc, "RFC 850"),
        ("Sun Nov  6 08:49:37 1994", rfc, "asctime"),
        ("Sun Nov 06 08:49:37 1994", rfc, "asctime with two digits"),
        ("Mon, 06 Nov 1994 08:49:37 GMT", rfc, "another weekday"),
        ("Thu Jan  1 00:00:00 1970", Some(0), "the first second"),
        ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0), "before 1970"),
        ("Sat, 01 Jan 0000 00:00:00 GMT", Some(0), "the first year"),
        (
            "Fri, 31 Dec 9999 23:59:59 GMT",
            Some(253_402_300_799),
            "the last second",
        ),
        (
            "Thu, 31 Dec 1998 23:59:60 GMT",
            Some(915_148_800),
            "a leap second",
        ),
        (
            "Tue, 29 Feb 2000 00:00:00 GMT",
            Some(951_782_400),
            "a leap day",
        ),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None, "no leap year"),
        ("Sun, 31 Nov 1994 08:49:37 GMT", None, "no such day"),
        ("Sun, 00 Nov 1994 08:49:37 GMT", None, "no such day"),
        ("Sun, 32 Dec 1969 08:49:37 GMT", None, "no such day"),
        (
            "Sat, 31 Feb 1969 00:00:00 GMT",
            None,
            "no such day of February",
        ),
        ("Thu, 29 Feb 1968 00:00:00 GMT", Some(0), "a leap year"),
        ("Wed, 29 Feb 1900 00:00:00 GMT", None, "no leap year"),
        ("Sun Nov  0 08:49:37 1994", None, "no such day"),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None, "no such hour"),
        ("Sun, 06 Nov 1994 08:60:00 GMT", None, "no such minute"),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None, "no such second"),
        ("Sun, 06 nov 1994 08:49:37 GMT", None, "case counts"),
        ("Sun, 06 Nov 1994 08:49:37 gmt", None, "case counts"),
        ("Sun, 06 ovD 1994 08:49:37 GMT", None, "between two names"),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None, "one digit"),
        ("Sun Nov 6 08:49:37 1994", None, "one digit"),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None, "another zone"),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None, "another zone"),
        (
            "Sun, 06 Nov 1994 08:49:37 GMT;",
            None,
            "something behind it",
        ),
        ("Sun, 06 Nov +994 08:49:37 GMT", None, "a sign"),
        ("S\u{fc}n, 06 Nov 1994 08:49:37 GM", None, "beyond ASCII"),
        (", 06-Nov-94 08:49:37 GMT", None, "no weekday"),
        (
            "Thursday, 31-Nov-94 08:49:37 GMT",
            None,
            "no such day in any century",
        ),
        ("Sunday, 06-Nov-94 24:00:00 GMT", None, "no such hour"),
        ("Sun1, 06-Nov-94 08:49:37 GMT", None, "no weekday"),
        ("Sunday, 06-Nov-1994 08:49:37 GMT", None, "a mixture"),
        ("Sun, 06 Nov 94 08:49:37 GMT", None, "RFC 822"),
        ("1994-11-06T08:49:37Z", None, "ISO 8601"),
        ("784111777", None, "a number"),
        ("", None, "nothing"),
    ];
    for (text, want, why) in table {
        assert_eq!(parse_http_date(text.as_bytes(), NOW), want, "{text}: {why}");
    }
}

#[test]
fn a_year_of_two_digits_is_at_most_fifty_years_away() {
    let at = |text: &str| parse_http_date(text.as_bytes(), u64::MAX).unwrap();
    let table = [
        (NOW, "24", "2024", "this year"),
        (NOW, "94", "1994", "2094 is too far"),
        (NOW, "73", "2073", "less than 50 years"),
        (NOW, "75", "1975", "2075 is more than 50 years away"),
        (
            NOW,
            "69",
            "2069",
            "RFC 9110 has no fixed year for all times",
        ),
        (
            3_471_292_800,
            "20",
            "2120",
            "2080 is nearer to 2120 than 50 years",
        ),
        (3_471_292_800, "94", "2094", "the next years of 2080"),
        (4_102_444_800, "99", "2099", "the last year of 2100"),
        (0, "70", "1970", "a clock that is not set"),
        (0, "94", "1994", "a clock that is not set"),
        (u64::MAX, "99", "9999", "the end of all dates"),
    ];
    for (now, digits, year, why) in table {
        let text = format!("Sunday, 06-Nov-{digits} 08:49:37 GMT");
        let want = at(&format!("Sun, 06 Nov {year} 08:49:37 GMT"));
        assert_eq!(parse_http_date(text.as_bytes(), now), Some(want), "{why}");
    }
    // Neither 2100 nor 1900 has this day.
    let leap_day = b"Tuesday, 29-Feb-00 00:00:00 GMT";
    assert_eq!(parse_http_date(leap_day, NOW), Some(951_782_400));
}
