//! The date of responses.

use super::proto::date::imf_fixdate;
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

#[cfg(test)]
mod tests;
