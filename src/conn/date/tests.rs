#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests: a panic is how they report")]

use super::super::super::http_date;
use super::DateCache;
use std::time::{Duration, Instant, SystemTime};

#[test]
fn a_date_is_made_anew_when_its_second_is_over() {
    let (mut date, now) = (DateCache::default(), Instant::now());
    date.refresh(now);
    let before = SystemTime::now() - Duration::from_secs(1);
    assert!([http_date(before), http_date(SystemTime::now())].contains(&date.text), "{}", date.text);
    let left = date.ends.unwrap() - now;
    assert!(Duration::ZERO < left && left <= Duration::from_secs(1), "{left:?}");
    date.text = String::from("kept");
    date.refresh(now + left - Duration::from_nanos(1));
    assert_eq!(date.text, "kept");
    date.refresh(now + left);
    assert_ne!(date.text, "kept");
}
