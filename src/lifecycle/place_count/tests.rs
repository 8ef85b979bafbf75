use super::super::super::event::ConnectionId;
use super::super::entry::Entry;
use super::{PlaceCount, MAX_REFUSALS};
use std::sync::Arc;

fn entry(is_refused: bool) -> Entry {
    Entry::new(ConnectionId(1), None, is_refused, Arc::default())
}

#[test]
fn a_connection_is_counted_once_in_each_part_of_its_life() {
    let mut places = PlaceCount::default();
    let refused: Vec<Entry> = (0..MAX_REFUSALS).map(|_| entry(true)).collect();
    for each in &refused {
        assert!(!places.is_at_refusal_limit());
        places.add(each);
    }
    assert!(places.is_at_refusal_limit());
    assert_eq!(places.taken(), 0);

    // One of them finds a place after all, and so is no longer refused.
    places.admit(&refused[0]);
    assert!(!places.is_at_refusal_limit());
    assert_eq!(places.taken(), 1);
    assert!(refused[0].has_place());
    assert!(!refused[0].is_refused());

    // It gives its place up once, and leaves nothing behind.
    for _ in 0..2 {
        places.release(&refused[0]);
        assert_eq!(places.taken(), 0);
    }
    for each in &refused {
        places.remove(each);
    }
    assert_eq!(places.refused, 0);
}
