"""Programs that do something at intervals are sampled as often as they run, whatever the interval.

Twenty recordings at each frequency::

    PHASE_RECORDINGS=20 .venv/bin/python -m pytest -n 0 -s tests/live/test_phase.py
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.support.live.harness import WORKLOADS, record

pytestmark = [pytest.mark.root, pytest.mark.live]

PERIODS_MS = ("50", "25", "100", "10", "4", "1")
SHARE = 0.2
SECONDS = 10
RECORDINGS = int(os.environ.get("PHASE_RECORDINGS", "3"))
MOST_WRONG = 0.1
"""Of the mean: bursts of 0.2 ms have some 5 % fewer samples than their CPU clock says."""
MOST_SIGMA = 4.0
"""Of the mean besides, by chance."""
MOST_SPREAD = 1.3
"""The standard deviation over that of independent samples, but for chance."""


@pytest.fixture(scope="module")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("bursts") / "bursts"
    subprocess.run(["gcc", "-O1", "-o", program, WORKLOADS / "bursts.c"], check=True)
    return str(program)


@pytest.mark.parametrize("hz", [20, 100])
def test_programs_that_run_at_intervals_have_their_share(bursts: str, tmp_path: Path, hz: int) -> None:
    """By the CPU clock of each: the error of each recording is as that of samples at independent instants."""
    errors: dict[str, list[float]] = {f"burst-{period}": [] for period in PERIODS_MS}
    for _ in range(RECORDINGS):
        command = (bursts, str(SECONDS), str(SHARE), *PERIODS_MS)
        recorded = record(tmp_path, "-F", str(hz), command=command)
        assert recorded.exit_code == 0, recorded.said
        for name, cpu_s in recorded.truth.items():
            rows = [row for row in recorded.stats["per_process"] if row["process"].startswith(f"{name} ")]
            due = cpu_s * hz
            sigma = math.sqrt(due * (1 - SHARE))
            errors[name].append((sum(row["samples"] for row in rows) - due) / sigma)
    for name, found in errors.items():
        spread = math.sqrt(statistics.fmean(each**2 for each in found))
        print(f"{hz} Hz {name}: mean {statistics.fmean(found):+.2f}, spread {spread:.2f}", flush=True)
    due = SHARE * SECONDS * hz
    wrong = MOST_WRONG * due / math.sqrt(due * (1 - SHARE)) + MOST_SIGMA / math.sqrt(RECORDINGS)
    assert max(abs(statistics.fmean(found)) for found in errors.values()) < wrong, errors
    every = [each for found in errors.values() for each in found]
    chance = 1 + MOST_SIGMA / math.sqrt(2 * len(every))
    assert math.sqrt(statistics.fmean(each**2 for each in every)) < MOST_SPREAD * chance, errors
