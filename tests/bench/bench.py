"""pidflame beside its peers, in one interleaved run: ``make bench``, or as root ``-m tests.bench.bench``.

Every round measures every cell (workload, profiler, rate) once, in another order; a Markdown table of
medians and ranges goes to stdout, and with ``-o`` to a file. Nothing here is a test: time is noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import peers, targets
from tests.bench.depth import measure_depths
from tests.bench.measure import Cell, Measurement, measure
from tests.bench.table import depth_table, workload_table

EXPLANATION = """Medians, with the least and the most of {rounds} rounds; {cpus} CPUs, Linux {kernel}.
The work of a target takes about {seconds:g} s. `start to first sample`: all targets burn while a profiler
starts; py-spy tells no times. `split error` is the largest of any function's share, all rounds together,
beside the target's own CPU clock; perf names no interpreted function. py-spy looks at processes that can run,
pidflame and perf at those that do.
"""


def plan(rates: list[int]) -> tuple[list[Cell], list[Measurement]]:
    """The cells that can be measured, and for those that can't a measurement that says why."""
    cells: list[Cell] = []
    refused: list[Measurement] = []
    for workload in targets.ALL:
        cells.append(Cell(workload, None, 0))
        for peer in peers.ALL:
            for hz in rates:
                cell = Cell(workload, peer, hz)
                if reason := peer.missing() or peer.refuses(workload):
                    refused.append(Measurement(cell, 0, failure=reason))
                cells.append(cell)
    return cells, refused


def measure_all(cells: list[Cell], rounds: int, seconds: float) -> Iterator[Measurement]:
    """Measures every cell once a round, in another order in each round."""
    units = {workload.name: targets.units_for(workload, seconds) for workload in targets.ALL}
    chance = random.Random(20)
    for number in range(1, rounds + 1):
        for done, cell in enumerate(chance.sample(cells, len(cells)), start=1):
            name = f"{cell.peer.name} at {cell.hz} Hz" if cell.peer else "nobody"
            print(
                f"round {number}/{rounds}, {done}/{len(cells)}: {cell.workload.name}, {name}", file=sys.stderr
            )
            yield measure(cell, number, units[cell.workload.name])


def plain(entry: Measurement) -> dict[str, Any]:
    """A measurement for a JSON file: what it is of, and its figures as they are in `Measurement`."""
    cell = entry.cell
    return {
        "workload": cell.workload.name,
        "profiler": cell.peer.name if cell.peer else None,
        "hz": cell.hz,
        "round": entry.round,
        "truth": asdict(entry.truth) if entry.truth else None,
        "running": asdict(entry.running) if entry.running else None,
        "whole_cpu_s": entry.whole_cpu_s,
        "seen": asdict(entry.seen) if entry.seen else None,
        "failure": entry.failure,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long a target works")
    parser.add_argument("--rates", default="20,100", help="Hz, separated by commas")
    parser.add_argument("-o", "--output", type=Path, help="write the table to this file, too")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    return parser.parse_args()


def main() -> int:
    """Measure, tabulate."""
    arguments = parse()
    if os.geteuid() != 0:
        print("the bench profiles the whole system: run it as root", file=sys.stderr)
        return 3
    cells, measurements = plan([int(rate) for rate in arguments.rates.split(",")])
    refused = {entry.cell for entry in measurements}
    possible = [cell for cell in cells if cell not in refused]
    measurements += measure_all(possible, arguments.rounds, arguments.seconds)
    print("the eBPF program's run time by depth", file=sys.stderr)
    depths = measure_depths(arguments.rounds)
    sections = [
        EXPLANATION.format(
            rounds=arguments.rounds,
            cpus=os.cpu_count(),
            kernel=platform.release(),
            seconds=arguments.seconds,
        ),
        *(workload_table(workload, cells, measurements) for workload in targets.ALL),
        depth_table(depths),
    ]
    report = "\n".join(sections)
    print(report)
    if arguments.output:
        arguments.output.write_text(report)
    if arguments.json:
        machine = {
            "cpus": os.cpu_count(),
            "kernel": platform.release(),
            "made_at": datetime.now().isoformat(),
        }
        entries = [plain(entry) for entry in measurements]
        arguments.json.write_text(json.dumps({"machine": machine, "measurements": entries}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
