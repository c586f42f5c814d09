"""What the kernel side reports, decoded: samples, which are addresses; names of code; what processes do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from symbolizers.frame import FIRST_ANNOTATION, RawFrame
from symbolizers.inspection import CodeMapping
from symbolizers.process.identity import ProcessId
from symbolizers.taken import TakenName

NO_PROCESS = ProcessId(0, 0)


@dataclass(frozen=True, slots=True)
class RawSample:
    """One interrupt on one CPU: addresses and small integers only. All stacks are leaf first.

    Among the frames in `interpreter` there may be annotations, see `RawFrame`.
    """

    process: ProcessId
    tid: int
    cpu: int
    time_ns: int
    """On CLOCK_MONOTONIC."""
    start_ns: int
    """When the process started, on CLOCK_BOOTTIME; exact, while `process` has clock ticks."""
    comm: bytes
    walk_status: int
    interpreter: tuple[RawFrame, ...]
    user: tuple[int, ...]
    kernel: tuple[int, ...]
    parent: ProcessId = NO_PROCESS
    """The process that started this one, if it still runs."""
    thread_pointer: int = 0
    """By this, languages tell their threads apart (pthread_self() returns it); 0 for a kernel thread."""
    thread_comm: bytes = b""
    uid: int = 0
    """The real user of the process, in the initial user namespace."""
    walkers: int = 0
    """How many walkers were to run: as many as the sampler had a configuration for."""
    user_end: int = 0
    """How the stack in `user` ended: an `UserEnd`."""
    lacks_table: bool = False
    """Whether a frame in `user` is in a file whose unwind table is not there."""
    cgroup: int = 0
    """The id of the thread's cgroup in the unified hierarchy; several may be the root's there."""
    stack: bytes = b""
    """A hash of all but `cpu`, `time_ns` and what nobody sees of it; empty where it was not taken."""

    def leaf(self) -> RawFrame | None:
        """The frame of the innermost function that an interpreter runs: the first that is no annotation."""
        return next((frame for frame in self.interpreter if frame.address < FIRST_ANNOTATION), None)


@dataclass(frozen=True, slots=True)
class Repeated:
    """More samples that equal an earlier one."""

    process: ProcessId
    stack: bytes
    """As in `RawSample`."""
    taken: tuple[tuple[int, int], ...]
    """On which CPU and when (CLOCK_MONOTONIC, ns), one at least; the last is at the end."""
    decode: Callable[[], RawSample] = field(repr=False, compare=False)
    """Gives the earlier sample, at its own time."""

    @property
    def count(self) -> int:
        """How many these are."""
        return len(self.taken)

    @property
    def cpu(self) -> int:
        """Of the last."""
        return self.taken[-1][0]

    @property
    def time_ns(self) -> int:
        """Of the last."""
        return self.taken[-1][1]

    def samples(self) -> Iterator[RawSample]:
        """Each of them."""
        earlier = self.decode()
        return (replace(earlier, cpu=cpu, time_ns=time_ns) for cpu, time_ns in self.taken)

    def sample(self) -> RawSample:
        """One of the samples: the last."""
        return replace(self.decode(), cpu=self.cpu, time_ns=self.time_ns)


@dataclass(frozen=True, slots=True)
class CodeName:
    """What names a code object that was seen for the first time in `process`; the sample with it follows."""

    process: ProcessId
    start_ns: int
    """As in `RawSample`."""
    name: TakenName
    parent: ProcessId = NO_PROCESS
    uid: int = 0


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A process replaced its program (`exited` false) or its last thread ended (`exited` true)."""

    process: ProcessId
    time_ns: int
    start_ns: int
    exited: bool
    uid: int = 0


@dataclass(frozen=True, slots=True)
class CodeMapped:
    """The process `pid` has mapped code. `mapping` None: it begins another program, which has none so far."""

    pid: int
    time_ns: int
    mapping: CodeMapping | None


@dataclass(frozen=True, slots=True)
class Forked:
    """The process `pid` was forked by the process `parent_pid`."""

    pid: int
    time_ns: int
    parent_pid: int


@dataclass(frozen=True, slots=True)
class MappingsLost:
    """Some mappings of some processes were not told."""

    time_ns: int


MappingRecord = CodeMapped | Forked | MappingsLost
Record = RawSample | Repeated | CodeName | ProcessEvent | MappingRecord
