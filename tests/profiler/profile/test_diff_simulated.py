"""What the comparison promises, on 100 seeded pairs of recordings of one realistic program."""

from __future__ import annotations

from random import Random

import pytest

from profiler.profile.diff import Change, Diff, compare
from tests.support.simulated import HOT, HOT_SHARE, STACKS, program, recorded, slower

PAIRS = 100
SAMPLES = 10_000
PROGRAM = program()


def significant(diff: Diff) -> int:
    nodes = sum(node.total.verdict.significant for node in diff.nodes)
    functions = sum(each.own.verdict.significant or each.total.verdict.significant for each in diff.functions)
    return nodes + functions


def test_the_program_is_realistic() -> None:
    assert STACKS <= len(PROGRAM) <= STACKS + 5
    assert sum(PROGRAM.values()) == pytest.approx(1)
    ordered = sorted(PROGRAM.values(), reverse=True)
    assert sum(ordered[: STACKS // 10]) > 0.6
    assert sum(value for stack, value in PROGRAM.items() if HOT in stack) == pytest.approx(HOT_SHARE)


def test_two_runs_of_one_program_differ_in_nothing() -> None:
    quiet = 0
    for seed in range(PAIRS):
        random = Random(seed)
        quiet += not significant(compare(*(recorded(random, PROGRAM, SAMPLES) for _ in range(2))))
    assert quiet >= 95


def test_a_regression_of_five_percent_of_the_run_is_found() -> None:
    """The function takes 20 % of the time, and then so much longer that the whole takes 5 % longer."""
    regressed = slower(PROGRAM, (HOT_SHARE + 0.05) / 1.05)
    found = 0
    for seed in range(PAIRS):
        random = Random(1000 + seed)
        diff = compare(recorded(random, PROGRAM, SAMPLES), recorded(random, regressed, SAMPLES))
        hot = next(each for each in diff.functions if each.function.name == HOT.name)
        found += hot.total.verdict == Change.MORE
    assert found >= 90


def test_samples_that_come_in_runs_are_no_difference() -> None:
    for seed in range(5):
        random = Random(2000 + seed)
        diff = compare(*(recorded(random, PROGRAM, 5 * SAMPLES, run=5) for _ in range(2)))
        assert diff.spread == pytest.approx(5, rel=0.4)
        assert significant(diff) == 0
