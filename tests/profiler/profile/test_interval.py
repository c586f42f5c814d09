"""The interval of a share against its definition."""

from __future__ import annotations

import pytest

from profiler.profile.interval import wilson


@pytest.mark.parametrize(("count", "samples"), [(1, 3), (5, 100), (200, 20_000), (0, 10), (10, 10)])
def test_the_interval_ends_where_wilson_puts_it(count: int, samples: int) -> None:
    """The share is 1.96 standard deviations away from an end, as that end itself gives them."""
    ends = wilson(count, samples)
    assert 0 <= ends[0] < ends[1] <= 1
    for end in ends:
        if 0 < end < 1:
            deviation = abs(count / samples - end) / (end * (1 - end) / samples) ** 0.5
            assert deviation == pytest.approx(1.959964, abs=1e-5)


def test_without_samples_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
