"""Measures the subjects row by row, in rounds in which they take turns, and writes tables of the results."""

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time

import plots
import report
import rows
from programs import HERE, STOP_ONLY, SUBJECTS, TARGET, Subject, build, crate_versions, earlier_version, output, prepare
from server import CLIENT_CORES, CORES, SERVER_CORES, on_cores

DESCRIPTORS = 20_100
QUICK_ROWS = ["kept", "pipelined", "churn", "instructions", "syscalls", "idle", "transfer"]
QUICK_SUBJECTS = ["hardstop", "bare", "khttp", "hyper"]
SWITCH_ROUNDS = 200_000


class Run:
    """The settings of a run, and what it has found."""

    def __init__(self, options):
        self.rounds = options.rounds
        self.seconds = options.seconds
        self.samples = options.samples
        self.kept_counts = (1, 16, 64) if options.quick else (1, 16, 64, 256)
        self.descriptors = raise_descriptor_limit()
        most = min(options.most, (self.descriptors - 100) // 200 * 100)
        self.counts = [count for count in (1, 100, 1000, 5000) if count < most] + [most]
        self.figures = {}
        self.notes = {}
        self.silent = set()

    def add(self, name, line, turn, figure):
        self.figures.setdefault(line, {}).setdefault(name, []).append((turn, figure))

    def note(self, text):
        """Notes a problem. Texts that differ only in numbers are one."""
        kind = re.sub(r"\d{3,}", "N", text)
        self.notes[kind] = self.notes.get(kind, 0) + 1

    def attempt(self, what, call, *arguments):
        """Returns what the call returns, or `None`, and notes why, if it fails.

        What has timed out once is not tried again.
        """
        if what in self.silent:
            return None
        try:
            return call(*arguments)
        except TimeoutError:
            self.silent.add(what)
            self.note(f"{what}: no response within 10 s, not tried again")
            return None
        except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
            self.note(f"{what}: {error}")
            return None


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = hard if 0 <= hard < DESCRIPTORS else DESCRIPTORS
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(DESCRIPTORS, hard)))
        return DESCRIPTORS
    except (OSError, ValueError):
        # Only root may raise the limit, and in some containers not even root.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most


def measure(run, row, names):
    """Measures one row, in all its rounds."""
    if row.together:
        for turn, name, line, figure in row.measure(names, run):
            run.add(name, line, turn, figure)
        return
    if row.measure is not rows.idle:
        names = [name for name in names if name not in STOP_ONLY]
    for turn in range(min(run.rounds, row.most_rounds)):
        # Another subject begins each time.
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            run.attempt(f"{name}, {row.name}: ended early", measure_subject, run, row, name, turn)


def measure_subject(run, row, name, turn):
    for line, figure in row.measure(name, run):
        run.add(name, line, turn, figure)


def switch_cost():
    """Returns the microseconds of CPU that a sleep with its wake-up and thread switch takes, beside its system calls."""
    build(Subject("switch", "switch", reads_uploads=False))
    used = {}
    for how in ("threads", "alone"):
        command = on_cores(SERVER_CORES[:1], [f"{TARGET}/release/switch", str(SWITCH_ROUNDS), how])
        process = subprocess.Popen(command)
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
        used[how] = usage.ru_utime + usage.ru_stime
    return (used["threads"] - used["alone"]) * 1e6 / (2 * SWITCH_ROUNDS)


def facts(run, options, costs):
    """Returns what a reader has to know of the machine, the programs and the ways of measuring."""
    with open("/proc/cpuinfo") as info:
        cpu = re.search(r"^model name\s*: (.*)", info.read(), re.MULTILINE)
    crates = crate_versions()
    changed = output("git", "status", "--porcelain", "--", "../src", ".", missing="")
    commit = output("git", "rev-parse", "--short", "HEAD") + (" with uncommitted changes" if changed else "")
    versions = [
        f"{name} {crates.get(name)}" for name in ("tiny_http", "khttp", "http-net", "hyper", "tokio", "axum-server")
    ]
    versions += filter(None, [output("rustc", "-V"), output("go", "version", missing="")])
    versions.append(f"node {output('node', '-v')}")
    found = [
        (
            f"machine: {cpu[1] if cpu else platform.machine()}, {len(CORES)} cores, {platform.system()}"
            f" {platform.release()}; load at the start: {os.getloadavg()[0]:.2f}"
        ),
        (
            f"commit: {commit}; {run.rounds} rounds, in which the subjects take turns and another one begins each time; 2 of"
            f" what is counted or built; {run.seconds} s for each run of wrk, after 0.3 s to warm up"
        ),
        f"versions: {', '.join(versions)}",
        f"pinned: server on cores {SERVER_CORES}, client on cores {CLIENT_CORES}; the same for transfers and single requests",
        (
            "CPU: of the server's process, threads that have ended included; sleeps and involuntary switches: of its whole"
            " life, over all requests. A yield that lets another thread run counts as an involuntary switch"
        ),
        (
            f"switch: {costs['switch']:.2f} µs: what two threads on one core take to send a byte to and fro beyond what"
            " one thread takes for the same system calls, for each sleep (`switch.rs`)"
        ),
        (
            "instructions: callgrind, of the server's process, without the kernel; not for Go and Node, which valgrind cannot"
            " run. System calls: strace. Both: a run with 3 N requests minus one with N; one connection at a time"
        ),
        (
            f"at most {run.counts[-1]:,} connections: a process may have {run.descriptors:,} descriptors here, and hardstop"
            " uses two per connection"
        ),
        (
            "a stop: the call is `destroy`, a loop of `shutdown`, `Close`, `closeAllConnections`, `shutdown`; all have ended"
            " when the threads (hardstop, bare), the goroutines (go) or the connections (the others) are gone"
        ),
        "bare: accept, a thread, read until a blank line, a fixed answer; no parsing, no limits, no timeouts",
        (
            'small dependencies: `codegen-units = 1` and `opt-level = "s"` for the dependencies alone, hardstop\'s or the'
            " peer's; small with LTO: the same for the whole program, with `lto`"
        ),
    ]
    if options.against:
        own = "today's programs over its library" if options.same_subjects else "with its own programs"
        found.insert(2, f"before: {output('git', 'rev-parse', '--short', options.against)}, {own}")
    return found


def parse_options():
    names = [row.name for row in rows.ROWS]
    described = "; ".join(f"{row.name}: {row.measure.__doc__}" for row in rows.ROWS)
    parser = argparse.ArgumentParser(description=f"Rows: {described}.")
    parser.add_argument(
        "--quick", action="store_true", help="5 minutes: fewer rows and subjects, 3 rounds, --output bench/target/quick"
    )
    parser.add_argument("--rows", help="comma-separated (default: all)")
    parser.add_argument("--subjects", help="comma-separated (default: all)")
    parser.add_argument("--rounds", type=int, help="default: 7")
    parser.add_argument("--seconds", type=int, default=1, help="duration of each run of wrk (default: 1)")
    parser.add_argument("--most", type=int, help="the largest number of connections (default: 10000)")
    parser.add_argument("--samples", type=int, default=12, help="first requests in each round (default: 12)")
    parser.add_argument("--against", metavar="COMMIT", help="measure hardstop of that commit too, as `before`")
    parser.add_argument(
        "--same-subjects",
        action="store_true",
        help="build the programs of today over the library of that commit, instead of its own",
    )
    parser.add_argument(
        "--output",
        help="the directory for RESULTS.md, results.json and plots (default: bench, whose README.md gets the summary)",
    )
    options = parser.parse_args()
    quick = options.quick
    options.rows = (options.rows or ",".join(QUICK_ROWS if quick else names)).split(",")
    options.subjects = (options.subjects or ",".join(QUICK_SUBJECTS if quick else SUBJECTS)).split(",")
    options.rounds = options.rounds or (3 if quick else 7)
    options.most = options.most or (1000 if quick else 10_000)
    options.output = options.output or (f"{HERE}/target/quick" if quick else HERE)
    for asked, known in ((options.rows, names), (options.subjects, SUBJECTS)):
        if unknown := set(asked) - set(known):
            parser.error(f"{', '.join(unknown)}: unknown, choose from {', '.join(known)}")
    return options


def measure_all(run, options):
    """Measures all rows. Returns everything that the pages are made of."""
    begin = time.monotonic()
    chosen = [row for row in rows.ROWS if row.name in options.rows]
    seconds = sum(row.estimate(run, len(options.subjects)) for row in chosen)
    print(f"this takes about {max(1, seconds / 60):.0f} minutes after the builds", flush=True)
    names = prepare(options.subjects)
    costs = {"switch": switch_cost()}
    known = facts(run, options, costs)
    for row in chosen:
        print(f"{time.strftime('%H:%M:%S')} {row.name}", flush=True)
        measure(run, row, names)
    known.append(f"the run took {(time.monotonic() - begin) / 60:.0f} minutes")
    return {"names": names, "figures": run.figures, "facts": known, "costs": costs, "notes": run.notes}


def main():
    options = parse_options()
    run = Run(options)
    with contextlib.ExitStack() as stack:
        if options.against:
            stack.enter_context(earlier_version(options.against, options.same_subjects))
            options.subjects.insert(1, "before")
        found = measure_all(run, options)
    os.makedirs(options.output, exist_ok=True)
    with open(f"{options.output}/results.json", "w") as raw:
        json.dump(found, raw, indent=1)
    with open(f"{options.output}/RESULTS.md", "w") as file:
        file.write(report.page(found))
    plots.draw(found, f"{options.output}/plots")
    if os.path.realpath(options.output) == HERE:
        report.write_summary(found, f"{HERE}/README.md")
    print(*found["notes"], f"written to {options.output}", sep="\n")
    # Only problems of hardstop and bare count as a failure.
    sys.exit(any(note.startswith(("hardstop", "bare")) for note in found["notes"]))


if __name__ == "__main__":
    main()
