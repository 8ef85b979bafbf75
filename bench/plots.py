"""Plots figures by the number of connections, with gnuplot."""

import os
import re
import statistics
import subprocess

# The files, and the lines of the tables, which differ only in the number of connections.
PLOTS = {
    "cpu": r"kept alive, pinned, connections: (\d+), CPU µs per request ↓",
    "cpu-unpinned": r"kept alive, unpinned, connections: (\d+), CPU µs per request ↓",
    "sleeps": r"kept alive, unpinned, connections: (\d+), sleeps per request ↓",
    "requests": r"kept alive, pinned, connections: (\d+), requests/s ↑",
    "memory": r"memory of one of (\d+) idle connections, bytes ↓",
    "beside-silent": r"a request beside (\d+) silent connections, p50 µs ↓",
    "stop-call": r"stop with (\d+) idle connections, call returns, µs ↓",
    "stop-ended": r"stop with (\d+) idle connections, all have ended, µs ↓",
}
# Figures that span powers of ten.
LOGARITHMIC = ["stop-call", "stop-ended"]

STYLE = """
set terminal svg size 760,400 background rgb "white" font "sans-serif,12"
set output "{slug}.svg"
set title "{title}" noenhanced
set logscale x
{scale}
set xlabel "N"
set key outside right
set grid
set style data linespoints
"""


def series(figures, pattern):
    """Returns points of number and median, with the least and the most, by subject."""
    found = {}
    for line, by_name in figures.items():
        number = re.fullmatch(pattern, line)
        for name, pairs in by_name.items() if number else ():
            values = [figure for _, figure in pairs]
            point = (int(number[1]), statistics.median(values), min(values), max(values))
            found.setdefault(name, []).append(point)
    return found


def draw(found, folder):
    os.makedirs(folder, exist_ok=True)
    for slug, pattern in PLOTS.items():
        by_name = series(found["figures"], pattern)
        if max(map(len, by_name.values()), default=0) < 2:
            continue
        scale = "set logscale y" if slug in LOGARITHMIC else "set yrange [0:]"
        script = STYLE.format(slug=slug, title=pattern.replace(r"(\d+)", "N"), scale=scale)
        parts = []
        for place, (name, points) in enumerate(by_name.items()):
            block = "\n".join(" ".join(f"{number:g}" for number in point) for point in sorted(points))
            script += f"$data{place} << END\n{block}\nEND\n"
            width = 3 if name == "hardstop" else 1
            parts.append(f'$data{place} using 1:2 lw {width} lc {place + 1} pt 7 ps 0.5 title "{name}" noenhanced')
            parts.append(f"$data{place} using 1:2:3:4 with yerrorbars lc {place + 1} pt 0 notitle")
        script += "plot " + ", \\\n".join(parts) + "\n"
        subprocess.run(["gnuplot"], input=script, text=True, check=True, cwd=folder)
