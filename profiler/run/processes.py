"""Every process that was seen, by identity: who it is, which program it runs now, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Iterable

from profiler.capture.records import CodeName, ProcessEvent, RawSample
from profiler.run.program import Program, Surroundings
from symbolizers.errors import Reason
from symbolizers.inspection import Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Failed, Forget, Forgotten, Inspect, Inspected

_EAGER_LOOKS_HZ = 20
_SECOND_NS = 1_000_000_000


class ProcessTable:
    """Hands each sample to the program that its process runs. Lifetime: one recording."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._programs: dict[ProcessId, Program] = {}
        self._stalled_pids: set[int] = set()
        self._eager_again_ns = 0
        self._listening_ns = math.inf
        self._boot_offset_ns = 0

    def discover(self, pids: Iterable[int], now_ns: int) -> None:
        """Asks about processes that run already, so that their first samples have names."""
        for pid in pids:
            self._ask_about(pid)
        self._eager_again_ns = now_ns

    def listen(self, boot_ns: int, now_ns: int) -> None:
        """From now on every exec comes in as an event. Times are on CLOCK_BOOTTIME and CLOCK_MONOTONIC."""
        self._listening_ns = boot_ns
        self._boot_offset_ns = boot_ns - now_ns

    def sample(self, sample: RawSample) -> None:
        """Takes in one sample."""
        self._program_of(sample).sample(sample)

    def name(self, code: CodeName) -> None:
        """Takes in the name of a code object that was seen for the first time."""
        self._program_of(code).name(code.name)

    def event(self, event: ProcessEvent) -> None:
        """Takes in an exec or exit; it comes after all samples taken before it."""
        if event.exited:
            self._exited(event.process)
        else:
            self._replaced(event)

    def retry(self) -> None:
        """Asks once more for everything that failed: the end of the recording has come."""
        for program in self._programs.values():
            program.retry()

    def finish(self) -> None:
        """Drops what still waits."""
        for program in list(self._programs.values()):
            program.end(Reason.WOULD_FAULT)

    def _program_of(self, record: RawSample | CodeName) -> Program:
        """What runs in the process of `record`, which may be the first that was heard of it."""
        program = self._programs.get(record.process)
        if program is None:
            program = self._track(record.process, record.start_ns)
            # An exec of a process that started while we listen would have come in before its samples.
            parent = self._programs.get(record.parent)
            if parent is not None and record.start_ns >= self._listening_ns:
                program.inherit(parent)
        program.start_ns = record.start_ns
        return program

    def _track(self, process: ProcessId, start_ns: int) -> Program:
        program = Program(process, start_ns, start_ns, self._around, over=self._forget)
        self._programs[process] = program
        if process.pid in self._stalled_pids:
            program.end(Reason.STALLED)
        return program

    def _ask_about(self, pid: int) -> None:
        def looked(answer: Inspected | Failed) -> None:
            if isinstance(answer, Inspected):
                self._discovered(answer.inspection)
            elif answer.reason is Reason.STALLED:
                self._stalled_pids.add(pid)

        self._around.ask(Inspect(pid), looked)

    def _discovered(self, inspection: Inspection) -> None:
        process = inspection.process
        program = self._programs.get(process) or self._track(process, process.start_ns())
        # Programs are asked about before execs are listened to: the answer is about one that was replaced.
        if not program.is_known and not program.is_seen_from_its_start:
            program.found(inspection)

    def _exited(self, process: ProcessId) -> None:
        self._stalled_pids.discard(process.pid)
        program = self._programs.get(process)
        if program is not None:
            program.exited()

    def _replaced(self, event: ProcessEvent) -> None:
        """Its process runs another program from now on."""
        before = self._programs.get(event.process)
        if before is not None:
            before.end(Reason.CHANGED)
        began_ns = event.time_ns + self._boot_offset_ns
        program = Program(
            event.process,
            event.start_ns,
            began_ns,
            self._around,
            over=self._forget,
            is_seen_from_its_start=True,
        )
        self._programs[event.process] = program
        # An exec storm must not use up our CPU time: beyond the budget, only the first sample asks.
        if self._eager_again_ns <= event.time_ns:
            self._eager_again_ns = max(self._eager_again_ns, event.time_ns - _SECOND_NS)
            self._eager_again_ns += _SECOND_NS // _EAGER_LOOKS_HZ
            program.look(event.time_ns)

    def _forget(self, program: Program) -> None:
        """Lets go of a process that has exited, once all answers about it have come."""
        del self._programs[program.process]
        if program.has_interpreters:
            self._around.ask(Forget(program.process), _ignore)


def _ignore(_answer: Forgotten | Failed) -> None:
    """Nothing depends on it."""
