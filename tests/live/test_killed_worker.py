"""The worker is killed again and again, as by a system that is out of memory: the recording goes on."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.live.harness import Recorded, Recording, target, workload
from tests.support.process.targets import children_of

pytestmark = pytest.mark.live

KILLS_PER_S = 10
HZ = 99
LATE_S = 6.0
"""So much later than its time a recording may end: after 5 s at most the next worker names files."""


def workers_of(pid: int) -> list[int]:
    """The processes that read targets for the recording `pid`."""
    found = []
    for child in children_of(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{child}/comm").read_text() == "pidflame-worker\n":
                found.append(child)
    return found


class Killer(threading.Thread):
    """Kills workers of a recording at random instants, from one second of its time to another."""

    def __init__(self, pid: int, first_s: float, last_s: float) -> None:
        super().__init__()
        self.seed = random.randrange(1 << 32)
        self._pid, self._first_s, self._last_s = pid, first_s, last_s
        self.killed: set[int] = set()
        self.kills = 0

    def run(self) -> None:
        chance = random.Random(self.seed)
        began_s = time.monotonic()
        count = round(KILLS_PER_S * (self._last_s - self._first_s))
        for instant_s in sorted(chance.uniform(self._first_s, self._last_s) for _ in range(count)):
            time.sleep(max(0.0, began_s + instant_s - time.monotonic()))
            for worker in workers_of(self._pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    self.killed.add(worker)
            self.kills += 1


class Killed(NamedTuple):
    """A recording whose workers were killed, the row of the target in its statistics, and who did it."""

    recorded: Recorded
    row: Mapping[str, Any]
    killer: Killer


def recorded_while_killed(folder: Path, pid: int, duration_s: float, first_s: float) -> Killed:
    """Kills the workers from `first_s` on; the recording ends on time, and all is accounted for."""
    recording = Recording(folder, ["-F", str(HZ), "-d", f"{duration_s:g}", "--lines"])
    began_s = time.monotonic()
    killer = Killer(recording.process.pid, first_s, duration_s - 1)
    print(f"seed {killer.seed}")
    killer.start()
    recorded = recording.wait()
    took_s = time.monotonic() - began_s
    killer.join()
    assert recorded.exit_code == 0, recorded.said
    assert took_s < duration_s + LATE_S
    assert "Traceback" not in recorded.said
    recorded.accounted()
    (row,) = [row for row in recorded.stats["per_process"] if row["pid"] == pid]
    assert row["samples"] > HZ * duration_s / 3, "it shares two CPUs with the workers' starts"
    return Killed(recorded, row, killer)


def test_a_worker_that_is_killed_two_hundred_times_costs_no_recording(tmp_path: Path) -> None:
    with target(*workload("split.py", "--cpu-seconds", "60")) as healthy:
        healthy.go()
        recorded, row, killer = recorded_while_killed(tmp_path, healthy.process.pid, 22.0, first_s=1.0)
    assert killer.kills == 200
    assert len(killer.killed) > 10, "there are pauses"
    assert recorded.within("split") > 0.9 * row["samples"], "it was known before"
    assert re.search(r"note: the worker that reads other processes was replaced \d+ times", recorded.said)


def test_workers_that_are_killed_from_the_first_instant_cost_names_and_no_recording(tmp_path: Path) -> None:
    """They may never be ready: what has no name has a reason."""
    with target(*workload("split.py", "--cpu-seconds", "30")) as healthy:
        healthy.go()
        recorded, row, killer = recorded_while_killed(tmp_path, healthy.process.pid, 6.0, first_s=0.0)
    assert killer.killed
    lost = sum(row["dropped"].values())
    assert recorded.within("split") + lost >= 0.98 * row["samples"], row
