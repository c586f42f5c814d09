"""Samples that wait for unwind tables: how many there may be, and whose."""

from __future__ import annotations

import pytest

from profiler.capture.records import RawSample, StackCopy
from profiler.run import held
from profiler.run.copied_walk import CopiedWalk
from profiler.run.held import Held, HeldSamples
from profiler.run.stacks import CodeMap
from symbolizers.inspection import CodeMapping
from tests.support.samples import raw_sample, told_file

FILE, OTHER = told_file(1), told_file(2)
CODE = CodeMap((CodeMapping(0x1000, 0x2000, 0, FILE, "/file"),))
ROOT, USER, HOSTILE = 0, 1000, 1001


def waiting(user: int, into: list[RawSample], *, time_ns: int = 0, size: int = 1000) -> Held:
    copy = StackCopy(0, time_ns, 0x1010, 0x7000, 0, 0, True, 1, bytes(size))
    sample = raw_sample(user=(0x1010,), time_ns=time_ns, lacks_table=True, copy=copy)
    return Held(CopiedWalk(sample, CODE), 7, user, into.append)


@pytest.fixture(autouse=True)
def _room_for_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_BYTES", 10 * waiting(ROOT, []).size_bytes())


def test_those_of_a_file_are_taken_together() -> None:
    samples, gone = HeldSamples(), list[RawSample]()
    mine = [waiting(USER, gone, time_ns=number) for number in range(4)]
    for each, file in zip(mine, (FILE, OTHER, FILE, OTHER), strict=True):
        assert samples.hold(file, each)
    assert list(samples.users()) == [USER]
    assert samples.take(FILE) == [mine[0], mine[2]]
    assert samples.take(FILE) == []
    assert samples.take_all() == [mine[1], mine[3]]
    assert (list(samples.users()), gone) == ([], [])


def test_what_finds_no_room_does_not_wait() -> None:
    samples, gone = HeldSamples(), list[RawSample]()
    held_back = [samples.hold(FILE, waiting(USER, gone)) for _ in range(15)]
    assert held_back == [True] * 10 + [False] * 5
    assert gone == [], "who comes later is not worth more"
    samples.take_all()
    assert not samples.hold(FILE, waiting(USER, gone, size=1 << 20))
    assert samples.hold(FILE, waiting(USER, gone))
    assert not samples.hold(FILE, waiting(USER, gone, size=1 << 20))


def test_a_user_who_fills_it_makes_room_for_others() -> None:
    samples, gone = HeldSamples(), list[RawSample]()
    for number in range(10):
        samples.hold(FILE, waiting(HOSTILE, gone, time_ns=number))
    for number in range(5):
        assert samples.hold(OTHER, waiting(USER, gone, time_ns=100 + number))
    assert [sample.time_ns for sample in gone] == [0, 1, 2, 3, 4]
    assert all(sample.lacks_table and sample.copy is None for sample in gone), "as if there were no copy"
    assert not samples.hold(OTHER, waiting(HOSTILE, gone))
    assert not samples.hold(OTHER, waiting(USER, gone))
    assert len(samples.take(OTHER)) == 5
