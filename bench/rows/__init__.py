"""The rows. Each function takes a subject's name and yields lines of the tables with their figures.

A figure that is not available (no such call, too few descriptors, a wrong response) is left out, and the page says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .build import size
from .counts import instructions, syscalls
from .idle import first, idle, quiet, silent
from .load import churn, hog, kept, pipelined
from .transfer import transfer


@dataclass(frozen=True)
class Row:
    """A row, how many seconds it takes for a subject in a round, and how many rounds it needs at most."""

    measure: Callable
    seconds: float
    most_rounds: int = 100
    # Such a row runs all subjects at once: its function takes all names, and also yields rounds and names.
    together: bool = False

    @property
    def name(self):
        return self.measure.__name__

    def estimate(self, run, subjects):
        """Returns about how many seconds the row takes."""
        rounds = min(run.rounds, self.most_rounds)
        if self.together:
            return rounds * self.seconds * (run.samples if self.measure is first else 1)
        each = self.seconds
        if self.measure is kept:
            each = 2 * len(run.kept_counts) * (run.seconds + 0.45)
        elif self.measure in (pipelined, churn, hog):
            each = run.seconds + 0.4
        elif self.measure in (silent, idle):
            each = self.seconds * (run.counts[-1] + 1000) / 10_000
        return rounds * each * subjects


# Builds come last: they heat the machine.
ROWS = [
    Row(kept, 0),
    Row(pipelined, 0),
    Row(churn, 0),
    Row(hog, 0),
    Row(instructions, 6, most_rounds=2),
    Row(syscalls, 2, most_rounds=2),
    Row(first, 2, together=True),
    Row(quiet, 5, together=True),
    Row(silent, 1),
    Row(idle, 3),
    Row(transfer, 2),
    Row(size, 25, most_rounds=2),
]
