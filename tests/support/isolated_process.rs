//! Runs a test in a process of its own, perhaps with limits, and counts the resources of that
//! process.
//!
//! Only the test binary `isolated` uses this, and has no other tests: a process that is being
//! started holds every descriptor of its parent for a moment, including ports that have just been
//! closed.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::process::Command;
use std::time::Duration;

/// Returns `true` in a process in which the calling test, of that name, is alone. Otherwise runs
/// the test in such a process, in which the shell has set these limits first, and panics if it
/// fails there.
pub(crate) fn is_alone(name: &str, limits: &str) -> bool {
    const MARK: &str = "HARDSTOP_TEST_IS_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")]);
    shell.arg(std::env::current_exe().unwrap());
    shell.args([&format!("::{name}"), "--nocapture"]); // in any module
    let output = shell.env(MARK, "1").output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}{err}"
    );
    println!("{out}");
    false
}

/// The number of threads and descriptors of this process, on Linux.
pub(crate) fn threads_and_descriptors() -> (usize, usize) {
    let entries = |dir| fs::read_dir(dir).unwrap().count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// A figure of this process in KiB, such as `VmRSS`, on Linux.
pub(crate) fn kib(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

/// The CPU time of this process, on Linux. Its file is opened early, as there may be no descriptor
/// for it later.
#[derive(Debug)]
pub(crate) struct CpuTime(Option<File>);

impl CpuTime {
    pub(crate) fn new() -> CpuTime {
        CpuTime(File::open("/proc/self/stat").ok())
    }

    pub(crate) fn so_far(&mut self) -> Duration {
        let file = match &mut self.0 {
            Some(file) => file,
            None => return Duration::ZERO,
        };
        let mut stat = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut stat).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap(); // the name of the process may have spaces
        let ticks = fields.split_whitespace().skip(11).take(2); // in user mode and in the kernel, in hundredths of a second
        Duration::from_millis(10 * ticks.map(|n| n.parse::<u64>().unwrap()).sum::<u64>())
    }
}
