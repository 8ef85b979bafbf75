use super::super::super::proto::http_date;
use super::DateCache;
use std::time::{Duration, Instant, SystemTime};

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
    date.text = String::from("kept");
    date.refresh(expires - Duration::from_nanos(1));
    assert_eq!(date.text, "kept");
    date.refresh(expires);
    assert_ne!(date.text, "kept");
}
