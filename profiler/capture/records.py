"""What the kernel side tells: samples and the lives of processes, decoded but without names."""

from __future__ import annotations

from dataclasses import dataclass

from symbolizers.frame import RawFrame


@dataclass(frozen=True, slots=True)
class RawSample:
    """One interrupt on one CPU: addresses and small integers only. All stacks are leaf first."""

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
    task: int = 0
    """The address of the task that asyncio runs on the thread, 0 where none is known."""
    task_identity: int = 0
    """What tells that task from a later one at its address."""
    thread_id: int = 0
    """The fs base, which languages tell their threads apart by; 0 for a thread of the kernel."""
    thread_comm: bytes = b""
    collects_garbage: bool = False
    """Whether the thread collects garbage, for what is on its interpreter's stack."""


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A process replaced its program (`exited` false) or its last thread ended (`exited` true)."""

    pid: int
    time_ns: int
    start_ns: int
    exited: bool
