//! Runs the library under the model checker.

// Its warnings are looked for where it is a package of its own.
#[allow(dead_code, unused_imports, clippy::all)]
mod library {
    include!(concat!(env!("OUT_DIR"), "/module.rs"));
}
mod client;
mod mock;
mod oracle;
mod scenes;
mod schedulers;

use mock::kernel;
use scenes::Scene;
use schedulers::{Delays, Patient, Random};
use shuttle::scheduler::{PctScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn config(time: Duration) -> Config {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.max_time = Some(time);
    config.silence_warnings = true;
    config
}

fn run(
    scene: &'static Scene,
    name: &str,
    is_early: bool,
    time: Duration,
    scheduler: impl Scheduler + 'static,
) {
    kernel::set_title(format!("{} {name}", scene.name));
    let began = Instant::now();
    let n =
        Runner::new(Patient(scheduler), config(time)).run(move || kernel::run(is_early, scene.run));
    println!("{} {name}: {n} in {:?}", scene.name, began.elapsed());
}

fn main() {
    Runner::new(PctScheduler::new(1, 1), config(Duration::from_secs(1))).run(|| {});
    std::panic::set_hook(Box::new(|info| {
        kernel::begin_unwinding();
        let text = info.to_string();
        if !text.contains("on purpose") {
            kernel::fail(&text);
        }
    }));
    let time = Duration::from_secs(5);
    for scene in scenes::ALL {
        run(scene, "random", false, time, Random::new(1));
        run(scene, "random early", true, time, Random::new(1));
        run(
            scene,
            "pct",
            false,
            time,
            PctScheduler::new_from_seed(1, 3, usize::MAX),
        );
        let done = Arc::new(AtomicBool::new(false));
        run(scene, "delays 2", false, time, Delays::new(2, done.clone()));
        println!("{}", done.load(Ordering::SeqCst));
    }
}
