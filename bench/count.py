"""Counts the instructions and system calls of a request: `bench/count.py --help`.

Each figure is the difference between a run with N requests and one with 3 N, divided by 2 N, so that what starting and
stopping take does not count. Requests go one after the other, each in one write, so that the server always finds a
whole request, on whatever machine and however busy it is.
"""

import argparse
import collections
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time

from client import BODY, REQUEST, ask
from programs import HERE, SUBJECTS, build, output
from server import Server

FIGURES = f"{HERE}/figures.json"
# How much a figure may grow.
TOLERANCE = 1.03
DEEP = 16

BROWSER = b"""GET /hello HTTP/1.1
Host: localhost:8080
Connection: keep-alive
Cache-Control: max-age=0
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark
If-None-Match: "5f3c1a"

""".replace(b"\n", b"\r\n")
CHUNKED = (
    b"POST /hello HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"
)
CLOSING = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

ALONE = "a request alone"
PIPELINED = "a pipelined request, 16 deep"
BROWSERS = "a browser's request, 12 fields"
UPLOAD = "a chunked kilobyte"
CONNECTION = "a connection per request, alone"
# What is sent at once, how many requests that is, and how often it is sent in the shorter of the two runs.
CASES = {
    ALONE: (REQUEST, 1, 300),
    PIPELINED: (REQUEST * DEEP, DEEP, 60),
    BROWSERS: (BROWSER, 1, 300),
    UPLOAD: (CHUNKED, 1, 300),
    CONNECTION: (CLOSING, 1, 100),
}
INSTRUCTION_CASES = [ALONE, PIPELINED, BROWSERS, UPLOAD]
ROW_CASES = [ALONE, PIPELINED, CONNECTION]
# How many of these there are depends on when threads run, so the guard leaves them out.
CALLS_OF_CHANCE = ["futex", "sched_yield"]


def send(server, case, times):
    """Sends the requests of the case that often, one after the other."""
    request, answers, _ = CASES[case]
    if case != CONNECTION:
        with server.connect() as stream:
            for _ in range(times):
                ask(stream, request, answers)
        return
    for _ in range(times):
        with server.connect() as stream:
            stream.sendall(request)
            got = b""
            while piece := stream.recv(65536):
                got += piece
            if BODY not in got:
                raise ConnectionError(f"a wrong response: {got[:200]}")


def arguments(subject, case):
    return ["once"] if subject.name == "bare" and case == CONNECTION else []


def difference(subject, case, measure):
    """Returns what each request of the case costs, by what is measured."""
    _, answers, times = CASES[case]
    few = measure(subject, case, times)
    many = measure(subject, case, 3 * times)
    # What happens once a second, or at the end, is no request's: the least that counts is one in twenty requests.
    least = 0.05
    costs = collections.Counter()
    for name in many:
        cost = (many[name] - few[name]) / (2 * times * answers)
        if cost * answers >= least:
            costs[name] = cost
    return costs


def instructions(subject, case):
    """Returns the instructions of one request, in the server's process."""
    return difference(subject, case, run_under_callgrind)["instructions"]


def run_under_callgrind(subject, case, times):
    with tempfile.NamedTemporaryFile("r") as log:
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log.name}"]
        with Server(subject, True, arguments(subject, case), under=tool) as server:
            send(server, case, times)
            # The server has time to end the connection.
            time.sleep(0.1)
            server.end(signal.SIGTERM)
        collected = re.search(r"Collected : (\d+)", log.read())
    if not collected:
        raise RuntimeError("callgrind has counted nothing")
    return {"instructions": int(collected[1])}


def syscalls(subject, case):
    """Returns the system calls of one request, by name."""
    return difference(subject, case, run_under_strace)


def run_under_strace(subject, case, times):
    with tempfile.NamedTemporaryFile("r") as log:
        tool = ["strace", "-f", "-c", "-o", log.name]
        with Server(subject, True, arguments(subject, case), under=tool) as server:
            send(server, case, times)
            time.sleep(0.1)
            # strace writes its table when the program ends, not when strace is killed.
            os.kill(server.child(), signal.SIGTERM)
            server.wait()
        table = log.read()
    calls = collections.Counter()
    for line in table.splitlines():
        words = line.split()
        # % time, seconds, microseconds a call, calls, errors if there are any, name
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            calls[words[-1]] += int(words[3])
    if not calls:
        raise RuntimeError("strace has counted nothing")
    return calls


def toolchain():
    """Returns what instructions depend on beside the source: compiler, C library, processor."""
    return f"{output('rustc', '-V')}, {' '.join(platform.libc_ver())}, {platform.machine()}"


def count_all():
    """Counts everything that the guard compares."""
    subject = SUBJECTS["hardstop"]
    build(subject)
    found = {"toolchain": toolchain(), "instructions": {}, "system calls": {}}
    for case in INSTRUCTION_CASES:
        found["instructions"][case] = round(instructions(subject, case), 1)
    for case in CASES:
        calls = syscalls(subject, case)
        known = sum(number for name, number in calls.items() if name not in CALLS_OF_CHANCE)
        found["system calls"][case] = round(known, 3)
        listed = ", ".join(f"{name} {number:.2f}" for name, number in sorted(calls.items()))
        print(f"{case}: {listed}")
    return found


def compare(found, recorded):
    """Prints all figures. Returns whether none of those that can be compared has grown."""
    same_toolchain = found["toolchain"] == recorded["toolchain"]
    if not same_toolchain:
        print(f"instructions are not comparable: recorded with {recorded['toolchain']}, now {found['toolchain']}")
    is_fine = True
    for kind in ("instructions", "system calls"):
        for case, now in found[kind].items():
            before = recorded[kind].get(case)
            line = f"{case}, {kind}: {now:,}"
            if before is None:
                print(f"{line}, not recorded")
                is_fine = False
                continue
            line += f", recorded {before:,} ({100 * (now / before - 1):+.1f} %)"
            if kind == "instructions" and not same_toolchain:
                line += ", not compared"
            elif now > before * TOLERANCE:
                line += ": HAS GROWN"
                is_fine = False
            elif now * TOLERANCE < before:
                line += ": less than recorded, run bench/count.py --record"
            print(line)
    return is_fine


def main():
    parser = argparse.ArgumentParser(
        description="Counts the instructions (callgrind) and system calls (strace) of hardstop's requests, and fails if"
        " they are more than 3 %% above the figures in bench/figures.json. Instructions are compared only with the same"
        " compiler. System calls are compared without futex and sched_yield, whose number is a matter of chance."
    )
    parser.add_argument("--record", action="store_true", help="write bench/figures.json instead of comparing with it")
    options = parser.parse_args()
    for tool in ("valgrind", "strace"):
        if not shutil.which(tool):
            parser.error(f"{tool} is not installed")
    found = count_all()
    if options.record:
        with open(FIGURES, "w") as file:
            file.write(json.dumps(found, indent=2) + "\n")
        print(f"written to {FIGURES}")
        return
    with open(FIGURES) as file:
        recorded = json.load(file)
    if not compare(found, recorded):
        sys.exit("A request costs more than recorded. If it has to, run bench/count.py --record.")


if __name__ == "__main__":
    main()
