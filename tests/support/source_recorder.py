"""A process for the sampler to look at, and a source that keeps every record it gave."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from profiler.capture.kernel_source import KernelSource
from profiler.capture.records import CodeName, MappingRecord, ProcessEvent, RawSample
from symbolizers.process.identity import ProcessId, start_ticks_of

PATIENCE_S = 30.0
"""Far more than anything here takes, even on a busy machine."""


class Target:
    """A running `source_target`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = self.hear()

    def ask(self, command: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        assert ready, "the target is silent"
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, int)
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def id(self) -> ProcessId:
        return ProcessId(self.pid, start_ticks_of(self.pid))


@contextmanager
def running_target() -> Iterator[Target]:
    command = (sys.executable, str(Path(__file__).with_name("source_target.py")))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield Target(process)
        finally:
            process.kill()


class Recorder:
    """A started source and every record that it gave."""

    def __init__(self, source: KernelSource) -> None:
        self.source = source
        self.records: list[RawSample | CodeName | ProcessEvent] = []
        self.mapped: list[MappingRecord] = []
        """These are of the whole system."""

    def timed(self) -> list[RawSample | ProcessEvent]:
        return [record for record in self.records if not isinstance(record, CodeName)]

    def samples(self, pid: int, *, since_ns: int = 0) -> list[RawSample]:
        return [
            record
            for record in self.records
            if isinstance(record, RawSample) and record.process.pid == pid and record.time_ns >= since_ns
        ]

    def events(self, pid: int) -> list[ProcessEvent]:
        return [
            record
            for record in self.records
            if isinstance(record, ProcessEvent) and record.process.pid == pid
        ]

    def until(self, done: Callable[[], bool]) -> None:
        """Waits as the session does, until what is recorded is enough."""
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end_s, f"only {len(self.records)} records came"
            select.select([self.source], [], [], 0.25)
            for record in self.source.drain():
                if isinstance(record, RawSample | CodeName | ProcessEvent):
                    self.records.append(record)
                else:
                    self.mapped.append(record)
