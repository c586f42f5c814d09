"""What threads are called by the language that they run, asked for while they run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from profiler.capture.records import RawSample
from symbolizers.errors import Stalled
from symbolizers.process.deadline import Reply, Request
from symbolizers.process.identity import ProcessId

_FIRST_PAUSE_NS = 20_000_000
_LAST_PAUSE_NS = 5_000_000_000
_MAX_PROCESSES = 10_000
_MAX_WANTED = 200
"""Threads of one process that are asked about together."""
_MAX_NAMES = 100_000


class ThreadsOf(NamedTuple):
    """What a question to the worker is about."""

    process: ProcessId


@dataclass(slots=True)
class _Asked:
    """A process and those of its threads whose name is not known: `wanted` has thread pointers, by tid."""

    wanted: dict[int, int] = field(default_factory=dict)
    asking: bool = False
    again_ns: float = 0.0
    pause_ns: int = _FIRST_PAUSE_NS


class ThreadNames:
    """Asks for a name when a thread is first seen in an interpreter. Lifetime: one recording.

    Many threads have none: a process is asked again at growing intervals, while such a thread is sampled.
    """

    def __init__(self, submit: Callable[[Request], None]) -> None:
        self._submit = submit
        self._processes: dict[ProcessId, _Asked] = {}
        self._names: dict[tuple[int, int], str] = {}

    def sample(self, sample: RawSample) -> None:
        """Takes note of the thread of `sample`."""
        if not sample.interpreter or not sample.thread_pointer or (sample.pid, sample.tid) in self._names:
            return
        process = ProcessId.from_start_ns(sample.pid, sample.start_ns)
        if process not in self._processes and len(self._processes) >= _MAX_PROCESSES:
            return
        asked = self._processes.setdefault(process, _Asked())
        if len(asked.wanted) < _MAX_WANTED or sample.tid in asked.wanted:
            asked.wanted[sample.tid] = sample.thread_pointer
        if not asked.asking and sample.time_ns >= asked.again_ns:
            asked.again_ns = sample.time_ns + asked.pause_ns
            asked.pause_ns = min(2 * asked.pause_ns, _LAST_PAUSE_NS)
            self._ask(process, asked)

    def retry(self) -> None:
        """Asks once more for the names that are not known: the end of the recording has come."""
        for process, asked in self._processes.items():
            if asked.wanted and not asked.asking and asked.again_ns < math.inf:
                self._ask(process, asked)

    def reply(self, reply: Reply) -> None:
        """Takes in an answer of the worker, whose subject is a `ThreadsOf`."""
        if not isinstance(reply.request.subject, ThreadsOf):
            raise TypeError(f"not a question about threads: {reply.request.subject}")
        process = reply.request.subject.process
        asked = self._processes[process]
        asked.asking = False
        if isinstance(reply.value, Stalled):
            asked.again_ns = math.inf
        elif isinstance(reply.value, dict):
            for tid, name in reply.value.items():
                asked.wanted.pop(tid, None)
                if len(self._names) < _MAX_NAMES:
                    self._names[process.pid, tid] = name
            if reply.value:
                asked.pause_ns = _FIRST_PAUSE_NS

    def names(self) -> Mapping[tuple[int, int], str]:
        """The names that are known, by pid and tid."""
        return self._names

    def _ask(self, process: ProcessId, asked: _Asked) -> None:
        asked.asking = True
        self._submit(Request(ThreadsOf(process), "thread_names", (process, dict(asked.wanted))))
