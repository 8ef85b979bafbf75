"""The row of transfers: 256 MiB down and up."""

import os
import shutil
import tempfile

from client import pinned_client, took
from programs import SUBJECTS, TRANSFERS
from server import Server

SIZE = 256 << 20
PIECE = b"x" * 65536
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)


def transfer(name, run):
    """downloads and uploads of 256 MiB, from and to memory and files, with a length and chunked"""
    if name not in TRANSFERS:
        return
    with tempfile.TemporaryDirectory(dir=folder_in_memory()) as temp:
        path = f"{temp}/file"
        with open(path, "wb") as file:
            file.writelines([b"x" * (1 << 20)] * (SIZE >> 20))
        with Server(SUBJECTS[name], True, [path], transfer=True) as server, pinned_client():
            # Allocates the pages of the file.
            upload(server, "file", False)
            for line, call in ways(server):
                before = server.cpu()
                micros = took(call)
                yield f"256 MiB, {line}, CPU ms ↓", (server.cpu() - before) / 1000
                yield f"256 MiB, {line}, MB/s ↑", SIZE / micros


def ways(server):
    """Yields the eight ways, each with a call that transfers."""
    for chunked, ending in ((False, ""), (True, ", chunked")):
        for place in ("memory", "file"):
            target = f"{place}-chunked" if chunked else place
            yield f"download, {place}{ending}", lambda target=target: download(server, target)
    for chunked, ending in ((False, ""), (True, ", chunked")):
        for place in ("memory", "file"):
            yield f"upload, {place}{ending}", lambda to=place, how=chunked: upload(server, to, how)


def folder_in_memory():
    """Returns a folder whose files are in memory, if there is one with room."""
    if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 3 * SIZE:
        return "/dev/shm"
    return None


def download(server, target):
    buffer = bytearray(1 << 20)
    head = b""
    chunked = target.endswith("chunked")
    with server.connect() as stream:
        stream.sendall(f"GET /{target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"\r\n\r\n" not in head:
            head += stream.recv(4096) or b"\r\n\r\n"
        head, _, last = head.partition(b"\r\n\r\n")
        if b" 200 " not in head or (b"transfer-encoding: chunked" in head.lower()) != chunked:
            raise ConnectionError(f"a wrong response: {head[:200]}")
        total = len(last)
        while (not last.endswith(b"\r\n0\r\n\r\n")) if chunked else total < SIZE:
            n = stream.recv_into(buffer)
            if n == 0:
                break
            total += n
            last = (last + bytes(buffer[max(0, n - 7) : n]))[-7:]
    if total < SIZE:
        raise ConnectionError(f"{target}: only {total} bytes")


def upload(server, target, chunked):
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    with server.connect() as stream:
        stream.sendall(f"POST /{target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(SIZE // len(PIECE)):
            stream.sendall(CHUNK if chunked else PIECE)
        if chunked:
            stream.sendall(b"0\r\n\r\n")
        got = b""
        while str(SIZE).encode() not in got:
            more = stream.recv(65536)
            if not more:
                raise ConnectionError(f"a wrong response: {got[:200]}")
            got += more
