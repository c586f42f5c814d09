"""Whether the samples that a process lost matter: how many they are, and whether they are like the kept ones.

Pure. Two questions are asked of a process that lost samples:

- *Too many?* The interval of the lost share (`profiler.profile.interval`): its lower end passes
  `TOLERATED_SHARE`.
- *Unlike the kept ones?* If samples are lost at random, then the lost ones are a draw without replacement
  from all, and how many of them lie in a category is distributed hypergeometrically. The tail of that
  distribution is Fisher's exact test (R. A. Fisher, "The logic of inductive inference", J. R. Stat. Soc. 98,
  1935, 39-82), which holds for small counts, too. Categories are threads, leaf functions and leaf addresses.
  Every tail is doubled (both sides) and multiplied by the number of categories, features and processes that
  were tested (Bonferroni), so that a run in which nothing is wrong gives a false alarm with a probability of
  `FALSE_ALARMS` at most.

A loss of fewer than `LEAST_LOST` samples is never significant: one lost of three has a lower end of 6 %,
and yet tells nothing. Such losses count in the verdict on the run as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.profile.interval import wilson
from profiler.profile.model import Feature, Verdict
from profiler.profile.proportions import draw

TOLERATED_SHARE = 0.01
LEAST_LOST = 5
LEAST_UNLIKE_SHARE = 0.001
"""The share of a process's samples below which nobody would see a loss, even if all of it is in one place."""
FALSE_ALARMS = 0.001
"""The probability that losses at random are called unlike the kept samples, in one run."""
BUCKETS = 256
"""Categories of one feature of one process; their number bounds the memory."""
RARE = 5
"""Categories with fewer samples count as one: else a loss that is spread over many places would be missed."""

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads addresses, whose low bits are alike
_WORD_MASK = (1 << 64) - 1
_BUCKET_SHIFT = 64 - (BUCKETS.bit_length() - 1)
_PAGE_SHIFT = 12

_Table = dict[int, list[int]]
"""Kept and lost samples by category."""


class Traits(NamedTuple):
    """By what samples are told apart: thread, page of the leaf address (kernel or user), leaf function."""

    tid: int
    page: int
    function: int | None


def traits_of(sample: RawSample) -> Traits:
    """What tells `sample` from others."""
    leaf = sample.user or sample.kernel or (0,)
    function = sample.leaf()
    page = leaf[0] >> _PAGE_SHIFT << 1 | bool(sample.kernel)
    return Traits(sample.tid, page, function.address if function is not None else None)


class Evidence:
    """Counts of what was captured in the kernel for a process's samples, kept and lost.

    Categories are hashed into buckets. This bounds the memory, and it keeps the test exact, because the
    bucket of a category does not depend on the fate of its samples.
    """

    __slots__ = ("_addresses", "_functions", "_threads")

    def __init__(self) -> None:
        self._threads: _Table = {}
        self._functions: _Table = {}
        self._addresses: _Table = {}

    def add(self, traits: Traits, *, lost: bool, count: int = 1) -> None:
        """Counts so many samples with these `traits`.

        A walk that faulted may have no leaf function: that table counts only samples that have one.
        """
        _count(self._threads, traits.tid, lost, count)
        _count(self._addresses, traits.page, lost, count)
        if traits.function is not None:
            _count(self._functions, traits.function, lost, count)

    def merge(self, other: Evidence) -> None:
        """Counts what another one has counted, too."""
        for own, others in zip(self._tables(), other._tables(), strict=True):
            for bucket, (kept, lost) in others.items():
                found = own.setdefault(bucket, [0, 0])
                found[0] += kept
                found[1] += lost

    def _tables(self) -> tuple[_Table, ...]:
        return self._threads, self._functions, self._addresses

    def counts(self, feature: Feature) -> list[tuple[int, int]]:
        """Kept and lost samples of each category, at most `BUCKETS`."""
        tables = {
            Feature.THREAD: self._threads,
            Feature.FUNCTION: self._functions,
            Feature.ADDRESS: self._addresses,
        }
        return [(kept, lost) for kept, lost in tables[feature].values()]

    def likeness(self, feature: Feature) -> float:
        """The probability (0 to 1) that a loss at random looks at least so unlike, by this feature alone."""
        return _homogeneity(self.counts(feature))


def _count(table: _Table, category: int, lost: bool, count: int) -> None:
    bucket = (category * _GOLDEN & _WORD_MASK) >> _BUCKET_SHIFT
    found = table.get(bucket)
    if found is None:
        found = table[bucket] = [0, 0]
    found[lost] += count


def judge_share(lost: int, samples: int) -> Verdict:
    """The verdict on `lost` of `samples`, of which nothing else is known."""
    low, high = wilson(lost, samples)
    too_many = lost >= LEAST_LOST and low > TOLERATED_SHARE
    return Verdict(lost / samples if samples else 0.0, low, high, too_many)


def judge(processes: Sequence[tuple[int, int, Evidence]]) -> list[Verdict]:
    """Verdicts on all processes of a run, each given as lost samples, all samples, and the evidence."""
    tested = sum(_testable(lost, samples) for lost, samples, _ in processes)
    verdicts = []
    for lost, samples, evidence in processes:
        verdict = judge_share(lost, samples)
        if _testable(lost, samples):
            limit = FALSE_ALARMS / (tested * len(Feature))
            unlike = tuple(feature for feature in Feature if evidence.likeness(feature) < limit)
            verdict = replace(verdict, unlike=unlike)
        verdicts.append(verdict)
    return verdicts


def _testable(lost: int, samples: int) -> bool:
    return lost >= LEAST_LOST and LEAST_UNLIKE_SHARE * samples <= lost < samples


def _homogeneity(categories: Sequence[tuple[int, int]]) -> float:
    """The probability, at most, that (kept, lost) samples are this unequal if the loss is at random."""
    rows = [each for each in categories if sum(each) >= RARE]
    rare = [each for each in categories if sum(each) < RARE]
    if rare:
        rows.append((sum(kept for kept, _ in rare), sum(lost for _, lost in rare)))
    if len(rows) < 2:
        return 1.0
    lost = sum(row[1] for row in rows)
    samples = lost + sum(row[0] for row in rows)
    return min(1.0, len(rows) * min(draw(row[1], sum(row), lost, samples) for row in rows))
