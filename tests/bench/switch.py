"""Turns perf events off and on: those that a process holds, while it goes on, or a bare clock's."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from symbolizers.process.syscalls import perf_event_open
from tests.support.process.open_links import PERF_EVENT

PIDFD_GETFD = 438
"""The system call, on all machines (asm-generic/unistd.h)."""
PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE = 0x2400, 0x2401

# linux/perf_event.h: struct perf_event_attr
SOFTWARE, CPU_CLOCK, DISABLED = 1, 0, 1
ATTRIBUTES = struct.Struct("=IIQQ16xQ64x")
SECOND_NS = 1_000_000_000


class Switch:
    """All perf events that the process has open now; needs the rights of root. Lifetime: one recording."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def turn(self, *, on: bool) -> None:
        """The events count, or don't, from now on."""
        for descriptor in self._descriptors:
            fcntl.ioctl(descriptor, PERF_EVENT_IOC_ENABLE if on else PERF_EVENT_IOC_DISABLE, 0)


@contextmanager
def switch_of(pid: int) -> Iterator[Switch]:
    """The switch of a process. Raises OSError; `RuntimeError` where it has no perf events."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    descriptors: list[int] = []
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            if os.readlink(entry.path) == PERF_EVENT:
                descriptor = libc.syscall(PIDFD_GETFD, process, int(entry.name), 0)
                if descriptor < 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                descriptors.append(descriptor)
        if not descriptors:
            raise RuntimeError(f"process {pid} has no perf events")
        yield Switch(descriptors)
    finally:
        for descriptor in (process, *descriptors):
            os.close(descriptor)


@contextmanager
def bare_clock(cpu: int, hz: int) -> Iterator[Switch]:
    """The switch of a clock that interrupts the CPU, and runs no program. Raises OSError."""
    values = (SOFTWARE, ATTRIBUTES.size, CPU_CLOCK, SECOND_NS // hz, DISABLED)
    descriptor = perf_event_open(ATTRIBUTES.pack(*values), cpu)
    try:
        yield Switch([descriptor])
    finally:
        os.close(descriptor)
