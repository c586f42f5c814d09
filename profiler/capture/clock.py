"""What interrupts the CPUs: a perf event on each, which runs the sampler.

The clock ticks more often than samples are due. The sampler takes the first tick after an instant that it
draws at random, one for each slot of time (`is_due` in instants.h). The period is drawn at random, too, for
each CPU: so the ticks are in step with nothing, neither with what a program does at intervals nor with the
scheduler's tick, at which tasks are switched.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

from symbolizers.process.syscalls import perf_event_open

# linux/perf_event.h
_SOFTWARE, _CPU_CLOCK = 1, 0
_HARDWARE, _CPU_CYCLES = 0, 0
_DISABLED, _IS_FREQUENCY = 1 << 0, 1 << 10
_ATTRIBUTES_BYTES = 112
_ATTRIBUTES = struct.Struct("=IIQQ16xQ64x")
_ENABLE, _SET_PROGRAM = 0x2400, 0x40042408
"""The ioctls PERF_EVENT_IOC_ENABLE and PERF_EVENT_IOC_SET_BPF."""
_SECOND_NS = 1_000_000_000
_TICKS = (1.5, 4)
"""How many ticks a slot has on average, at least and at most. Each costs an interrupt: 1 µs, or 20 µs in a
virtual machine of two hypervisors. Fewer of them are in step with more programs."""
_MOST_TICKS_HZ = 400
"""Where the slots are short, they have fewer ticks."""
_SPREAD = (0.8, 1.2)
"""A period is between these times the mean: no slot is without a tick."""
_ONLINE = Path("/sys/devices/system/cpu/online")


def slot_ns(event: str, frequency_hz: int) -> int:
    """How long a slot is in which one tick is drawn; 0 where every event is a sample."""
    return _SECOND_NS // frequency_hz if event == "cpu-clock" else 0


class Clock:
    """The events of all CPUs, which run a BPF program. Lifetime: while samples are taken."""

    def __init__(self, event: str, frequency_hz: int, program_fd: int) -> None:
        """Begins to tick. Raises OSError where the kernel does not allow it or has no such `event`."""
        self.cpus = tuple(online_cpus())
        self._fds: list[int] = []
        try:
            for cpu in self.cpus:
                self._fds.append(perf_event_open(_attributes(event, frequency_hz), cpu))
                fcntl.ioctl(self._fds[-1], _SET_PROGRAM, program_fd)
            for fd in self._fds:
                fcntl.ioctl(fd, _ENABLE, 0)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Ends it; safe to call twice."""
        while self._fds:
            os.close(self._fds.pop())


def online_cpus() -> Iterator[int]:
    """The numbers of the CPUs that run: a list such as ``0-3,8``."""
    for part in _ONLINE.read_text().strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _attributes(event: str, frequency_hz: int) -> bytes:
    """A struct perf_event_attr."""
    if event == "cycles":
        kind, config, period, flags = _HARDWARE, _CPU_CYCLES, frequency_hz, _DISABLED | _IS_FREQUENCY
    else:
        kind, config, period, flags = _SOFTWARE, _CPU_CLOCK, _tick_ns(frequency_hz), _DISABLED
    return _ATTRIBUTES.pack(kind, _ATTRIBUTES_BYTES, config, period, flags)


def _tick_ns(frequency_hz: int) -> int:
    """The time from one tick to the next, drawn at random."""
    least, most = _TICKS
    ticks = max(least, min(most, _MOST_TICKS_HZ / frequency_hz))
    return round(_SECOND_NS / (frequency_hz * ticks) * random.uniform(*_SPREAD))
