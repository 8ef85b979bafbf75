//! The schedulers: shuttle's random one and its PCT, and a depth-first one that is bounded by delays.
//!
//! All of them leave the clock's task alone as long as any other one can run, so that virtual time
//! stands still until then.

use crate::mock::{clock, kernel};
use shuttle::scheduler::{DataSource, RandomDataSource, Schedule, Scheduler, Task, TaskId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Keeps the clock's task back until it is the only one.
pub struct Patient<S>(pub S);

impl<S: Scheduler> Scheduler for Patient<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let clock = TaskId::from(clock::TASK);
        match runnable.iter().position(|task| task.id() == clock) {
            Some(at) if runnable.len() > 1 => {
                let mut others = runnable.to_vec();
                others.remove(at);
                self.0.next_task(&others, current, is_yielding)
            }
            _ => self.0.next_task(runnable, current, is_yielding),
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Chooses any task that can run. (Shuttle's own one prints a seed whenever it is dropped.)
pub struct Random {
    choices: RandomDataSource,
    data: RandomDataSource,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random {
            choices: RandomDataSource::initialize(seed),
            data: RandomDataSource::initialize(seed),
        }
    }
}

impl Scheduler for Random {
    fn new_execution(&mut self) -> Option<Schedule> {
        Some(Schedule::new(self.data.reinitialize()))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        _current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        let random = (self.choices.next_u64() >> 16) as usize;
        Some(runnable[random % runnable.len()].id())
    }

    fn next_u64(&mut self) -> u64 {
        self.data.next_u64()
    }
}

/// Goes through every schedule with at most so many delays.
///
/// Left alone, a task runs until it blocks or yields, and then the one with the next higher id does.
/// A delay skips the task whose turn it is. Random choices come from the seed, which is the same in
/// every schedule.
pub struct Delays {
    bound: usize,
    seed: u64,
    /// The choices of the present schedule in which there was anything to choose.
    choices: Vec<Choice>,
    depth: usize,
    spent: usize,
    has_begun: bool,
    data: RandomDataSource,
    /// Set once every schedule has been seen.
    is_exhausted: Arc<AtomicBool>,
}

struct Choice {
    delays: usize,
    most: usize,
}

impl Delays {
    pub fn new(bound: usize, seed: u64, is_exhausted: Arc<AtomicBool>) -> Delays {
        Delays {
            bound,
            seed,
            choices: Vec::new(),
            depth: 0,
            spent: 0,
            has_begun: false,
            data: RandomDataSource::initialize(seed),
            is_exhausted,
        }
    }

    /// Moves on to the next schedule; `false` if there is none.
    fn move_on(&mut self) -> bool {
        while let Some(last) = self.choices.last_mut() {
            if last.delays < last.most {
                last.delays += 1;
                return true;
            }
            self.choices.pop();
        }
        false
    }
}

impl Scheduler for Delays {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.has_begun && !self.move_on() {
            self.is_exhausted.store(true, Ordering::SeqCst);
            return None;
        }
        self.has_begun = true;
        self.depth = 0;
        self.spent = 0;
        self.data = RandomDataSource::initialize(self.seed);
        Some(Schedule::new(self.data.reinitialize()))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let current = current.map_or(0, usize::from);
        // Tasks come in the order of their ids. The first is the present one, if it goes on.
        let first = runnable.iter().position(|task| {
            let id = usize::from(task.id());
            id > current || id == current && !is_yielding
        });
        let first = first.unwrap_or(0);

        let most = (runnable.len() - 1).min(self.bound - self.spent);
        let mut delays = 0;
        if most > 0 {
            if self.depth == self.choices.len() {
                self.choices.push(Choice { delays: 0, most });
            }
            delays = self.choices[self.depth].delays;
            self.depth += 1;
        }
        self.spent += delays;
        Some(runnable[(first + delays) % runnable.len()].id())
    }

    fn next_u64(&mut self) -> u64 {
        self.data.next_u64()
    }
}

/// A seed for each first choice below `n` that a scene can make, in their order.
pub fn seeds_of_all(n: usize) -> Vec<u64> {
    let mut seeds = vec![None; n];
    let mut missing = n;
    let mut seed = 0;
    while missing > 0 {
        seed += 1;
        let mut data = RandomDataSource::initialize(seed);
        data.reinitialize();
        let found = &mut seeds[kernel::below(n, data.next_u64())];
        if found.is_none() {
            *found = Some(seed);
            missing -= 1;
        }
    }
    seeds.into_iter().flatten().collect()
}
