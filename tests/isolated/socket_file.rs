//! The file of a Unix socket when its process is killed, changes its directory, or has another
//! umask.
//!
//! Each test needs a process of its own: these things apply to the whole process.

use crate::support::isolated_process::is_alone;
use hardstop::Server;
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{chown, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use std::{env, fs, process, thread};

/// A new directory, which is removed with everything in it.
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
fn the_socket_of_a_killed_process_is_replaced() {
    const PATH: &str = "HARDSTOP_TEST_SOCKET";
    if let Some(path) = env::var_os(PATH) {
        let running = bind(path).spawn(|_| "hello").unwrap();
        println!("bound");
        running.join(); // until it is killed
    }
    let place = Place::new("killed");
    let path = place.0.join("socket");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["socket_file::the_socket_of_a_killed_process_is_replaced"]);
    command.args(["--exact", "--nocapture"]).env(PATH, &path);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_bound = |line: String| line.ends_with("bound");
    assert!(lines.map(Result::unwrap).any(is_bound), "it has ended");
    let error = Server::builder().bind_unix(&path).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        fs::symlink_metadata(&path).is_ok(),
        "it has not been removed"
    );
    drop(bind(&path));
    assert!(fs::symlink_metadata(&path).is_err());
}

#[test]
fn a_change_of_directory_does_not_affect_the_socket() {
    if !is_alone("a_change_of_directory_does_not_affect_the_socket", "true") {
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

    // A path that is too long from the root may be short enough from the working directory.
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
    drop(bind(here.0.join("socket"))); // an absolute path needs no working directory
    assert!(fs::symlink_metadata(here.0.join("socket")).is_err());
    env::set_current_dir("/").unwrap();
}

/// The current permissions of a file; `None` if it does not exist.
fn mode_of(path: &Path) -> Option<u32> {
    let file = fs::symlink_metadata(path).ok()?;
    Some(file.permissions().mode() & 0o777)
}

/// The entries of a directory, except for the socket, that give any permission to others than their
/// owner.
fn open_to_others(directory: &Path, socket: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_open = |path: &PathBuf| path != socket && mode_of(path).unwrap_or(0) & 0o077 != 0;
    entries.filter(is_open).collect()
}

// Regression: the socket was created at its path, and got its mode afterwards. In between it had
// the mode of the process's umask, and other users could connect.
#[test]
fn a_unix_socket_is_never_visible_with_another_mode() {
    const ROUNDS: usize = 1000;
    if !is_alone(
        "a_unix_socket_is_never_visible_with_another_mode",
        "umask 000",
    ) {
        return;
    }
    let place = Place::new("mode");
    let path = place.0.join("socket");
    let is_over = AtomicBool::new(false);
    let round = AtomicUsize::new(0);
    let looks = AtomicUsize::new(0);
    let watch = || {
        let mut wrong = BTreeSet::new();
        let mut open = Vec::new();
        while !is_over.load(SeqCst) {
            let now = round.load(SeqCst);
            if mode_of(&path).map_or(false, |mode| mode != 0o600) {
                wrong.insert(now);
            }
            if looks.fetch_add(1, SeqCst) % 4 == 0 {
                open.extend(open_to_others(&place.0, &path));
            }
        }
        (wrong, open)
    };
    let bind_once = |number: usize| -> io::Result<()> {
        round.store(number, SeqCst);
        let _server = Server::builder().socket_mode(0o600).bind_unix(&path)?;
        // The socket stays until it has been looked at.
        let before = looks.load(SeqCst);
        while looks.load(SeqCst) < before + 2 {
            thread::yield_now();
        }
        Ok(())
    };
    thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let bound = (0..ROUNDS).try_for_each(bind_once);
        is_over.store(true, SeqCst);
        bound.unwrap();
        let (wrong, open) = watcher.join().unwrap();
        println!(
            "{} of {ROUNDS} had another mode, {} other entries were open",
            wrong.len(),
            open.len()
        );
        assert!(
            wrong.is_empty(),
            "in {} of {ROUNDS} rounds it had another mode",
            wrong.len()
        );
        assert!(open.is_empty(), "{open:?}");
    });
    assert_eq!(
        fs::read_dir(&place.0).unwrap().count(),
        0,
        "something is left"
    );
}

// Regression: clients that connected before the socket had its mode were dropped, as they could be
// other users.
#[test]
fn a_client_that_connects_during_bind_is_served() {
    const ROUNDS: usize = 300;
    let place = Place::new("early");
    let path = &place.0.join("socket");
    let mut lost = 0;
    for _ in 0..ROUNDS {
        let is_started = AtomicBool::new(false);
        let connect_early = || {
            let mut stream = loop {
                let tried = UnixStream::connect(path);
                is_started.store(true, SeqCst);
                if let Ok(stream) = tried {
                    break stream;
                }
            };
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok::<_, io::Error>(text)
        };
        thread::scope(|scope| {
            let client = scope.spawn(connect_early);
            while !is_started.load(SeqCst) {
                thread::yield_now();
            }
            let running = Server::builder()
                .socket_mode(0o600)
                .bind_unix(path)
                .unwrap()
                .spawn(|_| "hello")
                .unwrap();
            let answer = client.join().unwrap();
            if !answer.map_or(false, |text| text.ends_with("\r\n\r\nhello")) {
                lost += 1;
            }
            running.destroy();
            assert!(running.join());
        });
    }
    println!("{lost} of {ROUNDS} were lost");
    assert_eq!(lost, 0, "of {ROUNDS}");
}

/// The strictest umask takes even the owner's permissions, also those for a temporary directory of
/// the library.
#[test]
fn a_strict_umask_does_not_change_the_mode_of_a_socket() {
    if !is_alone(
        "a_strict_umask_does_not_change_the_mode_of_a_socket",
        "umask 777",
    ) {
        return;
    }
    let place = Place::new("strict");
    let _ = chown(&place.0, None, Some(4242)); // only root may do that; the rest works without it
    let set_group_id = if cfg!(target_os = "linux") { 0o2000 } else { 0 }; // the BSDs do not need that bit
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o700 | set_group_id)).unwrap();
    let path = place.0.join("socket");
    let _server = Server::builder()
        .socket_mode(0o660)
        .bind_unix(&path)
        .unwrap();
    assert_eq!(mode_of(&path), Some(0o660));
    UnixStream::connect(&path).unwrap();
    let group_of = |path: &Path| fs::symlink_metadata(path).unwrap().gid();
    assert_eq!(
        group_of(&path),
        group_of(&place.0),
        "the directory hands its group on"
    );
}
