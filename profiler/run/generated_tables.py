"""Unwind tables of the code that processes generate: asked for while stacks end there.

A runtime goes on to generate code, so a table is soon out of date. It is made anew when a stack meets code
that it lacks, after a pause that keeps the cost at a few per cent of a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from msgspec import Struct

from profiler.capture.source import SampleSource
from symbolizers.asker import Ask
from symbolizers.elf.unwind_rules import AWAITED, Cfa
from symbolizers.errors import Reason
from symbolizers.inspection import CHUNK_BYTES, generated_key
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Failed, GeneratedChunks, ReadGenerated

_MOST_PROCESSES = 4096
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 60.0
_COST_SHARE = 0.04
"""Of one CPU, what asking for one process may take."""
_CREDIT_S = 5.0
"""So much of that is there at first: a program that begins has most of its code compiled soon."""
_SELDOM = (Reason.OVER_BUDGET, Reason.STALLED, Reason.UNSUPPORTED)
"""The reasons for which nobody asks again soon: it costs too much, or nothing describes the code."""


class _Process(Struct):
    """What was asked about one. `due_s`: when it may be asked again (CLOCK_MONOTONIC)."""

    user: int
    due_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    paid_s: float = 0.0
    """Until when the share is used up that the answers so far have cost."""
    as_of_ns: int = 0
    """When the last answer was asked for (CLOCK_MONOTONIC)."""
    base: int = 0
    """Of its table; 0: it has none."""


class GeneratedTables:
    """Asks for the tables, and hands them on. Lifetime: one recording."""

    def __init__(self, ask: Ask, source: SampleSource, answered: Callable[[ProcessId], None]) -> None:
        """`answered` is called when there was an answer about the code of a process."""
        self._ask = ask
        self._source = source
        self._answered = answered
        self._processes: dict[ProcessId, _Process] = {}

    def lacks(self, process: ProcessId, user: int) -> bool:
        """A stack of this process of `user` ends in code that it has generated: it is time for a new table.

        Returns whether its equals should be looked at, too: they may ask again, or be followed further.
        """
        known = self._processes.get(process)
        if known is None:
            if len(self._processes) >= _MOST_PROCESSES:
                return False
            known = self._processes[process] = _Process(user)
        if time.monotonic() >= known.due_s:
            known.due_s = math.inf
            self._read(process, known, time.monotonic_ns(), None)
        return known.base != 0 or known.pause_s < _LAST_PAUSE_S

    def awaits(self, process: ProcessId, time_ns: int) -> bool:
        """Whether the table is still to come that says more about a sample of then (CLOCK_MONOTONIC)."""
        known = self._processes.get(process)
        return known is not None and known.base != 0 and known.as_of_ns < time_ns

    def find_rule(self, process: ProcessId, address: int) -> int | None:
        """The rule at an address of its code; `Cfa.UNKNOWN` without one, None if it is awaited."""
        known = self._processes.get(process)
        if known is None or not known.base:
            return Cfa.UNKNOWN
        rule = self._source.find_rule(generated_key(process), address - known.base)
        return None if rule == AWAITED else rule or Cfa.UNKNOWN

    def forget(self, process: ProcessId) -> None:
        """It has exited, or runs another program now."""
        known = self._processes.pop(process, None)
        if known is not None and known.base:
            self._source.drop_generated(process)

    def _read(
        self, process: ProcessId, known: _Process, asked_ns: int, before: GeneratedChunks | None
    ) -> None:
        """Asks for the chunks behind those from `before`."""

        def read(answer: GeneratedChunks | Failed) -> None:
            if self._processes.get(process) is not known:
                return
            if isinstance(answer, Failed) or not _goes_on(before, answer):
                seldom = isinstance(answer, Failed) and answer.reason in _SELDOM
                known.pause_s = _LAST_PAUSE_S if seldom else min(2 * known.pause_s, _LAST_PAUSE_S)
                self._settle(process, known, asked_ns, known.pause_s)
                return
            sofar = _joined(before, answer)
            if len(sofar.chunks) < answer.total * CHUNK_BYTES:
                self._read(process, known, asked_ns, sofar)
                return
            known.base, known.pause_s = answer.base, _FIRST_PAUSE_S
            self._source.put_generated(process, answer.base, sofar.chunks)
            now_s = time.monotonic()
            known.paid_s = max(known.paid_s, now_s - _CREDIT_S) + sofar.cost_s / _COST_SHARE
            self._settle(process, known, asked_ns, known.paid_s - now_s)

        first = 0 if before is None else len(before.chunks) // CHUNK_BYTES
        self._ask(ReadGenerated(process, first), read, user=known.user, thorough=True)

    def _settle(self, process: ProcessId, known: _Process, asked_ns: int, pause_s: float) -> None:
        known.as_of_ns = asked_ns
        known.due_s = time.monotonic() + min(max(pause_s, _FIRST_PAUSE_S), _LAST_PAUSE_S)
        self._answered(process)


def _goes_on(before: GeneratedChunks | None, answer: GeneratedChunks) -> bool:
    """Whether both are of the same table."""
    return before is None or (before.base, before.total) == (answer.base, answer.total)


def _joined(before: GeneratedChunks | None, answer: GeneratedChunks) -> GeneratedChunks:
    if before is None:
        return answer
    cost_s = before.cost_s + answer.cost_s
    return GeneratedChunks(answer.base, cost_s, answer.total, before.chunks + answer.chunks)
