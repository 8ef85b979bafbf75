//! The examples that end with their stdin, started where it is at its end already: as a service, in
//! a container, or behind `</dev/null`.

use crate::support::example::path;
use std::process::{Command, Stdio};

/// Regression: they stopped at once, without a word.
#[test]
fn an_example_without_a_stdin_says_why_it_stops() {
    let examples = [
        "access_log",
        "dashboard",
        "files",
        "metrics",
        "stop_with_stdin",
        "upgrade_echo",
    ];
    for name in examples {
        let mut command = Command::new(path(name));
        if name == "files" {
            command.arg(".");
        }
        let output = command
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains("stdin is at its end, so "), "{name}: {said}");
    }
}

/// Finds an example that waits for its stdin, and that the list above lacks.
#[test]
fn every_example_that_reads_stdin_says_when_it_ends() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().map_or(true, |extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let reads = text.contains("stdin().read_line") || text.contains("stdin().lines");
        let says = text.contains("stdin is at its end, so ");
        assert_eq!(reads, says, "{}", file.display());
    }
}
