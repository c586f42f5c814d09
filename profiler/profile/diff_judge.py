"""Tests many pairs of shares at once, each at the worst that the losses allow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil, floor
from typing import NamedTuple

from profiler.profile.diff_tree import Pair
from profiler.profile.proportions import corrected, count_testable, draw, least_draw, newcombe


class Counted(NamedTuple):
    """Samples of something before and after, and those that may have been of it, unseen.

    `dispersion` says how many times more its share varies between recordings of one side than independent
    samples; 0 where nothing tells that.
    """

    seen: Pair
    unseen: Pair
    dispersion: float = 0.0


class Exposure(NamedTuple):
    """What counts are compared with: `of` so many samples each, of which nothing is known of the `unseen`.

    Counts vary `spread` times as much as independent samples.
    """

    of: Pair
    unseen: Pair
    spread: float


class Outcome(NamedTuple):
    """`p` allows for what may be among the unseen samples; with `p_if_like` they are as those that were seen.

    `p_if_steady` is as `p`, but does not allow for the dispersion. All are corrected for the number of tests.
    `low` to `high`: the difference of the shares, with the unseen samples in any place, but not corrected.
    """

    p: float
    p_if_steady: float
    p_if_like: float
    low: float
    high: float


def judge(counts: Sequence[Counted], exposure: Exposure, level: float) -> tuple[list[Outcome], int]:
    """The outcome of each, and the number of tests that were corrected for, at this `level`."""
    one_by_one = cache(lambda counted: _test(counted, exposure))
    tests = [one_by_one(counted) for counted in counts]
    steady = corrected([(p, least) for p, _, least in tests], level)
    dispersed = [
        (_worst(counted, exposure) if p < level else p, least)
        for counted, (p, _, least) in zip(counts, tests, strict=True)
    ]
    worst = corrected(dispersed, level)
    like = corrected([(p, least) for _, p, least in tests], level)
    interval = cache(lambda counted: _interval(counted, exposure))
    outcomes = [
        Outcome(p, p_if_steady, p_if_like, *interval(counted))
        for p, p_if_steady, p_if_like, counted in zip(worst, steady, like, counts, strict=True)
    ]
    return outcomes, count_testable((least for _, _, least in tests), level)


def _test(counted: Counted, exposure: Exposure) -> tuple[float, float, float]:
    """p with the unseen samples where they hide most, p without them, and the least that p could be."""
    seen, unseen, _ = counted
    of = exposure.of
    p = _worst(counted._replace(dispersion=0.0), exposure)
    known = Pair(of.before - exposure.unseen.before, of.after - exposure.unseen.after)
    least = _least_p(sum(seen), sum(seen) + sum(unseen), _reduced(of, exposure.spread), exposure.spread)
    is_whole = not any(unseen) and not any(exposure.unseen)
    return p, p if is_whole else _p(seen, known, exposure.spread), least


def _worst(counted: Counted, exposure: Exposure) -> float:
    """p with the unseen samples where they hide most, and with the dispersion."""
    seen, unseen, dispersion = counted
    of = exposure.of
    if seen.after * of.before > (seen.before + unseen.before) * of.after:
        nearest = Pair(seen.before + unseen.before, seen.after)
    elif (seen.after + unseen.after) * of.before < seen.before * of.after:
        nearest = Pair(seen.before, seen.after + unseen.after)
    else:
        return 1.0
    return _p(nearest, of, max(exposure.spread, dispersion))


def _p(counts: Pair, of: Pair, spread: float) -> float:
    """That of samples which vary so much; where numbers must be rounded, the shares become more alike."""
    whole = _reduced(of, spread)
    if counts.after * of.before >= counts.before * of.after:
        before, after = min(ceil(counts.before / spread), whole.before), floor(counts.after / spread)
        is_more = after * whole.before > before * whole.after
    else:
        before, after = floor(counts.before / spread), min(ceil(counts.after / spread), whole.after)
        is_more = after * whole.before < before * whole.after
    after = min(after, whole.after)
    before = min(before, whole.before)
    return draw(after, before + after, whole.after, sum(whole)) if is_more else 1.0


def _least_p(fewest: int, most: int, whole: Pair, spread: float) -> float:
    """The least that p could be for any split of the samples: `fewest` were seen, and `most` may be there.

    It falls with their number until one recording is full of them, and grows from where both are.
    """
    fewest, most = (min(ceil(count / spread), sum(whole)) for count in (fewest, most))
    turns = (min(max(turn, fewest), most) for turn in (*whole, sum(whole) // 2))
    return min(least_draw(number, whole.after, sum(whole)) for number in {fewest, most, *turns})


def _reduced(of: Pair, spread: float) -> Pair:
    return Pair(floor(of.before / spread), floor(of.after / spread))


def _interval(counted: Counted, exposure: Exposure) -> tuple[float, float]:
    (before, after), unseen, dispersion = counted
    of, spread = exposure.of, max(exposure.spread, dispersion)
    least = newcombe(
        (min(before + unseen.before, of.before) / spread, of.before / spread),
        (after / spread, of.after / spread),
    )
    most = newcombe(
        (before / spread, of.before / spread),
        (min(after + unseen.after, of.after) / spread, of.after / spread),
    )
    return least[0], most[1]
