"""Rows under load: kept-alive connections, pipelining, a connection for each request, and a busy neighbour."""

import subprocess

from client import REQUEST, ask, wrk
from programs import HERE, SUBJECTS
from server import SERVER_CORES, Server, on_cores


def figures(line, load):
    """Yields the figures of one run of `wrk`."""
    yield f"{line}, CPU µs per request ↓", load.cpu
    yield f"{line}, sleeps per request ↓", load.sleeps
    yield f"{line}, involuntary switches per request ↓", load.preemptions
    yield f"{line}, requests/s ↑", load.rate


def kept(name, run):
    """keep-alive connections, with server and client on cores of their own (pinned) or on all cores"""
    for pinned, how in ((True, "pinned"), (False, "unpinned")):
        for count in run.kept_counts:
            with Server(SUBJECTS[name], pinned) as server:
                ask(server.connect()).close()
                load = wrk(server, run, count, pinned)
            yield from figures(f"kept alive, {how}, connections: {count}", load)


def pipelined(name, run):
    """16 requests in one write, 16 connections"""
    with Server(SUBJECTS[name], True) as server:
        ask(server.connect(), REQUEST * 16, 16).close()
        load = wrk(server, run, 16, True, "-s", f"{HERE}/pipelined.lua")
    yield from figures("pipelined, 16 deep, 16 connections", load)


def churn(name, run):
    """one connection per request, 16 at a time"""
    with Server(SUBJECTS[name], True, ["once"] if name == "bare" else []) as server:
        load = wrk(server, run, 16, True, "-H", "Connection: close")
    yield from figures("a connection per request, 16 at a time", load)


def hog(name, run):
    """16 keep-alive connections, while another program uses the server's cores"""
    spin = on_cores(SERVER_CORES, ["python3", "-c", "while True: pass"])
    hogs = [subprocess.Popen(spin) for _ in SERVER_CORES]
    try:
        with Server(SUBJECTS[name], True) as server:
            ask(server.connect()).close()
            load = wrk(server, run, 16, True)
    finally:
        for each in hogs:
            each.kill()
            each.wait()
    yield from figures("beside a busy program, connections: 16", load)
