"""The names that languages give their threads, asked for while the threads run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import starmap

from msgspec import Struct, field

from profiler.capture.records import ProcessEvent, RawSample
from symbolizers import questions
from symbolizers.asker import Ask
from symbolizers.errors import Reason
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Failed, ReadThreads, WantedThread

_FIRST_PAUSE_NS = 20_000_000
_LAST_PAUSE_NS = 5_000_000_000
_MAX_PROCESSES = 10_000
_MAX_WANTED = 200
"""Threads of one process that are asked about together."""
_MAX_NAMES = 100_000


class _Asked(Struct):
    """The threads of a process whose names are not known: `wanted` has their thread pointers, by tid.

    `is_replaced`: an exec came, after which the answers are about another program.
    """

    user: int
    wanted: dict[int, int] = field(default_factory=dict)
    asking: bool = False
    is_replaced: bool = False
    asked_ns: int = 0
    again_ns: float = 0.0
    pause_ns: int = _FIRST_PAUSE_NS


class ThreadNames:
    """Asks for a name when a thread is first seen in an interpreter. Lifetime: one recording.

    Many threads have no name: a process with such is asked again at growing intervals, while it is sampled,
    and as soon as that may be when a thread is seen for the first time.
    """

    def __init__(self, ask: Ask) -> None:
        self._put = ask
        self._processes: dict[ProcessId, _Asked] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._new: dict[ProcessId, _Asked] = {}
        """Those with threads that nobody was asked about."""

    def sample(self, sample: RawSample) -> None:
        """Takes note of the thread of `sample`."""
        if (
            not sample.interpreter
            or not sample.thread_pointer
            or (sample.process.pid, sample.tid) in self._names
        ):
            return
        process = sample.process
        if process not in self._processes and len(self._processes) >= _MAX_PROCESSES:
            return
        asked = self._processes.setdefault(process, _Asked(sample.uid))
        if sample.tid in asked.wanted:
            asked.wanted[sample.tid] = sample.thread_pointer
        elif len(asked.wanted) < _MAX_WANTED:
            asked.wanted[sample.tid] = sample.thread_pointer
            # It may have a name although the others have none, and may be gone soon.
            if asked.again_ns < math.inf:
                asked.pause_ns = _FIRST_PAUSE_NS
                asked.again_ns = min(asked.again_ns, asked.asked_ns + _FIRST_PAUSE_NS)
                self._new[process] = asked
        self._ask_if_due(process, asked, sample.time_ns)

    def again(self, process: ProcessId, time_ns: int) -> None:
        """Takes note that threads of `process` run which were seen before."""
        asked = self._processes.get(process)
        if asked is not None:
            self._ask_if_due(process, asked, time_ns)

    def due_s(self) -> float:
        """When `ask_about_new` has something to ask (CLOCK_MONOTONIC); infinite if it has not."""
        due_ns = (each.again_ns for each in self._new.values() if each.wanted and not each.asking)
        return min(due_ns, default=math.inf) / 1e9

    def ask_about_new(self, now_ns: int) -> None:
        """Asks about threads that nobody was asked about: they may be gone soon (CLOCK_MONOTONIC)."""
        for process, asked in [*self._new.items()]:
            self._ask_if_due(process, asked, now_ns)

    def event(self, event: ProcessEvent) -> None:
        """Takes in an exec or exit: of the threads of that program none runs any more.

        After an exec its first thread, which has the process's number, runs another program: it may be in no
        interpreter, or have another thread pointer.
        """
        process = event.process
        asked = self._processes.pop(process, None)
        self._new.pop(process, None)
        if not event.exited:
            self._names.pop((process.pid, process.pid), None)
        if asked is not None and not event.exited:
            asked.is_replaced = True
            # One that execs all the time is asked about no more often for that.
            self._processes[process] = _Asked(
                asked.user, asked_ns=asked.asked_ns, again_ns=asked.again_ns, pause_ns=asked.pause_ns
            )

    def retry(self) -> None:
        """Asks once more for the names that are not known: the end of the recording has come."""
        for process, asked in self._processes.items():
            if asked.wanted and not asked.asking and asked.again_ns < math.inf:
                self._ask(process, asked)

    def names(self) -> Mapping[tuple[int, int], str]:
        """The names that are known, by pid and tid."""
        return self._names

    def _ask_if_due(self, process: ProcessId, asked: _Asked, now_ns: int) -> None:
        if asked.wanted and not asked.asking and now_ns >= asked.again_ns:
            asked.asked_ns = now_ns
            asked.again_ns = now_ns + asked.pause_ns
            asked.pause_ns = min(2 * asked.pause_ns, _LAST_PAUSE_NS)
            self._ask(process, asked)

    def _ask(self, process: ProcessId, asked: _Asked) -> None:
        asked.asking = True
        self._new.pop(process, None)

        def answered(answer: questions.ThreadNames | Failed) -> None:
            self._answered(process, asked, answer)

        question = ReadThreads(process, tuple(starmap(WantedThread, asked.wanted.items())))
        self._put(question, answered, user=asked.user)

    def _answered(self, process: ProcessId, asked: _Asked, answer: questions.ThreadNames | Failed) -> None:
        asked.asking = False
        if asked.is_replaced:
            return
        if isinstance(answer, Failed):
            if answer.reason is Reason.STALLED:
                asked.again_ns = math.inf
        elif answer.named:
            for tid, name in answer.named:
                asked.wanted.pop(tid, None)
                if len(self._names) < _MAX_NAMES:
                    self._names[process.pid, tid] = name
            asked.pause_ns = _FIRST_PAUSE_NS
