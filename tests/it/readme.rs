//! The programs in README.md, which are compiled as they stand there.

use hardstop::Server;
use std::fs;
use std::path::Path;

#[allow(dead_code, reason = "its handler is called, without a port")]
mod lamp;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn each_program_of_the_readme_is_compiled_as_it_stands() {
    let readme = read("README.md");
    let programs: Vec<&str> = readme
        .split("```rust,no_run\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(programs.len(), 2);
    let files = ["examples/hello.rs", "tests/it/readme/lamp.rs"];
    for (program, file) in programs.iter().zip(files) {
        let code = read(file);
        let (_, code) = code.split_once("\n\n").unwrap(); // after its comment
        assert!(code.starts_with(program), "{file}");
    }
}

#[test]
fn the_two_lines_of_the_readme_destroy_a_server() -> std::io::Result<()> {
    let server = Server::bind("127.0.0.1:0")?.spawn(|_| "Hello world!")?;
    server.destroy(); // closes the port and cuts every connection, and the process goes on
    assert!(server.join());
    let own = read("tests/it/readme.rs");
    let (_, lines) = own.split_once("std::io::Result<()> {\n").unwrap();
    let lines: Vec<&str> = lines.lines().take(2).map(str::trim).collect();
    let lines = format!("```rust,ignore\n{}\n```", lines.join("\n"));
    assert!(read("README.md").contains(&lines), "{lines}");
    Ok(())
}
