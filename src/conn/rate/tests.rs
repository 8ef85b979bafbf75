use super::super::super::config::Config;
use super::MinRate;
use std::time::Duration;

/// At this time in milliseconds, so many bytes come, or are taken.
type Arrival = (u64, usize);

/// How a transfer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything that was to come has come.
    Whole,
    /// It was too slow at this time, in milliseconds.
    TooSlow(u64),
}

use End::{TooSlow, Whole};

const TIMEOUT: Duration = Duration::from_secs(30);

fn seconds(seconds: u64) -> u64 {
    seconds * 1000
}

/// Moves what arrives, in pieces of at most `most` bytes, as a connection does: what has come is
/// read, and only then there is a wait.
fn transfer(
    mut rate: MinRate,
    timeout: Option<Duration>,
    arrivals: &[Arrival],
    most: usize,
) -> End {
    let mut now = 0;
    for (time, bytes) in arrivals {
        let mut rest = *bytes;
        while rest > 0 {
            if rate.is_overdrawn() {
                return TooSlow(now);
            }
            let wait = Duration::from_millis(time.saturating_sub(now));
            let limit = rate.limit(timeout).unwrap_or(Duration::MAX);
            if wait > limit {
                return TooSlow(now + limit.as_millis() as u64);
            }
            let piece = rest.min(most);
            rate.record(piece, wait);
            now = now.max(*time);
            rest -= piece;
        }
    }
    Whole
}

/// Cuts each arrival into several ones at the same time.
fn cut(arrivals: &[Arrival], parts: usize) -> Vec<Arrival> {
    let mut pieces = Vec::new();
    for (time, bytes) in arrivals {
        for part in 0..parts {
            let from = bytes * part / parts;
            let to = bytes * (part + 1) / parts;
            pieces.push((*time, to - from));
        }
    }
    pieces
}

/// As many arrivals as that, one in each period, each of so many bytes.
fn regular(from: u64, period: u64, count: u64, bytes: usize) -> Vec<Arrival> {
    (1..=count).map(|n| (from + n * period, bytes)).collect()
}

/// Regression: the rate was asked before what had come was read. So two bytes that came after 6 s
/// were too late, and one was not.
#[test]
fn the_same_bytes_at_the_same_times_have_the_same_end_however_they_are_cut() {
    let burst_and_drip = [vec![(0, 100_000)], regular(0, seconds(7), 30, 100)].concat();
    let two_stalls = vec![(seconds(29), 1), (seconds(58), 1), (seconds(62), 1)];
    let paid_stalls = vec![
        (seconds(29), 4800),
        (seconds(58), 4800),
        (seconds(87), 4800),
        (seconds(116), 4800),
    ];
    let table: [(&str, Vec<Arrival>, End); 11] = [
        ("at once", vec![(0, 1000)], Whole),
        ("after 6 s", vec![(0, 1), (6000, 1), (6050, 1)], Whole),
        (
            "after a stall",
            vec![(seconds(30), 2), (seconds(34), 960)],
            Whole,
        ),
        (
            "too late",
            vec![(seconds(1), 9), (seconds(32), 9)],
            TooSlow(seconds(31)),
        ),
        ("silence", vec![(seconds(100), 1)], TooSlow(seconds(30))),
        ("at the rate", regular(0, 1000, 1000, 240), Whole),
        (
            "at the rate after a stall",
            regular(seconds(20), seconds(10), 100, 2400),
            Whole,
        ),
        (
            "half as fast",
            regular(0, 1000, 1000, 120),
            TooSlow(119_500),
        ),
        ("two stalls", two_stalls, TooSlow(60_008)),
        ("stalls that are paid for", paid_stalls, Whole),
        ("a burst, and a drip", burst_and_drip, TooSlow(63_750)),
    ];
    for (why, arrivals, want) in table {
        for parts in [1, 2, 3, 7, 100] {
            for most in [1, 2, 100, 4096, usize::MAX] {
                let rate = MinRate::of_body(Some(TIMEOUT), Some(240));
                let pieces = cut(&arrivals, parts);
                let end = transfer(rate, Some(TIMEOUT), &pieces, most);
                assert_eq!(end, want, "{why}, {parts} parts of at most {most} bytes");
            }
        }
    }
}

/// Any stall within the timeout is followed by at least the least rate, in pieces of any size.
#[test]
fn a_stall_within_the_timeout_ends_no_upload_that_is_fast_enough_afterwards() {
    for stall in [1, 5, 6, 29, 30] {
        for before in [0, 1, 100, 1 << 20] {
            for period in [1, 5, 30] {
                let at_rate = usize::try_from(240 * period).unwrap();
                let mut arrivals = vec![(0, before)];
                arrivals.extend(regular(seconds(stall), seconds(period), 20, at_rate));
                arrivals.insert(1, (seconds(stall), 1));
                let rate = MinRate::of_body(Some(TIMEOUT), Some(240));
                let end = transfer(rate, Some(TIMEOUT), &arrivals, 4096);
                assert_eq!(
                    end, Whole,
                    "{stall} s after {before} bytes, then {period} s"
                );
            }
        }
    }
}

/// A drip at less than the least rate ends in time, whatever its period.
#[test]
fn a_drip_ends_after_twice_the_timeout() {
    type Settings = (Option<u64>, Option<u32>);
    let table: [(Settings, u64, End, &str); 9] = [
        (
            (Some(30), Some(240)),
            1000,
            TooSlow(60_250),
            "a byte a second",
        ),
        (
            (Some(30), Some(240)),
            29_000,
            TooSlow(60_008),
            "a byte in 29 s",
        ),
        (
            (Some(30), Some(240)),
            31_000,
            TooSlow(30_000),
            "none in 30 s",
        ),
        ((Some(1), Some(240)), 100, TooSlow(2083), "a short timeout"),
        (
            (None, Some(240)),
            50_000,
            TooSlow(60_004),
            "no timeout, so 30 s",
        ),
        (
            (None, Some(240)),
            1_000_000,
            TooSlow(60_000),
            "no timeout, and silence",
        ),
        ((Some(30), None), 29_000, Whole, "no rate"),
        (
            (Some(30), None),
            31_000,
            TooSlow(30_000),
            "no rate, and none in 30 s",
        ),
        ((None, None), 1_000_000, Whole, "neither"),
    ];
    for ((timeout, rate), period, want, why) in table {
        let timeout = timeout.map(Duration::from_secs);
        let body = MinRate::of_body(timeout, rate);
        let end = transfer(body, timeout, &regular(0, period, 1000, 1), 4096);
        assert_eq!(end, want, "{why}");
    }
}

/// A rate that no transfer reaches ends one that never waits for long.
#[test]
fn a_drip_faster_than_the_clock_of_the_system_ends() {
    let mut rate = MinRate::of_body(Some(TIMEOUT), Some(1_000_000));
    let mut waited = Duration::ZERO;
    while !rate.is_overdrawn() {
        let wait = Duration::from_micros(900);
        assert!(rate.limit(Some(TIMEOUT)).unwrap() >= wait);
        rate.record(1, wait);
        waited += wait;
    }
    assert_eq!(waited.as_secs(), 61);
}

/// A write may last twice as long as the write timeout, through a transport of the user's.
#[test]
fn without_a_rate_a_byte_makes_up_for_a_wait_of_any_length() {
    let mut rate = MinRate::of_response(Some(TIMEOUT), None);
    for _ in 0..3 {
        rate.record(1, TIMEOUT * 2);
        assert_eq!(rate.limit(None), Some(TIMEOUT));
    }
}

/// Regression: a wait of a moment ended the transfer if there was less credit left than that,
/// although all of the rest came in it.
#[test]
fn what_comes_in_the_last_moment_is_counted_however_it_is_cut() {
    for pieces in [vec![1_000_000], vec![1, 999_999]] {
        let mut rate = MinRate::of_body(Some(TIMEOUT), Some(240));
        rate.record(0, 2 * TIMEOUT - Duration::from_micros(500));
        let mut wait = Duration::from_micros(800);
        assert!(rate.limit(Some(TIMEOUT)).unwrap() >= wait);
        for bytes in pieces {
            assert!(!rate.is_overdrawn());
            rate.record(bytes, wait);
            wait = Duration::ZERO;
        }
        assert_eq!(rate.limit(None), Some(2 * TIMEOUT));
    }
}

/// What Linux's loopback interface takes of a response, as it was measured: its buffers, which
/// grow for two seconds, and then what the client reads, in steps of 95 KB.
#[test]
fn a_client_that_reads_nothing_has_the_write_timeout_and_a_slow_reader_goes_on() {
    let buffers = vec![(0, 3_937_280), (1080, 5120), (2100, 333_312)];
    let at_3_kb = vec![(45_200, 27_000), (80_000, 95_232), (114_000, 95_232)];
    let later = vec![(seconds(1000), 1)];
    let silent = [buffers.clone(), later.clone()].concat();
    let reads_on = [buffers.clone(), at_3_kb.clone()].concat();
    let stops = [buffers, at_3_kb, later].concat();
    let a_byte_now_and_then = regular(0, seconds(25), 100, 1);
    let table: [(&str, &[Arrival], Option<u32>, End); 7] = [
        ("nothing is read", &silent, Some(240), TooSlow(62_100)),
        ("nor without a rate", &silent, None, TooSlow(62_100)),
        ("3 kB/s", &reads_on, Some(240), Whole),
        ("the same without a rate", &reads_on, None, Whole),
        ("a reader that stops", &stops, Some(240), TooSlow(174_000)),
        ("a drip", &a_byte_now_and_then, Some(240), TooSlow(60_008)),
        ("without a rate", &a_byte_now_and_then, None, Whole),
    ];
    for (why, taken, rate, want) in table {
        let timeout = Config::default().write_timeout;
        for most in [1 << 10, 1 << 20] {
            let response = MinRate::of_response(timeout, rate);
            let end = transfer(response, None, taken, most);
            assert_eq!(end, want, "{why}, in pieces of at most {most} bytes");
        }
    }
}

#[test]
fn a_lingering_client_has_its_credit_and_more_while_it_sends() {
    let (credit, most) = (Duration::from_secs(1), Duration::from_secs(5));
    let table: [(&str, Vec<Arrival>, Option<u32>, End); 5] = [
        ("silence", vec![(2000, 1)], Some(240), TooSlow(1000)),
        ("at the rate", regular(0, 1000, 100, 240), Some(240), Whole),
        (
            "in pauses",
            regular(0, 5000, 100, 1200),
            Some(240),
            TooSlow(1000),
        ),
        (
            "in pauses, after a burst",
            [vec![(900, 1200)], regular(900, 5000, 100, 1200)].concat(),
            Some(240),
            Whole,
        ),
        (
            "without a rate",
            [vec![(900, 1)], regular(900, 5000, 100, 1)].concat(),
            None,
            Whole,
        ),
    ];
    for (why, arrivals, rate, want) in table {
        let linger = MinRate::of_linger(credit, most, rate);
        assert_eq!(transfer(linger, None, &arrivals, 4096), want, "{why}");
    }
}

#[test]
fn without_a_rate_a_byte_earns_all_and_a_wait_for_nothing_none() {
    let second = Duration::from_secs(1);
    let mut rate = MinRate::of_linger(second, 5 * second, None);
    rate.record(0, second);
    assert!(rate.is_exhausted());
    rate.record(1, Duration::ZERO);
    assert_eq!(rate.limit(None), Some(5 * second));
}

#[test]
fn the_credit_may_be_overdrawn_by_exactly_a_second() {
    let second = Duration::from_secs(1);
    let mut rate = MinRate::of_linger(Duration::ZERO, second, Some(10));
    rate.record(0, second);
    assert!(!rate.is_overdrawn());
    rate.record(0, Duration::from_nanos(1));
    assert!(rate.is_overdrawn());
}
