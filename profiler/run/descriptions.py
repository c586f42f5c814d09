"""What processes are: asked when a program is first sampled, and again in another cgroup."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from profiler.capture.records import CodeMapped, MappingRecord, ProcessEvent, RawSample, Repeated
from symbolizers.asker import Ask
from symbolizers.bounded import keep
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Describe, Described, Failed

_MOST_PROCESSES = 1 << 15
_MOST_EXITED = 1024
"""Processes that have exited: they are sampled while they give their memory back."""
_MOST_EXECUTABLES = 1024
"""Of programs that ran before: whoever is sampled long after an exec still runs, and can be asked about."""
_MOST_OPEN = 512
"""Questions that have no answer yet; whoever is sampled again is asked about later."""
_ANOTHER_PROGRAM = -1
"""In the place of a cgroup: nobody was asked about it."""


class Descriptions:
    """Asks the worker what processes are. Lifetime: one recording.

    `meet` takes a sample of a program that is new, and the little that is known of it; `learn` takes what the
    worker says of the process.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        meet: Callable[[RawSample, Description], None],
        learn: Callable[[ProcessId, Description], None],
    ) -> None:
        self._put = ask
        self._meet = meet
        self._learn = learn
        self._asked: OrderedDict[ProcessId, int] = OrderedDict()
        """The cgroup in which each process was when it was asked about."""
        self._exited: OrderedDict[ProcessId, None] = OrderedDict()
        self._open = 0
        self._executables: OrderedDict[int, str] = OrderedDict()
        """By pid, of programs whose exec was seen; many are over before anybody can ask."""

    def sample(self, sample: RawSample) -> None:
        """Asks about the process of `sample`, if that is new."""
        process, cgroup = sample.process, sample.cgroup
        asked = self._asked.get(process, _ANOTHER_PROGRAM)
        if asked == cgroup:
            return
        told = self._executables.get(process.pid, "")
        if asked == _ANOTHER_PROGRAM:
            self._meet(sample, Description(executable=told))
        if self._open >= _MOST_OPEN:
            return
        keep(self._asked, process, cgroup, most=_MOST_PROCESSES)
        self._open += 1

        def answered(answer: Described | Failed) -> None:
            self._open -= 1
            if isinstance(answer, Failed) or process not in self._asked:
                return
            found = answer.description
            if self._asked[process] != cgroup:  # most of it may be about the next program
                found = Description(container=found.container)
            self._learn(process, found if found.executable else found._replace(executable=told))

        self._put(Describe(process, cgroup), answered, user=sample.uid)

    def again(self, repeated: Repeated) -> None:
        """As `sample`, for samples that equal an earlier one."""
        if self._asked.get(repeated.process, _ANOTHER_PROGRAM) == _ANOTHER_PROGRAM:
            self.sample(repeated.sample())

    def mapped(self, record: MappingRecord) -> None:
        """Takes in what a program has mapped: the first file after its exec is its own."""
        if not isinstance(record, CodeMapped):
            return
        if record.mapping is None:
            keep(self._executables, record.pid, "", most=_MOST_EXECUTABLES)
            self._executables.move_to_end(record.pid)
        elif self._executables.get(record.pid) == "":
            self._executables[record.pid] = record.mapping.path

    def event(self, event: ProcessEvent) -> None:
        """Its process runs another program from now on, or has exited."""
        if event.exited:
            self._executables.pop(event.process.pid, None)
            self._exited[event.process] = None
            if len(self._exited) > _MOST_EXITED:
                first, _ = self._exited.popitem(last=False)
                self._asked.pop(first, None)
        elif event.process in self._asked:
            self._asked[event.process] = _ANOTHER_PROGRAM
