"""Every process that was seen, by identity: who it is, which program it runs now, and how it ends."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

from profiler.capture.records import (
    CodeName,
    Forked,
    MappingRecord,
    MappingsLost,
    ProcessEvent,
    RawSample,
    Repeated,
)
from profiler.run.program import Program
from profiler.run.surroundings import Surroundings
from symbolizers.bounded import keep
from symbolizers.errors import Reason
from symbolizers.inspection import CodeMapping, FileKey, IdentifiedFile, Inspection
from symbolizers.process.identity import ProcessId, user_of
from symbolizers.questions import Failed, Forget, Forgotten, Inspect, Inspected, LookedInto, LookInto

_EAGER_LOOKS_HZ = 20
_FILE_LOOKS_HZ = 100
"""Into new files; each is looked into once, and holds for every process that maps it."""
_SECOND_NS = 1_000_000_000
_HURRY_NS = 30_000_000
"""For so long after its exec a program may take to map its interpreter."""
_MOST_BEGINNING = 1024
_MOST_MAPPED = 256
"""Mappings of a program whose exec is about to come in: its file, and its dynamic linker."""
_MOST_FORKS = 4096
_MOST_FORGETTING = 256
"""Questions to forget a process that have no answer yet: as many as the worker holds processes."""
_MOST_GONE = 4096
_MOST_GENERATIONS = 8
_MOST_ASKED = 16_384
"""Files that are asked about by name."""
_MOST_TRIES = 8
"""To find a file that has no name here, in processes that may be over too soon."""


class _Budget:
    """For what is asked before a sample needs it: a storm must not use up our CPU time.

    It allows `rate_hz` questions a second, those of a quiet second in one go.
    """

    def __init__(self, rate_hz: int) -> None:
        self._each_ns = _SECOND_NS // rate_hz
        self._next_ns = 0

    def begin(self, now_ns: int) -> None:
        """There was no quiet second before."""
        self._next_ns = now_ns

    def take(self, now_ns: int) -> bool:
        """Whether one more may be asked now; it counts as asked."""
        if self._next_ns > now_ns:
            return False
        self._next_ns = max(self._next_ns, now_ns - _SECOND_NS) + self._each_ns
        return True


class ProcessTable:
    """Hands each sample to the program that its process runs. Lifetime: one recording."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._programs: dict[ProcessId, Program] = {}
        self._stalled_pids: set[int] = set()
        self._beginning: dict[int, list[CodeMapping]] = {}
        """By pid what programs have mapped whose exec is about to come in."""
        self._latest: dict[int, Program] = {}
        """By pid."""
        self._forks: OrderedDict[int, Forked] = OrderedDict()
        """By the pid of the process that was forked; most of them are never sampled."""
        self._gone: OrderedDict[ProcessId, None] = OrderedDict()
        """Those whose exit has come in lately."""
        self._asked: OrderedDict[FileKey, int] = OrderedDict()
        """How often each file was asked about; `_MOST_TRIES` when it need not be any more."""
        self._forgetting = 0
        """Processes that the worker was told to forget, and has not yet."""
        self._hurry_until_ns = 0
        self._looks = _Budget(_EAGER_LOOKS_HZ)
        self._file_looks = _Budget(_FILE_LOOKS_HZ)
        self._listening_ns = math.inf
        self._boot_offset_ns = 0

    def discover(self, pids: Iterable[int], now_ns: int) -> None:
        """Asks about processes that run already, so that their first samples have names."""
        for pid in pids:
            self._ask_about(pid)
        self._looks.begin(now_ns)

    def listen(self, boot_ns: int, now_ns: int) -> None:
        """From now on every exec comes in as an event. Times are on CLOCK_BOOTTIME and CLOCK_MONOTONIC."""
        self._listening_ns = boot_ns
        self._boot_offset_ns = boot_ns - now_ns

    def sample(self, sample: RawSample) -> None:
        """Takes in one sample."""
        program = self._program_of(sample)
        program.sample(sample)
        # A process is sampled while it gives its memory back, after its exit has come in.
        if sample.process in self._gone:
            program.exited()

    def again(self, repeated: Repeated) -> None:
        """Takes in samples that equal an earlier one."""
        program = self._programs.get(repeated.process)
        if program is None or not program.again(repeated):
            for sample in repeated.samples():
                self.sample(sample)

    def renamed(self, process: ProcessId) -> None:
        """Addresses in its stacks mean something else than they did."""
        program = self._programs.get(process)
        if program is not None:
            program.renamed()

    def name(self, code: CodeName) -> None:
        """Takes in the name of a code object that was seen for the first time."""
        self._program_of(code).name(code.name)

    def mapped(self, record: MappingRecord) -> None:
        """Takes in what a program has mapped, or a fork; it comes before all samples and execs after it."""
        if isinstance(record, MappingsLost):
            self._beginning.clear()
            self._forks.clear()
            for program in self._latest.values():
                program.code.is_told = False
        elif isinstance(record, Forked):
            keep(self._forks, record.pid, record, most=_MOST_FORKS)
        elif record.mapping is None:
            if len(self._beginning) >= _MOST_BEGINNING:  # of some, the exec was lost
                del self._beginning[next(iter(self._beginning))]
            self._beginning[record.pid] = []
        else:
            self._tell(record.pid, record.mapping, record.time_ns)

    def is_in_hurry(self, now_ns: int) -> bool:
        """Whether a program is about to map its interpreter, and runs it in a moment (CLOCK_MONOTONIC)."""
        return now_ns < self._hurry_until_ns

    def event(self, event: ProcessEvent) -> None:
        """Takes in an exec or exit; it comes after all samples taken before it."""
        if event.exited:
            self._exited(event.process)
        else:
            self._replaced(event)

    def configure(self) -> None:
        """Tells the sampler, which is loaded now, what is known so far."""
        for program in self._programs.values():
            program.configure_again()

    def preload(self) -> None:
        """Puts in unwind tables for the processes that were found."""
        self._around.tables.preload(
            place.file for program in self._programs.values() for place in program.code.map().files()
        )

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
            program = self._track(record.process, record.start_ns, record.uid)
            # An exec of a process that started while we listen would have come in before its samples.
            parent = self._programs.get(record.parent) or self._ancestor(record.process.pid)
            if parent is not None and record.start_ns >= self._listening_ns:
                program.inherit(parent)
        program.start_ns, program.user = record.start_ns, record.uid
        return program

    def _track(self, process: ProcessId, start_ns: int, user: int) -> Program:
        program = Program(process, start_ns, start_ns, self._around, user=user, over=self._forget)
        self._programs[process] = self._latest[process.pid] = program
        if process.pid in self._stalled_pids:
            program.end(Reason.STALLED)
        return program

    def _ask_about(self, pid: int) -> None:
        user = user_of(pid)

        def looked(answer: Inspected | Failed) -> None:
            if isinstance(answer, Inspected):
                self._discovered(answer.inspection, user)
            elif answer.reason is Reason.STALLED:
                self._stalled_pids.add(pid)

        self._around.ask(Inspect(pid), looked, user=user)

    def _discovered(self, inspection: Inspection, user: int) -> None:
        process = inspection.process
        program = self._programs.get(process) or self._track(process, process.start_ns(), user)
        # Programs are asked about before execs are listened to: the answer is about one that was replaced.
        if not program.is_known and not program.is_seen_from_its_start:
            program.found(inspection)

    def _ancestor(self, pid: int) -> Program | None:
        """The program of the nearest known process that `pid` descends from: those between only forked."""
        for _ in range(_MOST_GENERATIONS):
            fork = self._forks.get(pid)
            if fork is None:
                return None
            pid = fork.parent_pid
            if pid in self._latest:
                forked_ns = fork.time_ns + self._boot_offset_ns
                # Otherwise another process has its pid by now.
                return self._latest[pid] if self._latest[pid].began_ns <= forked_ns else None
        return None

    def _tell(self, pid: int, mapping: CodeMapping, now_ns: int) -> None:
        program = self._latest.get(pid)
        if pid in self._beginning:
            if len(self._beginning[pid]) < _MOST_MAPPED:
                self._beginning[pid].append(mapping)
        elif program is not None and program.code.is_told:
            program.told((mapping,))
            self._look_into(pid, mapping, now_ns, program.user)

    def _look_into(self, pid: int, mapping: CodeMapping, now_ns: int, user: int) -> None:
        """Asks about a file that is mapped for the first time, by the process `pid`."""
        file = mapping.file
        if file is None or self._around.files.knows(file):
            return
        tries = self._asked.get(file, 0)
        if tries < _MOST_TRIES and self._file_looks.take(now_ns):
            keep(self._asked, file, _MOST_TRIES, most=_MOST_ASKED)

            def looked(answer: LookedInto | Failed) -> None:
                if isinstance(answer, Failed):
                    if answer.reason is Reason.EXITED:
                        self._asked[file] = tries + 1
                else:
                    self._around.files.learn(answer.contents)
                    self._around.tables.learn(file, IdentifiedFile(answer.key, answer.contents.owner))
                    for program in self._latest.values():
                        program.learn_of(file)

            fork = self._forks.get(pid)
            question = LookInto(file, mapping.path, pid, fork.parent_pid if fork is not None else None)
            self._around.ask(question, looked, user=user)

    def _exited(self, process: ProcessId) -> None:
        self._stalled_pids.discard(process.pid)
        keep(self._gone, process, None, most=_MOST_GONE)
        program = self._programs.get(process)
        if program is not None:
            program.exited()

    def _replaced(self, event: ProcessEvent) -> None:
        """Its process runs another program from now on."""
        before = self._programs.get(event.process)
        if before is not None:
            before.end(Reason.CHANGED)
            before.close()
            if before.has_interpreters:  # the kernel forgets them at an exec, but may have been told after it
                self._around.configure(event.process.pid, event.start_ns, (), user=event.uid)
                self._around.runs(event.process, ())
        began_ns = event.time_ns + self._boot_offset_ns
        program = Program(
            event.process,
            event.start_ns,
            began_ns,
            self._around,
            user=event.uid,
            over=self._forget,
            is_seen_from_its_start=True,
        )
        self._programs[event.process] = self._latest[event.process.pid] = program
        mappings = self._beginning.pop(event.process.pid, None)
        if mappings is not None:
            program.told(mappings)
            for mapping in mappings:
                self._look_into(event.process.pid, mapping, event.time_ns, event.uid)
            if program.code.awaits_interpreter():
                self._hurry_until_ns = event.time_ns + _HURRY_NS
        # Otherwise the first sample asks.
        if (mappings is None or program.code.lacks_files()) and self._looks.take(event.time_ns):
            program.look(event.time_ns)

    def _forget(self, program: Program) -> None:
        """Lets go of a process that has exited, once all answers about it have come."""
        del self._programs[program.process]
        program.close()
        self._around.ended(program.process)
        if self._latest.get(program.process.pid) is program:
            del self._latest[program.process.pid]
        # What the worker holds is bounded: it does without where it is far behind.
        if program.has_interpreters and self._forgetting < _MOST_FORGETTING:
            self._forgetting += 1
            self._around.ask(Forget(program.process), self._forgotten, user=program.user)

    def _forgotten(self, _answer: Forgotten | Failed) -> None:
        self._forgetting -= 1
