"""The row of sizes and builds."""

import os
import subprocess
import tempfile

from client import took
from programs import SUBJECTS, build, output

# Cargo's settings of each build. The dependencies of hardstop's program are hardstop alone.
SMALL_DEPENDENCIES = [
    'profile.release.package."*".codegen-units=1',
    'profile.release.package."*".opt-level="s"',
]
SMALL_PROGRAM = [
    "profile.release.codegen-units=1",
    'profile.release.opt-level="s"',
    "profile.release.lto=true",
]


def size(name, run):
    """the size of the program, the crates in its tree, and a cold build"""
    subject = SUBJECTS[name]
    if subject.feature is None or subject.options:
        return
    with tempfile.TemporaryDirectory() as temp:
        yield "cold build, s ↓", took(lambda: hello(subject, f"{temp}/default")) / 1e6
        yield "size of hello, stripped, bytes ↓", stripped(subject, f"{temp}/default")
        hello(subject, f"{temp}/dependencies", SMALL_DEPENDENCIES)
        yield "size of hello, small dependencies, bytes ↓", stripped(subject, f"{temp}/dependencies")
        hello(subject, f"{temp}/program", SMALL_PROGRAM)
        yield "size of hello, small with LTO, bytes ↓", stripped(subject, f"{temp}/program")
    tree = ["cargo", "tree", "--locked", "--features", subject.feature, "--prefix", "none"]
    lines = output(*tree, "--edges", "normal", folder=subject.package).splitlines()
    # Without the benchmark itself.
    yield "crates in the tree ↓", len({line.split()[0] for line in lines}) - 1


def hello(subject, target, settings=()):
    """Builds the program that answers and does nothing else."""
    build(subject, target, upload=False, settings=settings)


def stripped(subject, target):
    """Returns the size of the program without symbols."""
    small = f"{target}/stripped"
    subprocess.run(["strip", "-o", small, f"{target}/release/{subject.feature}"], check=True)
    return os.path.getsize(small)
