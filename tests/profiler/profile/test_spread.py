"""How far samples are spread, against what is drawn."""

from __future__ import annotations

from random import Random

import pytest

from profiler.profile.spread import dispersion, spread


def draws_of(seed: int, *, run: int, scale: float = 1.0) -> list[tuple[int, int]]:
    """Pairs of counts of 200 functions: draws that come `run` at a time."""
    random = Random(seed)
    pairs = []
    for _ in range(200):
        mean = 50
        counts = [sum(random.random() < factor / 4 for _ in range(4 * mean)) for factor in (1.0, scale)]
        pairs.append((run * counts[0], run * counts[1]))
    return pairs


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_independent_samples_are_spread_as_independent_samples(scale: float) -> None:
    assert 1.0 <= spread(draws_of(1, run=1, scale=scale)) < 1.3


def test_samples_that_come_in_runs_are_spread_as_much_more() -> None:
    assert spread(draws_of(2, run=4)) == pytest.approx(4 * spread(draws_of(2, run=1)), rel=0.4)


def test_the_spread_is_that_of_the_many() -> None:
    pairs = draws_of(3, run=1)
    changed = [(before, 20 * after) for before, after in pairs[:40]] + pairs[40:]
    assert spread(changed) < 2


def test_a_few_functions_tell_nothing_of_the_spread() -> None:
    assert spread([]) == 1.0
    assert spread([(100, 10)] * 19) == 1.0
    assert spread([(1, 9)] * 500 + [(0, 500)] * 500) == 1.0


def test_the_dispersion_is_pearsons_chi_squared_by_its_degrees_of_freedom() -> None:
    assert dispersion([[(40, 100), (60, 100)]]) == pytest.approx(8.0)  # 2 * 10^2 / (100 * 0.5 * 0.5)
    assert dispersion([[(40, 100), (60, 100)], [(5, 10), (5, 10)]]) == pytest.approx(4.0)
    assert dispersion([[(40, 100), (60, 100)], [(5, 10)], []]) == pytest.approx(8.0)
    assert dispersion([[(1, 10)], [(9, 10)]]) == 0.0
    assert dispersion([[(0, 10), (0, 0), (0, 5)], [(7, 7), (7, 7)]]) == 0.0


def test_independent_draws_have_a_dispersion_of_one() -> None:
    drawn = Random(5)
    groups = [[(sum(drawn.random() < 0.3 for _ in range(200)), 200) for _ in range(3)] for _ in range(200)]
    assert dispersion(groups) == pytest.approx(1.0, abs=0.15)
