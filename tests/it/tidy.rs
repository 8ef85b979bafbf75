//! What holds for the repository as a whole.

use std::fs;
use std::path::{Path, PathBuf};

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the library with their text, without its inline tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("tests.rs") {
                let text = read(&path);
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 1, "src has not been found");
    sources
}

#[test]
fn the_library_has_no_dependency_no_feature_and_no_build_script() {
    let manifest = read("Cargo.toml");
    let mut lines = manifest.lines().map(str::trim);
    assert!(lines.any(|line| line == "[dependencies]"), "the section that says none");
    let listed = lines.take_while(|line| !line.starts_with('['));
    let listed: Vec<&str> = listed.filter(|line| !line.is_empty()).collect();
    assert!(listed.is_empty(), "{listed:?}");
    for line in manifest.lines() {
        let is_table = |name: &str| line.starts_with(&format!("[{name}"));
        let forbidden = ["features", "target", "build-dependencies", "dependencies."];
        assert!(!forbidden.iter().any(|name| is_table(name)), "{line}");
        assert!(!line.starts_with("build"), "{line}");
    }
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs").exists());
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn the_library_can_be_read_in_an_hour() {
    let lines: usize = sources().iter().map(|(_, text)| text.lines().count()).sum();
    assert!(lines <= 3900, "{lines} lines are more than 3850");
}

#[test]
fn the_library_does_not_panic_on_purpose() {
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let code = !line.trim_start().starts_with("//");
            for word in [".unwrap()", ".expect(", "panic!", "todo!", "unimplemented!"] {
                let found = code && line.contains(word);
                assert!(!found, "{word} in {}:{number}", path.display());
            }
        }
    }
}

#[test]
fn the_changelog_has_this_version() {
    let heading = format!("## {}", env!("CARGO_PKG_VERSION"));
    let has_it = read("CHANGELOG.md").lines().any(|line| line == heading);
    assert!(has_it, "no line is {heading:?}");
}

#[test]
fn every_test_that_the_readme_names_is_there() {
    let files = [
        "it/lifecycle.rs",
        "it/stops.rs",
        "it/trouble.rs",
        "it/ordinary.rs",
        "it/transport.rs",
        "it/unix.rs",
        "it/upgrade.rs",
        "loss.rs",
        "descriptors.rs",
        "threads.rs",
        "leak.rs",
    ];
    let tests: String = files.iter().map(|file| read(Path::new("tests").join(file))).collect();
    let readme = read("README.md");
    let promises = readme.lines().filter(|line| line.starts_with("| "));
    let words = promises.flat_map(|line| line.split('`'));
    let names: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("\nfn {name}() {{")), "{name}");
    }
}

#[test]
fn the_first_program_of_the_readme_is_the_example() {
    let (example, readme) = (read("examples/hello.rs"), read("README.md"));
    let (_, code) = example.split_once("\n\n").unwrap(); // after what it says of itself
    assert!(readme.contains(code), "README.md has another program than:\n{code}");
}
