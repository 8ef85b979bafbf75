//! Shows that the scenes see faults: builds the library with each mutant and runs them.

mod list;

use self::list::Mutant;
use crate::mock::kernel::FAILED;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long the scene that is expected to see a mutant runs, and then all of them.
const EXPECTED_SECONDS: &str = "10";
const ALL_SECONDS: &str = "60";

/// Where this package is, from wherever it is run.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// Looks whether each text of each mutant is in the source exactly once.
pub fn check() -> bool {
    let source = list::read_source(&Path::new(PACKAGE).join("../src")).unwrap();
    let mutants = read();
    let mut is_right = true;
    for mutant in &mutants {
        let mut copy: Vec<(PathBuf, String)> = source.clone();
        if let Err(why) = mutant.apply(&mut copy) {
            println!("{why}");
            is_right = false;
        }
    }
    println!("{} mutants", mutants.len());
    is_right
}

/// What has come of one mutant.
enum Outcome {
    /// A scene has failed, in this way.
    Seen(String),
    NotSeen,
    DoesNotBuild,
}

/// Runs the mutants of these names, or all; `true` if each is seen unless it says why it is not.
pub fn run(names: &[&str]) -> bool {
    if !check() {
        return false;
    }
    let mut unexpected = Vec::new();
    let mut seen = 0;
    let mut ran = 0;
    for mutant in read() {
        if !names.is_empty() && !names.contains(&mutant.name.as_str()) {
            continue;
        }
        ran += 1;
        let outcome = run_one(&mutant);
        let is_expected = match &outcome {
            Outcome::Seen(_) => mutant.unseen.is_empty(),
            Outcome::NotSeen => !mutant.unseen.is_empty(),
            Outcome::DoesNotBuild => false,
        };
        let text = match &outcome {
            Outcome::Seen(how) => how,
            Outcome::NotSeen => "NOT SEEN",
            Outcome::DoesNotBuild => "DOES NOT BUILD",
        };
        println!("{:40} {text}", mutant.name);
        if matches!(outcome, Outcome::Seen(_)) {
            seen += 1;
        }
        if !is_expected {
            unexpected.push(mutant.name);
        } else if !mutant.unseen.is_empty() {
            println!("{:40} because {}", "", mutant.unseen);
        }
    }
    println!("{seen} of {ran} mutants were seen");
    for name in &unexpected {
        println!("not as the list says: {name}");
    }
    unexpected.is_empty()
}

/// Builds and runs one: first the scene that is expected to see it, then all of them.
fn run_one(mutant: &Mutant) -> Outcome {
    let built = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--profile",
            "mutants",
            "--target-dir",
            "target/mutants",
        ])
        .env("HARDSTOP_MUTANT", &mutant.name)
        .current_dir(PACKAGE)
        .stderr(Stdio::inherit())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Outcome::DoesNotBuild;
    }
    let mut attempts = vec![vec!["all", ALL_SECONDS]];
    if !mutant.scene.is_empty() {
        attempts.insert(0, vec!["scene", &mutant.scene, EXPECTED_SECONDS]);
    }
    match attempts.iter().find_map(|arguments| seen_by(arguments)) {
        Some(how) => Outcome::Seen(how),
        None => Outcome::NotSeen,
    }
}

/// Runs the mutated program; what it prints if a scene fails.
fn seen_by(arguments: &[&str]) -> Option<String> {
    let program = Path::new(PACKAGE).join("target/mutants/mutants/hardstop-model");
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or("?").to_string()
    };
    if output.status.code() == Some(FAILED) {
        Some(format!("{}: {}", line("FAILED "), line("reason: ")))
    } else {
        Some(format!("ended with {}", output.status))
    }
}

fn read() -> Vec<Mutant> {
    let text = fs::read_to_string(Path::new(PACKAGE).join("mutants.txt")).unwrap();
    list::parse(&text)
}
