"""Samples that equal an earlier one: counted without a look, as long as its addresses mean the same."""

from __future__ import annotations

from profiler.capture.records import ProcessEvent, RawSample
from profiler.run.aggregate import Aggregator
from profiler.run.stacks import Partial
from symbolizers.errors import Changed, Reason
from symbolizers.frame import MARKER, Frame
from symbolizers.inspection import Inspection
from tests.support.process_table import (
    ID,
    INTERPRETER,
    MAPPINGS,
    NATIVE,
    OUTSIDE,
    PID,
    SECOND,
    START_NS,
    Table,
    known,
    raw_frame,
)
from tests.support.samples import raw_sample, repeated

STACK = bytes(range(16))
NATIVE_FRAME = Frame(MARKER, "[native]")


def like(time_ns: int, *codes: int, user: tuple[int, ...] = (NATIVE,), stack: bytes = STACK) -> RawSample:
    """The sample that `Table.sample` takes in, with its stack."""
    return raw_sample(
        pid=PID,
        time_ns=time_ns,
        start_ns=START_NS,
        interpreter=tuple(map(raw_frame, codes)),
        user=user,
        stack=stack,
    )


def test_it_is_counted_where_the_first_was() -> None:
    table = known(1)
    first = table.sample(1, user=(NATIVE,), stack=STACK)
    before = table.settled()
    table.again(like(first, 1), 3)
    table.again(like(first, 1))
    assert table.counted == {table.emitted[first]: 4}
    assert table.settled() == before, "nobody looked at them"
    table.again(like(first, 1, stack=STACK[::-1]))
    assert len(table.settled()) == len(before) + 1, "this one was never handed on"


def test_it_waits_as_long_as_the_first_does() -> None:
    table = known()
    first = table.sample(2, user=(NATIVE,), stack=STACK)
    again = table.again(like(first, 2))
    assert not {first, again} & table.settled()
    table.read()
    assert table.emitted[first] == table.emitted[again]
    table.again(like(first, 2), 5)
    assert table.counted == {table.emitted[first]: 5}


def test_a_partial_stack_is_looked_at_each_time() -> None:
    table = known()
    first = table.sample(3, user=(NATIVE,), stack=STACK)
    table.read({3: Changed(0x1234, "another object lies there")})
    again = table.again(like(first, 3))
    table.read({3: Changed(0x1234, "another object lies there")})
    assert not table.counted
    assert {first, again} <= table.partial.keys()


def test_a_mapping_that_is_found_later_counts() -> None:
    table = known()
    first = table.sample(user=(OUTSIDE,), stack=STACK, after_ns=SECOND)
    table.answer(Inspection(ID, MAPPINGS, (INTERPRETER,), ()))
    table.again(like(first, user=(OUTSIDE,)))
    assert not table.counted, "its place is not known yet"
    known_place = table.sample(user=(NATIVE,), stack=STACK[::-1], after_ns=SECOND)
    table.again(like(known_place, stack=STACK[::-1]))
    assert table.counted.total() == 1


def test_another_program_of_the_process_has_other_stacks() -> None:
    table = known(1)
    first = table.sample(1, user=(NATIVE,), stack=STACK)
    table.table.event(ProcessEvent(ID, table.now_ns, START_NS, False))
    table.again(like(first, 1), 2)
    assert not table.counted


def test_stacks_without_a_sample_for_long_are_forgotten_and_looked_at_once_more() -> None:
    table = known(1)
    often = table.sample(1, user=(NATIVE,), stack=STACK)
    numbers = range(1, 1000)
    for number in numbers:
        seldom = table.sample(1, user=(NATIVE,), stack=number.to_bytes(16, "little"), after_ns=SECOND)
        table.again(like(often, 1))
    assert table.counted == {table.emitted[often]: len(numbers)}
    assert sum(each.is_open for each in table.counting) < 300
    table.again(like(seldom, 1, stack=numbers[-1].to_bytes(16, "little")))
    assert table.counted.total() == len(numbers) + 1, "this one came lately"
    before = len(table.settled())
    again = [table.again(like(seldom, 1, stack=numbers[0].to_bytes(16, "little"))) for _ in range(3)]
    assert table.emitted[again[0]] == table.emitted[often]
    assert len(table.settled()) == before + 1
    assert table.counted.total() == len(numbers) + 3


def test_a_process_that_nobody_knows_gets_a_program() -> None:
    table = Table()
    table.again(like(1))
    assert [asked.soon for asked in table.questions.open] == [True]


def test_a_tally_counts_as_the_sample_did() -> None:
    aggregator = Aggregator()
    sample = raw_sample(comm=b"first", user=(1,))
    other = raw_sample(comm=b"second", user=(2,))
    tally = aggregator.add(sample, (NATIVE_FRAME,))
    aggregator.add(other, (NATIVE_FRAME,), Partial(Reason.CHANGED, leaf=True))
    tally.again(repeated(sample, 7))
    (stack,) = aggregator.samples({})
    (row,) = aggregator.losses(lost=0).per_process
    assert (stack.root.comm, stack.count) == (b"first", 9)
    assert (row.samples, row.symbolized, row.partial) == (9, 8, {Reason.CHANGED: 1})
    assert row.verdict.share == 1 / 9
