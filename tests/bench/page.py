"""Where the figures go: parts of docs/BENCHMARKS.md, and the one of README.md that names some of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.bench import targets
from tests.bench.measure import Cell
from tests.bench.peers import PIDFLAME
from tests.bench.results import Machine, Results
from tests.bench.table import Row, pss_mbs, rows_of, running_percents, workload_table
from tests.support.page_sections import has, put

PROFILERS, COST = "profilers", "cost"
EXPLANATION = """\
Medians, with the least and the most of {rounds} interleaved rounds. The work of a target takes about
{seconds:g} seconds.

- *CPU* is that of the profiler's cgroup: of all its processes, ended ones too. *In all* is from its start to
  its end, and with `perf script`, which makes stacks of what perf recorded. *A sample* is CPU while running
  by samples of the target. What runs at an interrupt, eBPF programs for example, counts as the target's CPU.
- *PSS* is the most that its processes held together.
- *Cold* is a start with an empty cache folder, *warm* one with what earlier runs have kept. Targets burn
  CPU meanwhile, where they ever do.
- *Split error* is the largest of any function's share, all rounds together, beside the target's own CPU
  clock.
- *Phase error* is that of the samples of programs that burn a fifth of every 10, 25, 50 and 100 ms, in sigmas
  of samples at independent instants: 1 is chance.

pidflame, perf and bcc record the whole system, py-spy and Austin one process and its children. py-spy and
Austin look at threads that can run, the others at those that do. A dash is what a profiler does not tell.
"""
WIDTH = 118


def prose(text: str) -> str:
    """A paragraph, in lines as docs have them."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def written_by(command: str, machine: Machine) -> str:
    """Where a part comes from."""
    return prose(f"Written by `python -m {command}`: {machine}.")


def parts(results: Results) -> dict[str, str]:
    """The text of each part that these results have something for."""
    sections = (workload_table(workload, results.measurements) for workload in targets.ALL)
    options = f"--rounds {results.rounds} --seconds {results.seconds:g}"
    made_by = written_by(f"tests.bench.bench docs/BENCHMARKS.md README.md {options}", results.machine)
    explanation = EXPLANATION.format(rounds=results.rounds, seconds=results.seconds)
    made = {PROFILERS: "\n".join((f"{made_by}\n", explanation, *filter(None, sections))).rstrip()}
    if sentence := cost_sentence(results):
        made[COST] = sentence
    return made


def cost_sentence(results: Results) -> str:
    """README's figures; empty where one of them was not measured."""
    rows: dict[Cell, Row] = {}
    for workload in (targets.PYTHON, targets.TWENTY):
        rows |= {row.cell: row for row in rows_of(workload, results.measurements)}

    def percents(profiler: str, hz: int) -> tuple[str, str]:
        one, twenty = (
            median(running_percents(rows[Cell(workload.name, profiler, hz)]))
            for workload in (targets.PYTHON, targets.TWENTY)
        )
        return f"{one:.1f} %", f"{twenty:.1f} %"

    try:
        low, high, other = percents(PIDFLAME.name, 20), percents(PIDFLAME.name, 100), percents("py-spy", 100)
        held_mb = max(
            median(pss_mbs(rows[Cell(workload.name, PIDFLAME.name, 20)]))
            for workload in (targets.PYTHON, targets.TWENTY)
        )
    except (KeyError, ValueError):
        return ""
    return prose(f"""
        At 20 Hz, pidflame took {low[0]} of a core beside a busy Python and {low[1]} beside twenty; its
        processes held {held_mb:.0f} MB together. At 100 Hz it took {high[0]} and {high[1]}, where py-spy took
        {other[0]} and {other[1]} for these processes alone.""")


def publish(texts: Mapping[str, str], pages: Sequence[Path]) -> None:
    """Prints the parts, and puts them into those of the pages that have a place for them."""
    for title, text in texts.items():
        print(text, flush=True)
        for page in pages:
            if has(page, title):
                put(page, title, text)
