"""What the kernel side tells: samples and the lives of processes, decoded but without names."""

from __future__ import annotations

from dataclasses import dataclass

from symbolizers.frame import FIRST_ANNOTATION, RawFrame


@dataclass(frozen=True, slots=True)
class RawSample:
    """One interrupt on one CPU: addresses and small integers only. All stacks are leaf first.

    Among the frames in `interpreter` there may be annotations, see `RawFrame`.
    """

    pid: int
    tid: int
    cpu: int
    time_ns: int
    start_ns: int
    comm: bytes
    walk_status: int
    interpreter: tuple[RawFrame, ...]
    user: tuple[int, ...]
    kernel: tuple[int, ...]
    parent_pid: int = 0
    parent_start_ns: int = 0
    thread_pointer: int = 0
    """What languages tell their threads apart by; 0 for a thread of the kernel."""
    thread_comm: bytes = b""

    def leaf(self) -> RawFrame | None:
        """The frame of the innermost function that an interpreter runs: the first that is no annotation."""
        return next((frame for frame in self.interpreter if frame.address < FIRST_ANNOTATION), None)


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A process replaced its program (`exited` false) or its last thread ended (`exited` true)."""

    pid: int
    time_ns: int
    start_ns: int
    exited: bool
