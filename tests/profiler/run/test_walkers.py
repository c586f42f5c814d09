"""Samples for which no walker ran: told apart, counted, and their process is configured again."""

from __future__ import annotations

from msgspec.structs import replace

from profiler.capture.wire import WalkStatus
from profiler.run.stacks import Partial
from symbolizers.errors import Reason
from symbolizers.inspection import Inspection, Unsupported
from symbolizers.questions import Codes, Failed, Inspect, ReadCodes
from tests.support.process_table import (
    ID,
    INTERPRETER,
    MAPPINGS,
    NATIVE,
    PID,
    START_NS,
    Table,
    known,
    raw_frame,
)

USER = 1000


def test_a_configuration_that_was_pushed_out_is_made_again() -> None:
    table = known(1)
    assert len(table.configured) == 1
    lost = table.sample(user=(NATIVE,), walkers=0)
    assert table.configured == [(PID, START_NS, (INTERPRETER,))] * 2
    assert table.partial[lost] == Partial(Reason.NOT_INSPECTED, leaf=True)
    walked = table.sample(1)
    native = table.sample(user=(NATIVE,))
    assert len(table.configured) == 2
    assert walked not in table.partial
    assert native not in table.partial, "its thread runs no interpreter"


def test_a_program_that_has_not_begun_to_interpret_lacks_no_walk() -> None:
    table = Table()
    table.event(exited=False)
    table.inspected()
    starting = table.sample(user=(NATIVE,), walkers=0)
    assert starting not in table.partial
    table.sample(1)
    table.read()
    later = table.sample(user=(NATIVE,), walkers=0)
    assert table.partial[later].reason is Reason.NOT_INSPECTED


def test_an_interpreter_that_no_layout_describes_makes_its_samples_partial() -> None:
    table = Table()
    sample = table.sample(user=(NATIVE,), walkers=0)
    unsupported = Unsupported("python", "3.99", "2.7 to 3.15")
    table.answer(Inspection(ID, MAPPINGS, (), ("Python 3.99 is not supported",), (unsupported,)))
    assert table.partial[sample].reason is Reason.UNSUPPORTED
    assert len(table.emitted[sample]) == 2, "its native frame is shown"


def test_a_process_that_costs_too_much_to_look_into_says_so() -> None:
    table = Table()
    sample = table.sample(user=(NATIVE,))
    table.answer(Failed(Reason.OVER_BUDGET, "it takes more CPU time than it may"))
    assert table.partial[sample] == Partial(Reason.OVER_BUDGET, leaf=True)
    ((_, note),) = table.notes
    assert "more CPU time" in note


def test_a_name_that_costs_too_much_costs_itself_alone() -> None:
    table = known(1)
    sample = table.sample(2, 1)
    table.answer(Failed(Reason.OVER_BUDGET, "the answer has 5000000 bytes"))
    assert table.partial[sample] == Partial(Reason.OVER_BUDGET, leaf=True)
    assert len(table.emitted[sample]) == 2
    assert table.sample(1) in table.emitted


def test_what_one_answer_has_no_room_for_is_asked_for_again() -> None:
    table = known()
    sample = table.sample(1, 2, 3)
    asked = table.take()
    assert isinstance(asked.question, ReadCodes)
    first, *rest = asked.question.frames
    asked.answer(Codes((Reason.CHANGED,)))
    again = table.take()
    assert isinstance(again.question, ReadCodes)
    assert again.question.frames == tuple(rest)
    assert first == raw_frame(1)
    again.answer(Codes((Reason.CHANGED, Reason.CHANGED)))
    assert table.partial[sample].reason is Reason.CHANGED


def test_questions_are_asked_for_the_user_of_the_process() -> None:
    table = Table()
    table.sample(1, uid=USER)
    (asked,) = table.questions.take_all()
    assert (asked.question, asked.user) == (Inspect(PID, ID.start_ticks), USER)
    asked.answer(Inspection(ID, MAPPINGS, (replace(INTERPRETER),), ()))
    (read,) = table.questions.take_all()
    assert read.user == USER


def test_the_kernel_forgets_interpreters_that_it_was_told_of_after_their_exec() -> None:
    table = known(1)
    table.event(exited=False)
    assert table.configured[-1] == (PID, START_NS, ())


def test_what_was_walked_for_the_program_before_the_exec_costs_nothing() -> None:
    table = known(1)
    table.event(exited=False)
    stale = table.sample(1, user=(NATIVE,), status=WalkStatus.FAULT)
    table.answer(Inspection(ID, MAPPINGS, (), ()))
    assert not table.dropped
    assert len(table.emitted[stale]) == 1, "its native frame alone"
