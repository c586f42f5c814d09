"""Shares of samples: their intervals, the test of two of them, and what many tests at once cost.

Pure, and knows nothing of profiles. The sources are beside the formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import exp, lgamma, sqrt

from profiler.profile.interval import wilson

_NEGLIGIBLE = 1e-15


def newcombe(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    """The interval of the second share minus the first, each given as (part, whole), with `CONFIDENCE`.

    It is made of Wilson's intervals, and holds for small counts and for shares of 0: method 10 of R. G.
    Newcombe, "Interval estimation for the difference between independent proportions", Stat. Med. 17, 1998,
    873-890.
    """
    one = before[0] / before[1] if before[1] else 0.0
    other = after[0] / after[1] if after[1] else 0.0
    low_one, high_one = wilson(*before)
    low_other, high_other = wilson(*after)
    change = other - one
    low = change - sqrt((other - low_other) ** 2 + (high_one - one) ** 2)
    high = change + sqrt((high_other - other) ** 2 + (one - low_one) ** 2)
    return max(low, -1.0), min(high, 1.0)


def draw(drawn: int, category: int, draws: int, population: int) -> float:
    """The probability of so many of a `category`, or of as unlikely a number, among `draws` at random.

    The draws are without replacement, so that this is twice the hypergeometric tail from `drawn` on away from
    the mean (1 at most): Fisher's exact test. R. A. Fisher, "The logic of inductive inference", J. R. Stat.
    Soc. 98, 1935, 39-82.
    """
    rest = population - category - draws
    term = _term(drawn, category, draws, population)
    tail = term
    upwards = drawn * population >= category * draws
    while term > _NEGLIGIBLE * tail:
        if upwards:
            term *= (category - drawn) * (draws - drawn) / ((drawn + 1) * (rest + drawn + 1))
            drawn += 1
        else:
            term *= drawn * (rest + drawn) / ((category - drawn + 1) * (draws - drawn + 1))
            drawn -= 1
        tail += term
    return min(1.0, 2 * tail)


@cache
def least_draw(category: int, draws: int, population: int) -> float:
    """The least that `draw` gives for any number drawn: nothing in the category is, or as much as can be."""
    fewest, most = max(0, category + draws - population), min(category, draws)
    ends = (_term(number, category, draws, population) for number in (fewest, most))
    return min(1.0, 2 * min(ends))


def _term(drawn: int, category: int, draws: int, population: int) -> float:
    return exp(
        _log_choose(category, drawn)
        + _log_choose(population - category, draws - drawn)
        - _log_choose(population, draws)
    )


def _log_choose(things: int, chosen: int) -> float:
    return lgamma(things + 1) - lgamma(chosen + 1) - lgamma(things - chosen + 1)


def count_testable(least: Iterable[float], level: float) -> int:
    """How many tests to correct for, of which each has its `least` p: some can never be significant.

    The least k so that at most k tests can get to level / k; 1 at least. R. E. Tarone, "A modified Bonferroni
    method for discrete data", Biometrics 46, 1990, 515-522.
    """
    ascending = sorted(least)
    count = 1
    while count < len(ascending) and ascending[count] * count <= level:
        count += 1
    return count


def corrected(tests: Sequence[tuple[float, float]], level: float) -> list[float]:
    """The p of each test, given as (p, least p), corrected for as many as `count_testable` finds.

    However the tests depend on each other: the probability that any of those with nothing to find gets below
    the `level` is the level at most. S. Holm, "A simple sequentially rejective multiple test procedure",
    Scand. J. Stat. 6, 1979, 65-70.
    """
    count = count_testable((least for _, least in tests), level)
    used = sorted((p, at) for at, (p, least) in enumerate(tests) if least * count <= level)
    result = [1.0] * len(tests)
    highest = 0.0
    for rank, (p, at) in enumerate(used):
        highest = result[at] = max(highest, min(1.0, (count - rank) * p))
    return result
