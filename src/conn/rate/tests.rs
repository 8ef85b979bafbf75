use super::MinRate;
use std::time::Duration;

/// So many bytes in so many seconds.
type Step = (usize, u64);

/// Whether a transfer is still fast enough after each of these steps.
fn goes_on(rate: u32, steps: &[Step]) -> Vec<bool> {
    let mut transfer = MinRate::new(rate);
    let after = |(bytes, seconds): &Step| {
        transfer.record(*bytes, Duration::from_secs(*seconds));
        !transfer.is_exhausted()
    };
    steps.iter().map(after).collect()
}

#[test]
fn a_slow_transfer_has_5_s_of_credit_and_30_s_after_a_burst() {
    let table: [(u32, &[Step], &[bool]); 7] = [
        (240, &[(1, 2), (1, 2), (1, 2)], &[true, true, false]),
        (240, &[(240, 1), (240, 1), (2400, 10)], &[true; 3]),
        (240, &[(239, 4), (0, 1), (0, 1)], &[true, true, false]),
        (240, &[(1 << 30, 1), (1, 29), (1, 2)], &[true, true, false]),
        (240, &[(1 << 30, 1), (1, 29), (2400, 2)], &[true; 3]),
        (240, &[(7200, 29)], &[true]),
        (0, &[(0, 1000), (0, 1_000_000)], &[true; 2]),
    ];
    for (rate, steps, want) in table {
        assert_eq!(goes_on(rate, steps), want, "{rate}: {steps:?}");
    }
}
