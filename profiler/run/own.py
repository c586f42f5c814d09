"""Samples of pidflame itself, which a recording can leave out."""

from __future__ import annotations

import os

from profiler.capture.records import CodeName, RawSample, Record, Repeated
from symbolizers.process.identity import ProcessId


class OwnSamples:
    """Knows what comes from this process and from those that it started. Lifetime: one recording.

    To be used only where the whole system is recorded: elsewhere a child of ours may be what is recorded.
    """

    def __init__(self) -> None:
        self.left_out = 0
        """How many samples it has claimed."""
        self._own_pid = os.getpid()
        self._processes: set[ProcessId] = set()

    def claims(self, record: Record) -> bool:
        """Whether `record` is a sample of ours, or names code of ours; samples are counted."""
        if isinstance(record, RawSample | CodeName):
            # Workers are our children, too, whoever forked them: their pids are known to nobody earlier.
            if self._own_pid not in (record.process.pid, record.parent.pid):
                return False
            self._processes.add(record.process)
            self.left_out += isinstance(record, RawSample)
            return True
        if isinstance(record, Repeated) and record.process in self._processes:
            self.left_out += len(record.taken)
            return True
        return False
