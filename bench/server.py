"""A running server, and what the system tells about it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = CORES[: len(CORES) // 2] or CORES
CLIENT_CORES = CORES[len(CORES) // 2 :]


def on_cores(cores, command):
    """Returns the command, bound to these cores."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


class Server:
    """A running subject with a port of its own. It is killed when its `with` block ends.

    `under` is a tool that runs it, as a list of words.
    """

    def __init__(self, subject, pinned=False, arguments=(), transfer=False, under=()):
        self.name = subject.name
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [*under, *subject.command(self.port, arguments, transfer)]
        if pinned:
            command = on_cores(SERVER_CORES, command)
        pipe = subprocess.PIPE
        quiet = subprocess.DEVNULL if under else None
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet)
        self.pid = self.process.pid
        self.usage = None
        self.wait_until_it_accepts()

    def wait_until_it_accepts(self):
        for _ in range(3000):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.005)
        self.end()
        raise RuntimeError(f"{self.name} does not accept connections")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), 10)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def end(self, how=signal.SIGKILL):
        """Ends the process. Returns what it used in its whole life, threads that have ended included."""
        if self.usage:
            return self.usage
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
        return self.wait()

    def wait(self):
        """Waits for the end of the process. Returns what it used in its whole life."""
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process.stdin.close()
        self.process.stdout.close()
        return self.usage

    def child(self):
        """Returns the process that the tool runs which was started here."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return int(children.read().split()[0])

    def cpu(self):
        """Returns the CPU time of all threads in microseconds, threads that have ended included."""
        # The number of the clock of another process, as clock_getcpuclockid(3) makes it.
        clock = (~self.pid << 3) | 2
        return time.clock_gettime_ns(clock) / 1000

    def memory(self):
        """Returns the resident memory in bytes."""
        with open(f"/proc/{self.pid}/smaps_rollup") as maps:
            return int(re.search(r"^Rss: +(\d+)", maps.read(), re.MULTILINE)[1]) * 1024

    def wake_ups(self):
        """Returns how often the threads that run now have slept."""
        woken = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status") as status:
                woken += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.MULTILINE)[1])
        return woken

    def stop(self, held):
        """Stops the server through its own call, while these connections are open.

        Returns the microseconds until the call returned, everything had ended, and all clients had seen it.
        """
        start = time.perf_counter()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        for stream in held:
            with contextlib.suppress(ConnectionResetError):
                stream.recv(1)
        seen = (time.perf_counter() - start) * 1e6
        called, gone = self.process.stdout.readline().split()
        return int(called), int(gone), seen
