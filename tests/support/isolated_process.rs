//! Runs a test in a process of its own, where it may be short of something, and counts what that process has.
//!
//! Only test files that hold nothing else start such processes: one that is being started holds every descriptor of
//! its parent for a moment, ports that have just been closed included.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::process::Command;
use std::time::Duration;

/// Whether this is a process in which the calling test, of that name, is alone. If not, runs it in one, in which the
/// shell has set these limits first, and panics if it fails there.
pub(crate) fn is_alone(name: &str, limits: &str) -> bool {
    const MARK: &str = "HARDSTOP_TEST_IS_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")]);
    shell.arg(std::env::current_exe().unwrap());
    shell.args([name, "--exact", "--nocapture"]);
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

/// How many threads and descriptors this process has. This and what follows is known on Linux only.
pub(crate) fn threads_and_descriptors() -> (usize, usize) {
    let entries = |dir| fs::read_dir(dir).unwrap().count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// A number in KiB that the system keeps of this process, such as `VmRSS`.
pub(crate) fn kib(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

/// For how long this process has had a processor; nothing where the system keeps no such file. It is opened at once,
/// as there may be no descriptor for it later.
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
        let (_, fields) = stat.rsplit_once(')').unwrap(); // its name may have spaces
        let ticks = fields.split_whitespace().skip(11).take(2); // in user mode and in the kernel, 100 in a second
        Duration::from_millis(10 * ticks.map(|n| n.parse::<u64>().unwrap()).sum::<u64>())
    }
}
