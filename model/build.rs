//! Copies the library's source to `OUT_DIR` and has it use the mock instead of `std`.
//!
//! Every path that begins with `std::` is made to begin with `crate::mock::`, which exports all of
//! std again and replaces what a model checker must control. Nothing else of the text changes except
//! for its lints, and a compiler error tells of what the mock does not have.
//!
//! With `HARDSTOP_MUTANT` set, one mutant of `mutants.txt` is put into the copy.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[allow(
    dead_code,
    reason = "the build script reads one mutant, the program all of them"
)]
#[path = "src/mutants/list.rs"]
mod list;

fn main() -> io::Result<()> {
    let source = Path::new("../src");
    let copy = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("hardstop");
    println!("cargo:rerun-if-changed=../src");
    println!("cargo:rerun-if-changed=mutants.txt");
    println!("cargo:rerun-if-env-changed=HARDSTOP_MUTANT");

    let mut files = list::read_source(source)?;
    if let Ok(name) = env::var("HARDSTOP_MUTANT") {
        let mutants = list::parse(&fs::read_to_string("mutants.txt")?);
        let mutant = mutants.iter().find(|mutant| mutant.name == name);
        let mutant = mutant.unwrap_or_else(|| panic!("mutants.txt has no {name}"));
        mutant.apply(&mut files).unwrap();
    }

    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    for (path, text) in files {
        let to = copy.join(path);
        fs::create_dir_all(to.parent().unwrap())?;
        // The library's own lints are for its own package, which states the oldest compiler.
        let text = text.replace("#![warn(", "#![allow(");
        fs::write(to, replace_std(&text))?;
    }

    // A path attribute takes no macro, so the module is declared in a file that is included.
    let root = copy.join("lib.rs");
    let module = format!("#[path = {root:?}]\npub mod hardstop;\n");
    fs::write(copy.with_file_name("module.rs"), module)
}

/// Replaces `std::` wherever it begins a path.
fn replace_std(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("std::") {
        let (before, after) = rest.split_at(at);
        replaced.push_str(before);
        let is_start = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        replaced.push_str(if is_start { "crate::mock::" } else { "std::" });
        rest = &after["std::".len()..];
    }
    replaced + rest
}
