"""What a newly seen code object costs in user space: ``python -m tests.bench.code_objects [PAGE...]``.

CPU microseconds for one, read with its line table by the real reader from a live process that waits: all
code objects of a part of the standard library, by a new symbolizer each round, so that nothing is known.
The bench prints Markdown rows with the median of the rounds and their range.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from symbolizers.base import Symbolizer
from symbolizers.frame import RawFrame
from symbolizers.process.memory import NowaitReader
from tests.bench.page import publish, written_by
from tests.bench.results import Machine
from tests.bench.table import markdown, spread
from tests.support.python_live import TARGET, running
from tests.support.python_walk import raw_frame
from tests.support.ruby_target import ISEQS, iseq_frame, ruby_target
from tests.symbolizers.ruby.test_live import standard_library

TITLE = "code objects"
LIMIT_US = 150.0
"""The most that one may cost."""
MOST_OBJECTS = 2000


def time_rounds(
    rounds: int, frames: Sequence[RawFrame], memory: NowaitReader, fresh: Callable[[], Symbolizer]
) -> list[float]:
    """CPU microseconds of one code object, a number a round; each round begins without any knowledge."""
    found = []
    for _ in range(rounds):
        memory.forget()
        symbolizer = fresh()
        started_ns = time.process_time_ns()
        for frame in frames:
            symbolizer.read(frame)
        found.append((time.process_time_ns() - started_ns) / 1000 / len(frames))
    return found


def measure_python(rounds: int, *, lines: bool) -> list[float]:
    """Measures the interpreter that runs this."""
    with running([sys.executable, str(TARGET)]) as live:
        addresses = [code[0] for code in live.truth["codes"][:MOST_OBJECTS]]
        frames = [raw_frame(live.file.row, live.memory, address) for address in addresses]
        return time_rounds(
            rounds,
            frames,
            live.memory,
            lambda: live.symbolizer(lines=lines),
        )


def measure_ruby(rounds: int, *, lines: bool) -> list[float]:
    """Measures the machine's own Ruby."""
    with ruby_target("ruby", ISEQS, *standard_library()) as target:
        addresses = [json.loads(line)["address"] for line in target.said[:MOST_OBJECTS]]
        frames = [iseq_frame(target.runtime.row, target.memory, address) for address in addresses]
        return time_rounds(
            rounds, frames, target.memory, lambda: target.symbolizer(target.memory, lines=lines)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    rows = []
    for language, measure in (("Python", measure_python), ("Ruby", measure_ruby)):
        for lines in (False, True):
            values = measure(arguments.rounds, lines=lines)
            name = f"{language}, with its lines" if lines else language
            rows.append((name, spread(values, 0), f"{LIMIT_US:.0f}"))
    made_by = written_by("tests.bench.code_objects docs/BENCHMARKS.md", Machine())
    header = ("a code object of", "CPU µs", "at most")
    publish({TITLE: f"{made_by}\n\n{markdown(header, rows)}"}, arguments.pages)


if __name__ == "__main__":
    main()
