//! What a Unix socket's file goes through that only a process of its own can do to it: being killed, and changing its
//! directory.

#![cfg(unix)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is how they fail"
)]

#[allow(dead_code, reason = "shared with those who need more of it")]
#[path = "it/alone.rs"]
mod alone;

use alone::is_alone;
use hardstop::Server;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process};

/// A fresh directory, which goes with all that is in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = env::temp_dir().join(format!("hardstop-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bind(path: impl AsRef<Path>) -> Server {
    Server::builder().bind_unix(path).unwrap()
}

#[test]
fn the_socket_of_a_process_that_was_killed_is_replaced() {
    const PATH: &str = "HARDSTOP_TEST_SOCKET";
    if let Some(path) = env::var_os(PATH) {
        let running = bind(path).spawn(|_| "hello").unwrap();
        println!("bound");
        running.join(); // until it is killed
    }
    let place = Place::new("killed");
    let path = place.0.join("socket");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["the_socket_of_a_process_that_was_killed_is_replaced"]);
    command.args(["--exact", "--nocapture"]).env(PATH, &path);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_bound = |line: String| line.ends_with("bound");
    assert!(lines.map(Result::unwrap).any(is_bound), "it has ended");
    let error = Server::builder().bind_unix(&path).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::symlink_metadata(&path).is_ok(), "nobody removed it");
    drop(bind(&path));
    assert!(fs::symlink_metadata(&path).is_err());
}

#[test]
fn a_change_of_the_working_directory_changes_nothing() {
    if !is_alone("a_change_of_the_working_directory_changes_nothing", "true") {
        return;
    }
    let (here, there) = (Place::new("here"), Place::new("there"));
    env::set_current_dir(&here.0).unwrap();
    let server = bind("socket");
    UnixStream::connect(here.0.join("socket")).unwrap();
    env::set_current_dir(&there.0).unwrap();
    let other = UnixListener::bind("socket").unwrap();
    drop(server);
    assert!(fs::symlink_metadata(here.0.join("socket")).is_err());
    assert!(fs::symlink_metadata("socket").is_ok());
    drop(other);

    // A path that is too long from the root may be short enough from here.
    let deep = here.0.join("x".repeat(120));
    fs::create_dir(&deep).unwrap();
    env::set_current_dir(&deep).unwrap();
    let server = bind("socket");
    env::set_current_dir(&there.0).unwrap();
    drop(server);
    assert!(fs::symlink_metadata(deep.join("socket")).is_err());
    let gone = here.0.join("gone");
    fs::create_dir(&gone).unwrap();
    env::set_current_dir(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    drop(bind(here.0.join("socket"))); // a whole path needs no working directory
    assert!(fs::symlink_metadata(here.0.join("socket")).is_err());
    env::set_current_dir("/").unwrap();
}
