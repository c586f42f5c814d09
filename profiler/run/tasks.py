"""Puts what waits for a running asyncio task under it: callers that are on no stack.

The waiting tasks are read right after every sample, because tasks come and go. Nothing is known about a task
that has gone by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from profiler.capture.records import Counts, RawSample
from profiler.run.stacks import Element, Partial, RunningLine
from symbolizers.asker import Ask
from symbolizers.base import TaskChain
from symbolizers.errors import Reason
from symbolizers.frame import ADDRESS_MASK, FIRST_ANNOTATION, RawFrame, capture_kind
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Awaiters, Failed, ReadAwaiters
from symbolizers.registry import TASK_KINDS

_MAX_OPEN = 1000
"""Questions that may be open; samples beyond them stay as they are."""


class TaskOf(NamedTuple):
    """A task, and the sample (by CPU and time) that it ran in."""

    process: ProcessId
    task: int
    identity: int
    cpu: int
    time_ns: int


class _Open(Struct):
    """What is known about a sample's task: perhaps the answer, perhaps the stack, in either order."""

    answered: bool = False
    chain: TaskChain | None = None
    sample: RawSample | None = None
    elements: tuple[Element, ...] = ()
    partial: Partial | None = None


class TaskStacks:
    """Stands before `emit` and `drop` and holds stacks back until their task was looked at.

    Lifetime: one recording. `alone` counts the stacks for which nothing is known about what awaits them.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        emit: Callable[[RawSample, tuple[Element, ...], Partial | None], Counts],
        drop: Callable[[RawSample, Reason], None],
    ) -> None:
        self._ask = ask
        self._emit = emit
        self._drop = drop
        self._open: dict[TaskOf, _Open] = {}
        self._stalled: set[ProcessId] = set()
        self.alone = 0

    def sample(self, sample: RawSample) -> None:
        """Asks for the task of `sample`, for which either `emit` or `drop` is called later."""
        task = _task_of(sample)
        if not task.task or task.process in self._stalled:
            return
        if len(self._open) >= _MAX_OPEN:
            self.alone += 1
            return
        self._open[task] = _Open()

        def answered(answer: Awaiters | Failed) -> None:
            self._answered(task, answer)

        self._ask(ReadAwaiters(task.process, task.task, task.identity), answered, user=sample.uid, soon=True)

    def emit(
        self, sample: RawSample, elements: tuple[Element, ...], partial: Partial | None = None
    ) -> Counts | None:
        """Takes in a finished stack, root first, and what it lacks; returns what counts equal ones."""
        if not self._open or (open_ := self._open.get(task := _task_of(sample))) is None:
            return self._emit(sample, elements, partial)
        open_.sample, open_.elements, open_.partial = sample, elements, partial
        self._settle(task, open_)
        return None

    def drop(self, sample: RawSample, reason: Reason) -> None:
        """Takes in a sample that has no stack."""
        if self._open:
            self._open.pop(_task_of(sample), None)
        self._drop(sample, reason)

    def finish(self) -> None:
        """Hands on what still waits for an answer."""
        for task, open_ in list(self._open.items()):
            open_.answered = True
            self._settle(task, open_)

    def _answered(self, task: TaskOf, answer: Awaiters | Failed) -> None:
        if isinstance(answer, Failed) and answer.reason is Reason.STALLED:
            self._stalled.add(task.process)
        open_ = self._open.get(task)
        if open_ is not None:
            open_.answered = True
            open_.chain = answer.chain if isinstance(answer, Awaiters) else None
            self._settle(task, open_)

    def _settle(self, task: TaskOf, open_: _Open) -> None:
        if open_.sample is not None and open_.answered:
            del self._open[task]
            elements = open_.elements if open_.chain is None else with_awaiters(open_.elements, open_.chain)
            self.alone += elements is open_.elements
            self._emit(open_.sample, elements, open_.partial)


def with_awaiters(elements: tuple[Element, ...], chain: TaskChain) -> tuple[Element, ...]:
    """The stack with the frames of `chain` before the task's own coroutine; unchanged if that isn't on it.

    In that case another task has taken its place by now, and the chain belongs to that one.
    """
    for index, element in enumerate(elements):
        if (element.frame if isinstance(element, RunningLine) else element) == chain.outermost:
            awaiters = (RunningLine(frame, line) if line else frame for frame, line in chain.frames)
            return (*elements[:index], *awaiters, *elements[index:])
    return elements


def _task_of(sample: RawSample) -> TaskOf:
    running = _running_task(sample)
    return TaskOf(sample.process, running.address & ADDRESS_MASK, running.owner, sample.cpu, sample.time_ns)


def _running_task(sample: RawSample) -> RawFrame:
    """The annotation that says which task runs; zeros without one."""
    for frame in reversed(sample.interpreter):  # it follows the frames
        if frame.address >= FIRST_ANNOTATION and capture_kind(frame.address) in TASK_KINDS:
            return frame
    return RawFrame(0, 0, 0)
