"""The clients: requests that this program sends, and `wrk`."""

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass

from server import CLIENT_CORES, CORES, on_cores

REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"Hello world!"
# In seconds: the first is long enough for Node's compiler, the others are for a machine so busy that wrk has not begun.
WARM_UPS = [0.3, 1, 3]


def ask(stream, request=REQUEST, answers=1):
    """Sends the request, reads that many responses and checks them. Returns the stream."""
    stream.sendall(request)
    got = b""
    while got.count(BODY) < answers:
        piece = stream.recv(65536)
        if not piece:
            raise ConnectionError("the response ended early")
        got += piece
    if not got.startswith(b"HTTP/1.1 200 OK\r\n") or got.count(b"HTTP/1.1 200") != answers:
        raise ConnectionError(f"a wrong response: {got[:200]}")
    return stream


def took(call):
    """Returns the microseconds that the call takes."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def quantiles(times):
    """Returns the median and the 99th percentile."""
    times = sorted(times)
    return times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]


@contextlib.contextmanager
def pinned_client():
    """Binds this program to the client's cores."""
    os.sched_setaffinity(0, CLIENT_CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


@dataclass
class Load:
    """The result of a run of `wrk` against a server that lived for it alone."""

    rate: float
    cpu: float
    sleeps: float
    preemptions: float


def warm_up(command):
    """Runs wrk briefly. Returns the number of requests that it made."""
    # wrk takes whole seconds only, and reports what it has done when it is interrupted, once it has begun.
    for seconds in WARM_UPS:
        interrupted = ["timeout", "--signal=INT", str(seconds), *command]
        said = subprocess.run(interrupted, check=False, capture_output=True, text=True).stdout
        if requests := re.search(r"(\d+) requests in", said):
            return int(requests[1])
    raise RuntimeError("wrk does not begin")


def wrk(server, run, connections, pinned, *options):
    """Warms the server up, loads it, ends it, and returns what a request cost.

    Context switches are counted over the server's whole life, because the system adds up those of ended threads only
    for a process that has ended. So they are divided by all requests, those of the warm-up included.
    """
    threads = min(connections, len(CLIENT_CORES if pinned else CORES))
    command = ["wrk", f"-t{threads}", f"-c{connections}", *options]
    url = f"http://127.0.0.1:{server.port}/hello"
    if pinned:
        command = on_cores(CLIENT_CORES, command)
    warm_requests = warm_up([*command, "-d9", url])

    before = server.cpu()
    command += [f"-d{run.seconds}", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = server.cpu() - before
    if wrong := re.search(r"(?:Non-2xx|Socket errors).*", said):
        run.note(f"{server.name}, wrk with {connections} connections: {wrong[0].strip()}")
    requests = max(1, int(re.search(r"(\d+) requests in", said)[1]))
    usage = server.end()
    return Load(
        rate=float(re.search(r"Requests/sec: +([\d.]+)", said)[1]),
        cpu=used / requests,
        sleeps=usage.ru_nvcsw / (warm_requests + requests),
        preemptions=usage.ru_nivcsw / (warm_requests + requests),
    )
