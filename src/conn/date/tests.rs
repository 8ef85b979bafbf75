use super::super::super::proto::http_date;
use super::DateCache;
use std::time::{Duration, Instant, SystemTime};

/// Returns whether a new date lasts until its second is over, as seen from before and after.
fn lasts_for_the_rest_of_its_second() -> bool {
    loop {
        let mut date = DateCache::default();
        let now = Instant::now();
        let before = SystemTime::now();
        date.refresh(now);
        let after = SystemTime::now();
        if http_date(before) != http_date(after) {
            continue; // it may be that of either second
        }
        let second = Duration::from_secs(1);
        let fraction = |time: SystemTime| {
            let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Duration::from_nanos(time.subsec_nanos().into())
        };
        let lasts = date.expires.unwrap() - now;
        return lasts >= second - fraction(after) && lasts <= second - fraction(before);
    }
}

#[test]
fn a_date_is_remade_when_its_second_is_over() {
    let now = Instant::now();
    let mut date = DateCache::default();
    date.refresh(now);
    let before = SystemTime::now() - Duration::from_secs(1);
    let dates = [http_date(before), http_date(SystemTime::now())];
    assert!(dates.contains(&date.text), "{}", date.text);
    let expires = date.expires.unwrap();
    assert!(now < expires && expires <= now + Duration::from_secs(1));
    assert!(lasts_for_the_rest_of_its_second());
    date.text = String::from("kept");
    date.refresh(expires - Duration::from_nanos(1));
    assert_eq!(date.text, "kept");
    date.refresh(expires);
    assert_ne!(date.text, "kept");
}
