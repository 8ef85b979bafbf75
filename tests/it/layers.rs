//! The layers of the library: each file uses only what is below it.
//!
//! The uses are read from the source: every path that begins with `super::` or `self::`, in `use`
//! declarations and elsewhere. A path to a re-export counts as a use of the file that has the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers from below.
const LAYERS: [&[&str]; 8] = [
    &["sys"],
    &["proto"],
    &["error"],
    &["event"],
    &["config"],
    &["lifecycle"],
    &["conn"],
    &["accept"],
];

/// Above all layers, in this order.
const TOP: [&str; 3] = ["server", "answer", "lib"];

/// A module by its path, such as `conn::driver`. The root is empty.
type Module = Vec<String>;

/// The files of the library and their text without comments, by module.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().map_or(false, |it| it == "rs") && !path.ends_with("tests.rs")
            {
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let mut module: Module = name
                    .iter()
                    .map(|it| it.to_str().unwrap().to_string())
                    .collect();
                if ["lib", "mod"].contains(&module.last().unwrap().as_str()) {
                    module.pop();
                }
                modules.insert(
                    module,
                    without_comments(&fs::read_to_string(&path).unwrap()),
                );
            }
        }
    }
    assert!(modules.len() > 20, "src has not been found");
    modules
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path in the text that begins with `super` or `self`, with groups taken apart.
fn paths(text: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for begin in ["super::", "self::"] {
        for (at, _) in text.match_indices(begin) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if !is_word(before) && before != ':' {
                expand(&text[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Reads one path, or a group of paths, at the beginning of the text. Returns what follows.
fn expand<'a>(
    text: &'a str,
    prefix: &mut Vec<String>,
    paths: &mut BTreeSet<Vec<String>>,
) -> &'a str {
    let mut text = text.trim_start();
    let depth = prefix.len();
    loop {
        if let Some(group) = text.strip_prefix('{') {
            text = group.trim_start();
            while !text.starts_with('}') {
                text = expand(text, prefix, paths);
                text = text.strip_prefix(',').unwrap_or(text).trim_start();
            }
            text = &text[1..];
            break;
        }
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        if end == 0 {
            text = text.strip_prefix('*').unwrap_or(text);
            paths.insert(prefix.clone());
            break;
        }
        prefix.push(text[..end].to_string());
        text = &text[end..];
        match text.strip_prefix("::") {
            Some(rest) => text = rest.trim_start(),
            None => {
                paths.insert(prefix.clone());
                // `as name` is of no interest.
                text =
                    text.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ' ');
                break;
            }
        }
    }
    prefix.truncate(depth);
    text.trim_start()
}

/// The module that has what a path in this module leads to.
fn resolve(modules: &BTreeMap<Module, String>, from: &[String], path: &[String]) -> Module {
    let mut module = from.to_vec();
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "self" => {}
            "super" => {
                module.pop();
            }
            name => {
                module.push(name.to_string());
                if !modules.contains_key(&module) {
                    module.pop();
                    return re_exported(modules, &module, name);
                }
            }
        }
        rest = others;
    }
    module
}

/// The module that has an item of this name: this one, or the one from which it re-exports the
/// item.
fn re_exported(modules: &BTreeMap<Module, String>, module: &[String], name: &str) -> Module {
    let text = &modules[module];
    for (at, _) in text.match_indices("use self::") {
        if !text[..at].trim_end().ends_with("pub") && !text[..at].trim_end().ends_with("pub(crate)")
        {
            continue;
        }
        let mut paths = BTreeSet::new();
        expand(&text[at + "use ".len()..], &mut Vec::new(), &mut paths);
        if let Some(path) = paths.iter().find(|path| path.last().unwrap() == name) {
            return resolve(modules, module, path);
        }
    }
    module.to_vec()
}

fn uses(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut uses = BTreeMap::new();
    for (module, text) in modules {
        let targets = paths(text)
            .into_iter()
            .map(|path| resolve(modules, module, &path));
        let targets: BTreeSet<Module> = targets.filter(|target| target != module).collect();
        uses.insert(module.clone(), targets);
    }
    uses
}

/// The height of a module's layer.
fn rank(module: &[String]) -> usize {
    let name = module.first().map_or("lib", String::as_str);
    let layer = LAYERS.iter().position(|layer| layer.contains(&name));
    let above = || {
        TOP.iter()
            .position(|top| *top == name)
            .map(|at| LAYERS.len() + at)
    };
    layer
        .or_else(above)
        .unwrap_or_else(|| panic!("{name} is in no layer"))
}

fn violations(uses: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (module, targets) in uses {
        for target in targets {
            let is_above = rank(target) > rank(module);
            // A folder's `mod.rs` names its own files, and they use it for nothing.
            if is_above || reaches(uses, target, module) && !module.is_empty() {
                violations.push(format!("{} uses {}", module.join("::"), target.join("::")));
            }
        }
    }
    violations
}

/// Returns whether a module uses another one, in any number of steps.
fn reaches(uses: &BTreeMap<Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            next.extend(&uses[module]);
        }
    }
    false
}

#[test]
fn no_file_uses_an_upper_layer_or_forms_a_cycle() {
    let violations = violations(&uses(&modules()));
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn upward_uses_and_cycles_are_found_through_re_exports() {
    let table = [
        (
            "sys::sync",
            "use super::super::lifecycle::Registry;",
            "sys::sync uses lifecycle::registry",
        ),
        (
            "proto::chars",
            "use super::head::Head;",
            "proto::chars uses proto::head",
        ),
        (
            "event",
            "fn f(_: super::Handle) {}",
            "event uses lifecycle::handle",
        ),
        (
            "conn::stream",
            "use super::{driver, rate::MinRate};",
            "conn::stream uses conn::driver",
        ),
    ];
    for (module, line, want) in table {
        let mut modules = modules();
        let module: Module = module.split("::").map(String::from).collect();
        modules.get_mut(&module).unwrap().push_str(line);
        let violations = violations(&uses(&modules));
        assert!(
            violations.iter().any(|it| it == want),
            "{line}: {violations:?}"
        );
    }
}

#[test]
fn proto_names_no_socket_lock_thread_or_clock() {
    let forbidden = [
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "Mutex",
        "RwLock",
        "Condvar",
        "Atomic",
        "mpsc",
        "thread",
        "Instant",
        "SystemTime::now",
        "io::",
        "fs::",
        "super::super",
    ];
    for (module, text) in modules() {
        if module.first().map_or(false, |it| it == "proto") {
            for word in forbidden {
                // The path from a folder's file to the layer itself is no way out of it.
                assert!(!text.contains(word), "{} names {word}", module.join("::"));
            }
        }
    }
}

#[test]
fn platform_differences_stand_only_in_sys() {
    for (module, text) in modules() {
        if module.first().map_or(true, |it| it != "sys") {
            for word in [
                "cfg!(",
                "target_os",
                "cfg(windows",
                "cfg(not(",
                "os::unix",
                "os::windows",
            ] {
                assert!(!text.contains(word), "{} has {word}", module.join("::"));
            }
        }
    }
}
