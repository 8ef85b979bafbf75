use super::*;

const SHORT: Duration = LONG_YIELD;
const LONG: Duration = Duration::from_millis(3);

/// Records so many yields, and returns after how many of them there was a pause, if there was one.
fn pause_after(budget: &mut YieldBudget, now: Instant, yields: &[Duration]) -> Option<usize> {
    for (at, took) in yields.iter().enumerate() {
        budget.record(now, now + *took);
        if !budget.allows(now + *took) {
            return Some(at + 1);
        }
    }
    None
}

/// Returns many yields, of which every n-th is long.
fn one_in(n: usize) -> Vec<Duration> {
    let mut yields = vec![SHORT; n - 1];
    yields.push(LONG);
    yields.repeat(100)
}

#[test]
fn frequent_long_yields_begin_a_pause() {
    let table = [
        (vec![SHORT; 1000], None, "short yields cost nothing"),
        (vec![LONG; 4], None, "a few long ones in a row"),
        (vec![LONG; 5], Some(5), "one more than that"),
        (one_in(2), Some(10), "every second one is long"),
        (one_in(9), None, "eight short ones pay for a long one"),
        (one_in(8), Some(8 * 26), "seven do not, in the long run"),
    ];
    for (yields, want, why) in table {
        let now = Instant::now();
        let mut budget = YieldBudget::new(now);
        assert_eq!(pause_after(&mut budget, now, &yields), want, "{why}");
    }
}

#[test]
fn a_pause_lasts_a_second_and_one_long_yield_begins_the_next() {
    let mut now = Instant::now();
    let mut budget = YieldBudget::new(now);
    assert_eq!(pause_after(&mut budget, now, &[LONG; 5]), Some(5));
    for _ in 0..3 {
        now += LONG + PAUSE;
        assert!(!budget.allows(now - Duration::from_nanos(1)));
        assert!(budget.allows(now));
        assert_eq!(pause_after(&mut budget, now, &[SHORT, LONG]), Some(2));
    }
    now += LONG + PAUSE;
    let recovered = [SHORT; MAX_DEBT as usize];
    assert_eq!(pause_after(&mut budget, now, &recovered), None);
    assert_eq!(pause_after(&mut budget, now, &[LONG; 5]), Some(5));
}
