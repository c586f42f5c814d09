"""Whether a loss matters: the formulas against exact values, and 100 seeded runs of each kind of loss."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.capture.records import RawSample
from profiler.export.text import warnings
from profiler.profile.interval import wilson
from profiler.profile.model import Feature, Losses, ProcessLosses
from profiler.run.aggregate import Aggregator
from profiler.run.significance import (
    BUCKETS,
    LEAST_LOST,
    LEAST_UNLIKE_SHARE,
    Evidence,
    judge,
    judge_share,
    traits_of,
)
from profiler.run.stacks import Partial
from symbolizers.errors import Reason
from symbolizers.frame import RawFrame
from tests.support.samples import raw_sample

RUNS = 100
SAMPLES = 20_000
FEWER = 5_000
PID = 4711
THREADS = 8
FUNCTIONS = 60
Fate = Callable[[Random, RawSample], bool]
"""Whether a sample is lost."""


def raw(
    *, pid: int = PID, thread: int = 0, function: int | None = 0, address: int = 0, in_kernel: bool = False
) -> RawSample:
    frames = () if function is None else (RawFrame(1 << 56 | 0x7F0000000000 + 192 * function, 0, 1),)
    user, kernel = (0x400000 + address * 4096 + 8,), (0xFFFF_FFFF_8100_0000,) if in_kernel else ()
    return raw_sample(pid=pid, tid=pid + thread, interpreter=frames, user=user, kernel=kernel)


def workload() -> tuple[list[RawSample], list[float]]:
    """Kinds of samples and how often each is seen: few threads and functions take most of the time."""
    kinds = [
        raw(thread=thread, function=function, address=function % 7, in_kernel=function % 5 == 0)
        for thread in range(THREADS)
        for function in range(FUNCTIONS)
    ]
    weights = [
        1 / (1 + thread) / (1 + function) for thread in range(THREADS) for function in range(FUNCTIONS)
    ]
    return kinds, weights


KINDS, WEIGHTS = workload()


def simulate(seed: int, fate: Fate, *, samples: int) -> Losses:
    """A run of one process; lost samples come last, as those do that waited in vain for their names."""
    random, aggregator = Random(seed), Aggregator()
    lost = []
    for sample in random.choices(KINDS, WEIGHTS, k=samples):
        if fate(random, sample):
            lost.append(sample)
        else:
            aggregator.add(sample, ())
    for sample in lost:
        aggregator.drop(sample, Reason.WOULD_FAULT)
    return aggregator.losses(lost=0)


def at_random(share: float) -> Fate:
    return lambda random, _: random.random() < share


def concentrated(share: float, place: Callable[[RawSample], bool]) -> Fate:
    """A loss of `share` of all samples that lies wholly in one place."""
    weight = sum(weight for kind, weight in zip(KINDS, WEIGHTS, strict=True) if place(kind)) / sum(WEIGHTS)
    assert share <= weight
    return lambda random, sample: place(sample) and random.random() < share / weight


def warned(fate: Fate, *, samples: int) -> list[ProcessLosses]:
    """The processes that are warned of in 100 runs with seeds 0 to 99, at most one a run."""
    rows = []
    for seed in range(RUNS):
        losses = simulate(seed, fate, samples=samples)
        (row,) = losses.per_process
        assert bool(warnings(losses)) == row.verdict.significant
        rows += [row] if row.verdict.significant else []
    return rows


# In simulation, 100 runs of each kind, with the seeds 0 to 99: it never warns, or it always does.


@pytest.mark.parametrize(("share", "samples"), [(0.001, SAMPLES), (0.008, FEWER)])
def test_a_small_loss_at_random_is_no_warning_in_any_of_100_runs(share: float, samples: int) -> None:
    assert warned(at_random(share), samples=samples) == []


def test_a_large_loss_at_random_is_a_warning_in_all_of_100_runs() -> None:
    rows = warned(at_random(0.05), samples=FEWER)
    assert len(rows) == RUNS
    assert all(row.verdict.too_many for row in rows)
    assert [row for row in rows if row.verdict.unlike] == []


@pytest.mark.parametrize(
    ("place", "feature"),
    [
        (lambda sample: sample.tid == PID + 6, Feature.THREAD),
        (lambda sample: sample.interpreter[0] == KINDS[9].interpreter[0], Feature.FUNCTION),
        (lambda sample: sample.user == KINDS[6].user, Feature.ADDRESS),
    ],
    ids=["thread", "function", "address"],
)
def test_a_small_loss_in_one_place_is_a_warning_in_all_of_100_runs(
    place: Callable[[RawSample], bool], feature: Feature
) -> None:
    rows = warned(concentrated(0.008, place), samples=FEWER)
    assert len(rows) == RUNS
    assert all(feature in row.verdict.unlike for row in rows)
    assert [row for row in rows if row.verdict.too_many] == []


def test_the_interval_holds_the_truth_in_95_of_100_runs() -> None:
    random = Random(0)
    held = 0
    for _ in range(2000):
        low, high = wilson(sum(random.random() < 0.03 for _ in range(400)), 400)
        held += low <= 0.03 <= high
    assert 0.93 <= held / 2000 <= 0.97


def test_many_processes_that_lose_a_little_at_random_are_no_warning_in_any_of_100_runs() -> None:
    """The evidence of one process counts less the more processes are tested."""
    kinds, weights = KINDS[: 3 * FUNCTIONS], WEIGHTS[: 3 * FUNCTIONS]
    for seed in range(RUNS):
        random, processes = Random(seed), []
        for _ in range(20):
            evidence, samples = Evidence(), random.choices(kinds, weights, k=1000)
            for index, sample in enumerate(samples):
                evidence.add(traits_of(sample), lost=index < LEAST_LOST)
            processes.append((LEAST_LOST, len(samples), evidence))
        assert not any(verdict.significant for verdict in judge(processes))


# Small processes, and the run as a whole.


def run_with_small_processes(*, small: int, reason: Reason = Reason.EXITED) -> Losses:
    """One process of 2,000 samples without a loss, and `small` ones that lost one of three each."""
    aggregator = Aggregator()
    for _ in range(2000):
        aggregator.add(raw(), ())
    for pid in range(1, small + 1):
        for _ in range(2):
            aggregator.add(raw(pid=10_000 + pid), ())
        aggregator.drop(raw(pid=10_000 + pid), reason)
    return aggregator.losses(lost=0)


def test_one_lost_sample_of_three_is_no_warning() -> None:
    assert wilson(1, 3)[0] > 0.06
    losses = run_with_small_processes(small=7)
    assert warnings(losses) == []
    assert not any(row.verdict.significant for row in losses.per_process)


def test_many_small_processes_that_lost_one_each_are_one_warning() -> None:
    losses = run_with_small_processes(small=200)
    assert not any(row.verdict.significant for row in losses.per_process)
    (sentence,) = warnings(losses)
    assert sentence.startswith("7.7 % (6.7 to 8.8) of all samples don't show what ran (exited): ")


def test_many_small_processes_that_nobody_looked_into_are_one_warning() -> None:
    aggregator = Aggregator()
    for pid in range(200):
        aggregator.add(raw(pid=pid), (), Partial(Reason.NOT_INSPECTED, leaf=pid % 2 == 0))
    (sentence,) = warnings(aggregator.losses(lost=0))
    assert sentence.startswith("50.0 % (43.1 to 56.9) of all samples don't show what ran (not_inspected): ")


def test_samples_without_room_count_in_the_run_as_a_whole() -> None:
    aggregator = Aggregator()
    for _ in range(1000):
        aggregator.add(raw(), ())
    assert warnings(aggregator.losses(lost=3)) == []
    (sentence,) = warnings(aggregator.losses(lost=100))
    assert sentence.startswith("9.1 % (7.5 to 10.9) of all samples don't show what ran (lost): ")


def test_a_loss_that_one_process_explains_is_told_once() -> None:
    losses = simulate(0, at_random(0.05), samples=FEWER)
    assert len(warnings(losses)) == 1
    assert losses.rest.share == 0


@pytest.mark.parametrize(("lost", "matters"), [(LEAST_LOST - 1, False), (LEAST_LOST, True)])
def test_a_handful_of_lost_samples_is_the_least_that_matters(lost: int, matters: bool) -> None:
    assert judge_share(lost, 2 * LEAST_LOST).significant == matters
    evidence = Evidence()
    for index in range(1000):
        evidence.add(traits_of(raw(thread=int(index < lost))), lost=index < lost)
    (verdict,) = judge([(lost, 1000, evidence)])
    assert verdict.significant == matters


def test_where_everything_is_lost_there_is_nothing_to_be_unlike() -> None:
    evidence = Evidence()
    for index in range(100):
        evidence.add(traits_of(raw(thread=index % 3)), lost=True)
    (verdict,) = judge([(100, 100, evidence)])
    assert verdict.too_many
    assert verdict.unlike == ()


# What is compared.


def test_a_walk_that_faulted_is_not_unlike_for_want_of_a_leaf_function() -> None:
    evidence = Evidence()
    for index in range(10_000):
        lost = index % 200 == 0
        evidence.add(traits_of(raw(function=None if lost else index % 50, address=index % 3)), lost=lost)
    (verdict,) = judge([(50, 10_000, evidence)])
    assert verdict.unlike == ()


def test_kernel_and_user_are_told_apart() -> None:
    evidence = Evidence()
    for index in range(2000):
        evidence.add(traits_of(raw(in_kernel=index < 10)), lost=index < 10)
    (verdict,) = judge([(10, 2000, evidence)])
    assert verdict.unlike == (Feature.ADDRESS,)


def test_a_loss_spread_over_as_many_places_as_samples_is_seen() -> None:
    """Code that is made, run once and freed looks so: no place has more than a sample or two."""
    evidence = Evidence()
    for index in range(SAMPLES):
        lost = index < 120
        evidence.add(traits_of(raw(function=1000 + index if lost else index % 40)), lost=lost)
    (verdict,) = judge([(120, SAMPLES, evidence)])
    assert verdict.unlike == (Feature.FUNCTION,)


def test_memory_is_bounded_whatever_a_target_does() -> None:
    evidence = Evidence()
    for index in range(20_000):
        evidence.add(traits_of(raw(thread=index, function=index, address=index)), lost=index % 2 == 0)
    for feature in Feature:
        counts = evidence.counts(feature)
        assert BUCKETS / 2 < len(counts) <= BUCKETS
        assert [sum(column) for column in zip(*counts, strict=True)] == [10_000, 10_000]


@pytest.mark.parametrize("lost", [int(SAMPLES * LEAST_UNLIKE_SHARE) - 1, int(SAMPLES * LEAST_UNLIKE_SHARE)])
def test_an_unlike_loss_has_to_be_one_in_a_thousand(lost: int) -> None:
    evidence = Evidence()
    for index in range(SAMPLES):
        evidence.add(traits_of(raw(thread=int(index < lost))), lost=index < lost)
    (verdict,) = judge([(lost, SAMPLES, evidence)])
    assert verdict.significant == (lost >= LEAST_UNLIKE_SHARE * SAMPLES)


# The formulas.


def test_without_samples_nothing_is_known() -> None:
    verdict = judge_share(0, 0)
    assert (verdict.share, verdict.significant) == (0.0, False)
    assert Evidence().likeness(Feature.THREAD) == 1.0


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_share_lies_in_its_interval(lost: int, kept: int) -> None:
    verdict = judge_share(lost, lost + kept)
    assert 0 <= verdict.low <= verdict.share <= verdict.high <= 1


counts = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda each: sum(each) >= 5)


@given(counts, counts)
def test_two_categories_are_compared_as_fisher_does(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Against sums of binomials, with whole numbers."""
    evidence = Evidence()
    for thread, (kept, lost) in enumerate((one, other)):
        for index in range(kept + lost):
            evidence.add(traits_of(raw(thread=thread)), lost=index < lost)
    category, draws, population = sum(one), one[1] + other[1], sum(one) + sum(other)
    ways = [
        comb(category, k) * comb(population - category, draws - k) for k in range(min(category, draws) + 1)
    ]
    upwards = one[1] * population >= category * draws
    tail = sum(ways[one[1] :] if upwards else ways[: one[1] + 1]) / comb(population, draws)
    # both categories are tested, and each has the other's tail; twice for the two sides
    assert isclose(evidence.likeness(Feature.THREAD), min(1.0, 2 * min(1.0, 2 * tail)), rel_tol=1e-9)
