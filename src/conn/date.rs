//! The value of the `Date` header, which is made once a second.

use super::super::proto;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Default)]
pub(super) struct DateCache {
    text: String,
    /// When the second of the text is over.
    expires: Option<Instant>,
}

impl DateCache {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Makes the text that of this moment, if it is not yet.
    ///
    /// A system clock that is set meanwhile is followed within a second. A clock before 1970 gives
    /// 1970: a wrong date is better than none.
    pub(super) fn refresh(&mut self, now: Instant) {
        if self.expires.map_or(false, |expires| now < expires) {
            return;
        }
        let date = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.text = proto::imf_fixdate(date.as_secs());
        let rest = 1_000_000_000 - date.subsec_nanos();
        self.expires = now.checked_add(Duration::from_nanos(rest.into()));
    }
}

#[cfg(test)]
mod tests;
