//! The virtual clock.
//!
//! It stands still while any task can run. When none can, a task of its own moves it on to the next
//! deadline, and wakes those who have reached theirs. Schedulers choose that task only if there is no
//! other one. If nobody has a deadline then, the tasks are deadlocked.
//!
//! In the second mode, any wait with a deadline may end early: the clock jumps to that deadline at
//! once, as if all others were slow.

use super::kernel::{self, with, Woken};
use shuttle_engine::runtime::execution::ExecutionState;
use std::ops::{Add, Sub};
use std::time::Duration;

/// The id of the clock's task: it is the first one that a run starts.
pub const TASK: usize = 1;

/// No scene needs as much time. A server that still waits then is waiting for nothing.
const LATEST: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(Duration);

impl Instant {
    pub fn now() -> Instant {
        with(|world| Instant(world.now))
    }

    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    pub fn checked_add(&self, time: Duration) -> Option<Instant> {
        self.0.checked_add(time).map(Instant)
    }

    pub fn checked_sub(&self, time: Duration) -> Option<Instant> {
        self.0.checked_sub(time).map(Instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A wait for this long, or longer, has no end.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The deadline of a wait that begins now; `None` if it has no end.
pub fn deadline(timeout: Duration) -> Option<Duration> {
    if timeout >= FOREVER {
        return None;
    }
    Some(with(|world| world.now) + timeout)
}

/// The clock's task.
pub fn run() {
    while !with(|world| world.is_over) {
        let next = with(|world| world.waits.values().filter_map(|wait| wait.deadline).min());
        match next {
            Some(next) if next < LATEST => advance(next),
            Some(_) => kernel::fail("nothing has ended it for a virtual hour"),
            None if with(|world| world.is_over) => break,
            None => kernel::fail("deadlock: nobody can run, and nobody waits for a time"),
        }
        kernel::switch();
    }
}

/// Moves the clock on, never back, and wakes those whose deadline has come.
pub fn advance(to: Duration) {
    let due = with(|world| {
        world.now = world.now.max(to);
        let mut due = Vec::new();
        for (task, wait) in &mut world.waits {
            let is_due = wait.deadline.is_some_and(|deadline| deadline <= world.now);
            if is_due && wait.woken.is_none() {
                wait.woken = Some(Woken::TimedOut);
                due.push(*task);
            }
        }
        due
    });
    for task in due {
        ExecutionState::with(|state| state.get_mut(task.into()).unblock());
    }
}
