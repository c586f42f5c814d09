"""The formulas for shares, against exact values and against what they promise."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.profile.proportions import (
    corrected,
    count_testable,
    draw,
    least_draw,
    newcombe,
)

LEVEL = 0.05
RUNS = 400


def exact(drawn: int, category: int, draws: int, population: int) -> Fraction:
    """The smaller tail of the hypergeometric distribution, doubled."""

    def tail(numbers: range) -> Fraction:
        ways = sum(comb(category, k) * comb(population - category, draws - k) for k in numbers)
        return Fraction(ways, comb(population, draws))

    fewest, most = max(0, category + draws - population), min(category, draws)
    return min(Fraction(1), 2 * min(tail(range(fewest, drawn + 1)), tail(range(drawn, most + 1))))


@st.composite
def tables(draw_: st.DrawFn) -> tuple[int, int, int, int]:
    population = draw_(st.integers(1, 80))
    category = draw_(st.integers(0, population))
    draws = draw_(st.integers(0, population))
    drawn = draw_(st.integers(max(0, category + draws - population), min(category, draws)))
    return drawn, category, draws, population


@given(tables())
def test_the_test_is_fishers(table: tuple[int, int, int, int]) -> None:
    assert draw(*table) == pytest.approx(float(exact(*table)), rel=1e-9)


@given(tables())
def test_no_number_is_less_probable_than_the_least(table: tuple[int, int, int, int]) -> None:
    _, category, draws, population = table
    numbers = range(max(0, category + draws - population), min(category, draws) + 1)
    found = min(draw(number, category, draws, population) for number in numbers)
    assert least_draw(category, draws, population) == pytest.approx(found, rel=1e-9)


def test_newcombe_gives_the_intervals_of_the_paper() -> None:
    """Table II there, method 10."""
    assert newcombe((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert newcombe((3, 10), (9, 10)) == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert newcombe((0, 20), (10, 10)) == pytest.approx((0.6791, 1.0), abs=1e-4)
    assert newcombe((0, 29), (5, 56)) == pytest.approx((-0.0381, 0.1926), abs=1e-4)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_the_interval_holds_the_difference_and_turns_with_it(a: int, b: int, c: int, d: int) -> None:
    before, after = (a, a + b), (c, c + d)
    low, high = newcombe(before, after)
    change = (c / (c + d) if c + d else 0) - (a / (a + b) if a + b else 0)
    assert -1 <= low <= change <= high <= 1
    assert newcombe(after, before) == pytest.approx((-high, -low))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = Random(3)
    held = 0
    for _ in range(RUNS):
        before, after = (sum(random.random() < share for _ in range(100)) for share in (0.05, 0.15))
        low, high = newcombe((before, 100), (after, 100))
        held += low <= 0.1 <= high
    assert held >= 0.92 * RUNS


def test_tests_that_can_not_succeed_are_not_counted() -> None:
    assert count_testable([], LEVEL) == 1
    assert count_testable([1.0] * 1000, LEVEL) == 1
    assert count_testable([0.0] * 1000, LEVEL) == 1000
    # Three can get below 0.05 / 3; the rest can't get below 0.05 / 4.
    assert count_testable([1e-9, 1e-9, 0.016, 0.0167, 0.5], LEVEL) == 3


@given(st.lists(st.floats(0, 1), max_size=20))
def test_as_few_are_counted_as_may_be(least: list[float]) -> None:
    def holds(count: int) -> bool:
        return sum(each * count <= LEVEL for each in least) <= count

    count = count_testable(least, LEVEL)
    assert holds(count)
    assert count == 1 or not holds(count - 1)


def test_the_correction_is_holms() -> None:
    tests = [(p, 0.0) for p in (0.01, 0.04, 0.03, 0.005)]
    assert corrected(tests, LEVEL) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected([*tests, *[(1.0, 1.0)] * 50], LEVEL)[:4] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected([], LEVEL) == []


def test_what_can_not_succeed_does_not() -> None:
    assert corrected([(0.0, 0.0), (0.04, 0.04)], LEVEL) == [0.0, 1.0]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_a_correction_keeps_the_order_and_makes_nothing_smaller(tests: list[tuple[float, float]]) -> None:
    tests = [(max(pair), min(pair)) for pair in tests]
    found = corrected(tests, LEVEL)
    assert all(p <= result <= 1 for (p, _), result in zip(tests, found, strict=True))
    used = sorted((p, result) for (p, _), result in zip(tests, found, strict=True) if result < 1)
    assert [result for _, result in used] == sorted(result for _, result in used)
