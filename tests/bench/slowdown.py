"""How much slower a program is while it is sampled: as root ``-m tests.bench.slowdown [PAGE...]``.

A Python process, which stays on one CPU, does the same block of work again and again, and says what each
took by its CPU clock (the kernel counts interrupts and eBPF programs in it). For each pair pidflame is
started anew and records the whole system. Its perf events are then turned off and on for short blocks in turn
(off, on, on, off), so that what changes slowly cancels out; a pair is all that are on beside all that are
off. The rates take turns, pair by pair, with 0 Hz, where the events stay off: it shows what this method finds
where there is nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from subprocess import PIPE, Popen

from profiler.capture.clock import OFTEN_HZ
from tests.bench.cost import Profiler
from tests.bench.measure import SETTLE_S, wait_until_attached
from tests.bench.page import prose, publish, written_by
from tests.bench.peers import PIDFLAME, US
from tests.bench.results import Machine
from tests.bench.switch import Switch, bare_clock, switch_of
from tests.bench.table import NONE, markdown
from tests.bench.targets import CPUS
from tests.support.live.harness import SYSTEM_PYTHON, WORKLOADS

TITLE = "slowdown"
LIMITS = {0: None, 20: 0.1, 100: 0.3, 1000: 2.0}
"""Per cent of the target's CPU time, by Hz."""
BARE_HZ = 2000
CALIBRATION_UNITS = 20_000
BLOCK_S = 0.2
ORDER = (False, True, True, False)
"""Whether the events are on, in the blocks of four."""


class Blocks:
    """The process that works."""

    def __init__(self, cpu: int) -> None:
        command = [SYSTEM_PYTHON, str(WORKLOADS / "blocks.py"), str(cpu)]
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True, bufsize=1)
        self._line()

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def cpu_s(self, units: int) -> float:
        """What a block takes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{units}\n")
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def recording(hz: int) -> Iterator[Switch]:
    """pidflame records the whole system inside the block."""
    with tempfile.TemporaryDirectory(prefix="pidflame-bench-") as directory:
        place = Path(directory)
        command = PIDFLAME.command(0, hz, place)
        with Profiler(command, place / "words", looks=False) as profiler:
            wait_until_attached(PIDFLAME, profiler)
            time.sleep(SETTLE_S)
            with switch_of(profiler.pid) as switch:
                yield switch
            profiler.running()
            profiler.finish()


def pair(blocks: Blocks, units: int, fours: int, switch: Switch, *, turns: bool = True) -> float:
    """By how many per cent the blocks take longer while events are on, if they are turned on at all."""
    spent_s = dict.fromkeys(ORDER, 0.0)
    switch.turn(on=False)
    blocks.cpu_s(units)
    for _ in range(fours):
        for on in ORDER:
            switch.turn(on=on and turns)
            spent_s[on] += blocks.cpu_s(units)
    return 100 * (spent_s[True] / spent_s[False] - 1)


def measure(rates: Sequence[int], pairs: int, fours: int) -> tuple[dict[int, list[float]], list[float]]:
    """The pairs of each rate, and those of the bare clock."""
    found: dict[int, list[float]] = {hz: [] for hz in rates}
    bare: list[float] = []
    cpu = CPUS - 1
    with Blocks(cpu) as blocks:
        blocks.cpu_s(CALIBRATION_UNITS)
        units = round(CALIBRATION_UNITS * BLOCK_S / blocks.cpu_s(CALIBRATION_UNITS))
        for number in range(pairs):
            for hz in (*rates[number % len(rates) :], *rates[: number % len(rates)]):
                with recording(hz or min(filter(None, LIMITS))) as switch:
                    found[hz].append(pair(blocks, units, fours, switch, turns=hz > 0))
                print(f"{number + 1}: {hz} Hz: {found[hz][-1]:+.3f} %", file=sys.stderr)
            with bare_clock(cpu, BARE_HZ) as switch:
                bare.append(pair(blocks, units, fours, switch))
    return found, bare


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval.

    Student's quantile by its expansion in the normal one (Abramowitz and Stegun 26.7.5).
    """
    freedom, z = len(values) - 1, NormalDist().inv_cdf(0.975)
    quantile = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return fmean(values), quantile * stdev(values) / sqrt(len(values))


def row(who: str, values: Sequence[float], limit: float | None) -> Sequence[str]:
    """The cells of a line."""
    mean, half = interval(values)
    if limit is None:
        verdict = NONE
    elif mean + half <= limit:
        verdict = "yes"
    else:
        verdict = "**no**" if mean - half > limit else "not decided: the interval is too wide"
    shown = f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"
    return (who, str(len(values)), shown, f"{limit:g}" if limit else NONE, verdict)


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    parser.add_argument("--pairs", type=int, default=20, help="at each rate")
    parser.add_argument("--seconds", type=float, default=6.0, help="about how long a pair works")
    parser.add_argument("--rates", default="0,20,100,1000", help="Hz, with commas")
    arguments = parser.parse_args()
    rates = [int(hz) for hz in arguments.rates.split(",")]
    fours = max(1, round(arguments.seconds / (len(ORDER) * BLOCK_S)))
    found, bare = measure(rates, arguments.pairs, fours)
    header = ("", "pairs", "target's CPU time, % more (95 % interval)", "at most", "kept")
    explanation = prose(f"""
        A Python process on one CPU does the same work in blocks of {BLOCK_S:g} s, while the perf events of a
        recording of the whole system are off or on in turn: {fours * len(ORDER)} blocks a pair, by the
        process's own CPU clock. At 0 Hz they stay off. An interrupt of the clock alone takes
        {fmean(bare) / 100 * US / BARE_HZ:.1f} µs here; pidflame's clock ticks one and a half times a
        sample, and once from {OFTEN_HZ} Hz on.""")
    lines = [row(f"pidflame at {hz} Hz", values, LIMITS.get(hz)) for hz, values in found.items()]
    lines.append(row(f"a clock of {BARE_HZ} Hz, no program", bare, None))
    rows = markdown(header, lines)
    made_by = written_by(f"tests.bench.slowdown docs/BENCHMARKS.md --pairs {arguments.pairs}", Machine())
    text = f"{made_by}\n{explanation}\n\n{rows}"
    publish({TITLE: text}, arguments.pages)


if __name__ == "__main__":
    main()
