//! Dates in fields: IMF-fixdate (RFC 9110 §5.6.7).

#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)] // numbers come from outside here

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The date, which is made anew when its second is over.
#[derive(Default)]
pub(crate) struct Date {
    pub(crate) text: String,
    ends: Option<Instant>,
}

impl Date {
    /// Makes it that of this moment. A clock that is set meanwhile is followed within a second; one before 1970 gives
    /// 1970: a wrong date is better than none.
    pub(crate) fn renew(&mut self, now: Instant) {
        if self.ends.map_or(true, |ends| now >= ends) {
            let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_secs(1).saturating_sub(Duration::from_nanos(date.subsec_nanos().into()));
            (self.text, self.ends) = (imf_fixdate(date.as_secs()), now.checked_add(left));
        }
    }
}

/// That time as fields such as `Last-Modified` have it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
///
/// It has whole seconds. A time before 1970 is given as 1970, and one after 9999 as the end of 9999.
pub fn http_date(time: SystemTime) -> String {
    imf_fixdate(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` for a number of seconds since 1970.
// No step can overflow, as the year is at most 9999: four digits are all that the format has.
#[allow(clippy::arithmetic_side_effects)]
fn imf_fixdate(seconds: u64) -> String {
    let name = |names: &'static str, at: u64| {
        let names = names.get(usize::try_from(at * 3).unwrap_or(0)..);
        names.and_then(|names| names.get(..3)).unwrap_or_default()
    };
    let seconds = seconds.min(253_402_300_799);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The calendar repeats after 400 years, or 146,097 days; 719,468 days are those from 0000-03-01 to 1970. A year
    // that begins in March has its leap day at its end. And 1970 began on a Thursday.
    let weekday = name("ThuFriSatSunMonTueWed", days % 7);
    let (era, day) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March; 153 days are five months
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = ((month + 2) % 12, era * 400 + year + u64::from(month >= 10));
    let month = name("JanFebMarAprMayJunJulAugSepOctNovDec", month);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests;
