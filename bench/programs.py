"""The programs that are measured: how each is built, found and started."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", f"{HERE}/target"))


@dataclass(frozen=True)
class Subject:
    """One of the servers. `feature` is the cargo feature that builds it, and the name of its program."""

    name: str
    feature: str | None = None
    options: tuple = ()
    # Whether its program can be told to read the bodies of requests.
    reads_uploads: bool = True
    package: str = HERE
    target: str = TARGET

    def program(self, transfer=False):
        """Returns the words that start the program, without its arguments."""
        if self.name == "node":
            return ["node", f"{HERE}/subjects/node.js"]
        prefix = "transfer-" if transfer and self.feature else ""
        return [f"{self.target}/release/{prefix}{self.feature or self.name}"]

    def command(self, port, arguments=(), transfer=False):
        return [*self.program(transfer), str(port), *self.options, *arguments]


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("hardstop", "hardstop"),
        Subject("bare", "bare"),
        Subject("tiny_http", "tiny_http"),
        Subject("khttp", "khttp"),
        Subject("khttp-epoll", "khttp", ("epoll",)),
        Subject("http-net", "http-net"),
        Subject("hyper", "hyper"),
        Subject("axum-server", "axum-server"),
        Subject("go"),
        Subject("node"),
    )
}

# Only these have a stop call that ends idle connections.
STOPS = ["hardstop", "before", "bare", "axum-server", "go", "node"]
# In every other row it would measure hyper again.
STOP_ONLY = ["axum-server"]
TRANSFERS = ["hardstop", "before", "bare", "tiny_http", "khttp", "http-net", "hyper", "go", "node"]
SYNCHRONOUS_PEERS = ["tiny_http", "khttp", "khttp-epoll", "http-net"]
PEERS = [*SYNCHRONOUS_PEERS, "hyper", "go", "node"]


def output(*command, missing="–", folder=HERE):
    """Returns what the command prints, or `missing` if it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError):
        return missing
    return ended.stdout.strip()


def build(subject, target=None, transfer=False, upload=True, settings=()):
    """Builds one program, with its own feature and none of another subject.

    Without `upload` it reads no bodies. `settings` are lines of cargo's configuration.
    """
    features = subject.feature
    if upload and subject.reads_uploads:
        features += ",upload"
    program = ("transfer-" if transfer else "") + subject.feature
    command = ["cargo", "build", "-q", "--locked", "--release"]
    command += ["--features", features, "--bin", program]
    command += ["--target-dir", target or subject.target]
    for setting in settings:
        command += ["--config", setting]
    subprocess.run(command, check=True, cwd=subject.package)


def prepare(names):
    """Builds the programs. Returns the names of the subjects that can be measured."""
    ready = []
    for name in names:
        subject = SUBJECTS[name]
        if subject.feature is None and not shutil.which(name):
            print(f"{name} is not installed and is left out")
            continue
        if subject.feature:
            build(subject)
        if subject.feature and name in TRANSFERS:
            build(subject, transfer=True)
        if name == "go":
            go_program = subject.program()[0]
            subprocess.run(["go", "build", "-o", go_program, f"{HERE}/subjects/go.go"], check=True)
        ready.append(name)
    return ready


@contextlib.contextmanager
def earlier_version(commit, same_subjects):
    """Checks the commit out, adds its hardstop as the subject `before`, and removes the checkout at the end.

    With `same_subjects`, the programs of today are built over the library of that commit.
    """
    with tempfile.TemporaryDirectory() as temp:
        tree = f"{temp}/tree"
        git = ["git", "-C", HERE, "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", tree, commit], check=True)
        try:
            if same_subjects:
                for name in ("Cargo.toml", "Cargo.lock"):
                    shutil.copy(f"{HERE}/{name}", f"{tree}/bench/{name}")
                shutil.copytree(f"{HERE}/subjects", f"{tree}/bench/subjects", dirs_exist_ok=True)
            SUBJECTS["before"] = Subject(
                "before", "hardstop", reads_uploads=same_subjects, package=f"{tree}/bench", target=f"{temp}/target"
            )
            yield
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True)


def crate_versions():
    """Returns the versions in the lock file, by name."""
    with open(f"{HERE}/Cargo.lock") as lock:
        return dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', lock.read()))
