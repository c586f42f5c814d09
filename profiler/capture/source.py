"""The seam between the session and whatever takes samples: the kernel, or a recording of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from profiler.capture.records import Record
    from symbolizers.base import Interpreter
    from symbolizers.inspection import KernelKey
    from symbolizers.process.identity import ProcessId

EVENTS = ("cpu-clock", "cycles")
"""What can drive the sampling: the CPU clock everywhere, cycles where the hardware counts them."""


class Sampling(Struct, frozen=True):
    """What to sample: `frequency_hz` on each CPU; everything, or only the pids in `targets`."""

    frequency_hz: int
    targets: tuple[int, ...] | None = None
    with_children: bool = False
    event: str = "cpu-clock"
    lines: bool = False
    """Whether samples differ that differ in the running lines alone."""
    inlines: bool = False
    """Whether samples differ that differ in the running instruction alone."""
    threads: bool = False
    """Whether names of threads are read: then the first sample of each wakes who waits for samples."""
    singly: bool = False
    """Whether each sample comes alone, also one that equals an earlier one."""


class Lost(NamedTuple):
    """Records for which there was no room: nothing but their number is known."""

    samples: int = 0
    events: int = 0
    """Execs and exits of processes."""


class Cost(NamedTuple):
    """What a process took."""

    cpu_s: float = 0.0
    max_rss_bytes: int = 0


class SampleSource(Protocol):
    """Takes samples. Lifetime: one recording. Calls come in the order load, start, complete, …, close."""

    def load(self, changed: Callable[[], None]) -> None:
        """Prepares everything but starts nothing; may run in a thread of its own.

        `changed` is called later, perhaps in another thread, when a walker is there that was not before.
        Raises `PrerequisiteError`.
        """

    def start(self) -> None:
        """Begins to sample. Raises `PrerequisiteError`."""

    def complete(self) -> None:
        """Loads what can wait until samples are taken: what counts equal ones, and what names new code.

        Where that is still being compiled, it is loaded later.
        """

    def stop(self) -> None:
        """Takes no more samples; what was taken can still be drained."""

    def fileno(self) -> int:
        """A file descriptor that becomes readable when records should be looked at soon."""

    def set_alarm(self, *, is_full: bool = False) -> None:
        """The next record makes `fileno` readable, whatever it is: nobody looks until then.

        `is_full`: a record does when there are so many that they should be looked at.
        """

    def drain(self) -> Sequence[Record]:
        """The records that wait; returns at once.

        Each kind is in order, and a mapping comes before the samples taken in it.
        """

    def configure(self, pid: int, start_ns: int, interpreters: Sequence[Interpreter], *, user: int) -> bool:
        """From now on, walk these `interpreters` when process `pid` of `user`, started at `start_ns`, is hit.

        Whether any of them is walked already. If the kernel allows no such walk, or the user runs more builds
        than there is room for, `notes` says so, and samples keep their native frames.
        """

    def has_table(self, file: KernelKey, owner: int) -> bool:
        """Whether native stacks are followed through `file`; perhaps from now on, if an earlier run kept it.

        The `owner` (uid) can have written the file.
        """

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        """The rule at `offset` (bytes) of `file` that stacks are followed by; None if its table is not there.

        See `symbolizers.elf.unwind_rules`; `Cfa.UNKNOWN` where the table has none.
        """

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        """From now on, follow native stacks through `file` by this unwind table, see `make_chunks`."""

    def put_generated(self, process: ProcessId, base: int, chunks: bytes) -> None:
        """From now on, follow native stacks through the code that `process` generates by this unwind table.

        Its offsets count from the address `base`. It takes the place of an earlier one of this process.
        """

    def drop_generated(self, process: ProcessId) -> None:
        """Follows them by such a table no more."""

    def add_target(self, pid: int) -> None:
        """Samples `pid` too, where only targets are sampled."""

    def drop_target(self, pid: int) -> None:
        """Samples `pid` no longer, where only targets are sampled: it turned out to be gone."""

    def has_targets(self) -> bool:
        """Whether any process is left to sample; always true where everything is sampled."""

    def kernel_names(self, addresses: Collection[int]) -> Mapping[int, bytes]:
        """``function`` or ``function [module]`` of those addresses of which the kernel can tell."""

    def lost(self) -> Lost:
        """What was lost so far."""

    def notes(self) -> Sequence[str]:
        """Why some samples are without interpreter frames, in words for people."""

    def cpus(self) -> int:
        """How many CPUs are sampled."""

    def compiler_cost(self) -> Cost:
        """Of the process that compiled the sampler, if it had to be compiled."""

    def close(self) -> None:
        """Gives every resource back; safe to call twice."""
