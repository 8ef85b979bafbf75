"""pipelining.py ADDRESS sends 1,001 requests before it reads a response. curl no longer supports that."""
import socket, sys

host, port = sys.argv[1].split(":")
with socket.create_connection((host, int(port)), timeout=20) as client:
    lengths = [n % 50 for n in range(1000)]
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    client.sendall(b"".join((head % n).encode() + b"x" * n for n in lengths) + last)
    answers = client.makefile("rb").read().decode()
got = [line for line in answers.splitlines() if " of " in line]
assert got == [f"POST of {n} bytes" for n in lengths] + ["GET of 0 bytes"], answers
assert answers.count("HTTP/1.1 200 OK\r\n") == 1001, answers
print("ok: 1,001 pipelined requests")
