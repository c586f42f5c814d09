"""A target with a page that does not come, beside a healthy one: nothing waits, and the loss is counted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.live.harness import Recording, target, workload

HZ = 100
DURATION_S = 4.0


@pytest.mark.parametrize("part", ["code", "name"])
def test_a_page_that_does_not_come(tmp_path: Path, part: str) -> None:
    with (
        target(*workload("stuck.py", "--on", part)) as stuck,
        target(*workload("split.py", "--cpu-seconds", "1.5")) as healthy,
    ):
        began_s = time.monotonic()
        recording = Recording(tmp_path, ["-F", str(HZ), "-d", str(DURATION_S)])
        recording_s = time.monotonic()
        healthy.go()
        truth = healthy.truth()
        recorded = recording.wait()
        ended_s = time.monotonic()
        stuck.go()
        stuck_truth = stuck.truth()

    assert recorded.exit_code == 0
    recorded.accounted()
    assert ended_s - recording_s < DURATION_S + 2.0
    # the healthy one is whole
    healthy_root = f"python3 ({truth['pids'][0]})"
    samples = sum(recorded.within(name, root=healthy_root) for name in truth["cpu_s"])
    assert 0.95 <= samples / (sum(truth["cpu_s"].values()) * HZ) <= 1.05
    # the stuck one was never stopped: it burnt CPU all the while
    assert stuck_truth["alive"]
    assert stuck_truth["cpu_s"]["stuck_burner"] > 0.5 * (ended_s - began_s)
    # what could not be read is counted, and nothing was made up
    (row,) = [row for row in recorded.stats["per_process"] if row["pid"] == stuck_truth["pids"][0]]
    assert row["dropped"].get("would_fault", 0) > 0.9 * row["samples"] > 50
    assert recorded.within("stuck_burner") == 0
