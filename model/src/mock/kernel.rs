//! The tasks of a run: how they block, are woken, and meet the scheduler; and what a failure prints.
//!
//! A task gives way to the scheduler before each operation that another task can see. Between two of
//! them nobody else runs.

use super::clock;
use super::faults::Faults;
use super::network::Network;
use super::thread::Threads;
use shuttle_engine::runtime::execution::{CurrentSchedule, ExecutionState};
use shuttle_engine::scheduler::serialization::serialize_schedule;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that a run has beside the tasks themselves. Each run begins with a new one.
#[derive(Default)]
pub struct World {
    /// The virtual time, since the run began.
    pub now: Duration,
    /// Whether a wait with a deadline may end early.
    pub is_early: bool,
    /// Whether the scene has returned, so that the clock may stop.
    pub is_over: bool,
    pub waits: BTreeMap<usize, Wait>,
    /// The task of the scene, if that has returned and waits for the others.
    pub last_waiter: Option<usize>,
    pub net: Network,
    pub threads: Threads,
    pub faults: Faults,
    /// How many locks each task holds.
    pub held: BTreeMap<usize, usize>,
    /// The tasks that are unwinding a panic.
    unwinding: BTreeSet<usize>,
}

/// A task that is blocked, or would be if it did not end its wait early.
pub struct Wait {
    what: &'static str,
    pub deadline: Option<Duration>,
    pub woken: Option<Woken>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    Rung,
    TimedOut,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static IS_LOGGED: Cell<bool> = const { Cell::new(false) };
    /// What a failure is printed with: the scene and the scheduler.
    static TITLE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has each run print what happens from now on.
pub fn log_from_now_on() {
    IS_LOGGED.with(|it| it.set(true));
}

/// Prints a line if a schedule is replayed.
pub fn log(line: impl FnOnce() -> String) {
    if IS_LOGGED.with(Cell::get) {
        let now = with(|world| world.now);
        println!("{now:?} task {}: {}", me(), line());
    }
}

pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|world| f(&mut world.borrow_mut()))
}

/// Names what runs on this thread of the system from now on.
pub fn set_title(title: String) {
    TITLE.with(|it| *it.borrow_mut() = title);
}

/// Runs a scene in a new world, with the clock beside it.
pub fn run(is_early: bool, scene: impl FnOnce()) {
    let world = World {
        is_early,
        ..World::default()
    };
    with(|old| *old = world);
    let clock = shuttle::thread::spawn(clock::run);
    scene();
    while with(|world| world.threads.alive > 0) {
        with(|world| world.last_waiter = Some(me()));
        block("the end of the other tasks", None);
    }
    with(|world| world.is_over = true);
    let _ = clock.join(); // it fails the whole run, and never by itself
}

pub fn me() -> usize {
    ExecutionState::me().into()
}

/// Lets the scheduler choose who runs next. Before everything that another task can see.
pub fn switch() {
    if !is_quiet() {
        shuttle_engine::runtime::thread::switch_if_not_stopping();
    }
}

/// Whether the scene looks at something, which is no part of the run.
pub fn is_quiet() -> bool {
    IS_QUIET.with(Cell::get)
}

/// Looks at something without giving way. It must not block.
pub fn quietly<R>(f: impl FnOnce() -> R) -> R {
    IS_QUIET.with(|quiet| quiet.set(true));
    let result = f();
    IS_QUIET.with(|quiet| quiet.set(false));
    result
}

/// Waits until somebody wakes this task, or the deadline has come.
pub fn block(what: &'static str, deadline: Option<Duration>) -> Woken {
    if is_quiet() {
        fail(&format!("a check would wait for {what}"));
    }
    let me = me();
    let is_early = deadline.is_some() && with(|world| world.is_early) && choose(4) == 0;
    with(|world| {
        let wait = Wait {
            what,
            deadline,
            woken: None,
        };
        world.waits.insert(me, wait);
    });
    if !is_early {
        ExecutionState::with(|state| state.current_mut().block(false));
    }
    loop {
        shuttle_engine::runtime::thread::switch();
        let woken = with(|world| world.waits.get(&me).and_then(|wait| wait.woken));
        if woken.is_some() || is_early {
            with(|world| world.waits.remove(&me));
            if woken.is_none() {
                clock::advance(deadline.unwrap_or_default());
            }
            return woken.unwrap_or(Woken::TimedOut);
        }
        // The end of the last thread in a scope of shuttle's has woken it.
        ExecutionState::with(|state| state.current_mut().block(false));
    }
}

/// Wakes a task from its wait, unless that has ended already.
pub fn wake(task: usize) {
    let is_woken = with(|world| match world.waits.get_mut(&task) {
        Some(wait) if wait.woken.is_none() => {
            wait.woken = Some(Woken::Rung);
            true
        }
        _ => false,
    });
    if is_woken {
        ExecutionState::with(|state| state.get_mut(task.into()).unblock());
    }
}

pub fn wake_all(tasks: &mut Vec<usize>) {
    for task in tasks.drain(..) {
        wake(task);
    }
}

/// A random number below `n`, of the scheduler.
pub fn choose(n: usize) -> usize {
    if n <= 1 {
        return 0;
    }
    below(n, ExecutionState::next_u64())
}

/// What [`choose`] makes of a random number.
pub fn below(n: usize, random: u64) -> usize {
    (random >> 16) as usize % n
}

pub fn is_unwinding() -> bool {
    let me = me();
    with(|world| world.unwinding.contains(&me))
}

pub fn end_unwinding() {
    let me = me();
    with(|world| world.unwinding.remove(&me));
}

/// Notes that this task panics. Called by the panic hook, so it must not panic.
pub fn begin_unwinding() {
    let task = ExecutionState::try_with(|state| state.try_current().map(|task| task.id()));
    let Ok(Some(task)) = task else {
        return;
    };
    WORLD.with(|world| {
        if let Ok(mut world) = world.try_borrow_mut() {
            world.unwinding.insert(task.into());
        }
    });
}

/// Fails unless this task holds no lock: code of the user's must not be called under one.
pub fn check_no_lock(what: &str) {
    let me = me();
    let held = with(|world| world.held.get(&me).copied().unwrap_or(0));
    if held > 0 {
        fail(&format!("{what} is called while {held} locks are held"));
    }
}

/// Prints why the run has failed and how to run it again, and ends the program.
pub fn fail(reason: &str) -> ! {
    let title = TITLE.with(|title| title.borrow().clone());
    println!("FAILED {title}");
    println!("reason: {}", reason.replace('\n', ": "));
    WORLD.with(|world| {
        let Ok(world) = world.try_borrow() else {
            return;
        };
        println!("virtual time: {:?}", world.now);
        for strike in &world.faults.struck {
            println!("call that failed: {strike:?}");
        }
        for (task, wait) in &world.waits {
            println!(
                "task {task} waits for {}, until {:?}",
                wait.what, wait.deadline
            );
        }
    });
    println!("schedule: {}", encoded_schedule());
    std::process::exit(FAILED);
}

/// What the program ends with if a run has failed.
pub const FAILED: i32 = 3;

/// The schedule so far, on one line.
fn encoded_schedule() -> String {
    let mut text = serialize_schedule(&CurrentSchedule::get_schedule());
    text.retain(|c| !c.is_whitespace());
    text
}
