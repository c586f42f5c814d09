"""When names of threads are asked for, and what becomes of the answers."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from profiler.capture.records import ProcessEvent
from profiler.run.threads import ThreadNames
from symbolizers.errors import Malformed, ProcessGone, Stalled, SymbolizeError
from symbolizers.frame import RawFrame
from symbolizers.process.identity import ProcessId
from symbolizers.questions import NamedThread, ReadThreads, WantedThread
from symbolizers.questions import ThreadNames as Named
from tests.support.asked import Questions
from tests.support.samples import raw_sample

S = 1_000_000_000
FRAMES = (RawFrame(1 << 56 | 8, 0, 0),)
SAMPLE = raw_sample(time_ns=S, start_ns=S, interpreter=FRAMES, thread_pointer=0x7000)
PROCESS = ProcessId.from_start_ns(7, S)


class Asked:
    """`ThreadNames`, and the questions that it asked."""

    def __init__(self) -> None:
        self.questions = Questions()
        self.names = ThreadNames(self.questions.ask)

    def sample(self, tid: int = 7, *, at_s: float = 1.0, pid: int = 7) -> None:
        process = ProcessId.from_start_ns(pid, S)
        time_ns = int(at_s * S)
        self.names.sample(
            replace(SAMPLE, process=process, tid=tid, thread_pointer=0x7000 + tid, time_ns=time_ns)
        )

    def wanted(self) -> list[int]:
        """The threads that the only open question is about."""
        (asked,) = self.questions.open
        assert isinstance(asked.question, ReadThreads)
        assert asked.question.process == PROCESS
        tids = [each.tid for each in asked.question.wanted]
        assert asked.question.wanted == tuple(WantedThread(tid, 0x7000 + tid) for tid in tids)
        return tids

    def answer(self, said: dict[int, str] | SymbolizeError) -> None:
        if isinstance(said, dict):
            self.questions.take().answer(Named(tuple(NamedThread(*each) for each in said.items())))
        else:
            self.questions.take().answer(said)


def test_a_thread_is_asked_for_when_it_is_first_seen() -> None:
    asked = Asked()
    asked.sample(8)
    assert asked.wanted() == [8]
    asked.sample(9, at_s=1.1)
    assert len(asked.questions.open) == 1
    assert asked.names.due_s() == math.inf, "an answer is awaited"
    asked.answer({8: "pool"})
    assert asked.names.due_s() <= 1.1
    asked.names.ask_about_new(int(1.1 * S))
    assert asked.wanted() == [9]
    assert asked.names.due_s() == math.inf
    asked.answer({9: "late"})
    asked.sample(8, at_s=1.2)
    assert asked.questions.open == []
    assert asked.names.names() == {(7, 8): "pool", (7, 9): "late"}


def test_threads_without_an_interpreter_are_not_asked_for() -> None:
    asked = Asked()
    asked.names.sample(replace(SAMPLE, interpreter=()))
    asked.names.sample(replace(SAMPLE, thread_pointer=0))
    asked.names.retry()
    assert asked.questions.open == []


@pytest.mark.parametrize("answer", [{}, Malformed("no threading"), ProcessGone("gone")])
def test_what_has_no_name_is_asked_for_ever_more_seldom(answer: dict[int, str] | SymbolizeError) -> None:
    asked = Asked()
    questions = 0
    for tick in range(10_000):
        asked.sample(at_s=tick / 100)
        if asked.questions.open:
            questions += 1
            asked.answer(answer)
    assert 10 < questions < 40
    asked.names.retry()
    assert asked.wanted() == [7]


def test_a_new_thread_is_asked_for_at_once_though_the_others_have_no_names() -> None:
    asked = Asked()
    for tick in range(1000):
        asked.sample(at_s=tick / 100)
        if asked.questions.open:
            asked.answer({})
    asked.sample(8, at_s=10.0)
    assert asked.wanted() == [7, 8]


def test_a_process_whose_threads_are_all_new_is_asked_fifty_times_a_second_at_most() -> None:
    asked = Asked()
    questions = 0
    for tid in range(1000):
        asked.sample(tid, at_s=tid / 1000)
        asked.names.ask_about_new(tid * S // 1000)
        if asked.questions.open:
            questions += 1
            asked.answer(dict.fromkeys(asked.wanted(), "short"))
    assert 25 < questions <= 50


def test_when_new_threads_are_asked_about_is_told() -> None:
    asked = Asked()
    asked.sample(8)
    asked.answer({})
    asked.sample(9, at_s=1.001)
    assert asked.questions.open == []
    assert asked.names.due_s() == pytest.approx(1.02)
    asked.names.ask_about_new(int(1.02 * S))
    assert asked.wanted() == [8, 9]
    asked.names.event(ProcessEvent(PROCESS, int(1.03 * S), S, True))
    asked.sample(10, at_s=1.04, pid=3)
    asked.names.event(ProcessEvent(ProcessId.from_start_ns(3, S), int(1.05 * S), S, True))
    assert asked.names.due_s() == math.inf


def test_a_process_that_stalled_is_left_alone() -> None:
    asked = Asked()
    asked.sample()
    asked.answer(Stalled("no answer"))
    asked.sample(8, at_s=1000)
    asked.names.retry()
    assert asked.questions.open == []


def test_the_same_thread_number_in_two_processes_is_two_threads() -> None:
    asked = Asked()
    asked.sample(7)
    asked.answer({7: "one"})
    asked.sample(7, pid=3)
    asked.answer({7: "other"})
    assert asked.names.names() == {(7, 7): "one", (3, 7): "other"}


def test_one_question_is_about_so_many_threads_and_no_more() -> None:
    asked = Asked()
    asked.sample(1)
    for tid in range(2, 1000):
        asked.sample(tid, at_s=2)
    asked.answer({})
    asked.sample(1, at_s=3)
    assert len(asked.wanted()) == 200


def test_a_name_belongs_to_one_program_of_a_process() -> None:
    asked = Asked()
    asked.sample(7)
    asked.answer({7: "before"})
    asked.sample(8, at_s=1.1)
    asked.names.event(ProcessEvent(PROCESS, int(1.2 * S), S, exited=False))
    asked.answer({8: "of the replaced program"})
    assert asked.names.names() == {}
    pointer = SAMPLE.thread_pointer + 7 + 0x1000
    asked.names.sample(replace(SAMPLE, tid=7, thread_pointer=pointer, time_ns=int(1.21 * S)))
    (question,) = asked.questions.open
    assert question.question == ReadThreads(PROCESS, (WantedThread(7, pointer),))
    asked.answer({7: "after"})
    assert asked.names.names() == {(7, 7): "after"}


def test_names_of_the_dead_stay() -> None:
    asked = Asked()
    asked.sample(7)
    asked.sample(8)
    asked.answer({7: "main"})
    asked.sample(8, at_s=1.1)
    asked.names.event(ProcessEvent(PROCESS, int(1.2 * S), S, exited=True))
    asked.answer({8: "answered before"})
    asked.names.retry()
    assert asked.questions.open == []
    assert asked.names.names() == {(7, 7): "main", (7, 8): "answered before"}
