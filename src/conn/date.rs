//! The date of responses.

use super::super::proto::imf_fixdate;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The value of the `Date` field, which is made again once its second is over.
#[derive(Default)]
pub(crate) struct DateCache {
    text: String,
    ends: Option<Instant>,
}

impl DateCache {
    /// Returns the date of the last [`refresh`](DateCache::refresh).
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Makes it the date of this moment.
    ///
    /// A system clock that is set meanwhile is followed within a second. One that stands before
    /// 1970 gives 1970, since a wrong date is better than none.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if let Some(ends) = self.ends {
            if now < ends {
                return;
            }
        }
        let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let passed = Duration::from_nanos(date.subsec_nanos().into());
        let left = Duration::from_secs(1).saturating_sub(passed);
        self.text = imf_fixdate(date.as_secs());
        self.ends = now.checked_add(left);
    }
}

#[cfg(test)]
mod tests;
