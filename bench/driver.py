"""Measures the subjects row by row, in rounds in which each has its turn, and writes tables of what came.

Each function in ROWS is given the subject's running server and returns figures by name; the tables' lines are those
names. A figure that cannot be had (no such call, too few descriptors, a wrong answer) is left out.
"""

import argparse, contextlib, html, json, math, os, platform, re, resource, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(HERE, "target", "release")
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, CLIENT_CORES = CORES[: len(CORES) // 2] or CORES, CORES[len(CORES) // 2 :]

# What is started, and the feature that it is built with.
SUBJECTS = {
    "hardstop": (["hardstop"], "hardstop"),
    "bare": (["bare"], "bare"),
    "tiny_http": (["tiny_http"], "tiny_http"),
    "khttp": (["khttp"], "khttp"),
    "khttp-epoll": (["khttp", "epoll"], "khttp"),
    "http-net": (["http-net"], "http-net"),
    "hyper": (["hyper"], "hyper"),
    "axum-server": (["axum-server"], "axum-server"),
    "go": (["go"], None),
    "node": (["node"], None),
}
STOPS = ["hardstop", "bare", "axum-server", "go", "node"]
TRANSFERS = ["hardstop", "bare", "tiny_http", "khttp", "hyper", "go", "node"]  # http-net streams no response


class Server:
    """A subject that runs, on a port of its own, until the `with` is left."""

    def __init__(self, name, pinned=False, args=(), prefix=""):
        self.name, (words, _) = name, SUBJECTS[name]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        program = ["node", f"{HERE}/subjects/node.js"] if name == "node" else [f"{BIN}/{prefix}{words[0]}"]
        command = [*program, str(self.port), *words[1:], *args]
        if pinned:
            command = ["taskset", "-c", ",".join(map(str, SERVER_CORES)), *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.proc = f"/proc/{self.process.pid}"
        for _ in range(500):
            try:
                return self.connect().close()
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"{name} does not listen")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), 10)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def idle(self, count):
        """That many connections, each of which has had a response."""
        return [ask(self.connect()) for _ in range(count)]

    def cpu(self):
        """Microseconds that all its threads have used, those that have ended included."""
        with open(f"{self.proc}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def memory(self):
        with open(f"{self.proc}/smaps_rollup") as maps:
            return int(re.search(r"^Rss: +(\d+)", maps.read(), re.M)[1]) * 1024

    def quiet(self):
        """Microseconds of CPU and wake-ups of the threads that there are, finer than `cpu`."""
        used = woken = 0
        for task in os.listdir(f"{self.proc}/task"):
            with open(f"{self.proc}/task/{task}/schedstat") as times:
                used += int(times.read().split()[0]) / 1000
            with open(f"{self.proc}/task/{task}/status") as status:
                woken += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])
        return used, woken

    def stop(self, held):
        """Microseconds of the call, until everything has ended, and until all clients have seen it."""
        start = time.perf_counter()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        for stream in held:
            with contextlib.suppress(ConnectionResetError):
                stream.recv(1)
        seen = (time.perf_counter() - start) * 1e6
        return [*map(int, self.process.stdout.readline().split()), seen]


def ask(stream, request=REQUEST, answers=1):
    """Sends the request and reads that many answers, which must be right."""
    stream.sendall(request)
    got = b""
    while got.count(b"Hello world!") < answers:
        piece = stream.recv(65536)
        if not piece:
            raise ConnectionError("the answer ended early")
        got += piece
    if not got.startswith(b"HTTP/1.1 200 OK\r\n") or got.count(b"HTTP/1.1 200") != answers:
        raise ConnectionError(f"a wrong answer: {got[:200]}")
    return stream


def took(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def quantiles(times):
    times = sorted(times)
    return times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]


def wrk(server, connections, pinned, *options):
    """Requests a second, and the server's CPU for each."""
    threads = min(connections, len(CLIENT_CORES if pinned else CORES))
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{OPTIONS.seconds}", *options]
    if pinned:
        command = ["taskset", "-c", ",".join(map(str, CLIENT_CORES)), *command]
    before = server.cpu()
    url = f"http://127.0.0.1:{server.port}/hello"
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    used = server.cpu() - before
    if wrong := re.search(r"(?:Non-2xx|Socket errors).*", said):
        NOTES.append(f"{server.name}, wrk with {connections} connections: {wrong[0].strip()}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    return float(re.search(r"Requests/sec: +([\d.]+)", said)[1]), used / max(requests, 1)


def kept(name):
    """requests a second on connections that are kept alive"""
    for pinned in (True, False):
        how = "pinned" if pinned else "unpinned"
        for connections in (1, 16, 64, 256):
            with Server(name, pinned) as server:
                ask(server.connect()).close()
                rate, cpu = wrk(server, connections, pinned)
            yield f"kept alive, {how}, connections: {connections}, requests/s ↑", rate
            yield f"kept alive, {how}, connections: {connections}, CPU µs per request ↓", cpu


def pipelined(name):
    """16 requests in one write"""
    with Server(name, True) as server:
        ask(server.connect(), REQUEST * 16, 16).close()
        rate, cpu = wrk(server, 16, True, "-s", f"{HERE}/pipelined.lua")
    yield "pipelined, 16 deep, 16 connections, requests/s ↑", rate
    yield "pipelined, 16 deep, 16 connections, CPU µs per request ↓", cpu


def churn(name):
    """a connection for each request"""
    with Server(name, True, ["once"] if name == "bare" else []) as server:
        rate, cpu = wrk(server, 16, True, "-H", "Connection: close")
    yield "a connection per request, 16 at a time, requests/s ↑", rate
    yield "a connection per request, 16 at a time, CPU µs per request ↓", cpu


def memory(name):
    """resident memory of idle connections"""
    for count in COUNTS[2:]:
        with Server(name) as server:
            server.idle(10)
            before = server.memory()
            held = server.idle(count)
            yield f"memory of one of {count} idle connections, bytes ↓", (server.memory() - before) / count
            del held


def silent(name):
    """an ordinary request while others are held that say nothing"""
    for count in COUNTS:
        with Server(name) as server:
            held = [server.connect() for _ in range(count)]
            stream = ask(server.connect())
            times = [took(lambda: ask(stream)) for _ in range(500)]
            yield f"a request beside {count} silent connections, p50 µs ↓", quantiles(times)[0]
            yield f"a request beside {count} silent connections, p99 µs ↓", quantiles(times)[1]
            del held


def stop(name):
    """a stop call that cuts idle connections"""
    for count in COUNTS if name in STOPS else []:
        with Server(name) as server:
            held = server.idle(count)
            cut, gone, seen = server.stop(held)
            yield f"stop with {count} idle connections, call returns, µs ↓", cut
            yield f"stop with {count} idle connections, all have ended, µs ↓", gone
            yield f"stop with {count} idle connections, all clients have seen it, µs ↓", seen


def size(name):
    """the program, the crates in its tree, and its build from nothing"""
    feature = SUBJECTS[name][1]
    if feature is None or name == "khttp-epoll":
        return
    with tempfile.TemporaryDirectory() as temp:
        stripped = f"{temp}/stripped"
        subprocess.run(["strip", "-o", stripped, f"{BIN}/{feature}"], check=True)
        yield "size of hello, stripped, bytes ↓", os.path.getsize(stripped)
        tree = ["cargo", "tree", "--locked", "--features", feature, "--prefix", "none", "--edges", "normal"]
        crates = {line.split()[0] for line in output(*tree).splitlines()}
        yield "crates in the tree ↓", len(crates) - 1  # without the bench itself
        yield "cold build, s ↓", took(lambda: build(feature, temp)) / 1e6


def transfer(name):
    """256 MiB up and down"""
    if name not in TRANSFERS:
        return
    size, piece = 256 << 20, b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as temp:
        path, prefix = f"{temp}/file", "" if name in ("go", "node") else "transfer-"
        with open(path, "wb") as file:
            file.writelines([b"x" * (1 << 20)] * 256)
        with Server(name, True, [path], prefix) as server, pinned_client():
            for target in ("memory", "memory-chunked", "file", "file-chunked"):
                seconds = took(lambda: download(server, target, size)) / 1e6
                yield f"download of 256 MiB, {target}, MB/s ↑", size / 1e6 / seconds
            for target in ("memory", "file"):
                seconds = took(lambda: upload(server, target, f"Content-Length: {size}", b"x" * 65536, size)) / 1e6
                yield f"upload of 256 MiB, {target}, MB/s ↑", size / 1e6 / seconds
                seconds = took(lambda: upload(server, target, "Transfer-Encoding: chunked", piece, size)) / 1e6
                yield f"upload of 256 MiB, {target}-chunked, MB/s ↑", size / 1e6 / seconds


@contextlib.contextmanager
def pinned_client():
    os.sched_setaffinity(0, CLIENT_CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def download(server, target, size):
    buffer, head, chunked = bytearray(1 << 20), b"", target.endswith("chunked")
    with server.connect() as stream:
        stream.sendall(f"GET /{target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"\r\n\r\n" not in head:
            head += stream.recv(4096) or b"\r\n\r\n"
        head, _, last = head.partition(b"\r\n\r\n")
        if b" 200 " not in head or (b"transfer-encoding: chunked" in head.lower()) != chunked:
            raise ConnectionError(f"a wrong answer: {head[:200]}")
        total = len(last)
        while (not last.endswith(b"\r\n0\r\n\r\n")) if chunked else total < size:
            n = stream.recv_into(buffer)
            if n == 0:
                break
            total += n
            last = (last + bytes(buffer[max(0, n - 7) : n]))[-7:]
    if total < size:
        raise ConnectionError(f"{target}: only {total} bytes")


def upload(server, target, framing, piece, size):
    with server.connect() as stream:
        stream.sendall(f"POST /{target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(size // 65536):
            stream.sendall(piece)
        if "chunked" in framing:
            stream.sendall(b"0\r\n\r\n")
        got = b""
        while str(size).encode() not in got:
            more = stream.recv(65536)
            if not more:
                raise ConnectionError(f"a wrong answer: {got[:200]}")
            got += more


ROWS = [kept, pipelined, churn, memory, silent, transfer, stop, size]


def together(names, wait, each):
    """Starts all, waits, and measures each in turn: for what takes time in which nothing happens."""
    servers = {}
    try:
        for name in names:
            servers[name] = Server(name)
            ask(servers[name].connect()).close()
        for _ in range(OPTIONS.rounds):
            yield from each(servers, wait)
    finally:
        for server in servers.values():
            server.__exit__()


def first(names):
    """a new connection's request after 2 s in which nobody came"""

    def each(servers, wait):
        times = {name: [] for name in servers}
        for _ in range(OPTIONS.idle_samples):
            time.sleep(wait)
            for name, server in servers.items():
                times[name].append(took(lambda: ask(server.connect()).close()))
        for name in servers:
            yield name, "first request after 2 s of idleness, p50 µs ↓", quantiles(times[name])[0]
            yield name, "first request after 2 s of idleness, p99 µs ↓", quantiles(times[name])[1]

    return together(names, 2, each)


def idle(names):
    """CPU and wake-ups of a server that nobody asks"""

    def each(servers, wait):
        before = {name: server.quiet() for name, server in servers.items()}
        time.sleep(wait)
        for name, server in servers.items():
            # A thread that has ended meanwhile takes its past along: less than nothing is nothing.
            used, woken = (max(now - then, 0) for now, then in zip(server.quiet(), before[name]))
            yield name, "CPU in 5 s of idleness, µs ↓", used
            yield name, "wake-ups a second while idle ↓", woken / wait

    return together(names, 5, each)


WAITING = [first, idle]


def output(*command, missing="–"):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return missing


def build(feature, target, prefix=""):
    command = ["cargo", "build", "-q", "--locked", "--release", "--features", feature, "--bin", prefix + feature]
    subprocess.run([*command, "--target-dir", target], check=True, cwd=HERE)


def prepare(names):
    """Builds the programs, and returns the names of those that there are."""
    ready = []
    for name in names:
        feature = SUBJECTS[name][1]
        if feature:
            build(feature, f"{HERE}/target")
            if name in TRANSFERS:
                build(feature, f"{HERE}/target", "transfer-")
        elif not shutil.which(name):
            print(f"{name} is not installed, and left out")
            continue
        elif name == "go":
            subprocess.run(["go", "build", "-o", f"{BIN}/go", f"{HERE}/subjects/go.go"], check=True)
        ready.append(name)
    return ready


def measure(names, rows):
    figures = {}  # by line, by subject: one for each round

    def note(name, line, figure):
        figures.setdefault(line, {}).setdefault(name, []).append(figure)

    for row in rows:
        if row in WAITING:
            print(row.__name__, flush=True)
            for found in row([name for name in names if name != "axum-server"]):
                note(*found)
            continue
        for turn in range(OPTIONS.rounds):
            print(row.__name__, f"{turn + 1} of {OPTIONS.rounds}", flush=True)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                if name == "axum-server" and row is not stop:
                    continue
                try:
                    for line, figure in row(name):
                        note(name, line, figure)
                except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
                    NOTES.append(f"{name}, {row.__name__}: ended early, {error}")
    return figures


def short(figure):
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:,.0f}"


def tables(found):
    names, figures = found["names"], found["figures"]
    head = ["| |" + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    ratios, medians = list(head), list(head)
    for line, by_name in figures.items():
        middle = {name: statistics.median(by_name[name]) for name in by_name}
        ours = middle.get("hardstop")
        cells = [f"{middle[name] / ours:.2f}" if name in middle and ours else "–" for name in names]
        ratios.append(f"| {line} | " + " | ".join(cells) + " |")
        cells = [
            f"{short(middle[name])} ({short(min(by_name[name]))}–{short(max(by_name[name]))})" if name in middle else "–"
            for name in names
        ]
        medians.append(f"| {line} | " + " | ".join(cells) + " |")
    parts = [
        "# What was measured",
        "Written by `bench/run`. ↑: more is better; ↓: less is better.",
        "\n".join(f"- {fact}" for fact in found["facts"]),
        "## Ratios of medians (hardstop = 1.00)",
        "\n".join(ratios),
        f"## Medians of {found['rounds']} rounds (least–most)",
        "\n".join(medians),
    ]
    if found["notes"]:
        parts += ["## What went wrong", "\n".join(f"- {note}" for note in dict.fromkeys(found["notes"]))]
    return "\n\n".join(parts) + "\n"


COLOURS = "#d33 #888 #27a #2a5 #7c4 #a6c #e90 #b73 #0ab #262".split()


def plots(found, folder):
    """Of each line that was measured with several numbers of connections: how it grows with them, on two logarithmic axes."""
    families = {}
    for line, by_name in found["figures"].items():
        if number := re.search(r"\b(\d+) (?:idle|silent) connections|connections: (\d+)", line):
            count = number[1] or number[2]
            title = line.replace(number[0], number[0].replace(count, "N"))
            for name, figures in by_name.items():
                middle = max(statistics.median(figures), 1e-3)
                families.setdefault(title, {}).setdefault(name, []).append((int(count), middle))
    for title, series in families.items():
        if max(map(len, series.values())) > 1:
            slug = re.sub(r"[^a-z0-9]+", "-", title.lower().replace("µ", "u")).strip("-")
            with open(f"{folder}/{slug}.svg", "w") as svg:
                svg.write(plot(title, series, found["names"]))


def plot(title, series, names):
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys) * 1.001))
    across = lambda x: 70 + 480 * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])
    down = lambda y: 340 - 300 * (math.log10(y) - low) / (high - low)
    text = lambda x, y, said, more="": f'<text x="{x:.0f}" y="{y:.0f}" {more}>{html.escape(said)}</text>'
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 370" font-family="sans-serif" font-size="12">']
    parts += ['<rect width="700" height="370" fill="#fff"/>', text(70, 22, title, 'font-size="14"')]
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<path d="M70 {y:.0f}H550" stroke="#ddd"/>' + text(64, y + 4, f"{10.0**power:,.12g}", 'text-anchor="end"'))
    parts += [text(across(x), 358, f"{x:,}", 'text-anchor="middle"') for x in xs]
    for place, name in enumerate(name for name in names if name in series):
        colour = COLOURS[names.index(name) % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in sorted(series[name]))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(565, 50 + 18 * place, name, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>"]) + "\n"


def facts():
    with open("/proc/cpuinfo") as info:
        cpu = re.search(r"^model name\s*: (.*)", info.read(), re.M)
    crates = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', open(f"{HERE}/Cargo.lock").read()))
    dirty = " and changes" if output("git", "status", "--porcelain", "--", "../src", ".", missing="") else ""
    peers = ["tiny_http", "khttp", "http-net", "hyper", "tokio", "axum-server"]
    return [
        f"machine: {cpu[1] if cpu else platform.machine()}, {len(CORES)} cores, {platform.system()} {platform.release()}",
        f"commit: {output('git', 'rev-parse', '--short', 'HEAD')}{dirty}",
        f"pinned: server on cores {SERVER_CORES}, client on cores {CLIENT_CORES}",
        "versions: " + ", ".join(f"{name} {crates.get(name)}" for name in peers),
        ", ".join(filter(None, [output("rustc", "-V"), output("go", "version", missing=""), "node " + output("node", "-v")])),
        f"{OPTIONS.rounds} rounds, {OPTIONS.seconds} s for each run of wrk",
    ]


def main():
    global OPTIONS, COUNTS
    rows = {row.__name__: row for row in [*ROWS[:3], *WAITING, *ROWS[3:]]}
    parser = argparse.ArgumentParser(
        description="Rows: " + "; ".join(f"{name}: {row.__doc__}" for name, row in rows.items())
    )
    parser.add_argument("--rows", default=",".join(rows), help="with commas between; all unless given")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="the same")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each run of wrk")
    parser.add_argument("--most", type=int, default=10_000, help="connections that are held")
    parser.add_argument("--idle-samples", type=int, default=20, help="first requests in each round")
    parser.add_argument("--output", default=f"{HERE}/RESULTS.md")
    OPTIONS = parser.parse_args()

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = min(OPTIONS.most, (hard - 100) // 2 if hard > 0 else OPTIONS.most)  # hardstop takes two for each
    COUNTS = [count for count in (1, 100, 1000, 5000, 10_000) if count <= most]

    names = prepare(OPTIONS.subjects.split(","))
    figures = measure(names, [rows[row] for row in OPTIONS.rows.split(",")])
    found = {"names": names, "figures": figures, "facts": facts(), "rounds": OPTIONS.rounds, "notes": NOTES}
    with open(f"{HERE}/results.json", "w") as raw:
        json.dump(found, raw, indent=1)
    with open(OPTIONS.output, "w") as page:
        page.write(tables(found))
    plots(found, os.path.dirname(os.path.abspath(OPTIONS.output)))
    print(f"written to {OPTIONS.output}")


NOTES = []
main()
