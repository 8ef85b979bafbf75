use super::super::super::event::{CloseReason, ConnectionId, ConnectionState};
use super::{Entry, Eviction, Silence, SILENT_GRACE};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MOMENT: Duration = Duration::from_millis(1);

fn entry() -> Entry {
    Entry::new(ConnectionId(1), None, false, Arc::default())
}

/// An entry whose state began this long ago.
fn entry_since(state: ConnectionState, age: Duration) -> Entry {
    let entry = entry();
    let since = Instant::now().checked_sub(age).unwrap();
    entry.enter_at(since, state).unwrap();
    entry
}

#[test]
fn a_cut_connection_enters_no_state_and_a_drained_one_does() {
    let drained = entry();
    assert!(drained.end_if(CloseReason::Drained, |_| true));
    assert_eq!(drained.enter(ConnectionState::Head), Ok(()));

    let cut = entry();
    assert!(cut.end_if(CloseReason::ClosedByHandle, |_| true));
    let refused = cut.enter(ConnectionState::Head);
    assert_eq!(refused, Err(CloseReason::ClosedByHandle));
    assert!(cut.is(ConnectionState::New));
}

#[test]
fn only_the_first_cut_gives_the_reason() {
    let entry = entry();
    assert!(entry.end_if(CloseReason::Drained, |_| true));
    assert!(entry.end_if(CloseReason::Evicted, |_| true));
    assert!(!entry.end_if(CloseReason::Destroyed, |_| true));
    assert_eq!(entry.end_reason(), Some(CloseReason::Evicted));
}

/// Until a thread serves the connection, its silence is not the client's.
#[test]
fn a_connection_is_silent_for_a_second_of_its_thread() {
    let new = entry_since(ConnectionState::New, Duration::ZERO);
    assert_eq!(new.silence(), Silence::Waiting);

    let silent = entry_since(ConnectionState::New, SILENT_GRACE);
    assert_eq!(silent.silence(), Silence::Expired);

    silent.lock().thread_started = false;
    assert_eq!(silent.silence(), Silence::Waiting);

    let head = entry_since(ConnectionState::Head, SILENT_GRACE);
    assert_eq!(head.silence(), Silence::Spoken);
}

#[test]
fn a_new_connection_makes_room_after_exactly_a_second() {
    let entry = entry();
    let began = Instant::now();
    entry.enter_at(began, ConnectionState::New).unwrap();
    let at_once = Eviction::Now {
        rank: 0,
        since: began,
    };
    let table = [
        (Duration::ZERO, Eviction::In(SILENT_GRACE)),
        (SILENT_GRACE - MOMENT, Eviction::In(MOMENT)),
        (SILENT_GRACE, at_once),
    ];
    for (age, expected) in table {
        assert_eq!(entry.eviction(began + age), expected, "{age:?}");
    }
}

#[test]
fn a_connection_makes_room_only_in_some_states_and_only_once() {
    let entry = entry();
    entry.enter(ConnectionState::Responding).unwrap();
    let now = Instant::now() + SILENT_GRACE;
    assert_eq!(entry.eviction(now), Eviction::Never);
    assert!(!entry.is_leaving(), "its handler may be at work");

    entry.enter(ConnectionState::Idle).unwrap();
    assert!(matches!(entry.eviction(now), Eviction::Now { .. }));
    assert!(!entry.is_leaving(), "nobody has cut it");

    assert!(entry.end_if(CloseReason::Evicted, |_| true));
    assert_eq!(entry.eviction(now), Eviction::Never);
    assert!(entry.is_leaving());
}

#[test]
fn a_cut_connection_whose_handler_runs_is_not_leaving() {
    let entry = entry();
    entry.enter(ConnectionState::Handling).unwrap();
    assert!(entry.end_if(CloseReason::ClosedByHandle, |_| true));
    assert!(!entry.is_leaving());
}

#[test]
fn nobody_is_counted_as_asleep_after_a_sleep() {
    let entry = entry();
    for _ in 0..2 {
        assert!(!entry.sleep(Duration::ZERO, || false));
        assert_eq!(entry.lock().sleepers, 0);
    }
}

#[test]
fn a_call_that_has_returned_is_never_overdue() {
    let entry = entry();
    let watchdog = entry.watch(Some(Duration::ZERO));
    assert!(entry.lock().watchdog_deadline.is_some());
    drop(watchdog);
    assert_eq!(entry.lock().watchdog_deadline, None);
    assert_eq!(entry.overdue(), None);
}
