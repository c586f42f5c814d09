"""The line that runs: its share of the samples is its share of the CPU time."""

from __future__ import annotations

import math
from pathlib import Path

from tests.support.live.harness import record, workload

HZ = 250


def test_lines_share_the_samples_as_they_share_the_time(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), "--lines", command=workload("lines.py", "8"))
    recorded.accounted()
    spent_s = {int(line): seconds for line, seconds in recorded.truth["cpu_s"].items()}
    samples = {
        line: recorded.where(lambda stack, line=line: any(f"lines.py:{line})" in frame for frame in stack))
        for line in spent_s
    }
    total, cpu_s = sum(samples.values()), sum(spent_s.values())
    assert total > 0.9 * cpu_s * HZ
    for line, seconds in spent_s.items():
        share = seconds / cpu_s
        assert abs(samples[line] / total - share) <= 3 * math.sqrt(share * (1 - share) / total), samples
