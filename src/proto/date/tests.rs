use super::{http_date, imf_fixdate};
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
