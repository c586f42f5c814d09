"""The state machine between raw samples and finished stacks."""

from __future__ import annotations

import pytest

from profiler.capture.records import ProcessEvent, StackCopy
from profiler.capture.wire import UserEnd, WalkStatus
from profiler.run import allowance, assembly
from profiler.run.stacks import TRUNCATED, NativeAddress, Partial, RunningLine
from profiler.run.surroundings import WHOLE_ONLY
from symbolizers.errors import (
    FaultReason,
    ProcessGone,
    ReadFault,
    Reason,
    Stalled,
    SymbolizeError,
)
from symbolizers.frame import MARKER, Frame
from symbolizers.inspection import Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Codes, Forget, Forgotten, Inspect
from symbolizers.registry import MARKERS, TASK_KINDS
from tests.support.process_table import (
    ID,
    INTERPRETER,
    MAPPINGS,
    MS,
    NATIVE,
    NOT_INSPECTED,
    OUTSIDE,
    PID,
    SECOND,
    START_NS,
    Table,
    frames_of,
    known,
    named,
)
from tests.support.samples import raw_sample, told_file

FAULT = ReadFault(0x1234, FaultReason.WOULD_FAULT)


def test_the_first_sample_of_a_process_waits_until_it_was_inspected() -> None:
    table = Table()
    time = table.sample(user=(NATIVE,))
    assert table.settled() == set()
    (asked,) = table.questions.open
    assert (asked.question, asked.soon) == (Inspect(PID, ID.start_ticks), True)
    table.inspected()
    assert table.emitted == {time: (NativeAddress(told_file(5), 0x100, "/bin/python3"),)}


def test_the_kernel_is_told_which_interpreters_to_walk_and_only_news() -> None:
    table = known()
    assert table.configured == [(PID, START_NS, (INTERPRETER,))]
    table.sample(user=(OUTSIDE,), after_ns=SECOND)
    table.inspected()
    assert len(table.configured) == 1


def test_samples_that_wait_ask_once() -> None:
    table = Table()
    times = [table.sample(), table.sample(1), table.sample(1, 2)]
    table.inspected()
    assert table.emitted.keys() == {times[0]}
    asked = [frame.checksum for each in table.questions.open for frame in frames_of(each)]
    assert sorted(asked) == [1, 2]


def test_a_stack_is_emitted_when_all_its_frames_have_names() -> None:
    table = known()
    time = table.sample(1, 1, 2)
    assert table.read() == [1, 2]
    assert table.emitted[time] == (named(2), named(1), named(1))
    again = table.sample(2)
    assert table.emitted[again] == (named(2),)
    assert table.open == []


def test_with_lines_frames_have_the_one_that_runs_beside_the_definition() -> None:
    plain, with_lines = known(1), known(1, lines=True)
    assert plain.emitted[plain.sample(1, position=8)] == (named(1),)
    assert with_lines.emitted[with_lines.sample(1, position=8)] == (RunningLine(named(1), 11),)
    assert with_lines.emitted[with_lines.sample(1, position=0)] == (RunningLine(named(1), 10),)


@pytest.mark.parametrize(
    ("status", "reason"), [(WalkStatus.FAULT, Reason.WOULD_FAULT), (WalkStatus.TORN, Reason.CHANGED)]
)
def test_a_walk_that_failed_at_the_interrupt_is_a_loss(status: WalkStatus, reason: Reason) -> None:
    table = known(1)
    time = table.sample(1, status=status)
    assert table.dropped == {time: reason}


def test_annotations_show_as_markers_in_their_place_or_not_at_all() -> None:
    kind, text = next(iter(MARKERS.items()))
    table, shown, hidden = known(), Frame(MARKER, text), -min(TASK_KINDS)
    time = table.sample(1, -kind, 2, hidden)
    assert table.read() == [1, 2]
    assert table.emitted[time] == (named(2), shown, named(1))
    assert table.emitted[table.sample(-kind, 1)] == (named(1), shown)
    assert table.emitted[table.sample(-255, 1)] == (named(1),)
    assert table.open == []


def test_a_stack_of_annotations_alone_is_native() -> None:
    table = known()
    kind, text = next(iter(MARKERS.items()))
    native = NativeAddress(told_file(5), 0x100, "/bin/python3")
    caller = NativeAddress(told_file(5), 0x120, "/bin/python3")
    time = table.sample(-kind, user=(NATIVE, NATIVE + 0x21))
    assert table.emitted[time] == (Frame(MARKER, text), caller, native)


def test_a_walk_that_was_cut_off_is_shown_with_a_mark() -> None:
    table = known(1)
    assert table.emitted[table.sample(1, status=WalkStatus.TRUNCATED)] == (TRUNCATED, named(1))


def test_a_native_stack_as_deep_as_can_be_is_marked_as_cut_off() -> None:
    table = known()
    deepest = table.sample(user=(NATIVE,) * 256, user_end=UserEnd.DEEP)
    shorter = table.sample(user=(NATIVE,) * 256)
    assert table.emitted[deepest][0] == TRUNCATED
    assert table.emitted[shorter][0] != TRUNCATED


def test_a_stack_through_a_file_without_a_table_asks_for_it() -> None:
    table = known()
    table.sample(user=(NATIVE,))
    assert table.unwound == []
    table.sample(user=(NATIVE, NATIVE), lacks_table=True)
    [(user, code, pid, uid)] = table.unwound
    assert (user, pid, uid) == ((NATIVE, NATIVE), PID, 0)
    assert code.find(NATIVE) is not None


COPY = StackCopy(0, 0, NATIVE, 0x7000, 0, 0, True, 1, bytes(8))


def test_a_sample_that_waits_for_a_table_is_handed_on_with_what_was_found() -> None:
    table = known()
    sample = table.sample(user=(NATIVE,), lacks_table=True, copy=COPY)
    assert sample not in table.settled()
    [then] = table.followed
    then(raw_sample(time_ns=sample, user=(NATIVE, NATIVE + 1)))
    assert len(table.emitted[sample]) == 2


def test_a_process_is_not_over_before_its_samples_have_their_tables() -> None:
    table = known()
    sample = table.sample(user=(NATIVE,), lacks_table=True, copy=COPY)
    table.event(exited=True)
    assert table.ended == []
    [then] = table.followed
    then(raw_sample(time_ns=sample, user=(NATIVE,)))
    assert len(table.ended) == 1
    assert sample in table.emitted


def test_a_sample_of_a_process_that_was_over_too_soon_waits_as_well() -> None:
    table = Table()
    sample = table.sample(user=(NATIVE,), lacks_table=True, copy=COPY)
    table.event(exited=True)
    table.answer(ProcessGone("exited"))
    assert len(table.ended) == 1
    [then] = table.followed
    then(raw_sample(time_ns=sample, user=(NATIVE,)))
    assert sample in table.emitted
    assert len(table.ended) == 2, "it may have been forgotten meanwhile"


def test_a_fault_waits_for_the_next_sight_of_the_code_object() -> None:
    table = known()
    first = table.sample(1)
    table.read({1: FAULT})
    assert first not in table.settled()
    assert table.open == []
    second = table.sample(1)
    assert table.read() == [1]
    assert table.emitted[first] == table.emitted[second] == (named(1),)


def test_a_fault_is_tried_once_more_at_the_end_and_then_it_is_a_loss() -> None:
    table = known()
    first, second = table.sample(1), table.sample(2)
    table.read({1: FAULT, 2: FAULT})
    table.table.retry()
    assert sorted(table.read({2: FAULT})) == [1, 2]
    table.table.finish()
    assert table.emitted[first] == (named(1),)
    assert table.dropped == {second: Reason.WOULD_FAULT}


def test_the_end_asks_nothing_twice() -> None:
    table = known()
    table.sample(1)
    table.table.retry()
    assert len(table.questions.take_all()) == 1


def test_what_is_still_not_inspected_at_the_end_is_partial() -> None:
    table = Table()
    native, interpreted = table.sample(user=(NATIVE,)), table.sample(1)
    table.table.finish()
    assert table.emitted == {native: (NOT_INSPECTED,)}
    assert table.partial == {native: Partial(Reason.NOT_INSPECTED, leaf=True)}
    assert table.dropped == {interpreted: Reason.WOULD_FAULT}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ProcessGone("exited"), Reason.EXITED),
        (ReadFault(0x1234, FaultReason.PERMISSION), Reason.PERMISSION),
    ],
)
def test_a_process_that_cannot_be_inspected_shows_what_needs_no_names(
    error: SymbolizeError, reason: Reason
) -> None:
    table = Table()
    native, interpreted = table.sample(user=(NATIVE,)), table.sample(1)
    table.answer(error)
    later = table.sample(1)
    unseen = Reason.NOT_INSPECTED if reason is Reason.EXITED else reason
    unnamed = (Frame(MARKER, f"[{reason.value}]"),)
    assert table.emitted == {
        native: (Frame(MARKER, f"[{unseen.value.replace('_', ' ')}]"),),
        interpreted: unnamed,
        later: unnamed,
    }
    assert table.partial == {
        native: Partial(unseen, leaf=True),
        interpreted: Partial(reason, leaf=True),
        later: Partial(reason, leaf=True),
    }
    assert table.open == []


def test_with_nothing_but_whole_stacks_wanted_what_was_not_inspected_is_dropped() -> None:
    table = Table(costly=WHOLE_ONLY)
    time = table.sample(user=(NATIVE,))
    table.table.finish()
    assert table.dropped == {time: Reason.NOT_INSPECTED}


def test_a_stalled_process_is_quarantined() -> None:
    table = known(1)
    before = {*table.settled()}
    waiting, unseen = table.sample(2), table.sample(user=(OUTSIDE,), after_ns=SECOND)
    read, inspect = table.questions.take_all()
    read.answer(Stalled("the deadline passed"))
    inspect.answer(Inspection(ID, MAPPINGS, (INTERPRETER,), ()))
    later = [table.sample(1), table.sample(user=(NATIVE,)), table.sample()]
    assert table.open == []
    assert table.dropped == dict.fromkeys([waiting, unseen, *later], Reason.STALLED)
    assert {*table.emitted} == before


def test_a_new_program_ends_the_quarantine() -> None:
    table = Table()
    table.sample()
    table.answer(Stalled("the deadline passed"))
    table.event(exited=False)
    table.inspected()
    time = table.sample(user=(NATIVE,))
    assert time in table.emitted


def test_an_unknown_address_is_looked_for_in_fresh_maps_with_growing_patience() -> None:
    table = known()
    asked = 0
    for _ in range(200):
        table.sample(user=(OUTSIDE,), after_ns=100 * MS)
        if table.open:
            asked += 1
            table.inspected()
    assert 5 <= asked <= 15
    table.table.finish()
    assert NOT_INSPECTED in table.emitted[table.now_ns]


def test_notes_of_an_inspection_are_passed_on() -> None:
    table = Table()
    table.sample()
    table.inspected(notes=("Python 2.7 is not supported",))
    assert table.notes == [(ID, "Python 2.7 is not supported")]


def test_exec_settles_what_the_old_program_owes_and_forgets_its_names() -> None:
    table = known(1)
    waiting = table.sample(2)
    old_read = table.take()
    table.event(exited=False)
    assert table.runs == [(ID, (INTERPRETER,)), (ID, ())]
    assert table.emitted[waiting] == (Frame(MARKER, "[changed]"),)
    assert table.open == [Inspect(PID, ID.start_ticks)]
    old_read.answer(Codes((Reason.CHANGED,)))
    table.inspected()
    fresh = table.sample(1)
    assert table.read() == [1]
    assert table.emitted[fresh] == (named(1),)


def test_an_answer_about_the_program_before_the_exec_is_not_taken_for_the_new_one() -> None:
    table = Table()
    table.sample()
    old = table.take()
    table.event(exited=False)
    new = table.take()
    time = table.sample(user=(NATIVE,))
    old.answer(Inspection(ID, MAPPINGS, (INTERPRETER,), ()))
    assert table.configured == []
    assert time not in table.settled()
    new.answer(Inspection(ID, (), (), ()))
    table.table.finish()
    assert table.emitted[time] == (NOT_INSPECTED,)


def test_what_was_asked_before_the_recording_is_not_about_a_program_that_began_since() -> None:
    table = Table()
    table.table.discover([PID], START_NS)
    old = table.take()
    table.event(exited=False)
    new = table.take()
    old.answer(Inspection(ID, MAPPINGS, (INTERPRETER,), ()))
    assert table.configured == []
    time = table.sample(user=(NATIVE,))
    new.answer(Inspection(ID, (), (), ()))
    assert table.configured == []
    table.table.finish()
    assert table.partial == {time: Partial(Reason.NOT_INSPECTED, leaf=True)}


def test_exit_lets_go_of_the_process_and_tells_the_worker() -> None:
    table = known(1)
    table.event(exited=True)
    asked = table.take()
    assert (asked.question, asked.soon) == (Forget(ID), False)
    asked.answer(Forgotten())
    table.sample(1)
    assert table.open == [Inspect(PID, ID.start_ticks)]


def test_what_the_worker_is_to_forget_does_not_pile_up_where_it_is_far_behind() -> None:
    table = Table()

    def begins_and_ends(pid: int) -> None:
        process = ProcessId.from_start_ns(pid, START_NS)
        table.table.discover([pid], START_NS)
        table.questions.open.pop().answer(Inspection(process, MAPPINGS, (INTERPRETER,), ()))
        table.event(exited=True, pid=pid)

    for pid in range(100, 1100):
        begins_and_ends(pid)
    behind = table.questions.take_all()
    assert {type(asked.question) for asked in behind} == {Forget}
    assert 100 < len(behind) < 500
    for asked in behind:
        asked.answer(Forgotten())
    begins_and_ends(1100)
    assert table.take().question == Forget(ProcessId.from_start_ns(1100, START_NS))


def test_an_exit_waits_for_the_answers_under_way() -> None:
    table = known()
    time = table.sample(1)
    table.event(exited=True)
    assert time not in table.settled()
    table.read()
    assert table.emitted[time] == (named(1),)
    assert table.open == [Forget(ID)]


def test_an_exit_before_the_inspection_leaves_what_needed_it_without_names() -> None:
    table = Table()
    interpreted, native = table.sample(1), table.sample(user=(NATIVE,))
    table.event(exited=True)
    table.answer(ProcessGone("exited"))
    assert table.emitted == {interpreted: (Frame(MARKER, "[exited]"),), native: (NOT_INSPECTED,)}
    assert table.partial == {
        interpreted: Partial(Reason.EXITED, leaf=True),
        native: Partial(Reason.NOT_INSPECTED, leaf=True),
    }
    assert table.open == []


def test_an_exit_of_a_process_never_seen_is_nothing() -> None:
    table = Table()
    table.event(exited=True)
    assert table.open == []


def test_processes_that_run_already_are_inspected_before_their_first_sample() -> None:
    table = Table()
    table.table.discover([PID, 8], START_NS)
    first, second = table.questions.take_all()
    assert [(each.question, each.soon) for each in (first, second)] == [
        (Inspect(PID), False),
        (Inspect(8), False),
    ]
    second.answer(ProcessGone("no process 8"))
    first.answer(Inspection(ID, MAPPINGS, (INTERPRETER,), ()))
    assert table.configured == [(PID, ID.start_ns(), (INTERPRETER,))]
    assert table.sample(user=(NATIVE,)) in table.emitted
    assert table.open == []


def test_execs_beyond_the_budget_are_inspected_at_their_first_sample() -> None:
    table = Table()
    table.table.discover([], START_NS)
    for pid in range(100, 200):
        table.event(exited=False, pid=pid, after_ns=0)
    assert 1 <= len(table.questions.take_all()) <= 2
    table.sample(pid=199)
    assert len(table.questions.take_all()) == 1
    for pid in range(200, 300):
        table.event(exited=False, pid=pid, after_ns=100 * MS)
    assert len(table.questions.take_all()) == 100


def test_a_quiet_time_gives_no_more_than_a_second_of_budget() -> None:
    table = Table()
    table.table.discover([], START_NS)
    table.now_ns += 3600 * SECOND
    for pid in range(100, 200):
        table.event(exited=False, pid=pid, after_ns=0)
    assert 20 <= len(table.questions.take_all()) <= 21


def test_samples_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "_SAMPLE_BYTES", 4000)
    monkeypatch.setattr(allowance, "TRUSTED_BYTES", 4 * 14_500)
    table = Table()
    times = [table.sample(1) for _ in range(5)]
    assert table.dropped == dict.fromkeys(times[3:], Reason.OVER_BUDGET)
    table.inspected()
    table.read()
    assert table.emitted.keys() == {*times[:3]}
    assert table.sample(1) in table.emitted


def test_a_sample_after_the_exit_leaves_no_program_behind() -> None:
    """The kernel tells of an exit before the process has given its memory back."""
    table = known()
    table.table.event(ProcessEvent(ID, table.now_ns, START_NS, True))
    assert table.ended == [ID]
    for _ in range(2):
        time = table.sample(user=(NATIVE,))
        for asked in table.questions.take_all():
            if isinstance(asked.question, Inspect):
                asked.answer(ProcessGone("it has exited"))
        assert time in table.settled()
    assert table.ended == [ID] * 3
    assert table.table._programs == {}
