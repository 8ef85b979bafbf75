"""Measures the subjects row by row, in rounds in which they take turns, and writes tables of the results.

Each function in ROWS takes the name of a subject and yields lines of the tables with their figures. A figure that is not
available (no such call, too few descriptors, a wrong response) is left out, and the page reports that.
"""

import argparse, contextlib, html, json, math, os, platform, re, resource, shutil, socket, statistics, subprocess
import sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(HERE, "target", "release")
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, CLIENT_CORES = CORES[: len(CORES) // 2] or CORES, CORES[len(CORES) // 2 :]

# The command of each subject, and the cargo feature that builds it.
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
STOPS = ["hardstop", "bare", "axum-server", "go", "node"]  # the stop calls of the others leave idle connections open
STOP_ONLY = ["axum-server"]  # in every other row it would measure hyper again
TRANSFERS = ["hardstop", "bare", "tiny_http", "khttp", "http-net", "hyper", "go", "node"]
SIZE = 256 << 20

# The targets for hardstop: a pattern of lines, and the minimum or maximum ratio of its figure to that of a group of
# subjects, of which the best one counts.
GROUPS = {name: [name] for name in SUBJECTS}
GROUPS["synchronous peer"] = ["tiny_http", "khttp", "khttp-epoll", "http-net"]
GROUPS["peer"] = [*GROUPS["synchronous peer"], "hyper", "go", "node"]
ASKED = [
    (r"kept alive, .*: 1, requests", [("≥", 0.97, "bare"), ("≥", 1.10, "hyper"), ("≥", 1, "synchronous peer")]),
    (
        r"kept alive, .*requests",
        [("≥", 0.95, "bare"), ("≥", 1.05, "synchronous peer"), ("≥", 0.95, "hyper", "the moonshot")],
    ),
    (r"pipelined, .*requests/s", [("≥", 1.5, "peer")]),
    (r"a connection per request, .*requests/s", [("≥", 1, "peer")]),
    (r"first request .*p50", [("≤", 1.10, "bare")]),
    (r"wake-ups", [("≤", 1, None)]),
    (r"memory of one of 1000 ", [("≤", 1.1, "bare"), ("≤", 1, "hyper", "the moonshot")]),
    (r"256 MiB", [("≥", 0.95, "bare"), ("≥", 1, "peer")]),
    (r"stop with 1000 .*call returns", [("≤", 1.2, "bare"), ("≤", 0.6, "go")]),
    (r"size of hello", [("over", 80 << 10, "bare")]),
    (r"cold build", [("≤", 0.7, "tiny_http")]),
]


class Server:
    """A running subject with a port of its own, which is stopped when its `with` block ends."""

    def __init__(self, name, pinned=False, args=(), prefix=""):
        self.name, self.warm, (words, _) = name, False, SUBJECTS[name]
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
        raise RuntimeError(f"{name} does not accept connections")

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
        """Returns that many connections, each of which has received a response."""
        return [ask(self.connect()) for _ in range(count)]

    def cpu(self):
        """Returns the CPU time of all threads in microseconds, including threads that have ended."""
        with open(f"{self.proc}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def memory(self):
        with open(f"{self.proc}/smaps_rollup") as maps:
            return int(re.search(r"^Rss: +(\d+)", maps.read(), re.M)[1]) * 1024

    def quiet(self):
        """Returns the CPU time in microseconds, more finely than `cpu`, and the wake-ups of the current threads."""
        used = woken = 0
        for task in os.listdir(f"{self.proc}/task"):
            with open(f"{self.proc}/task/{task}/schedstat") as times:
                used += int(times.read().split()[0]) / 1000
            with open(f"{self.proc}/task/{task}/status") as status:
                woken += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])
        return used, woken

    def stop(self, held):
        """Returns the microseconds until the call returns, everything has ended, and all clients have seen it."""
        start = time.perf_counter()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        for stream in held:
            with contextlib.suppress(ConnectionResetError):
                stream.recv(1)
        seen = (time.perf_counter() - start) * 1e6
        return [*map(int, self.process.stdout.readline().split()), seen]


def ask(stream, request=REQUEST, answers=1):
    """Sends the request, reads that many responses and checks them."""
    stream.sendall(request)
    got = b""
    while got.count(b"Hello world!") < answers:
        piece = stream.recv(65536)
        if not piece:
            raise ConnectionError("the response ended early")
        got += piece
    if not got.startswith(b"HTTP/1.1 200 OK\r\n") or got.count(b"HTTP/1.1 200") != answers:
        raise ConnectionError(f"a wrong response: {got[:200]}")
    return stream


def took(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def quantiles(times):
    times = sorted(times)
    return times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]


def wrk(server, connections, pinned, *options):
    """Warms the server up, then returns its requests a second and its CPU time per request."""
    threads = min(connections, len(CLIENT_CORES if pinned else CORES))
    command = ["wrk", f"-t{threads}", f"-c{connections}", *options, f"http://127.0.0.1:{server.port}/hello"]
    if pinned:
        command = ["taskset", "-c", ",".join(map(str, CLIENT_CORES)), *command]
    if not server.warm:
        output(*command, "-d1")
        server.warm = True
    before = server.cpu()
    said = subprocess.run([*command, f"-d{OPTIONS.seconds}"], check=True, capture_output=True, text=True).stdout
    used = server.cpu() - before
    if wrong := re.search(r"(?:Non-2xx|Socket errors).*", said):
        NOTES.append(f"{server.name}, wrk with {connections} connections: {wrong[0].strip()}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    return float(re.search(r"Requests/sec: +([\d.]+)", said)[1]), used / max(requests, 1)


def kept(name):
    """requests a second over keep-alive connections"""
    for pinned, how in ((True, "pinned"), (False, "unpinned")):
        with Server(name, pinned) as server:
            ask(server.connect()).close()
            for count in (1, 16, 64, 256):
                rate, cpu = wrk(server, count, pinned)
                yield f"kept alive, {how}, connections: {count}, requests/s ↑", rate
                yield f"kept alive, {how}, connections: {count}, CPU µs per request ↓", cpu


def pipelined(name):
    """16 requests in one write"""
    with Server(name, True) as server:
        ask(server.connect(), REQUEST * 16, 16).close()
        rate, cpu = wrk(server, 16, True, "-s", f"{HERE}/pipelined.lua")
    yield "pipelined, 16 deep, 16 connections, requests/s ↑", rate
    yield "pipelined, 16 deep, 16 connections, CPU µs per request ↓", cpu


def churn(name):
    """one connection per request"""
    with Server(name, True, ["once"] if name == "bare" else []) as server:
        rate, cpu = wrk(server, 16, True, "-H", "Connection: close")
    yield "a connection per request, 16 at a time, requests/s ↑", rate
    yield "a connection per request, 16 at a time, CPU µs per request ↓", cpu


def silent(name):
    """a request beside silent connections"""
    with Server(name, True) as server, pinned_client():
        held, stream = [], ask(server.connect())
        for count in COUNTS:
            while len(held) < count:
                held.append(server.connect())
                if len(held) % 64 == 0:
                    # A response means that earlier connections are accepted, so the accept queue does not overflow.
                    ask(server.connect()).close()
            times = [took(lambda: ask(stream)) for _ in range(600)][100:]
            yield f"a request beside {count} silent connections, p50 µs ↓", quantiles(times)[0]
            yield f"a request beside {count} silent connections, p99 µs ↓", quantiles(times)[1]


def idle(name):
    """the memory of idle connections, and a stop call that cuts them"""
    few = [count for count in COUNTS if count < 5000]
    many = [count for count in COUNTS if count >= min(1000, COUNTS[-1])]
    for count in [*few, *few, *COUNTS] if name in STOPS else many:
        with Server(name) as server:
            server.idle(10)
            before = server.memory()
            held = server.idle(count)
            if count in many:
                yield f"memory of one of {count} idle connections, bytes ↓", (server.memory() - before) / count
            if name in STOPS:
                cut, gone, seen = server.stop(held)
                yield f"stop with {count} idle connections, call returns, µs ↓", cut
                yield f"stop with {count} idle connections, all clients have seen it, µs ↓", seen
                yield f"stop with {count} idle connections, all have ended, µs ↓", gone
            del held


def size(name):
    """the size of the program, the crates in its tree, and a cold build, in three rounds"""
    feature = SUBJECTS[name][1]
    if feature is None or name == "khttp-epoll":
        return
    with tempfile.TemporaryDirectory() as temp:
        stripped = f"{temp}/stripped"
        subprocess.run(["strip", "-o", stripped, f"{BIN}/{feature}"], check=True)
        yield "size of hello, stripped, bytes ↓", os.path.getsize(stripped)
        tree = ["cargo", "tree", "--locked", "--features", feature, "--prefix", "none", "--edges", "normal"]
        crates = {line.split()[0] for line in output(*tree).splitlines()}
        yield "crates in the tree ↓", len(crates) - 1  # without the benchmark itself
        yield "cold build, s ↓", took(lambda: build(feature, temp)) / 1e6


def transfer(name):
    """downloads and uploads of 256 MiB"""
    if name not in TRANSFERS:
        return
    piece = b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    has_room = os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 3 * SIZE
    with tempfile.TemporaryDirectory(dir="/dev/shm" if has_room else None) as temp:
        path, prefix = f"{temp}/file", "" if name in ("go", "node") else "transfer-"
        with open(path, "wb") as file:
            file.writelines([b"x" * (1 << 20)] * (SIZE >> 20))
        with Server(name, True, [path], prefix) as server, pinned_client():
            down = lambda target: download(server, target)
            fixed = lambda target: upload(server, target, f"Content-Length: {SIZE}", b"x" * 65536)
            chunked = lambda target: upload(server, target, "Transfer-Encoding: chunked", piece)
            runs = [(f"download, {target}", down, target) for target in ("memory", "file")]
            runs += [(f"download, {target}, chunked", down, f"{target}-chunked") for target in ("memory", "file")]
            runs += [(f"upload, {target}", fixed, target) for target in ("memory", "file")]
            runs += [(f"upload, {target}, chunked", chunked, target) for target in ("memory", "file")]
            fixed("file")  # allocates the pages of the file
            for line, call, target in runs:
                yield f"256 MiB, {line}, MB/s ↑", SIZE / took(lambda: call(target))


@contextlib.contextmanager
def pinned_client():
    os.sched_setaffinity(0, CLIENT_CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def download(server, target):
    buffer, head, chunked = bytearray(1 << 20), b"", target.endswith("chunked")
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


def upload(server, target, framing, piece):
    with server.connect() as stream:
        stream.sendall(f"POST /{target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(SIZE // 65536):
            stream.sendall(piece)
        if "chunked" in framing:
            stream.sendall(b"0\r\n\r\n")
        got = b""
        while str(SIZE).encode() not in got:
            more = stream.recv(65536)
            if not more:
                raise ConnectionError(f"a wrong response: {got[:200]}")
            got += more


def together(names, seconds, what):
    """Starts all subjects. In each round, `what` measures them after the given time without requests."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Server(name, True)) for name in names if name not in STOP_ONLY}
        stack.enter_context(pinned_client())
        for server in servers.values():
            ask(server.connect()).close()
        for _ in range(OPTIONS.rounds):
            yield from what(servers, seconds)


def first(names):
    """the first request over a new connection after 2 s without requests"""

    def each(servers, seconds):
        times = {name: [] for name in servers}
        for _ in range(OPTIONS.samples):
            for name, server in servers.items():
                time.sleep(seconds / len(servers))  # so that each follows the same idle time
                times[name].append(took(lambda: ask(server.connect()).close()))
        for name in servers:
            yield name, f"first request after {seconds} s of idleness, p50 µs ↓", quantiles(times[name])[0]
            yield name, f"first request after {seconds} s of idleness, p99 µs ↓", quantiles(times[name])[1]

    return together(names, 2, each)


def quiet(names):
    """CPU time and wake-ups of an idle server"""

    def each(servers, seconds):
        before = {name: server.quiet() for name, server in servers.items()}
        time.sleep(seconds)
        for name, server in servers.items():
            # A thread that has ended no longer counts, so a difference may be negative: treat it as zero.
            used, woken = (max(now - then, 0) for now, then in zip(server.quiet(), before[name]))
            yield name, f"CPU in {seconds} s of idleness, µs ↓", used
            yield name, "wake-ups a second while idle ↓", woken / seconds

    return together(names, 5, each)


WAITING = [first, quiet]  # measured with all subjects running
ROWS = [kept, pipelined, churn, *WAITING, silent, idle, transfer, size]  # builds come last: they heat the machine


def output(*command, missing="–"):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return missing


def build(feature, target, prefix=""):
    command = ["cargo", "build", "-q", "--locked", "--release", "--features", feature, "--bin", prefix + feature]
    subprocess.run([*command, "--target-dir", target], check=True, cwd=HERE)


def prepare(names):
    """Builds the programs and returns the names of the available subjects."""
    ready = []
    for name in names:
        feature = SUBJECTS[name][1]
        if feature:
            build(feature, f"{HERE}/target")
            if name in TRANSFERS:
                build(feature, f"{HERE}/target", "transfer-")
        elif not shutil.which(name):
            print(f"{name} is not installed and is left out")
            continue
        elif name == "go":
            subprocess.run(["go", "build", "-o", f"{BIN}/go", f"{HERE}/subjects/go.go"], check=True)
        ready.append(name)
    return ready


def measure(names, rows):
    figures = {}  # by line, by subject: one or more for each round

    def note(name, line, figure):
        figures.setdefault(line, {}).setdefault(name, []).append(figure)

    for row in rows:
        print(f"{time.strftime('%H:%M:%S')} {row.__name__}", flush=True)
        if row in WAITING:
            for found in row(names):
                note(*found)
            continue
        for turn in range(min(OPTIONS.rounds, 3) if row is size else OPTIONS.rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                if name in STOP_ONLY and row is not idle:
                    continue
                try:
                    for line, figure in row(name):
                        note(name, line, figure)
                except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
                    NOTES.append(f"{name}, {row.__name__}: ended early, {error}")
    return figures


def short(figure):
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:,.0f}"


def asked(medians):
    """Yields the rows of the table of targets, each with its result."""
    for line, middle in medians.items():
        wanted = next((wanted for pattern, wanted in ASKED if re.match(pattern, line)), [])
        for how, limit, group, *more in wanted if "hardstop" in middle else []:
            ours, others = middle["hardstop"], [name for name in GROUPS.get(group, []) if name in middle]
            if group and not others:
                continue
            best = (max if how == "≥" else min)(others, key=middle.get, default=None)
            who = f"of {best}, the best {group}" if group in ("peer", "synchronous peer") else f"of {best}"
            if how == "over":
                came, want = (ours - middle[best]) / 1024, f"≤ {limit >> 10} KiB more than {best}"
                reached, came = came * 1024 <= limit, f"{came:.1f} KiB"
            else:
                came = ours / middle[best] if best else ours
                want = f"{how} {limit:.2f} {who}" if best else f"{how} {limit}"
                reached, came = came >= limit if how == "≥" else came <= limit, f"{came:.2f}"
            want += "".join(f" ({each})" for each in more)
            yield f"| {line} | {want} | {came} | {'yes' if reached else '**no**'} |"


def tables(found):
    names, figures = found["names"], found["figures"]
    medians = {line: {name: statistics.median(by_name[name]) for name in by_name} for line, by_name in figures.items()}
    head = ["| |" + "|".join(f" {name} " for name in names) + "|", "|---|" + "--:|" * len(names)]
    ratios, ranges = list(head), list(head)
    for line, by_name in figures.items():
        middle, ours = medians[line], medians[line].get("hardstop")
        cells = [f"{middle[name] / ours:.2f}" if name in middle and ours else "–" for name in names]
        ratios.append(f"| {line} | " + " | ".join(cells) + " |")
        span = lambda values: f"{short(statistics.median(values))} ({short(min(values))}–{short(max(values))})"
        cells = [span(by_name[name]) if name in by_name else "–" for name in names]
        ranges.append(f"| {line} | " + " | ".join(cells) + " |")
    wanted = list(asked(medians))
    reached = sum(row.endswith(" yes |") for row in wanted)
    parts = [
        "# Results",
        "Written by `bench/run`. ↑: more is better; ↓: less is better. Plots by the number of connections are in [plots](plots).",
        "\n".join(f"- {fact}" for fact in found["facts"]),
        "## Targets",
        f"{reached} of {len(wanted)} are met. Each is the ratio of hardstop's median to the other's.",
        "\n".join(["| | target | result | met |", "|---|---|--:|---|", *wanted]),
        "## Ratios of medians (hardstop = 1.00)",
        "\n".join(ratios),
        "## Medians (minimum–maximum)",
        "\n".join(ranges),
    ]
    if found["notes"]:
        parts += ["## Problems", "\n".join(f"- {note}" for note in dict.fromkeys(found["notes"]))]
    return "\n\n".join(parts) + "\n"


COLOURS = "#d33 #888 #27a #2a5 #7c4 #a6c #e90 #b73 #0ab #262".split()
PLOTS = {  # lines that differ only in the number N of connections
    "requests": r"kept alive, pinned, connections: (\d+), requests/s ↑",
    "cpu": r"kept alive, pinned, connections: (\d+), CPU µs per request ↓",
    "memory": r"memory of one of (\d+) idle connections, bytes ↓",
    "beside-silent": r"a request beside (\d+) silent connections, p50 µs ↓",
    "stop-call": r"stop with (\d+) idle connections, call returns, µs ↓",
    "stop-ended": r"stop with (\d+) idle connections, all have ended, µs ↓",
}


def plots(found, folder):
    """Plots some figures by the number of connections, on a logarithmic axis."""
    os.makedirs(folder, exist_ok=True)
    for slug, pattern in PLOTS.items():
        series = {}
        for line, by_name in found["figures"].items():
            if number := re.fullmatch(pattern, line):
                for name, figures in by_name.items():
                    middle = max(statistics.median(figures), 1e-3)
                    series.setdefault(name, []).append((int(number[1]), middle))
        if max(map(len, series.values()), default=0) > 1:
            with open(f"{folder}/{slug}.svg", "w") as svg:
                svg.write(plot(pattern.replace(r"(\d+)", "N"), series, found["names"]))


def plot(title, series, names):
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    if max(ys) < 100 * min(ys):  # from zero, in four to ten steps
        step = 10 ** math.floor(math.log10(max(ys)))
        step /= 5 if max(ys) < 2 * step else 2 if max(ys) < 5 * step else 1
        ticks = [step * n for n in range(math.ceil(max(ys) / step) + 1)]
        up = lambda y: y / ticks[-1]
    else:
        low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
        ticks = [10.0**power for power in range(low, high + 1)]
        up = lambda y: (math.log10(y) - low) / (high - low)
    across = lambda x: 80 + 470 * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])
    down = lambda y: 340 - 300 * up(y)
    text = lambda x, y, said, more: f'<text x="{x:.0f}" y="{y:.0f}" {more}>{html.escape(said)}</text>'
    # A white background keeps the plot readable on a dark page.
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 370" font-family="sans-serif" font-size="12">']
    parts += ['<rect width="700" height="370" rx="6" fill="#fff"/>', text(80, 22, title, 'font-size="14"')]
    for tick in ticks:
        parts.append(f'<path d="M80 {down(tick):.0f}H550" stroke="#ddd"/>')
        parts.append(text(74, down(tick) + 4, f"{tick:,.12g}", 'text-anchor="end"'))
    for x in (x for x, after in zip(xs, [*xs[1:], math.inf]) if after == math.inf or across(after) - across(x) > 40):
        parts.append(text(across(x), 358, f"{x:,}", 'text-anchor="middle"'))
    for place, name in enumerate(name for name in names if name in series):
        colour = COLOURS[names.index(name) % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in sorted(series[name]))
        dots = "".join(f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3"/>' for x, y in series[name])
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<g fill="{colour}">{dots}{text(565, 50 + 18 * place, name, "")}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def facts():
    with open("/proc/cpuinfo") as info:
        cpu = re.search(r"^model name\s*: (.*)", info.read(), re.M)
    with open(f"{HERE}/Cargo.lock") as lock:
        crates = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', lock.read()))
    dirty = " with uncommitted changes" if output("git", "status", "--porcelain", "--", "../src", ".", missing="") else ""
    peers = ["tiny_http", "khttp", "http-net", "hyper", "tokio", "axum-server"]
    tools = [output("rustc", "-V"), output("go", "version", missing=""), "node " + output("node", "-v")]
    return [
        f"machine: {cpu[1] if cpu else platform.machine()}, {len(CORES)} cores, {platform.system()} {platform.release()};"
        f" load at the start: {os.getloadavg()[0]:.2f}",
        f"commit: {output('git', 'rev-parse', '--short', 'HEAD')}{dirty}",
        "versions: " + ", ".join([*(f"{name} {crates.get(name)}" for name in peers), *filter(None, tools)]),
        f"{OPTIONS.rounds} rounds, in which the subjects take turns and a different one begins each time; at most 3 rounds"
        f" of the cold build; {OPTIONS.seconds} s for each run of wrk, after 1 s to warm up",
        f"pinned: server on cores {SERVER_CORES}, client on cores {CLIENT_CORES}; the same for transfers and single requests",
        "unpinned, with one connection: the system runs client and server on one core or on two by chance, so the"
        " figures fall into two groups",
        f"at most {COUNTS[-1]:,} connections"
        + (f": a process may have {LIMIT:,} descriptors here, and hardstop uses two per connection" * (COUNTS[-1] < 10_000)),
        "a stop: the call is `destroy`, a loop of `shutdown`, `Close`, `closeAllConnections`, `shutdown`; all have ended"
        " when the threads (hardstop, bare), the goroutines (go) or the connections (the others) are gone",
        "bare: accept, a thread, read until a blank line, a fixed answer; no parsing, no limits, no timeouts",
    ]


def main():
    global OPTIONS, COUNTS, LIMIT
    rows = {row.__name__: row for row in ROWS}
    described = "; ".join(f"{name}: {row.__doc__}" for name, row in rows.items())
    parser = argparse.ArgumentParser(description=f"Rows: {described}.")
    parser.add_argument("--rows", default=",".join(rows), help="comma-separated (default: all)")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="comma-separated (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="duration of each run of wrk (default: 2)")
    parser.add_argument("--most", type=int, default=10_000, help="the largest number of connections (default: 10000)")
    parser.add_argument("--samples", type=int, default=12, help="first requests in each round (default: 12)")
    parser.add_argument("--output", default=HERE, help="the directory for RESULTS.md, results.json and plots")
    OPTIONS = parser.parse_args()
    for asked_for, known in ((OPTIONS.rows, rows), (OPTIONS.subjects, SUBJECTS)):
        if unknown := set(asked_for.split(",")) - set(known):
            parser.error(f"{', '.join(unknown)}: unknown, choose from {', '.join(known)}")

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    LIMIT = 20_100
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT if 0 <= hard < LIMIT else hard))
    except (OSError, ValueError):  # only root may raise the limit, and in some containers not even root
        LIMIT = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = min(OPTIONS.most, (LIMIT - 100) // 200 * 100)
    COUNTS = [count for count in (1, 100, 1000, 5000) if count < most] + [most]

    begin = time.monotonic()
    names = prepare(OPTIONS.subjects.split(","))
    run_facts = facts()
    figures = measure(names, [rows[row] for row in OPTIONS.rows.split(",")])
    run_facts.append(f"the run took {(time.monotonic() - begin) / 60:.0f} minutes")
    found = {"names": names, "figures": figures, "facts": run_facts, "notes": NOTES}
    with open(f"{OPTIONS.output}/results.json", "w") as raw:
        json.dump(found, raw, indent=1)
    with open(f"{OPTIONS.output}/RESULTS.md", "w") as page:
        page.write(tables(found))
    plots(found, f"{OPTIONS.output}/plots")
    print(*NOTES, f"written to {OPTIONS.output}", sep="\n")
    # Only problems of hardstop and bare count as a failure.
    sys.exit(any(note.startswith(("hardstop", "bare")) for note in NOTES))


NOTES = []
main()
