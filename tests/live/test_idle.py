"""While nothing is sampled, nobody looks: an idle machine costs nothing."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.support.live.begun import wait_until_sampling
from tests.support.live.harness import PIDFLAME

pytestmark = pytest.mark.live

LOOKED_AT_S = 3.0
MOST_WAKES = 6
"""One a second, since a target's exit could have been lost; it was twelve a second."""


def wakes(pid: int) -> int:
    """How often a process has gone to sleep so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)$", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_a_recording_sleeps_while_its_target_does(tmp_path: Path) -> None:
    options = ("record", "-d", "8", "-o", str(tmp_path / "out.folded"))
    with (
        subprocess.Popen(["sleep", "60"]) as target,
        subprocess.Popen([PIDFLAME, *options, "-p", str(target.pid)], stderr=subprocess.PIPE) as profiler,
    ):
        wait_until_sampling(profiler.pid)
        time.sleep(1.5)
        workers = [child.pid for child in psutil.Process(profiler.pid).children(recursive=True)]
        pids = [profiler.pid, *workers]
        before = {pid: wakes(pid) for pid in pids}
        time.sleep(LOOKED_AT_S)
        after = {pid: wakes(pid) - before[pid] for pid in pids}
        target.kill()
        _, said = profiler.communicate(timeout=30)
    assert workers
    assert sum(after.values()) <= MOST_WAKES, after
    assert b"0 samples" in said
