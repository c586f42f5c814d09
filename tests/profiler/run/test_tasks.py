"""Stacks wait for what awaits their task, and come out once, whatever happens meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.run.stacks import Element, KernelAddress, Partial, RunningLine
from profiler.run.tasks import TaskStacks, with_awaiters
from symbolizers.base import TaskChain
from symbolizers.errors import Malformed, Reason, Stalled
from symbolizers.frame import MARKER, Frame, RawFrame
from symbolizers.process.identity import ProcessId
from symbolizers.questions import ReadAwaiters
from symbolizers.registry import TASK_KINDS
from tests.support.asked import Questions, Said
from tests.support.samples import raw_sample

CODE = RawFrame(1 << 56 | 0x100, 0, 5)
TASK = RawFrame(min(TASK_KINDS) << 56 | 0x7000, 0, 0, 9)
SAMPLE = raw_sample(interpreter=(CODE, TASK))
PROCESS = ProcessId.from_start_ns(7, 10**9)
RUN = Frame("python", "Handle._run", "events.py", 80)
WORK = Frame("python", "work", "app.py", 3)
BURN = KernelAddress(5)
STACK: tuple[Element, ...] = (RUN, WORK, BURN)
TASK_MAIN, MAIN = Frame(MARKER, "task main"), Frame("python", "main", "app.py", 9)
CHAIN = TaskChain(WORK, ((TASK_MAIN, 0), (MAIN, 11)))
AWAITERS: tuple[Element, ...] = (TASK_MAIN, RunningLine(MAIN, 11))
WHOLE = (RUN, *AWAITERS, WORK, BURN)


class Stacks:
    """`TaskStacks` and all that it asks and hands on, samples told apart by their time."""

    def __init__(self) -> None:
        self.questions = Questions()
        self.emitted: dict[int, tuple[Element, ...]] = {}
        self.dropped: dict[int, Reason] = {}
        self.partial: dict[int, Partial | None] = {}
        self.stacks = TaskStacks(ask=self.questions.ask, emit=self._emit, drop=self._drop)

    def _emit(self, sample: RawSample, elements: tuple[Element, ...], partial: Partial | None) -> None:
        assert sample.time_ns not in {*self.emitted, *self.dropped}
        self.emitted[sample.time_ns] = elements
        self.partial[sample.time_ns] = partial

    def _drop(self, sample: RawSample, reason: Reason) -> None:
        assert sample.time_ns not in {*self.emitted, *self.dropped}
        self.dropped[sample.time_ns] = reason

    def answer(self, said: Said) -> None:
        self.questions.open.pop(0).answer(said)


def at(time_ns: int) -> RawSample:
    return replace(SAMPLE, time_ns=time_ns)


def test_what_awaits_a_task_goes_under_its_coroutine() -> None:
    assert with_awaiters(STACK, CHAIN) == WHOLE
    recursive = (RUN, WORK, WORK)
    assert with_awaiters(recursive, CHAIN) == (RUN, *AWAITERS, WORK, WORK)
    running = (RUN, RunningLine(WORK, 5), BURN)
    assert with_awaiters(running, CHAIN) == (RUN, *AWAITERS, *running[1:])


@pytest.mark.parametrize("stack", [(), (RUN, BURN), (RUN, WORK._replace(file="other.py"))])
def test_a_stack_without_the_coroutine_stays(stack: tuple[Element, ...]) -> None:
    assert with_awaiters(stack, CHAIN) is stack


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_stack_and_its_answer_come_in_any_order(answered_first: bool) -> None:
    taken = Stacks()
    taken.stacks.sample(SAMPLE)
    (asked,) = taken.questions.open
    assert (asked.question, asked.soon) == (ReadAwaiters(PROCESS, 0x7000, 9), True)
    if answered_first:
        taken.answer(CHAIN)
    lacks = Partial(Reason.CHANGED, leaf=False)
    taken.stacks.emit(SAMPLE, STACK, lacks)
    if not answered_first:
        assert taken.emitted == {}
        taken.answer(CHAIN)
    assert (taken.emitted, taken.partial) == ({0: WHOLE}, {0: lacks})
    assert taken.stacks.alone == 0


def test_a_task_that_is_not_there_any_more_leaves_the_stack_alone() -> None:
    taken = Stacks()
    for time_ns, answer in enumerate(
        (Malformed("no task"), TaskChain(RUN._replace(name="other"), CHAIN.frames))
    ):
        taken.stacks.sample(at(time_ns))
        taken.answer(answer)
        taken.stacks.emit(at(time_ns), STACK)
    assert taken.emitted == {0: STACK, 1: STACK}
    assert taken.stacks.alone == 2


def test_without_a_task_nothing_is_asked() -> None:
    taken = Stacks()
    other = replace(SAMPLE, interpreter=(CODE, TASK._replace(address=(255 << 56) | 0x7000)))
    taken.stacks.sample(other)
    taken.stacks.emit(other, STACK)
    assert (taken.questions.open, taken.emitted, taken.stacks.alone) == ([], {0: STACK}, 0)


def test_a_process_that_stalled_is_left_alone() -> None:
    taken = Stacks()
    taken.stacks.sample(SAMPLE)
    taken.answer(Stalled("no answer"))
    taken.stacks.sample(at(1))
    assert taken.questions.open == []
    for time_ns in (0, 1):
        taken.stacks.emit(at(time_ns), STACK)
    assert taken.emitted == {0: STACK, 1: STACK}


@given(st.lists(st.tuples(st.sampled_from(["sample", "answer", "emit", "drop"]), st.integers(0, 1200))))
@settings(deadline=None)
def test_every_sample_comes_out_once(steps: list[tuple[str, int]]) -> None:
    taken = Stacks()
    inside: list[int] = []
    number = 0
    for step, which in steps:
        if step == "sample":
            for _ in range(which):
                taken.stacks.sample(at(number))
                inside.append(number)
                number += 1
        elif step == "answer" and taken.questions.open:
            taken.answer(CHAIN if which % 3 else Malformed("no task"))
        elif step == "emit" and inside:
            taken.stacks.emit(at(inside.pop(which % len(inside))), STACK)
        elif step == "drop" and inside:
            taken.stacks.drop(at(inside.pop(which % len(inside))), Reason.CHANGED)
    for time_ns in inside:
        taken.stacks.emit(at(time_ns), STACK)
    taken.stacks.finish()
    assert {*taken.emitted, *taken.dropped} == set(range(number))
    assert all(stack in (STACK, WHOLE) for stack in taken.emitted.values())
    while taken.questions.open:
        taken.answer(CHAIN)
