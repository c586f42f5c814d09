"""What becomes of stacks with code objects that can't be named: markers, or losses."""

from __future__ import annotations

import pytest

from profiler.capture.wire import WalkStatus
from profiler.run import allowance, codes
from profiler.run.stacks import Partial, RunningLine
from profiler.run.surroundings import WHOLE_ONLY
from symbolizers.errors import Changed, FaultReason, Malformed, ReadFault, Reason, SymbolizeError
from symbolizers.frame import MARKER, Frame
from tests.support.process_table import PID, START_NS, frames_of, known, named, raw_frame
from tests.support.samples import raw_sample

FAULT = ReadFault(0x1234, FaultReason.WOULD_FAULT)
GONE, WOULD_FAULT = Frame(MARKER, "[changed]"), Frame(MARKER, "[would fault]")


@pytest.mark.parametrize("error", [Changed("reused"), Malformed("a bad length")])
def test_a_code_object_that_is_another_now_is_a_marker_in_its_place(error: SymbolizeError) -> None:
    table = known()
    alone, callee, caller = table.sample(1), table.sample(2, 1), table.sample(1, 2)
    table.read({1: error})
    # The one that waited for another name first asks anew.
    assert table.read({1: error}) == [1]
    assert table.emitted[alone] == (GONE,)
    assert table.emitted[callee] == (GONE, named(2))
    assert table.emitted[caller] == (named(2), GONE)
    leafless, whole_leaf = Partial(Reason.CHANGED, leaf=True), Partial(Reason.CHANGED, leaf=False)
    assert table.partial == {alone: leafless, callee: whole_leaf, caller: leafless}
    assert table.dropped == {}


def test_where_only_whole_stacks_count_a_code_object_that_is_gone_is_a_loss() -> None:
    table = known(costly=WHOLE_ONLY)
    bad, good = table.sample(1, 2), table.sample(2)
    table.read({1: Changed("reused")})
    assert table.dropped == {bad: Reason.CHANGED}
    assert table.emitted[good] == (named(2),)


def test_where_every_stack_counts_a_fault_is_a_marker_too() -> None:
    table = known(costly=frozenset())
    cut = table.sample(1, status=WalkStatus.FAULT, after_ns=1)
    table.read()
    nameless = table.sample(2)
    table.read({2: FAULT})
    table.table.finish()
    assert table.emitted[cut] == (WOULD_FAULT, named(1))
    assert table.emitted[nameless] == (WOULD_FAULT,)
    assert table.partial == {
        cut: Partial(Reason.WOULD_FAULT, leaf=False),
        nameless: Partial(Reason.WOULD_FAULT, leaf=True),
    }


def test_a_code_object_with_copies_is_asked_for_at_the_last_one_and_read_once() -> None:
    table = known()
    copies = [raw_frame(7)._replace(owner=owner) for owner in (0x100, 0x200, 0x300)]
    table.table.sample(raw_sample(time_ns=1, start_ns=START_NS, pid=PID, interpreter=(copies[0],)))
    table.read({7: Changed("written over")})
    assert table.emitted[1] == (GONE,)
    table.table.sample(raw_sample(time_ns=2, start_ns=START_NS, pid=PID, interpreter=(copies[1],)))
    assert frames_of(table.take()) == (copies[1],)
    table.table.sample(raw_sample(time_ns=3, start_ns=START_NS, pid=PID, interpreter=(copies[2],)))
    assert not table.open


def test_code_objects_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "TRUSTED_BYTES", 4 * 8000)
    monkeypatch.setattr(codes, "_WORTH_CLEARING_BYTES", 0)
    table = known()
    for code in range(1, 50):
        time = table.sample(code, code + 1)
        for _ in range(3):
            table.read()
        assert table.emitted[time] == (named(code + 1), named(code))


def test_stacks_that_are_cut_wait_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "TRUSTED_BYTES", 4 * 3700)
    table = known(costly=frozenset())
    times = [table.sample(number, status=WalkStatus.FAULT, after_ns=1) for number in (1, 2, 3)]
    assert table.dropped == {times[2]: Reason.OVER_BUDGET}


def test_a_name_that_the_kernel_took_needs_no_question() -> None:
    table = known()
    table.name(1, "taken")
    sample = table.sample(1)
    assert table.open == []
    assert table.emitted[sample] == (Frame("python", "taken", "app.py", 10),)


def test_a_name_that_is_taken_later_releases_what_waits_for_it() -> None:
    table = known()
    sample = table.sample(1)
    table.name(1, "taken")
    assert table.emitted[sample] == (Frame("python", "taken", "app.py", 10),)
    assert table.read({1: Changed("reused")}) == [1]
    assert table.emitted[table.sample(1)] == table.emitted[sample]


@pytest.mark.parametrize("texts", [(None, "app.py"), ("taken", None)])
def test_what_the_kernel_left_is_read(texts: tuple[str | None, str | None]) -> None:
    table = known()
    name, file = texts
    table.name(1, name, file=file)
    sample = table.sample(1)
    assert table.read() == [1]
    assert table.emitted[sample] == (named(1),)
    assert not table.notes


def test_lines_are_read_and_missed_where_the_object_is_gone() -> None:
    table = known(lines=True)
    table.name(1, "function_1")
    table.name(2, "taken")
    known_sample, gone = table.sample(1, position=8), table.sample(2, position=8)
    table.read({2: Changed("reused")})
    assert table.emitted[known_sample] == (RunningLine(named(1), 11),)
    assert table.emitted[gone] == (Frame("python", "taken", "app.py", 10),)
    assert not table.partial


def test_a_name_at_the_interrupt_outlives_its_process_and_costs_no_sample_for_its_lines() -> None:
    table = known(lines=True)
    table.name(1, "taken")
    table.name(2, "faults")
    table.name(3, "half", file=None)
    gone, faulting, waiting = table.sample(1), table.sample(2), table.sample(3)
    table.read({1: Changed("reused"), 2: FAULT, 3: FAULT})
    assert table.emitted[gone] == (Frame("python", "taken", "app.py", 10),)
    assert table.emitted[faulting] == (Frame("python", "faults", "app.py", 10),)
    table.table.finish()
    assert table.dropped == {waiting: Reason.WOULD_FAULT}


def test_a_name_that_changes_is_the_one_that_ran_and_is_noted() -> None:
    table = known(lines=True)
    table.name(1, "before")
    sample = table.sample(1, position=8)
    table.read()
    assert table.emitted[sample] == (RunningLine(Frame("python", "before", "app.py", 10), 11),)
    table.table.finish()
    assert [text for _, text in table.notes] == [
        "1 functions had another name later than when they were first seen"
    ]


def test_the_function_next_to_what_is_gone_is_blamed() -> None:
    table = known(1, 3)
    waiting = [table.sample(1, 2, 3), table.sample(2), table.sample(1, 2)]
    table.read({2: Changed("reused")})
    assert table.settled() >= set(waiting)
    assert sorted(function.name for _, function in table.blamed) == ["function_1", "function_3"]
    table.sample(1, status=WalkStatus.TORN)
    assert table.blamed[-1][1] == named(1)


def test_an_interpreter_that_did_not_begin_yet_has_no_frames_to_lose() -> None:
    table = known()
    running = table.sample(status=WalkStatus.ROOT_FAULT)
    assert table.dropped == {running: Reason.WOULD_FAULT}
    table.inspected()
    table.event(exited=False)
    starting = table.sample(status=WalkStatus.ROOT_FAULT)
    table.inspected()
    first = table.sample(1)
    table.read()
    assert table.settled() >= {starting, first}
    assert starting in table.emitted
    later = table.sample(status=WalkStatus.ROOT_FAULT)
    assert table.dropped[later] is Reason.WOULD_FAULT
