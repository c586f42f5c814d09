"""pidflame beside its peers, in one interleaved run: as root ``-m tests.bench.bench [PAGE...]``.

Every round measures every cell (workload, profiler, rate) once, in another order; tables of medians and
ranges go to stdout, and into the parts of the pages that are named. Nothing here is a test: time is noisy.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench import page, peers, results, targets
from tests.bench.measure import NOBODY, Cell, Measurement, measure
from tests.bench.peer import Peer
from tests.bench.results import Machine, Results
from tests.bench.targets import Workload


def plan(
    workloads: Sequence[Workload], profilers: Sequence[Peer], rates: Sequence[int], peer_rates: Sequence[int]
) -> tuple[list[Cell], list[Measurement]]:
    """The cells that can be measured, and for those that can't a measurement that says why."""
    cells: list[Cell] = []
    refused: list[Measurement] = []
    missing = {peer.name: peer.missing() for peer in profilers}
    for workload in workloads:
        cells.append(Cell(workload.name, NOBODY, 0))
        for peer in profilers:
            for hz in rates if peer is peers.PIDFLAME else peer_rates:
                cell = Cell(workload.name, peer.name, hz)
                if reason := peer.refuses(workload) or missing[peer.name]:
                    refused.append(Measurement(cell, 0, failure=reason))
                else:
                    cells.append(cell)
    return cells, refused


def measure_all(cells: Sequence[Cell], rounds: int, seconds: float) -> Iterator[Measurement]:
    """Measures every cell once a round, in another order in each round."""
    names = dict.fromkeys(cell.workload for cell in cells)
    units = {name: targets.units_for(targets.BY_NAME[name], seconds) for name in names}
    lowest_hz = min((cell.hz for cell in cells if cell.profiler == peers.PIDFLAME.name), default=0)
    colds = [cell for cell in cells if cell.profiler == peers.PIDFLAME.name and cell.hz == lowest_hz]
    chance = random.Random(20)
    for number in range(1, rounds + 1):
        for done, cell in enumerate(chance.sample(cells, len(cells)), start=1):
            name = f"{cell.workload}, {cell.profiler}, {cell.hz} Hz"
            print(f"round {number}/{rounds}, {done}/{len(cells)}: {name}", file=sys.stderr)
            yield measure(cell, number, units[cell.workload], colds)


def numbers(text: str) -> list[int]:
    """What commas separate."""
    return [int(number) for number in text.split(",")]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*", help="write the tables into the parts of these pages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="about how long a target works")
    parser.add_argument("--rates", type=numbers, default="20,100,1000", help="Hz of pidflame, with commas")
    parser.add_argument("--peer-rates", type=numbers, default="100", help="Hz of the others")
    parser.add_argument("--workloads", default=",".join(targets.BY_NAME), help="with commas")
    parser.add_argument("--profilers", default=",".join(peers.BY_NAME), help="with commas")
    parser.add_argument("--json", type=Path, help="keep every measurement in this file, from the first on")
    parser.add_argument("--from", dest="kept", type=Path, help="measure nothing: take such a file")
    return parser.parse_args()


def main() -> int:
    """Measure, tabulate."""
    arguments = parse()
    if arguments.kept:
        found = results.read(arguments.kept)
    elif os.geteuid() != 0:
        print("the bench profiles the whole system: run it as root", file=sys.stderr)
        return 3
    else:
        workloads = [targets.BY_NAME[name] for name in arguments.workloads.split(",")]
        profilers = [peers.BY_NAME[name] for name in arguments.profilers.split(",")]
        cells, refused = plan(workloads, profilers, arguments.rates, arguments.peer_rates)
        found = Results(Machine(), arguments.rounds, arguments.seconds, tuple(refused))
        for entry in measure_all(cells, arguments.rounds, arguments.seconds):
            found = replace(found, measurements=(*found.measurements, entry))
            if arguments.json:
                found.keep(arguments.json)
    page.publish(page.parts(found), arguments.pages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
