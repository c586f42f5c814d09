"""What the kernel side tells: samples and the lives of processes, decoded but without names."""

from __future__ import annotations

from dataclasses import dataclass

from symbolizers.frame import FIRST_ANNOTATION, RawFrame
from symbolizers.process.identity import ProcessId

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
    """When the process started, on CLOCK_BOOTTIME: as `process` has it, but exactly."""
    comm: bytes
    walk_status: int
    interpreter: tuple[RawFrame, ...]
    user: tuple[int, ...]
    kernel: tuple[int, ...]
    parent: ProcessId = NO_PROCESS
    """Who started the process, if that still runs."""
    thread_pointer: int = 0
    """What languages tell their threads apart by (pthread_self() gives it); 0 for a thread of the kernel."""
    thread_comm: bytes = b""

    def leaf(self) -> RawFrame | None:
        """The frame of the innermost function that an interpreter runs: the first that is no annotation."""
        return next((frame for frame in self.interpreter if frame.address < FIRST_ANNOTATION), None)


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A process replaced its program (`exited` false) or its last thread ended (`exited` true)."""

    process: ProcessId
    time_ns: int
    start_ns: int
    exited: bool
