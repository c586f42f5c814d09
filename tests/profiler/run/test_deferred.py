"""Stacks that are put together later: what may wait, and what ends that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from profiler.capture.wire import UserEnd, WalkStatus
from profiler.run import deferred
from profiler.run.accounts import HotProgram
from profiler.run.aggregate import Aggregator
from profiler.run.deferred import Deferred
from symbolizers.inspection import CodeMapping, Inspection
from symbolizers.process.identity import ProcessId
from tests.support.process_table import ID, INTERPRETER, MAPPINGS, NATIVE, START_NS, Table, known, raw_frame
from tests.support.samples import raw_sample, told_file

PROCESS, OTHER = ProcessId(7, 100), ProcessId(8, 100)
FIRST, SECOND, THIRD = (bytes([number] * 16) for number in range(3))


class Stacks:
    """What was emitted, by name, in order."""

    def __init__(self) -> None:
        self.emitted: list[str] = []
        self.deferred = Deferred()

    def put(self, process: ProcessId, stack: bytes, name: str, size_bytes: int = 10) -> None:
        self.deferred.put(process, stack, size_bytes, lambda: self.emitted.append(name))


def test_a_stack_that_comes_again_is_due_and_so_is_what_came_with_it() -> None:
    stacks = Stacks()
    stacks.put(PROCESS, FIRST, "first")
    stacks.put(PROCESS, SECOND, "second")
    stacks.put(OTHER, FIRST, "other")
    assert stacks.emitted == []
    assert stacks.deferred.emit(PROCESS, FIRST)
    assert not stacks.deferred.emit(PROCESS, FIRST)
    stacks.put(PROCESS, SECOND, "once more")
    assert stacks.emitted == ["first", "second", "once more"]
    stacks.deferred.emit_of(PROCESS)
    assert stacks.emitted[3:] == []
    stacks.deferred.emit_all()
    stacks.deferred.emit_all()
    assert stacks.emitted[3:] == ["other"]


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "_MOST_BYTES", 100)
    stacks = Stacks()
    for number in range(30):
        stacks.put(PROCESS, bytes([number]), str(number), size_bytes=25)
    assert stacks.emitted == [str(number) for number in range(30)]


def test_what_is_emitted_may_end_the_wait_of_others() -> None:
    stacks = Stacks()
    stacks.put(PROCESS, FIRST, "first")
    stacks.deferred.put(PROCESS, SECOND, 10, lambda: stacks.deferred.emit_of(PROCESS))
    stacks.put(PROCESS, THIRD, "third")
    stacks.deferred.emit_all()
    assert stacks.emitted == ["first", "third"]


def waiting() -> tuple[Table, int]:
    """A table in which this sample waits, with the stack `FIRST`; another one had its leaf in that file."""
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
        lambda table: table.deferred.emit_all(),
        lambda table: table.table.renamed(ID),
        maps_more,
        comes_again,
    ],
    ids=["exit", "exec", "end", "shown", "renamed", "mapped", "whole again"],
)
def test_a_stack_waits_until_something_may_change_it(happens: Callable[[Table], None]) -> None:
    table, sample = waiting()
    happens(table)
    assert sample in table.emitted


def test_equal_samples_count_once_it_was_put_together() -> None:
    table, sample = waiting()
    first = raw_sample(
        pid=7, time_ns=sample, start_ns=START_NS, interpreter=(raw_frame(2),), user=(NATIVE,), stack=FIRST
    )
    table.again(first, 3)
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
def test_what_may_change_is_put_together_at_once(
    codes: tuple[int, ...], user: tuple[int, ...], user_end: UserEnd, status: WalkStatus, stack: bytes
) -> None:
    table = known(1, 2, defers=True)
    table.sample(1, user=(NATIVE,), stack=THIRD)
    sample = table.sample(*codes, user=user, user_end=user_end, status=status, stack=stack)
    assert sample in table.settled()


def test_the_first_stack_with_its_leaf_in_a_file_is_put_together_at_once() -> None:
    """So the names of the file are asked for while the recording goes on."""
    table = known(1, defers=True)
    first, second = (table.sample(1, user=(NATIVE,), stack=stack) for stack in (FIRST, SECOND))
    assert (first in table.emitted, second in table.emitted) == (True, False)


def test_samples_that_wait_count_for_the_hottest_program() -> None:
    aggregator, stacks = Aggregator(), Stacks()
    one, other = (raw_sample(pid=pid, comm=comm) for pid, comm in ((7, b"one"), (8, b"other")))
    for sample in (one, other):
        aggregator.add(sample, ())
    for stack in (FIRST, SECOND):
        stacks.put(other.process, stack, "")
    assert aggregator.hottest(stacks.deferred.waiting) == HotProgram(b"other", 1, 0.75)


def test_a_process_that_generates_code_is_not_kept_waiting() -> None:
    """Its code may be another function's soon."""
    table = known(1, defers=True)
    table.sample(1, user=(NATIVE,), stack=FIRST)
    table.sample(user=(0x9000,), stack=SECOND, after_ns=10**10)
    generated = CodeMapping(0x9000, 0xA000, 0, None, "")
    table.answer(Inspection(ID, (*MAPPINGS, generated), (INTERPRETER,), ()))
    assert table.sample(1, user=(NATIVE,), stack=THIRD) in table.emitted
