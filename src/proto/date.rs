//! Dates in header fields (RFC 9110 §5.6.7): IMF-fixdate is written, and all three formats are
//! read.

use std::time::{SystemTime, UNIX_EPOCH};

/// The days of a week that begins on a Thursday, as 1970 did.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The last second of the year 9999: four digits are all that the format has.
const LAST_SECOND: u64 = 253_402_300_799;

/// Formats a time as fields such as `Last-Modified` have it: `Sun, 06 Nov 1994 08:49:37 GMT`
/// (RFC 9110 §5.6.7).
///
/// Fractions of a second are dropped. A time before 1970 is given as the beginning of 1970, and one
/// after 9999 as the end of 9999.
pub fn http_date(time: SystemTime) -> String {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    imf_fixdate(since_1970.as_secs())
}

/// Formats a number of seconds since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn imf_fixdate(seconds: u64) -> String {
    let seconds = seconds.min(LAST_SECOND);
    let days = seconds / 86_400;
    let date = civil_date(days);
    let weekday = name(&WEEKDAYS, days % 7);
    let day = date.day;
    let month = name(&MONTHS, date.month);
    let year = date.year;
    let hour = seconds / 3600 % 24;
    let minute = seconds / 60 % 60;
    let second = seconds % 60;
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// The forms of the three formats, RFC 850's without its day of the week, which varies in length.
/// `a` stands for a letter, `0` for a digit, `_` for a digit or a space, any other byte for itself.
const IMF_FIXDATE: &[u8] = b"aaa, 00 aaa 0000 00:00:00 GMT";
const RFC_850: &[u8] = b", 00-aaa-00 00:00:00 GMT";
const ASCTIME: &[u8] = b"aaa aaa _0 00:00:00 0000";

/// The seconds of 50 years of the Gregorian calendar.
const FIFTY_YEARS: u64 = 1_577_847_600;

/// Parses a date in any of the three formats into seconds since 1970. Returns `None` for anything
/// else.
///
/// A date before 1970 is given as the beginning of 1970. The day of the week may be any word: the
/// date is certain without it. The two digits of a year in the format of RFC 850 need `now`, in
/// seconds since 1970.
pub(crate) fn parse_http_date(text: &[u8], now: u64) -> Option<u64> {
    if has_form(text, IMF_FIXDATE) {
        let date = civil(text.get(12..16)?, text.get(8..11)?, text.get(5..7)?)?;
        return seconds_since_1970(&date, text.get(17..25)?);
    }
    if has_form(text, ASCTIME) {
        let date = civil(text.get(20..24)?, text.get(4..7)?, text.get(8..10)?)?;
        return seconds_since_1970(&date, text.get(11..19)?);
    }
    let comma = text.iter().position(|byte| *byte == b',')?;
    let (weekday, rest) = text.split_at(comma);
    if weekday.is_empty() || !weekday.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    if !has_form(rest, RFC_850) {
        return None;
    }
    let date = civil(rest.get(9..11)?, rest.get(5..8)?, rest.get(2..4)?)?;
    in_nearest_century(date, rest.get(12..20)?, now)
}

/// Returns the moment of a date whose year has only its last two digits.
// The current year is at most 9999, so that no step can overflow, and at least 1970.
#[allow(clippy::arithmetic_side_effects)]
fn in_nearest_century(mut date: CivilDate, time: &[u8], now: u64) -> Option<u64> {
    // RFC 9110 §5.6.7: a date that appears to be more than 50 years in the future is the most
    // recent one in the past with these digits.
    let now = now.min(LAST_SECOND);
    let latest = now + FIFTY_YEARS;
    let this_year = civil_date(now / 86_400).year;
    let century = this_year - this_year % 100;
    let digits = date.year;
    for first_year in [century + 100, century, century - 100] {
        date.year = first_year + digits;
        if let Some(seconds) = seconds_since_1970(&date, time) {
            if seconds <= latest {
                return Some(seconds);
            }
        }
    }
    None
}

fn has_form(text: &[u8], form: &[u8]) -> bool {
    if text.len() != form.len() {
        return false;
    }
    text.iter().zip(form).all(|(byte, form)| match form {
        b'a' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || *byte == b' ',
        _ => byte == form,
    })
}

/// Returns a date from the texts of its parts. Whether the month has such a day is not known yet.
fn civil(year: &[u8], month: &[u8], day: &[u8]) -> Option<CivilDate> {
    let month = MONTHS.iter().position(|name| name.as_bytes() == month)?;
    Some(CivilDate {
        year: number(year)?,
        month: u64::try_from(month).ok()?,
        day: number(day)?,
    })
}

/// Parses a few digits, of which the first may be a space.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.trim_start_matches(' ').parse().ok()
}

/// Returns the moment of a date and a time such as `08:49:37`. Returns `None` if there is no such
/// day or time.
// A year has four digits, the other numbers have two. So no step can overflow.
#[allow(clippy::arithmetic_side_effects)]
fn seconds_since_1970(date: &CivilDate, time: &[u8]) -> Option<u64> {
    let hour = number(time.get(0..2)?)?;
    let minute = number(time.get(3..5)?)?;
    let second = number(time.get(6..8)?)?;
    // A second of 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 || !(1..=31).contains(&date.day) {
        return None;
    }
    if date.year < 1970 {
        // The calendar repeats itself after 400 years, and so after 2,000.
        let later = CivilDate {
            year: date.year + 2000,
            ..*date
        };
        if civil_date(days_since_1970(&later)) != later {
            return None;
        }
        return Some(0);
    }
    let days = days_since_1970(date);
    if civil_date(days) != *date {
        return None; // such as the 31st of April
    }
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Returns the number of days from the first of January 1970 to a date, which is not before that.
/// This is the inverse of [`civil_date`].
// No step can overflow, since the year is from 1970 to about 10,000.
#[allow(clippy::arithmetic_side_effects)]
fn days_since_1970(date: &CivilDate) -> u64 {
    // January and February belong to the year before, which begins in March.
    let mut year = date.year;
    if date.month < 2 {
        year -= 1;
    }
    let month_from_march = (date.month + 10) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * 146_097 + day_of_era - 719_468
}

/// A date of the calendar.
#[derive(PartialEq, Eq)]
struct CivilDate {
    year: u64,
    /// From 0, which is January.
    month: u64,
    /// From 1.
    day: u64,
}

/// Returns the date that is so many days after the first of January 1970.
///
/// The years of this calculation begin in March, so that a leap day is the last day of its year.
// No step can overflow, since the year is at most 9999.
#[allow(clippy::arithmetic_side_effects)]
fn civil_date(days: u64) -> CivilDate {
    // 719,468 days are those from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    // The calendar repeats after an era of 400 years, or 146,097 days.
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    // A leap day comes after 1,460 days, but not after 36,524 of them, and again after 146,096.
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, each five months have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let mut year = era * 400 + year_of_era;
    // January and February belong to the next year of the common calendar.
    if month < 2 {
        year += 1;
    }
    CivilDate { year, month, day }
}

/// Returns the name at that position, which is always there.
fn name(names: &[&'static str], position: u64) -> &'static str {
    let position = usize::try_from(position).unwrap_or_default();
    names.get(position).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
