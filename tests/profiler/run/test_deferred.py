"""Samples that are taken in later: which may wait, and what ends that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from profiler.capture.records import RawSample, Repeated
from profiler.capture.wire import UserEnd, WalkStatus
from profiler.run import deferred
from profiler.run.accounts import HotProgram
from profiler.run.aggregate import Aggregator
from profiler.run.deferred import Deferred
from symbolizers.inspection import CodeMapping, Inspection
from symbolizers.questions import Inspect
from tests.support.process_table import ID, INTERPRETER, MAPPINGS, NATIVE, START_NS, Table, known, raw_frame
from tests.support.samples import raw_sample, repeated, told_file

FIRST, SECOND, THIRD = (bytes([number] * 16) for number in range(3))


class Samples:
    """What was taken in, by process and stack, and with how many equal ones; in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[RawSample, int]] = []
        self.deferred = Deferred()

    def put(self, sample: RawSample, size_bytes: int = 10) -> None:
        self.deferred.put(sample, size_bytes, self.take_in)

    def take_in(self, sample: RawSample, equal: Sequence[Repeated]) -> None:
        self.taken.append((sample, sum(len(each.taken) for each in equal)))


ONE, TWO, OTHER = (raw_sample(pid=pid, stack=stack) for pid, stack in ((7, FIRST), (7, SECOND), (8, FIRST)))


def test_equal_samples_wait_with_the_first_until_they_are_many() -> None:
    samples = Samples()
    for each in (ONE, TWO, OTHER):
        samples.put(each)
    assert not samples.deferred.again(repeated(raw_sample(pid=7, stack=THIRD), 1))
    assert not samples.deferred.again(repeated(raw_sample(pid=9, stack=FIRST), 1))
    assert samples.deferred.again(repeated(ONE, 3))
    assert samples.deferred.waiting(ONE.process) == 5
    assert samples.taken == []
    assert samples.deferred.again(repeated(ONE, 7))
    assert samples.taken == [(ONE, 10)]
    assert not samples.deferred.again(repeated(ONE, 1))
    assert samples.deferred.waiting(ONE.process) == 1


def test_a_stack_that_comes_whole_once_more_is_due() -> None:
    samples = Samples()
    for each in (ONE, TWO, OTHER, TWO):
        samples.put(each)
    assert samples.taken == [(TWO, 0), (TWO, 0)]
    samples.deferred.take_in_all_of(ONE.process)
    assert samples.taken[2:] == [(ONE, 0)]
    samples.deferred.take_in_all()
    samples.deferred.take_in_all()
    assert samples.taken[3:] == [(OTHER, 0)]


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "_MOST_BYTES", 1000)
    samples = Samples()
    several = [raw_sample(pid=7, stack=bytes([number])) for number in range(33)]
    for each in several:
        samples.put(each, size_bytes=300)
    assert samples.taken == [(each, 0) for each in several[:32]]
    assert samples.deferred.again(repeated(several[-1], 1))
    samples.put(ONE, size_bytes=400)
    assert samples.taken[32:] == [(several[-1], 1), (ONE, 0)]


def test_what_is_taken_in_may_end_the_wait_of_others() -> None:
    samples = Samples()
    samples.put(ONE)
    samples.deferred.put(TWO, 10, lambda sample, equal: samples.deferred.take_in_all_of(sample.process))
    samples.deferred.take_in_all()
    assert samples.taken == [(ONE, 0)]


def waiting() -> tuple[Table, int]:
    """A table in which this sample waits, with the stack `FIRST`; one before had its leaf in that file."""
    table = known(1, 2, defers=True)
    table.sample(1, user=(NATIVE,), stack=THIRD)
    sample = table.sample(2, user=(NATIVE,), stack=FIRST)
    assert sample not in table.settled()
    return table, sample


def maps_more(table: Table) -> None:
    table.sample(user=(0x9000,), stack=SECOND, after_ns=10**10)
    more = CodeMapping(0x9000, 0xA000, 0, told_file(6), "/lib/more.so")
    table.answer(Inspection(ID, (*MAPPINGS, more), (INTERPRETER,), ()))


def comes_again(table: Table) -> None:
    table.sample(2, user=(NATIVE,), stack=FIRST)


@pytest.mark.parametrize(
    "happens",
    [
        lambda table: table.event(exited=True),
        lambda table: table.event(exited=False),
        lambda table: table.table.finish(),
        lambda table: table.deferred.take_in_all(),
        lambda table: table.table.renamed(ID),
        maps_more,
        comes_again,
    ],
    ids=["exit", "exec", "end", "shown", "renamed", "mapped", "whole again"],
)
def test_a_sample_waits_until_something_may_change_it(happens: Callable[[Table], None]) -> None:
    table, sample = waiting()
    happens(table)
    assert sample in table.emitted


def test_equal_samples_count_where_it_does() -> None:
    table, sample = waiting()
    first = raw_sample(
        pid=7, time_ns=sample, start_ns=START_NS, interpreter=(raw_frame(2),), user=(NATIVE,), stack=FIRST
    )
    table.again(first, 3)
    assert sample not in table.emitted
    table.deferred.take_in_all()
    table.again(first)
    assert table.counted == {table.emitted[sample]: 4}


@pytest.mark.parametrize(
    ("codes", "user", "user_end", "status", "stack"),
    [
        ((2,), (NATIVE,), UserEnd.ROOT, WalkStatus.COMPLETE, b""),
        ((2,), (NATIVE,), UserEnd.LOST, WalkStatus.COMPLETE, FIRST),
        ((2,), (), UserEnd.ROOT, WalkStatus.FAULT, FIRST),
    ],
    ids=["no hash", "not whole", "partial"],
)
def test_what_lacks_something_is_taken_in_at_once(
    codes: tuple[int, ...], user: tuple[int, ...], user_end: UserEnd, status: WalkStatus, stack: bytes
) -> None:
    table = known(1, 2, defers=True)
    table.sample(1, user=(NATIVE,), stack=THIRD)
    sample = table.sample(*codes, user=user, user_end=user_end, status=status, stack=stack)
    assert sample in table.settled()


def test_the_first_stack_that_leads_through_a_file_is_taken_in_at_once() -> None:
    """So the names of the file are asked for while the recording goes on."""
    table = known(1, defers=True)
    first, second = (table.sample(1, user=(NATIVE,), stack=stack) for stack in (FIRST, SECOND))
    assert (first in table.emitted, second in table.emitted) == (True, False)


def test_samples_that_wait_count_for_the_hottest_program() -> None:
    aggregator, samples = Aggregator(), Samples()
    one, other = (raw_sample(pid=pid, comm=comm, stack=FIRST) for pid, comm in ((7, b"one"), (8, b"other")))
    for sample in (one, other):
        aggregator.add(sample, ())
    samples.put(other)
    samples.deferred.again(repeated(other, 1))
    assert aggregator.hottest(samples.deferred.waiting) == HotProgram(b"other", 1, 0.75)


def test_others_than_trusted_users_are_not_kept_waiting() -> None:
    """What they make us hold is bounded for each of them, and may have to go."""
    table = known(1, defers=True)
    table.sample(1, user=(NATIVE,), stack=FIRST)
    assert table.sample(1, user=(NATIVE,), stack=SECOND, uid=1000) in table.emitted
    assert table.sample(1, user=(NATIVE,), stack=THIRD) not in table.emitted


def test_a_sample_with_code_or_a_place_that_nobody_knows_asks_at_once() -> None:
    table = known(1, defers=True)
    table.sample(1, user=(NATIVE,), stack=FIRST)
    new = table.sample(1, 2, user=(NATIVE,), stack=SECOND)
    assert table.read() == [2]
    assert new in table.emitted
    table.sample(user=(0x9000,), stack=THIRD, after_ns=10**10)
    assert [type(question) for question in table.open] == [Inspect]


def test_a_process_that_generates_code_is_not_kept_waiting() -> None:
    """Its code may be another function's soon."""
    table = known(1, defers=True)
    table.sample(1, user=(NATIVE,), stack=FIRST)
    table.sample(user=(0x9000,), stack=SECOND, after_ns=10**10)
    generated = CodeMapping(0x9000, 0xA000, 0, None, "")
    table.answer(Inspection(ID, (*MAPPINGS, generated), (INTERPRETER,), ()))
    assert table.sample(1, user=(NATIVE,), stack=THIRD) in table.emitted
