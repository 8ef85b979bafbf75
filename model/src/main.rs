//! Runs the whole library under the model checker shuttle. `README.md` says how.

// Its warnings are looked for where it is a package of its own.
#[allow(
    unused,
    clippy::all,
    reason = "it is a copy, not all of it is used, and it may be a mutant"
)]
mod library {
    include!(concat!(env!("OUT_DIR"), "/module.rs"));
}

mod client;
#[allow(
    dead_code,
    unused_imports,
    reason = "the library may use more of std tomorrow than today"
)]
mod mock;
mod mutants;
mod oracle;
mod runner;
mod scenes;
mod schedulers;

use scenes::Scene;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: hardstop-model COMMAND
  all [SECONDS]                     every scene, 100 s together unless said otherwise
  campaign MINUTES [SEED]           the same for much longer; another seed gives other schedules
  scene NAME [SECONDS] [SEED]       one scene
  replay NAME exact|early SCHEDULE  one schedule, as a failure has printed it
  mutants [NAME...]                 builds the library with each mutant, and shows who sees it
  mutants check                     looks whether each mutant still fits the source
  list                              the names of the scenes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_right = match words[..] {
        ["list"] => {
            scenes::ALL
                .iter()
                .for_each(|scene| println!("{}", scene.name));
            true
        }
        ["all"] => explore(Duration::from_secs(100), 1),
        ["all", seconds] => explore(Duration::from_secs(number(seconds)), 1),
        ["campaign", minutes] => explore(Duration::from_secs(60 * number(minutes)), 1),
        ["campaign", minutes, seed] => {
            explore(Duration::from_secs(60 * number(minutes)), number(seed))
        }
        ["scene", name] => explore_one(name, 10, 1),
        ["scene", name, seconds] => explore_one(name, number(seconds), 1),
        ["scene", name, seconds, seed] => explore_one(name, number(seconds), number(seed)),
        ["replay", name, mode @ ("exact" | "early"), schedule] => replay(name, mode, schedule),
        ["mutants", "check"] => mutants::check(),
        ["mutants", ref names @ ..] => mutants::run(names),
        _ => {
            eprintln!("{USAGE}");
            false
        }
    };
    if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn explore(time: Duration, seed: u64) -> bool {
    runner::report_panics();
    let scenes: Vec<&Scene> = scenes::ALL.iter().collect();
    println!("{}", runner::HEADING);
    let total = runner::explore_all(&scenes, time, seed);
    println!("{:34} {total}", "all");
    println!(
        "{} scenes, {} schedules, no failure",
        scenes.len(),
        total.total()
    );
    true
}

fn explore_one(name: &str, seconds: u64, seed: u64) -> bool {
    runner::report_panics();
    let tally = runner::explore(scene(name), Duration::from_secs(seconds), seed);
    println!("{}", runner::HEADING);
    println!("{name:34} {tally}");
    true
}

fn replay(name: &str, mode: &str, schedule: &str) -> bool {
    runner::report_panics();
    runner::replay(scene(name), mode == "early", schedule);
    println!("this schedule does not fail");
    true
}

fn scene(name: &str) -> &'static Scene {
    let found = scenes::ALL.iter().find(|scene| scene.name == name);
    found.unwrap_or_else(|| stop(&format!("there is no scene {name}: see `list`")))
}

fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| stop(&format!("{text} is not a number")))
}

fn stop(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1);
}
