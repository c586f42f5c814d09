"""What a sample costs in user space, by streams of made-up records: ``python -m tests.bench.replay PAGE…``.

A session for each number of processes takes in the same streams, in turn with the others. Medians of CPU
time.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from tests.bench.page import publish, written_by
from tests.bench.results import Machine
from tests.bench.table import markdown
from tests.support.replay import CPUS
from tests.support.replay_costs import (
    ALONE,
    FREQUENT,
    LOOKS_HZ,
    NEW,
    NEW_SHARE,
    TOGETHER,
    Size,
    Stream,
    costs_us,
)

TITLE = "replay"
PROCESSES = (10, 100, 1000, 10_000)
RATES_HZ = (20, 100)
STREAMS = (TOGETHER, ALONE, FREQUENT, NEW)
KINDS = ("repeated, each stack 4 times in a look", "once", "a few are frequent")
"""Of the first three."""


def _costs() -> str:
    """A row for each number of processes."""
    sizes = [Size(processes) for processes in PROCESSES]
    costs = costs_us(sizes, STREAMS)
    rows = []
    for place, size in enumerate(sizes):
        together, alone, frequent, new = (statistics.median(costs[each][place]) for each in STREAMS)
        mixed = frequent * (1 - NEW_SHARE) + new * NEW_SHARE
        counts = (size.processes, size.processes * size.stacks, size.processes * size.codes)
        repeated = (f"{each:.2f}" for each in (together, alone, frequent))
        rows.append((*(f"{count:,}" for count in counts), *repeated, f"{new:.0f}", f"{1e6 / mixed:,.0f}"))
    header = ("processes", "stacks", "functions", *KINDS, "a new stack", "samples a second of CPU, 5 % new")
    return markdown(header, rows)


def _large_machine() -> str:
    """What all the CPUs of a large machine cost."""
    busy = [Stream("busy", look_samples=CPUS * hz // LOOKS_HZ) for hz in RATES_HZ]
    costs = costs_us([Size(PROCESSES[-1])], busy, samples=10 * busy[-1].look_samples)
    rows = []
    for stream, (of_rounds,) in costs.items():
        share = statistics.median(of_rounds) * stream.look_samples * LOOKS_HZ / 1e6
        rows.append((f"{stream.look_samples * LOOKS_HZ // CPUS} Hz", f"{share:.0%}"))
    machine = "256 busy CPUs, 10,000 processes, a million functions, 5 % new stacks, 1,000 forks a second"
    return markdown((machine, "of a core"), rows)


def _growth() -> str:
    """What more processes cost that have as many stacks in all."""
    costs = costs_us((Size(10, stacks=4000), Size(10_000, stacks=4)), STREAMS[:-1])
    rows = []
    for kind, (few, many) in zip(KINDS, costs.values(), strict=True):
        ratio = statistics.median(b / a for a, b in zip(few, many, strict=True))
        rows.append((kind, *(f"{statistics.median(each):.2f}" for each in (few, many)), f"{ratio:.2f}"))
    return markdown(("40,000 stacks in all", "of 10 processes", "of 10,000", "ratio"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    pages = parser.parse_args().pages
    made_by = written_by("tests.bench.replay docs/BENCHMARKS.md", Machine())
    publish({TITLE: "\n\n".join((made_by, _costs(), _large_machine(), _growth()))}, pages)


if __name__ == "__main__":
    main()
