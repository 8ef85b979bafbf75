//! Rules for the repository as a whole.

use std::fs;
use std::path::{Path, PathBuf};

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the library and their text, without inline tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("tests.rs") && path.extension().map_or(false, |it| it == "rs")
            {
                let text = read(&path);
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 1, "src has not been found");
    sources
}

/// The library's manifest as it is written. `cargo package` rewrites it, and keeps the original.
fn manifest() -> String {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml.orig");
    if original.exists() {
        read(original)
    } else {
        read("Cargo.toml")
    }
}

/// The first line of a manifest that sets `key`.
fn setting<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    manifest
        .lines()
        .find(|line| line.split('=').next().map(str::trim) == Some(key))
}

#[test]
fn the_library_has_no_dependency_no_feature_and_no_build_script() {
    let manifest = manifest();
    let mut lines = manifest.lines().map(str::trim);
    assert!(
        lines.any(|line| line == "[dependencies]"),
        "the section that says none"
    );
    let listed = lines.take_while(|line| !line.starts_with('['));
    let listed: Vec<&str> = listed.filter(|line| !line.is_empty()).collect();
    assert!(listed.is_empty(), "{listed:?}");
    for line in manifest.lines() {
        let is_table = |name: &str| line.starts_with(&format!("[{name}"));
        let forbidden = ["features", "target", "build-dependencies", "dependencies."];
        assert!(!forbidden.iter().any(|name| is_table(name)), "{line}");
        assert!(!line.starts_with("build"), "{line}");
    }
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("build.rs")
        .exists());
}

#[test]
fn the_manifest_of_a_vendored_copy_agrees_with_the_library_and_binds_no_dependency() {
    let own = manifest();
    let vendored = read("src/vendored.toml");
    for key in ["name", "version", "edition", "license"] {
        let line = setting(&vendored, key);
        assert!(line.is_some(), "{key}");
        assert_eq!(line, setting(&own, key));
    }
    // A copy may be a member of a workspace. There it would pull in dependencies, and cargo would
    // choose versions of the others that build with the oldest compiler of any member.
    assert!(!vendored
        .lines()
        .any(|line| line.starts_with('[') && line.contains("dependencies")));
    assert_eq!(setting(&vendored, "rust-version"), None);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
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
fn every_test_named_in_the_promises_and_threats_exists() {
    let (mut tests, mut places) = (
        String::new(),
        vec![PathBuf::from("tests"), PathBuf::from("src")],
    );
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(place)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
            } else if path.extension().map_or(false, |it| it == "rs") {
                tests.push_str(&read(path));
            }
        }
    }
    for page in ["src/guide/promises.md", "src/guide/security.md"] {
        let page = read(page);
        let tables = page.lines().filter(|line| line.starts_with("| "));
        let words = tables.flat_map(|line| line.split('`'));
        // Settings and methods have fewer of them.
        let names: Vec<&str> = words.filter(|word| word.matches('_').count() > 2).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(
                tests.contains(&format!("#[test]\nfn {name}() {{")),
                "{name}"
            );
        }
    }
}

/// The first cell of each row in the map names a file of `src` and functions in it, each in
/// backticks and perhaps with its type in front.
#[test]
fn every_function_named_in_the_map_of_coverage_exists() {
    let map = read("tests/coverage.md");
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    let cells: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    assert!(cells.len() > 20, "{cells:?}");
    for cell in cells {
        let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let text = read(Path::new("src").join(words[0]));
        for name in &words[1..] {
            let name = name.rsplit("::").next().unwrap();
            let is_item = ["fn", "const", "struct"]
                .iter()
                .any(|item| text.contains(&format!("{item} {name}")));
            assert!(is_item, "{name} in {}", words[0]);
        }
    }
}

/// The names of a type's public methods, in the file's inherent implementations of it.
fn methods(file: &str, of: &str) -> Vec<String> {
    let text = read(file);
    let mut names = Vec::new();
    for block in text.split(&format!("\nimpl {of} {{")).skip(1) {
        let block = block.split("\n}\n").next().unwrap();
        for rest in block.split("    pub fn ").skip(1) {
            names.push(rest.split(['(', '<']).next().unwrap().to_owned());
        }
    }
    names.sort();
    names
}

#[test]
fn no_method_of_a_handle_is_missing_at_its_owner() {
    let mut handle = methods("src/lifecycle/handle.rs", "Handle");
    handle.extend(["detach", "handle", "join"].map(String::from));
    handle.sort();
    assert_eq!(methods("src/server.rs", "Running"), handle);
}

/// The code of a function in a file, without its comments and white space.
fn code_of(file: &str, function: &str) -> String {
    let text = read(file);
    let start = text.find(&format!("fn {function}(")).expect(file);
    let code = text[start..].split("\n}\n").next().unwrap();
    let lines = code.lines().map(|line| line.split("// ").next().unwrap());
    let code: String = lines.collect();
    code.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn a_check_that_programs_copy_is_the_same_in_each_of_them() {
    let table: [(&str, &[&str]); 2] = [
        (
            "refuse_foreign_pages",
            &[
                "src/guide/recipes.md",
                "examples/dashboard.rs",
                "examples/app.rs",
                "examples/websocket/src/lib.rs",
            ],
        ),
        (
            "unguessable",
            &["examples/oauth_callback.rs", "examples/app.rs"],
        ),
    ];
    for (function, files) in table {
        let code = code_of(files[0], function);
        assert!(code.len() > 100, "{function}");
        for file in files {
            // `cargo package` leaves out the examples that are packages of their own.
            if Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists() {
                assert_eq!(code_of(file, function), code, "{function} in {file}");
            }
        }
    }
}
