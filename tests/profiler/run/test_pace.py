"""How long the session sleeps: short where much is new, for good where nothing comes."""

from __future__ import annotations

import math

import pytest

from profiler.run.pace import Alarm, Pace


def pace(
    *, tasks: bool = False, threads: bool = False, has_targets: bool = False, is_shown: bool = False
) -> Pace:
    return Pace(tasks=tasks, threads=threads, has_targets=has_targets, is_shown=is_shown)


def naps_s(of: Pace, times: int = 20) -> list[float]:
    return [of.nap(is_in_hurry=False)[0] for _ in range(times)]


def test_each_look_that_finds_nothing_new_doubles_the_nap() -> None:
    session = pace()
    assert 0.05 <= min(naps_s(session)) <= max(naps_s(session)) <= 0.15
    for times in (2, 4, 8, 16, 16):
        session.looked(5, is_calm=True)
        assert 0.05 * times <= min(naps_s(session)) <= max(naps_s(session)) <= 0.15 * times
        assert session.nap(is_in_hurry=False)[1] is Alarm.FULL
    session.looked(5, is_calm=False)
    assert max(naps_s(session)) <= 0.15
    assert session.nap(is_in_hurry=False)[1] is Alarm.NONE


def test_without_records_it_sleeps_until_there_is_one() -> None:
    session = pace()
    for _ in range(3):
        assert session.nap(is_in_hurry=False)[1] is not Alarm.ANY
        session.looked(0, is_calm=True)
    assert session.nap(is_in_hurry=False) == (math.inf, Alarm.ANY)
    session.looked(1, is_calm=True)
    assert session.nap(is_in_hurry=False)[0] < 3.0


@pytest.mark.parametrize(("has_targets", "is_shown", "longest_s"), [(True, False, 1.0), (True, True, 0.3)])
def test_a_lost_end_and_who_watches_are_not_kept_waiting(
    *, has_targets: bool, is_shown: bool, longest_s: float
) -> None:
    session = pace(has_targets=has_targets, is_shown=is_shown)
    for _ in range(6):
        session.looked(0, is_calm=True)
    assert session.nap(is_in_hurry=False) == (longest_s, Alarm.ANY)


def test_threads_are_asked_for_their_names_while_they_run() -> None:
    session = pace(threads=True)
    for _ in range(6):
        session.looked(5, is_calm=True)
    assert max(naps_s(session)) <= 0.15


def test_a_hurry_and_tasks_make_naps_short() -> None:
    session = pace(tasks=True)
    assert max(naps_s(session)) <= 0.012
    for _ in range(6):
        session.looked(0, is_calm=True)
    nap_s, alarm = session.nap(is_in_hurry=True)
    assert 0.001 <= nap_s <= 0.003
    assert alarm is Alarm.NONE
