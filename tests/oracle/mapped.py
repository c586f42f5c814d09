"""What code each process had mapped at an instant, by what the kernel told."""

from __future__ import annotations

from collections import deque

from profiler.capture.mapping_events import MappingEvents
from profiler.capture.records import CodeMapped, Forked, MappingRecord, MappingsLost
from symbolizers.inspection import CodeMapping


class Mapped:
    """Of all processes that began while it listened. It can only be asked for later and later instants.

    Where the kernel had to leave something out, nothing is known of the processes until then.
    """

    def __init__(self, events: MappingEvents) -> None:
        self._events = events
        self._told: deque[MappingRecord] = deque()
        self._mappings: dict[int, tuple[CodeMapping, ...]] = {}

    def look(self) -> None:
        """Takes what has been told."""
        self._told.extend(self._events.drain())

    def at(self, pid: int, time_ns: int) -> tuple[CodeMapping, ...]:
        """What the process had mapped then."""
        while self._told and self._told[0].time_ns <= time_ns:
            self._learn(self._told.popleft())
        return self._mappings.get(pid, ())

    def close(self) -> None:
        """Listens no longer."""
        self._events.close()

    def _learn(self, told: MappingRecord) -> None:
        if isinstance(told, MappingsLost):
            self._mappings.clear()
        elif isinstance(told, Forked):
            self._mappings[told.pid] = self._mappings.get(told.parent_pid, ())
        elif isinstance(told, CodeMapped):
            new = told.mapping
            if new is None:
                self._mappings[told.pid] = ()
                return
            others = (
                each
                for each in self._mappings.get(told.pid, ())
                if each.end <= new.start or each.start >= new.end
            )
            self._mappings[told.pid] = (*others, new)
