"""What the kernel side reports, decoded: samples, which are addresses; names of code; what processes do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from symbolizers.frame import FIRST_ANNOTATION, RawFrame
from symbolizers.inspection import CodeMapping
from symbolizers.process.identity import ProcessId
from symbolizers.taken import TakenName

NO_PROCESS = ProcessId(0, 0)


class StackCopy(Struct, frozen=True):
    """The user stack of a sample whose walk came to a file without unwind table, and the registers there."""

    cpu: int
    time_ns: int
    """As in the sample."""
    ip: int
    sp: int
    fp: int
    argument: int
    """What the register of a function's first argument held in the leaf."""
    is_exact: bool
    """Whether `ip` is an instruction that runs, and not where a call returns to."""
    frames: int
    """How many addresses of the sample's user stack are sure: up to the one at `ip`."""
    content: bytes
    """What lies from `sp` on."""


class RawSample(Struct, frozen=True):
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
    copy: StackCopy | None = None
    """What there is to go on with, once the table is there; None if that is nothing."""

    def leaf(self) -> RawFrame | None:
        """The frame of the innermost function that an interpreter runs: the first that is no annotation."""
        return next((frame for frame in self.interpreter if frame.address < FIRST_ANNOTATION), None)


class Counts(Protocol):
    """Where samples count that equal one that was handed on whole."""

    is_open: bool
    """Whether they still do; if not, each of them has to be taken in as the first one was."""
    last_ns: int
    """When the last of them was taken (CLOCK_MONOTONIC)."""

    def again(self, repeated: Repeated) -> None:
        """Counts these."""

    def close(self) -> None:
        """No more count there."""


class KnownStack:
    """A stack of which the whole record is kept. Lifetime: until that is forgotten, or comes once more."""

    __slots__ = ("_decode", "counts", "is_used", "process", "record", "stack")

    def __init__(
        self, process: ProcessId, stack: bytes, record: bytes, decode: Callable[[bytes], RawSample]
    ) -> None:
        """`stack` as in `RawSample`; `decode` makes that of the `record`."""
        self.process = process
        self.stack = stack
        self.record = record
        self._decode = decode
        self.is_used = False
        """Whether it was needed since somebody last looked for what is not."""
        self.counts: Counts | None = None
        """Set by whoever has taken in the whole sample."""

    def sample(self) -> RawSample:
        """The sample of the record, at its own time."""
        return self._decode(self.record)


class Repeated(NamedTuple):
    """More samples that equal an earlier one."""

    known: KnownStack
    taken: Sequence[tuple[int, int]]
    """On which CPU and when (CLOCK_MONOTONIC, ns), one at least; the last is at the end."""

    @property
    def process(self) -> ProcessId:
        """Whose they are."""
        return self.known.process

    @property
    def stack(self) -> bytes:
        """As in `RawSample`."""
        return self.known.stack

    @property
    def time_ns(self) -> int:
        """Of the last."""
        return self.taken[-1][1]

    def samples(self) -> Iterator[RawSample]:
        """Each of them."""
        earlier = self.known.sample()
        return (replace(earlier, cpu=cpu, time_ns=time_ns) for cpu, time_ns in self.taken)

    def sample(self) -> RawSample:
        """One of the samples: the last."""
        cpu, time_ns = self.taken[-1]
        return replace(self.known.sample(), cpu=cpu, time_ns=time_ns)


class CodeName(Struct, frozen=True):
    """What names a code object that was seen for the first time in `process`; the sample with it follows."""

    process: ProcessId
    start_ns: int
    """As in `RawSample`."""
    name: TakenName
    parent: ProcessId = NO_PROCESS
    uid: int = 0


class ProcessEvent(Struct, frozen=True):
    """A process replaced its program (`exited` false) or its last thread ended (`exited` true)."""

    process: ProcessId
    time_ns: int
    start_ns: int
    exited: bool
    uid: int = 0


class CodeMapped(Struct, frozen=True):
    """The process `pid` has mapped code. `mapping` None: it begins another program, which has none so far."""

    pid: int
    time_ns: int
    mapping: CodeMapping | None


class Forked(Struct, frozen=True):
    """The process `pid` was forked by the process `parent_pid`."""

    pid: int
    time_ns: int
    parent_pid: int


class MappingsLost(Struct, frozen=True):
    """Some mappings of some processes were not told."""

    time_ns: int


MappingRecord = CodeMapped | Forked | MappingsLost
Record = RawSample | Repeated | CodeName | ProcessEvent | MappingRecord
