"""The rows of what can be counted exactly: instructions and system calls."""

import count
from programs import SUBJECTS

# valgrind cannot run the programs of Go and Node.
NOT_UNDER_VALGRIND = ["go", "node"]


def instructions(name, run):
    """instructions per request, counted by callgrind"""
    if name in NOT_UNDER_VALGRIND:
        return
    for case in count.INSTRUCTION_CASES:
        if case == count.UPLOAD and not SUBJECTS[name].reads_uploads:
            continue
        figure = run.attempt(f"{name}, instructions, {case}", count.instructions, SUBJECTS[name], case)
        if figure is not None:
            yield f"{case}, instructions ↓", figure


def syscalls(name, run):
    """system calls per request, counted by strace"""
    for case in count.ROW_CASES:
        calls = run.attempt(f"{name}, system calls, {case}", count.syscalls, SUBJECTS[name], case)
        if calls is not None:
            yield f"{case}, system calls ↓", sum(calls.values())
            yield f"{case}, system calls without futex ↓", sum(calls.values()) - calls["futex"]
