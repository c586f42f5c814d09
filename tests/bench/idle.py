"""What pidflame does on a machine that does nothing: as root ``-m tests.bench.idle [PAGE...]``.

How often its threads are woken (voluntary switches of all of them), and the CPU time of its cgroup. What else
the machine does is said beside it, since that is what pidflame samples.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.cost import Profiler
from tests.bench.measure import SETTLE_S, wait_until_attached
from tests.bench.page import prose, publish, written_by
from tests.bench.peers import NS, PIDFLAME
from tests.bench.results import Machine
from tests.bench.table import markdown

TITLE = "idle"
RATES_HZ = (20, 100, 1000)
_SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)


class Idle(NamedTuple):
    """Of one recording, a second of it."""

    wake_ups: float
    cpu_share: float
    """Of a core."""
    busy_share: float
    """Of a core: what the whole machine did meanwhile."""


def wake_ups(pids: Iterable[int]) -> int:
    """How often all threads of these processes were woken so far."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            found = _SWITCHES.search(status.read_text())
            total += int(found.group(1)) if found else 0
    return total


def busy_s() -> float:
    """CPU seconds of the whole machine so far."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


def look(hz: int, seconds: float, settle_s: float) -> Idle:
    """Records the whole system for `seconds` after `settle_s`. Raises `ProfilerFailed`."""
    with tempfile.TemporaryDirectory(prefix="pidflame-bench-") as directory:
        place = Path(directory)
        with Profiler(PIDFLAME.command(0, hz, place), place / "words", looks=False) as profiler:
            wait_until_attached(PIDFLAME, profiler)
            time.sleep(SETTLE_S + settle_s)
            woken, cpu_ns, busy = wake_ups(profiler.tree()), profiler.cpu_ns(), busy_s()
            began_s = time.monotonic()
            time.sleep(seconds)
            woken, cpu_ns, busy = (
                wake_ups(profiler.tree()) - woken,
                profiler.cpu_ns() - cpu_ns,
                busy_s() - busy,
            )
            took_s = time.monotonic() - began_s
            profiler.finish()
    return Idle(woken / took_s, cpu_ns / NS / took_s, busy / took_s)


def row(hz: int, idle: Idle) -> Sequence[str]:
    """The cells of a rate."""
    shares = (f"{100 * share:.2f}" for share in (idle.cpu_share, idle.busy_share))
    return (f"{hz} Hz", f"{idle.wake_ups:.1f}", *shares)


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=30.0, help="at each rate")
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before that")
    arguments = parser.parse_args()
    rows = [row(hz, look(hz, arguments.seconds, arguments.settle)) for hz in RATES_HZ]
    header = ("pidflame at", "wake-ups a second", "its CPU, % of a core", "all that ran, % of a core")
    explanation = prose(f"""
        The whole system was recorded while nothing else was done with it, {arguments.seconds:g} s at each
        rate.""")
    made_by = written_by("tests.bench.idle docs/BENCHMARKS.md", Machine())
    text = f"{made_by}\n{explanation}\n\n{markdown(header, rows)}"
    publish({TITLE: text}, arguments.pages)


if __name__ == "__main__":
    main()
