//! The guide's page shows the code of this package.

use std::fs;
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the lines, without their indentation and without empty ones.
fn flat(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the code blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    let parts = page.split("\n```").skip(1).step_by(2);
    parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(_, code)| code)
        .collect()
}

#[test]
fn every_block_of_the_page_stands_in_the_sources() {
    let page = read("../../src/guide/with_crates.md");
    let mut sources = String::new();
    for file in [
        "gzip",
        "json",
        "multipart",
        "proxy",
        "bin/proxy",
        "bin/recipes",
    ] {
        sources.push('\n');
        sources += &flat(&read(format!("src/{file}.rs")));
    }
    let blocks = blocks(&page);
    assert!(
        blocks.len() >= 8,
        "the page has its code in {}",
        blocks.len()
    );
    for block in blocks {
        assert!(
            sources.contains(&flat(block)),
            "not in the sources:\n{block}"
        );
    }
}
