//! For how long a transfer may be blocked: a request body, a response, or what comes after that.
//!
//! A timeout for each read or write alone would start anew with every byte. So a transfer has
//! credit: a wait spends as much of it as it lasts, and every byte earns a part of a second. A
//! handler's own time is free.
//!
//! 1. Only a wait ends a transfer: one that outlasts the credit, and in which nothing moves. What
//!    has come is read before that. So the same bytes at the same times have the same end, however
//!    they are cut into pieces. (Waits that are too short for the system's clocks, and writes that
//!    outlast their limit, may overdraw the credit by a second. Otherwise, a byte in each of them
//!    would go on for ever.)
//! 2. No clock is read here. What becomes of a transfer depends on the waits and the numbers of
//!    bytes that are recorded, and on nothing else.

use std::time::Duration;

/// The timeout that a transfer is measured with if its own is turned off and the rate is not.
pub(super) const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The shortest wait that every system can time.
const MOMENT: Duration = Duration::from_millis(1);

/// By how much such waits may overdraw the credit.
const OVERDRAFT: Duration = Duration::from_secs(1);

/// The credit of a transfer. `None`: nothing is measured.
pub(super) struct MinRate(Option<Account>);

struct Account {
    /// In bytes a second. `None`: after any byte, there is all the credit that there may be.
    rate: Option<u32>,
    /// For how long the transfer may still be blocked.
    credit: Credit,
    /// How much credit there may be.
    most: Credit,
}

/// A time in nanoseconds, multiplied by the rate. What a byte earns is a whole number in this unit,
/// so nothing is rounded away if many bytes earn it one by one.
type Credit = i128;

/// What a byte earns: a second divided by the rate, and so a second's nanoseconds in this unit.
const CREDIT_OF_A_BYTE: Credit = 1_000_000_000;

impl MinRate {
    pub(super) fn unlimited() -> MinRate {
        MinRate(None)
    }

    fn new(credit: Credit, most: Credit, rate: Option<u32>) -> MinRate {
        MinRate(Some(Account { rate, credit, most }))
    }

    /// Measures a request body. After a wait for as long as the timeout, there is credit for
    /// another one. So a single stall ends no upload that is fast enough afterwards.
    pub(super) fn of_body(timeout: Option<Duration>, rate: Option<u32>) -> MinRate {
        match measured_timeout(timeout, rate) {
            Some(timeout) => {
                let twice = 2 * credit_of(timeout, rate);
                MinRate::new(twice, twice, rate)
            }
            None => MinRate::unlimited(),
        }
    }

    /// Measures a response. There is never more credit than for a wait of the timeout: the
    /// system's own buffers take megabytes at once, and that says nothing about the client.
    pub(super) fn of_response(timeout: Option<Duration>, rate: Option<u32>) -> MinRate {
        match measured_timeout(timeout, rate) {
            Some(timeout) => {
                let credit = credit_of(timeout, rate);
                MinRate::new(credit, credit, rate)
            }
            None => MinRate::unlimited(),
        }
    }

    /// Measures what a client sends after its last response.
    pub(super) fn of_linger(credit: Duration, most: Duration, rate: Option<u32>) -> MinRate {
        MinRate::new(credit_of(credit, rate), credit_of(most, rate), rate)
    }

    /// Gives back all the credit that there may be, for the next transfer.
    pub(super) fn refill(&mut self) {
        if let Some(account) = &mut self.0 {
            account.credit = account.most;
        }
    }

    /// Returns whether anything is measured.
    pub(super) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Returns how long the next wait may last: `timeout`, or what is left of the credit.
    pub(super) fn limit(&self, timeout: Option<Duration>) -> Option<Duration> {
        let account = match &self.0 {
            Some(account) => account,
            None => return timeout,
        };
        let left = account.time_left().max(MOMENT);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Returns whether waits have spent the last of the credit. Asked after one in which nothing
    /// has moved.
    pub(super) fn is_exhausted(&self) -> bool {
        match &self.0 {
            Some(account) => account.credit <= 0,
            None => false,
        }
    }

    /// Returns whether short waits have spent more than there may be, so that no other one follows.
    pub(super) fn is_overdrawn(&self) -> bool {
        match &self.0 {
            // Without this, each write would cost a multiplication of 128 bits.
            Some(account) if account.credit < 0 => {
                account.credit < -credit_of(OVERDRAFT, account.rate)
            }
            Some(_) | None => false,
        }
    }

    /// Records that so many bytes have moved after a wait for so long.
    pub(super) fn record(&mut self, bytes: usize, waited: Duration) {
        if let Some(account) = &mut self.0 {
            account.record(bytes, waited);
        }
    }
}

impl Account {
    fn time_left(&self) -> Duration {
        let nanoseconds = self.credit.max(0) / Credit::from(self.rate.unwrap_or(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn record(&mut self, bytes: usize, waited: Duration) {
        if self.rate.is_none() && bytes > 0 {
            self.credit = self.most; // even if the wait has outlasted the credit
            return;
        }
        let spent = credit_of(waited, self.rate);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Credit::from(bytes) * CREDIT_OF_A_BYTE;
        self.credit = self.most.min(self.credit - spent + earned);
    }
}

/// Returns the credit for a wait of this time. (Twice as much fits: times have 94 bits, and rates
/// 32.)
fn credit_of(time: Duration, rate: Option<u32>) -> Credit {
    let nanoseconds =
        Credit::from(time.as_secs()) * 1_000_000_000 + Credit::from(time.subsec_nanos());
    nanoseconds * Credit::from(rate.unwrap_or(1))
}

/// Returns the timeout that decides the credit of a transfer. `None`: nothing is measured.
fn measured_timeout(timeout: Option<Duration>, rate: Option<u32>) -> Option<Duration> {
    match timeout {
        Some(timeout) => Some(timeout),
        None => rate.map(|_| USUAL_TIMEOUT),
    }
}

#[cfg(test)]
mod tests;
