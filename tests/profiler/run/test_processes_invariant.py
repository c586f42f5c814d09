"""Whatever the order of samples, events and answers: every sample is handed on or dropped, and once."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.errors import (
    Changed,
    FaultReason,
    ProcessGone,
    ReadFault,
    Reason,
    Stalled,
    SymbolizeError,
)
from symbolizers.frame import CodeObject
from symbolizers.inspection import Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Codes, Forget, Forgotten, Inspect
from tests.support.asked import Asked, Said
from tests.support.process_table import (
    INTERPRETER,
    MAPPINGS,
    MS,
    NATIVE,
    OUTSIDE,
    START_NS,
    Table,
    code_of,
    frames_of,
)

Step = Callable[[Table, list[int]], None]

PIDS = (7, 8)
FAILURES: tuple[SymbolizeError, ...] = (
    ReadFault(0x1234, FaultReason.WOULD_FAULT),
    Changed("reused"),
)
REFUSALS: tuple[SymbolizeError, ...] = (
    Stalled("the deadline passed"),
    ProcessGone("exited"),
    ReadFault(0x1234, FaultReason.PERMISSION),
)


def sampled(pid: int, codes: list[int], user: list[int], status: int, after_ns: int) -> Step:
    stack = repr((pid, codes, user, status)).encode()

    def step(table: Table, taken: list[int]) -> None:
        taken.append(
            table.sample(*codes, pid=pid, user=tuple(user), status=status, after_ns=after_ns, stack=stack)
        )

    return step


def happened(pid: int, exited: bool) -> Step:
    return lambda table, _: table.event(exited=exited, pid=pid)


def answered(place: int, refusal: SymbolizeError | None, results: list[SymbolizeError | None]) -> Step:
    """One open question, whichever; refused as a whole, or answered frame by frame."""

    def step(table: Table, _: list[int]) -> None:
        if table.open:
            asked = table.questions.open.pop(place % len(table.open))
            asked.answer(value_for(asked, refusal, results))

    return step


def value_for(asked: Asked, refusal: SymbolizeError | None, results: list[SymbolizeError | None]) -> Said:
    if isinstance(asked.question, Forget):
        return Forgotten()
    if refusal is not None:
        return refusal
    if isinstance(asked.question, Inspect):
        found = (INTERPRETER,) if results[0] is None else ()
        process = ProcessId.from_start_ns(asked.question.pid, START_NS)
        return Inspection(process, MAPPINGS, found, ())
    values: list[CodeObject | Reason] = []
    for place, frame in enumerate(frames_of(asked)):
        failure = results[place % len(results)]
        values.append(code_of(frame) if failure is None else failure.reason)
    return Codes(tuple(values))


pids = st.sampled_from(PIDS)
outcomes = st.lists(st.sampled_from((None, None, *FAILURES)), min_size=1, max_size=3)
samples = st.builds(
    sampled,
    pids,
    st.lists(st.integers(1, 4), max_size=4),
    st.lists(st.sampled_from((NATIVE, OUTSIDE)), max_size=2),
    st.sampled_from((0, 0, 0, 1, 2, 3, 9)),
    st.sampled_from((MS, 100 * MS, 10_000 * MS)),
)
answers = st.builds(
    answered, st.integers(0, 10), st.sampled_from((None, None, None, None, *REFUSALS)), outcomes
)
events = st.builds(happened, pids, st.booleans())
steps = st.lists(samples | samples | answers | answers | events, max_size=40)


@given(steps, st.lists(answers, max_size=10), st.booleans())
@settings(deadline=None, max_examples=300)
def test_every_sample_is_settled_exactly_once(before: list[Step], after: list[Step], known: bool) -> None:
    table = Table()
    taken: list[int] = []
    if known:
        table.table.discover(PIDS, START_NS)
    for step in before:
        step(table, taken)
        assert table.settled() <= {*taken}
    table.table.retry()
    for step in after:
        step(table, taken)
    table.table.finish()
    assert table.settled() == {*taken}
    assert len(table.emitted) + len(table.dropped) == len(taken)
    assert {*table.dropped.values()} <= {*Reason}
    answered(0, None, [None])(table, taken)
    assert table.settled() == {*taken}


@given(steps)
@settings(deadline=None, max_examples=100)
def test_where_every_question_is_answered_nothing_waits(steps: list[Step]) -> None:
    """A worker that answers at once: each sample is settled as it comes, and the questions end."""
    table = Table()
    taken: list[int] = []
    honest = answered(0, None, [None])
    for step in steps:
        step(table, taken)
        for _ in range(100):
            if not table.open:
                break
            honest(table, taken)
        assert table.open == [], "the questions never end"
        assert table.settled() == {*taken}


@given(st.lists(samples | samples | samples | answers | events, max_size=60), st.booleans())
@settings(deadline=None, max_examples=300)
def test_samples_that_are_taken_in_later_become_the_same(steps: list[Step], known: bool) -> None:
    tables = [Table(defers=defers) for defers in (False, True)]
    for table in tables:
        taken: list[int] = []
        if known:
            table.table.discover(PIDS, START_NS)
        for step in steps:
            step(table, taken)
        table.table.finish()
    at_once, later = tables
    assert later.emitted == at_once.emitted
    assert (later.dropped, later.partial) == (at_once.dropped, at_once.partial)
    assert later.open == at_once.open
