//! The list of mutants, `mutants.txt`, and how one is put into the library's source.
//!
//! The build script and the program share this file.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// One deliberate fault in the library.
pub struct Mutant {
    pub name: String,
    /// The rule that it breaks, in words.
    pub breaks: String,
    /// The scene that is expected to see it, which is run first; empty if none is.
    pub scene: String,
    /// Why no scene can see it; empty if one must.
    pub unseen: String,
    /// Each text to find, and what to put in its place.
    pub edits: Vec<(String, String)>,
}

/// Reads the list. Its own head says what it looks like.
pub fn parse(text: &str) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for part in text.split("\n== ").skip(1) {
        mutants.push(parse_one(part));
    }
    mutants
}

fn parse_one(part: &str) -> Mutant {
    let mut lines = part.lines();
    let mut mutant = Mutant {
        name: lines.next().unwrap_or_default().trim().to_string(),
        breaks: String::new(),
        scene: String::new(),
        unseen: String::new(),
        edits: Vec::new(),
    };
    let mut is_new_text = false;
    for line in lines {
        if line.starts_with("# ") {
            continue;
        }
        if line == "-- find" {
            is_new_text = false;
            mutant.edits.push((String::new(), String::new()));
        } else if line == "-- replace" {
            is_new_text = true;
        } else if let Some((find, replace)) = mutant.edits.last_mut() {
            let text = if is_new_text { replace } else { find };
            text.push_str(line);
            text.push('\n');
        } else if let Some(breaks) = line.strip_prefix("breaks: ") {
            mutant.breaks = breaks.to_string();
        } else if let Some(scene) = line.strip_prefix("scene: ") {
            mutant.scene = scene.to_string();
        } else if let Some(unseen) = line.strip_prefix("unseen: ") {
            mutant.unseen = unseen.to_string();
        }
    }
    for (find, replace) in &mut mutant.edits {
        *find = find.trim_matches('\n').to_string();
        *replace = replace.trim_matches('\n').to_string();
    }
    mutant
}

impl Mutant {
    /// Puts the mutant into the source. Each of its texts must be there exactly once, so that the
    /// list cannot rot silently.
    pub fn apply(&self, files: &mut [(PathBuf, String)]) -> Result<(), String> {
        if self.edits.is_empty() {
            return Err(format!("{}: it changes nothing", self.name));
        }
        for (find, replace) in &self.edits {
            let mut found = 0;
            for (_, text) in files.iter_mut() {
                let here = text.matches(find.as_str()).count();
                found += here;
                if here == 1 {
                    *text = text.replace(find.as_str(), replace);
                }
            }
            if found != 1 {
                return Err(format!("{}: found {found} times:\n{find}", self.name));
            }
        }
        Ok(())
    }
}

/// Reads every file of the library except for its unit tests.
pub fn read_source(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && entry.file_name() != "tests.rs"
            {
                files.push((path, fs::read_to_string(entry.path())?));
            }
        }
    }
    files.sort();
    Ok(files)
}
