"""The worker is killed again and again, as by a system that is out of memory: the recording goes on."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.live.harness import Recording, target, workload
from tests.support.process.targets import children_of

pytestmark = pytest.mark.live

KILLS = 200
HZ = 99
DURATION_S = 20.0
LATE_S = 1.0
"""So much later than its time a recording may end: the last worker has just been killed, too."""


def workers_of(pid: int) -> list[int]:
    """The processes that read targets for the recording `pid`."""
    found = []
    for child in children_of(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"symbolizers.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


class Killer(threading.Thread):
    """Kills workers of a recording at random instants of its time, `KILLS` in all."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.seed = random.randrange(1 << 32)
        self._pid = pid
        self.killed: set[int] = set()
        self.kills = 0

    def run(self) -> None:
        chance = random.Random(self.seed)
        began_s = time.monotonic()
        for instant_s in sorted(chance.uniform(0, DURATION_S - 1) for _ in range(KILLS)):
            time.sleep(max(0.0, began_s + instant_s - time.monotonic()))
            for worker in workers_of(self._pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    self.killed.add(worker)
            self.kills += 1


def test_a_worker_that_is_killed_two_hundred_times_costs_no_recording(tmp_path: Path) -> None:
    with target(*workload("split.py", "--cpu-seconds", "60")) as healthy:
        healthy.go()
        recording = Recording(tmp_path, ["-F", str(HZ), "-d", f"{DURATION_S:g}", "--lines"])
        began_s = time.monotonic()
        killer = Killer(recording.process.pid)
        print(f"seed {killer.seed}")
        killer.start()
        recorded = recording.wait()
        took_s = time.monotonic() - began_s
        killer.join()
    assert killer.kills == KILLS
    assert len(killer.killed) > 20
    assert recorded.exit_code == 0, recorded.said
    assert took_s < DURATION_S + LATE_S
    recorded.accounted()
    (row,) = [row for row in recorded.stats["per_process"] if row["pid"] == healthy.process.pid]
    assert row["samples"] > HZ * DURATION_S / 3, "it shares two CPUs with the workers' starts"
    assert recorded.within("split") > 0.9 * row["samples"], "it was known before"
    assert re.search(r"note: the worker that reads other processes was replaced \d+ times", recorded.said)
    assert "Traceback" not in recorded.said
