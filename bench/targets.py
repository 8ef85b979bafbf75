"""What hardstop is asked for, why no more, and whether it came.

A target is judged in pairs: in each round, hardstop's figure against the other's of the same round.
"""

import re
import statistics
from dataclasses import dataclass

from programs import PEERS, SYNCHRONOUS_PEERS

RULE = (
    "**yes** and **no** need the rounds to agree: all of them, or all but one if there are six or more, lie on that side"
    " of the limit. Otherwise it is **noise**. Of a group, every member is compared. The table shows a member that is"
    " missed, else one that is noise, else one that is met, and of these the closest."
)

GROUPS = {
    "synchronous peer": SYNCHRONOUS_PEERS,
    "peer": PEERS,
    "bare or peer": ["bare", *PEERS],
}


@dataclass(frozen=True)
class Target:
    """The figures of the lines that match are at most, or at least, `limit` (times the other's, if there is one)."""

    lines: str
    how: str
    limit: float
    of: str | None
    why: str
    # The name of a cost in microseconds that is added to the limit.
    plus: str | None = None
    # Whether the limit is a difference, in bytes, and no ratio.
    is_difference: bool = False

    def others(self, by_name):
        if self.of is None:
            return [None]
        return [name for name in GROUPS.get(self.of, [self.of]) if name in by_name]

    def limit_of(self, figure, costs):
        """Returns the limit of hardstop's figure, beside this one of the other."""
        if figure is None:
            return self.limit
        if self.is_difference:
            return figure + self.limit
        return figure * self.limit + (costs[self.plus] if self.plus else 0)

    def wanted(self, other):
        if other is None:
            return f"{self.how} {self.limit:,g}"
        if self.is_difference:
            return f"{self.how} {other} + {self.limit / 1024:g} KiB"
        plus = f" + 1 {self.plus}" if self.plus else ""
        return f"{self.how} {self.limit:.2f} of {other}{plus}"

    def came(self, ours, theirs):
        if theirs is None:
            return f"{ours:,.4g}" if ours < 1000 else f"{ours:,.0f}"
        if self.is_difference:
            return f"+ {(ours - theirs) / 1024:.1f} KiB"
        return f"{ours / theirs:.2f}" if theirs else "–"


SWITCH = "a request costs one thread switch, an event loop serves many with one"
SLEEP = "a sleep and a wake-up a request, the same for all"
BANDWIDTH = "memory bandwidth, and the size of the pieces: the same buffers for all"
SENDFILE = "memory bandwidth; Go calls sendfile, which saves a copy, and which std does not offer"
OWN_CODE = "about 60 KiB are the library's own code"
TARGETS = [
    Target(r"kept alive, .*: 1, CPU", "≤", 1.03, "bare or peer", SLEEP),
    Target(r"kept alive, .*: (16|64), CPU", "≤", 0.95, "synchronous peer", "a yield saves the sleep, not the switch"),
    Target(r"kept alive, .*: (16|64), CPU", "≤", 1.15, "hyper", SWITCH, plus="switch"),
    Target(r"kept alive, .*: (16|64), sleeps", "≤", 0.2, None, "a yield in the place of a sleep"),
    Target(r"a pipelined request.*instructions", "≤", 3000, None, "parsing and framing, with checks"),
    Target(r"pipelined, .*CPU", "≤", 1.0, "hyper", "parsing and framing; bare, which does not parse, is the bound"),
    Target(r"a request alone, instructions", "≤", 3500, None, "khttp needs about 2,050, with unsafe and fewer checks"),
    Target(r"a browser's request.*instructions", "≤", 8500, None, "each byte is checked once and copied once"),
    Target(r"memory of one of 1000 ", "≤", 12_200, None, "9,850 bytes are a parked std thread"),
    Target(r"memory of one of 1000 ", "≤", 0.85, "bare", "bare has a buffer of 4 KiB"),
    Target(r"a connection per.*without futex", "≤", 11, None, "options set on the listener would miss its first clients"),
    Target(r"a connection per.*CPU", "≤", 1.0, "synchronous peer", "two hand-overs between threads"),
    Target(r"beside a busy program.*CPU", "≤", 1.03, "before", "a yield may not give the processor away"),
    Target(r"256 MiB, download, file, CPU", "≤", 1.0, "peer", SENDFILE),
    Target(r"256 MiB, download, file, MB/s", "≥", 1.0, "peer", SENDFILE),
    Target(r"256 MiB(?!, download, file, [CM]).*CPU", "≤", 1.0, "peer", BANDWIDTH),
    Target(r"256 MiB(?!, download, file, [CM]).*MB/s", "≥", 1.0, "peer", BANDWIDTH),
    Target(r"stop with 1000 .*call returns", "≤", 0.7, "bare", "a FIN and a thread woken for each connection"),
    Target(r"stop with 1000 .*have ended", "≤", 1.0, "bare", "a thread has to end for each connection"),
    Target(r"size of hello, stripped", "≤", 100 << 10, "bare", OWN_CODE, is_difference=True),
    Target(r"size of hello, small dep", "≤", 80 << 10, "bare", OWN_CODE, is_difference=True),
    Target(r"size of hello, small with", "≤", 66 << 10, "bare", OWN_CODE, is_difference=True),
    Target(r"first request .*p50", "≤", 0.9, "bare", "as it was: beside a blocking accept"),
    Target(r"wake-ups", "≤", 1, None, "once a second, for the stop flag and the clock"),
    Target(r"cold build", "≤", 0.7, "tiny_http", "std alone"),
]


def by_round(figures):
    """Returns the median of each round, from pairs of round and figure."""
    rounds = {}
    for turn, figure in figures:
        rounds.setdefault(turn, []).append(figure)
    return {turn: statistics.median(several) for turn, several in rounds.items()}


def pairs(ours, theirs):
    """Returns pairs of figures of the same rounds."""
    ours, theirs = by_round(ours), by_round(theirs)
    return [(ours[turn], theirs[turn]) for turn in sorted(ours) if turn in theirs]


def verdict(hits):
    """Returns what the rounds agree on, each of which has met the target or has not."""
    exceptions = 1 if len(hits) >= 6 else 0
    if sum(hits) >= len(hits) - exceptions:
        return "yes"
    if sum(hits) <= exceptions:
        return "**no**"
    return "noise"


@dataclass(frozen=True)
class Result:
    line: str
    wanted: str
    why: str
    came: str
    least: str
    most: str
    verdict: str

    def spread(self):
        """Returns the middle round's figure, and those of the best and the worst round if they differ."""
        if self.least == self.most:
            return self.came
        return f"{self.came} ({self.least} to {self.most})"


def judge(target, line, ours, other, theirs, costs):
    """Compares hardstop with one other. Returns how far it is from the limit, and the result."""
    if other is None:
        rounds = [(figure, None) for figure in by_round(ours).values()]
    else:
        rounds = pairs(ours, theirs)
    if not rounds:
        return None
    limits = [target.limit_of(their, costs) for _, their in rounds]
    # Above one is beyond the limit.
    excess = [our / max(limit, 1e-9) for (our, _), limit in zip(rounds, limits)]
    hits = [part <= 1 for part in excess]
    if target.how == "≥":
        excess = [1 / part for part in excess]
        hits = [part <= 1 for part in excess]
    # The rounds in order of their distance from the limit: the middle one is shown, and both ends.
    order = sorted(range(len(rounds)), key=lambda index: excess[index])
    shown = [target.came(*rounds[index]) for index in order]
    middle = order[len(order) // 2]
    result = Result(line, target.wanted(other), target.why, shown[len(order) // 2], shown[0], shown[-1], verdict(hits))
    return excess[middle], result


def results(figures, costs):
    """Yields the result of each target, line by line. `figures` are by line, by subject: pairs of round and figure."""
    worst_first = ["**no**", "noise", "yes"]
    for target in TARGETS:
        for line, by_name in figures.items():
            if not re.match(target.lines, line) or "hardstop" not in by_name:
                continue
            if target.plus and target.plus not in costs:
                continue
            judged = []
            for other in target.others(by_name):
                found = judge(target, line, by_name["hardstop"], other, by_name.get(other), costs)
                if found:
                    judged.append(found)
            if judged:
                judged.sort(key=lambda one: (worst_first.index(one[1].verdict), -one[0]))
                yield judged[0][1]
