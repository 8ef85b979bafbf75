//! Dates in header fields: IMF-fixdate (RFC 9110 §5.6.7).

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

/// A date of the calendar.
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
