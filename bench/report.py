"""Writes RESULTS.md, and the summary between two markers of README.md."""

import re
import statistics

import targets

BEGIN = "<!-- bench/run writes from here -->\n"
END = "<!-- to here -->\n"

CHANGE_RULE = (
    "Better and **worse**: all rounds lie on one side, and the median differs by 3 % or more (by half a percent where"
    " something is counted). Three rounds agree by chance in one of four lines, seven in one of 64."
)

# The lines of the summary, in its order.
SUMMARY = [
    r"kept alive, .*: (1|16|64|256), CPU",
    r"kept alive, unpinned.*: (16|64), sleeps",
    r"kept alive, pinned.*requests/s",
    r"pipelined, .*(CPU|requests/s)",
    r"a connection per request, 16 at a time, (CPU|requests/s)",
    r"a (request alone|pipelined request|browser's request|chunked kilobyte).*instructions",
    r"a connection per request, alone, system calls without futex",
    r"first request .*p50",
    r"256 MiB.*(CPU|MB/s)",
    r"memory of one of 1000 ",
    r"stop with 1000 .*(call returns|have ended)",
    r"size of hello",
]
SUMMARY_SUBJECTS = ["before", "bare", "tiny_http", "khttp", "http-net", "hyper", "go", "node"]


def short(figure):
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:,.0f}"


def spread(pairs):
    """Returns the median with the least and the most, or the one figure if all are the same."""
    values = [figure for _, figure in pairs]
    middle = short(statistics.median(values))
    if min(values) == max(values):
        return middle
    return f"{middle} ({short(min(values))}–{short(max(values))})"


def ratios(ours, theirs):
    """Returns the other's figure as a part of hardstop's, round by round."""
    return [their / our for our, their in targets.pairs(ours, theirs) if our]


def ratio_cell(ours, theirs):
    found = ratios(ours, theirs) if ours and theirs else []
    return f"{statistics.median(found):.2f}" if found else "–"


def table(head, rows):
    """Returns a table whose columns after the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def target_table(found):
    judged = list(targets.results(found["figures"], found["costs"]))
    counts = {each: sum(one.verdict == each for one in judged) for each in ("yes", "**no**", "noise")}
    lines = ["| | asked | limit of the shape | came (best to worst round) | met |", "|---|---|---|--:|---|"]
    for one in judged:
        lines.append(f"| {one.line} | {one.wanted} | {one.why} | {one.spread()} | {one.verdict} |")
    said = f"{len(judged)} targets: {counts['yes']} met, {counts['**no**']} missed, {counts['noise']} noise."
    return said, "\n".join(lines)


def change_table(found):
    """Returns the table of hardstop and `before`: what has changed."""
    rows = []
    for line, by_name in found["figures"].items():
        if "before" not in by_name or "hardstop" not in by_name:
            continue
        both = targets.pairs(by_name["hardstop"], by_name["before"])
        parts = sorted(now / then for now, then in both if then)
        if not parts:
            continue
        change = f"{statistics.median(parts):.2f} ({parts[0]:.2f}–{parts[-1]:.2f})"
        rows.append([line, spread(by_name["before"]), spread(by_name["hardstop"]), change, judge_change(line, parts)])
    return table(["", "before", "now", "now / before, by round", ""], rows) if rows else None


def judge_change(line, parts):
    """Says which way a figure has changed, from its sorted ratios of now to before."""
    is_counted = re.search(r"instructions|system calls|bytes|crates", line)
    least = 0.005 if is_counted else 0.03
    middle = statistics.median(parts)
    if all(abs(part - 1) < least for part in parts):
        return "the same"
    if abs(middle - 1) < least or parts[0] <= 1 <= parts[-1]:
        return "noise"
    return "better" if (middle < 1) == line.endswith("↓") else "**worse**"


def ratio_table(found, names, lines):
    rows = []
    for line in lines:
        by_name = found["figures"][line]
        ours = by_name.get("hardstop")
        rows.append([line, *(ratio_cell(ours, by_name.get(name)) for name in names)])
    return table(["", *names], rows)


def page(found):
    """Returns RESULTS.md."""
    figures, names = found["figures"], found["names"]
    said, asked = target_table(found)
    parts = [
        "# Results",
        (
            "Written by `bench/run`. ↑: more is better; ↓: less is better. Plots by the number of connections are in"
            " [plots](plots)."
        ),
        "\n".join(f"- {fact}" for fact in found["facts"]),
        "## Asked and came",
        f"{said} {targets.RULE}",
        asked,
    ]
    if changes := change_table(found):
        parts += ["## Before and now", CHANGE_RULE, changes]
    middles = []
    for line, by_name in figures.items():
        middles.append([line, *(spread(by_name[name]) if name in by_name else "–" for name in names)])
    parts += [
        "## Ratios (hardstop = 1.00)",
        "The median of the rounds' ratios.",
        ratio_table(found, names, figures),
        "## Medians (minimum–maximum)",
        table(["", *names], middles),
    ]
    if found["notes"]:
        notes = [f"- {note} ({times} times)" if times > 1 else f"- {note}" for note, times in found["notes"].items()]
        parts += ["## Problems", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def summary(found):
    """Returns the part of README.md that has figures."""
    names = [name for name in SUMMARY_SUBJECTS if name in found["names"]]
    lines = []
    for pattern in SUMMARY:
        lines += [line for line in found["figures"] if re.match(pattern, line)]
    said, _ = target_table(found)
    missed = []
    for one in targets.results(found["figures"], found["costs"]):
        if one.verdict != "yes":
            missed.append(f"- {one.line}: asked {one.wanted}, came {one.spread()}: {one.verdict}")
    parts = [
        "\n".join(f"- {fact}" for fact in found["facts"][: 3 if "before" in names else 2]),
        "Medians of the rounds' ratios, hardstop = 1.00. ↑: more is better; ↓: less is better.",
        ratio_table(found, names, lines),
        f"{said} Missed, or not to be told from noise:",
        "\n".join(missed) or "- none",
    ]
    return "\n\n".join(parts) + "\n"


def write_summary(found, path):
    """Replaces what stands between the markers."""
    with open(path) as file:
        text = file.read()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no markers")
    with open(path, "w") as file:
        file.write(before + BEGIN + "\n" + summary(found) + "\n" + END + after)
