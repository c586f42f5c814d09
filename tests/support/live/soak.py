"""A long recording beside programs that come and go, and what it holds meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.live.harness import PIDFLAME, SYSTEM_PYTHON

CHURN = f"""
while :; do
    {SYSTEM_PYTHON} -S -c 'sum(len(str(n)) for n in range(20000))'
    sh -c 'i=0; while [ $i -lt 500 ]; do i=$((i+1)); done'
    /bin/true; /bin/ls / >/dev/null; date >/dev/null
done
"""
"""Some fifty programs a second, a few of which are sampled."""
BUSY = (SYSTEM_PYTHON, "-c", "import json\nwhile True: json.loads(json.dumps({i: [i] for i in range(99)}))")
HZ = 100


@dataclass(frozen=True)
class Point:
    """What all processes of the recording hold, `after_s` seconds after their start."""

    after_s: float
    pss_bytes: int
    descriptors: int
    processes: int


@dataclass(frozen=True)
class Soaked:
    """The points in order, the recording's figures, and how many processes came and went."""

    points: tuple[Point, ...]
    stats: dict[str, Any]


def soak(folder: Path, duration_s: float, every_s: float) -> Soaked:
    """Records so long at 100 Hz, and looks at it every so often."""
    stats = folder / "stats.json"
    outputs = ("-o", str(folder / "out.folded"), "--stats", str(stats))
    command = [PIDFLAME, "record", "-F", str(HZ), "-d", str(duration_s), *outputs]
    points = []
    with _running("sh", "-c", CHURN), _running(*BUSY), subprocess.Popen(command) as profiler:
        began_s = time.monotonic()
        for number in range(1, int(duration_s / every_s)):
            time.sleep(max(0.0, began_s + number * every_s - time.monotonic()))
            points.append(_look(profiler.pid, time.monotonic() - began_s))
        assert profiler.wait(duration_s) == 0
    return Soaked(tuple(points), json.loads(stats.read_text()))


@contextmanager
def _running(*command: str) -> Iterator[None]:
    """A process group of its own, ended as a whole."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _look(pid: int, after_s: float) -> Point:
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    pss = sum(each.memory_full_info().pss for each in processes)
    return Point(after_s, pss, psutil.Process(pid).num_fds(), len(processes))
