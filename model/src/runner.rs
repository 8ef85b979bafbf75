//! Runs scenes under the schedulers, for a time, on as many processors as there are.

use crate::mock::kernel;
use crate::scenes::Scene;
use crate::schedulers::{Delays, Patient, Random};
use shuttle::scheduler::{PctScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many changes of priority PCT makes in one schedule.
const PCT_DEPTH: usize = 4;

/// No scene takes as many steps. One that does goes round in circles.
const MAX_STEPS: usize = 200_000;

/// More delays than that take too long in any scene.
const MAX_DELAYS: usize = 12;

/// What has been run of one scene, or of all.
#[derive(Default, Clone)]
pub struct Tally {
    pub random: usize,
    pub random_early: usize,
    pub pct: usize,
    pub pct_early: usize,
    pub delays: usize,
    /// The largest number of delays of which every schedule has been seen.
    pub exhausted: Option<usize>,
    pub time: Duration,
}

impl Tally {
    pub fn total(&self) -> usize {
        self.random + self.random_early + self.pct + self.pct_early + self.delays
    }

    fn add(&mut self, other: &Tally) {
        self.random += other.random;
        self.random_early += other.random_early;
        self.pct += other.pct;
        self.pct_early += other.pct_early;
        self.delays += other.delays;
        self.time += other.time;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.total() as f64 / self.time.as_secs_f64().max(0.001);
        write!(
            f,
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>7.0}/s",
            self.random, self.random_early, self.pct, self.pct_early, self.delays, rate
        )?;
        if let Some(bound) = self.exhausted {
            write!(f, "  every schedule with {bound} delays")?;
        }
        Ok(())
    }
}

/// The heading of a table of tallies.
pub const HEADING: &str = "scene                                  random     early       \
                           pct     early    delays";

/// Runs one scene for about that time.
pub fn explore(scene: &'static Scene, time: Duration, seed: u64) -> Tally {
    let began = Instant::now();
    let mut tally = Tally::default();
    for bound in 0..=MAX_DELAYS {
        // Without a delay there are few schedules, and each of them is to be run.
        let share = if bound == 0 { time } else { time / 3 };
        if !search(scene, bound, share, began, &mut tally) {
            break;
        }
        tally.exhausted = Some(bound);
    }
    let share = time.saturating_sub(began.elapsed()) / 4;
    let pct = || PctScheduler::new_from_seed(seed, PCT_DEPTH, usize::MAX);
    tally.random = run(scene, "random", false, share, Random::new(seed));
    tally.random_early = run(scene, "random", true, share, Random::new(seed));
    tally.pct = run(scene, "pct", false, share, pct());
    tally.pct_early = run(scene, "pct", true, share, pct());
    tally.time = began.elapsed();
    tally
}

/// Goes through every schedule with so many delays; `false` if the time was too short for that.
fn search(
    scene: &'static Scene,
    bound: usize,
    time: Duration,
    began: Instant,
    tally: &mut Tally,
) -> bool {
    for seed in scene.seeds() {
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            return false;
        }
        let is_exhausted = Arc::new(AtomicBool::new(false));
        let scheduler = Delays::new(bound, seed, Arc::clone(&is_exhausted));
        tally.delays += run(scene, &format!("delays {bound}"), false, left, scheduler);
        if !is_exhausted.load(Ordering::SeqCst) {
            return false;
        }
    }
    true
}

/// Runs every scene for its part of that time, and prints a line for each.
pub fn explore_all(scenes: &[&'static Scene], time: Duration, seed: u64) -> Tally {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let share = time * jobs as u32 / scenes.len() as u32;
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(scene) = scenes.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let tally = explore(scene, share, seed);
                    println!("{:34} {tally}", scene.name);
                    total
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(&tally);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one schedule again, which a failure has printed.
pub fn replay(scene: &'static Scene, is_early: bool, schedule: &str) {
    let scheduler = ReplayScheduler::new_from_encoded(schedule);
    kernel::set_title(title(scene, "replay", is_early));
    kernel::log_from_now_on();
    let config = config(Duration::MAX);
    Runner::new(scheduler, config).run(move || kernel::run(is_early, scene.run));
}

fn run(
    scene: &'static Scene,
    scheduler_name: &str,
    is_early: bool,
    time: Duration,
    scheduler: impl Scheduler + 'static,
) -> usize {
    kernel::set_title(title(scene, scheduler_name, is_early));
    let runner = Runner::new(Patient(scheduler), config(time));
    runner.run(move || kernel::run(is_early, scene.run))
}

fn title(scene: &Scene, scheduler: &str, is_early: bool) -> String {
    let mode = if is_early { "early" } else { "exact" };
    format!("{} {mode} ({scheduler})", scene.name)
}

fn config(time: Duration) -> Config {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.max_time = Some(time);
    config.silence_warnings = true;
    config
}

/// Has every panic end the program, with the schedule, unless a scene makes it on purpose.
pub fn report_panics() {
    // Shuttle sets a hook of its own when it runs for the first time.
    Runner::new(PctScheduler::new(1, 1), config(Duration::MAX)).run(|| {});
    std::panic::set_hook(Box::new(|panic| {
        kernel::begin_unwinding();
        let text = panic.to_string();
        if !text.contains("on purpose") {
            kernel::fail(&text);
        }
    }));
}
