"""Rows of idle and silent connections, and of a server that has nothing to do."""

import contextlib
import time

from client import ask, pinned_client, quantiles, took
from programs import STOP_ONLY, STOPS, SUBJECTS
from server import Server


@contextlib.contextmanager
def all_running(names):
    """Starts all subjects, and yields the servers by name."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in names:
            if name not in STOP_ONLY:
                servers[name] = stack.enter_context(Server(SUBJECTS[name], True))
        stack.enter_context(pinned_client())
        for server in servers.values():
            ask(server.connect()).close()
        yield servers


def first(names, run):
    """the first request over a new connection after 2 s without requests"""
    line = "first request after 2 s of idleness"
    with all_running(names) as servers:
        for turn in range(run.rounds):
            times = {name: [] for name in servers}
            for _ in range(run.samples):
                for name, server in servers.items():
                    # So each subject is asked after the same idle time.
                    time.sleep(2 / len(servers))
                    times[name].append(took(lambda server=server: ask(server.connect()).close()))
            for name in servers:
                middle, high = quantiles(times[name])
                yield turn, name, f"{line}, p50 µs ↓", middle
                yield turn, name, f"{line}, p99 µs ↓", high


def quiet(names, run):
    """CPU time and wake-ups of an idle server"""
    seconds = 5
    with all_running(names) as servers:
        for turn in range(run.rounds):
            before = {name: (server.cpu(), server.wake_ups()) for name, server in servers.items()}
            time.sleep(seconds)
            for name, server in servers.items():
                cpu, wake_ups = before[name]
                yield turn, name, f"CPU in {seconds} s of idleness, µs ↓", server.cpu() - cpu
                # A thread that has ended no longer counts, so the difference may be negative.
                woken = max(server.wake_ups() - wake_ups, 0)
                yield turn, name, "wake-ups a second while idle ↓", woken / seconds


def silent(name, run):
    """a request beside silent connections"""
    with Server(SUBJECTS[name], True) as server, pinned_client():
        held = []
        stream = ask(server.connect())
        for count in run.counts:
            while len(held) < count:
                held.append(server.connect())
                if len(held) % 64 == 0:
                    # A response means that earlier connections are accepted, so the accept queue does not overflow.
                    ask(server.connect()).close()
            times = [took(lambda: ask(stream)) for _ in range(600)][100:]
            middle, high = quantiles(times)
            yield f"a request beside {count} silent connections, p50 µs ↓", middle
            yield f"a request beside {count} silent connections, p99 µs ↓", high


def idle(name, run):
    """the memory of idle connections, and a stop call that cuts them"""
    many = [count for count in run.counts if count >= min(1000, run.counts[-1])]
    if name not in STOPS:
        for count in many:
            yield from idle_connections(name, count, True)
        return
    few = [count for count in run.counts if count < 5000]
    for count in [*few, *few, *run.counts]:
        yield from idle_connections(name, count, count in many)


def idle_connections(name, count, measure_memory):
    with Server(SUBJECTS[name]) as server:
        for _ in range(10):
            ask(server.connect())
        before = server.memory()
        held = [ask(server.connect()) for _ in range(count)]
        if measure_memory:
            yield f"memory of one of {count} idle connections, bytes ↓", (server.memory() - before) / count
        if name in STOPS:
            called, gone, seen = server.stop(held)
            yield f"stop with {count} idle connections, call returns, µs ↓", called
            yield f"stop with {count} idle connections, all clients have seen it, µs ↓", seen
            yield f"stop with {count} idle connections, all have ended, µs ↓", gone
