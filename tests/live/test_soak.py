"""Three minutes beside programs that come and go: what the recording holds stays as it is.

Half an hour of the same is ``python -m tests.bench.soak``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.live.soak import HZ, soak

DURATION_S, EVERY_S = 180.0, 10.0
WARM_UP_S = 60.0
"""Until then it learns what there is."""
MOST_GROWTH = 0.3
"""Stacks that are new still come; what grows with each process shows in `MOST_ROWS`, too."""
MOST_BYTES = 90 << 20
"""It took 87 MB at most in a session like CI's, before 2 MB of imports went, and 81 on an idle machine."""
MOST_ROWS = 800
"""Processes that run, and the 500 that ended last."""


@pytest.mark.live
@pytest.mark.timeout(400)
def test_a_recording_holds_no_more_the_longer_it_lasts(tmp_path: Path) -> None:
    soaked = soak(tmp_path, DURATION_S, EVERY_S)
    warm = [point for point in soaked.points if point.after_s >= WARM_UP_S]
    assert len(warm) >= 10
    assert max(point.pss_bytes for point in warm) < (1 + MOST_GROWTH) * warm[0].pss_bytes, warm
    assert max(point.pss_bytes for point in warm) < MOST_BYTES, [point.pss_bytes >> 20 for point in warm]
    assert max(point.descriptors for point in warm) <= warm[0].descriptors + 1, warm
    assert max(point.processes for point in warm) <= 4, "itself, what forks workers, and these"
    assert soaked.stats["samples"] > DURATION_S * HZ
    assert soaked.stats["lost"] == 0
    assert len(soaked.stats["per_process"]) < MOST_ROWS
    ended = sum(row["processes"] for row in soaked.stats["per_process"] if row["pid"] is None)
    assert ended > 500, "so many that they count by program"
