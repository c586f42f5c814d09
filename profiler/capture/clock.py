"""What interrupts the CPUs: a perf event on each, which runs the sampler.

The clock ticks more often than samples are due. The sampler takes the first tick after an instant that it
draws at random, one for each slot of time (`is_due` in instants.h). The period is drawn at random, too, for
each CPU, and the length of the slots; both are drawn anew each second. So the ticks are in step with nothing
for long, neither with what a program does at intervals nor with the scheduler's tick, at which tasks are
switched. Without that, it took four ticks a slot to count programs as often as they run.

Where samples are due often, each tick is one: the ticks go through all phases of what a program does at
intervals many times in the second until they have another period, and half as many interrupts again would
cost more than the samples.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from symbolizers.process.syscalls import perf_event_open

OFTEN_HZ = 500
"""From this frequency on each tick is a sample."""

# linux/perf_event.h
_SOFTWARE, _CPU_CLOCK = 1, 0
_HARDWARE, _CPU_CYCLES = 0, 0
_DISABLED, _IS_FREQUENCY = 1 << 0, 1 << 10
_ATTRIBUTES_BYTES = 112
_ATTRIBUTES = struct.Struct("=IIQQ16xQ64x")
_PERIOD = struct.Struct("=Q")
_ENABLE, _SET_PROGRAM, _SET_PERIOD = 0x2400, 0x40042408, 0x40082404
"""The ioctls PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF and PERF_EVENT_IOC_PERIOD."""
_SECOND_NS = 1_000_000_000
_TICKS = 1.5
"""How many ticks a slot has on average. Each costs an interrupt: 1 µs, or 13 in a virtual machine of two
hypervisors."""
_SPREAD = (0.8, 1.2)
"""A period is between these times the mean: no slot is without a tick."""
_SLOT_SPREAD = (0.97, 1.03)
"""The same of slots, and of periods where each tick is a sample."""
_REDRAW_S = 1.0
_MOST_REDRAWN = 16
"""CPUs that get another period at once: each is interrupted for it."""
_ONLINE = Path("/sys/devices/system/cpu/online")


def slot_ns(event: str, frequency_hz: int) -> int:
    """How long a slot is in which one tick is drawn, drawn at random; 0 where every event is a sample."""
    if event != "cpu-clock" or frequency_hz >= OFTEN_HZ:
        return 0
    return _drawn_ns(frequency_hz, _SLOT_SPREAD)


class Clock:
    """The events of all CPUs, which run a BPF program. Lifetime: while samples are taken."""

    def __init__(
        self, event: str, frequency_hz: int, program_fd: int, tell_period: Callable[[int, int], None]
    ) -> None:
        """Begins to tick. Raises OSError where the kernel does not allow it or has no such `event`.

        `tell_period` is called with a CPU and how long its ticks last from now on (ns).
        """
        self.cpus = tuple(online_cpus())
        self._tell_period = tell_period
        self._frequency_hz = frequency_hz
        self._fds: list[int] = []
        self._redrawn_s = time.monotonic()
        self._next = 0
        """The first CPU whose turn it is to get another period."""
        try:
            for cpu in self.cpus:
                period_ns = _tick_ns(frequency_hz)
                tell_period(cpu, period_ns)
                self._fds.append(perf_event_open(_attributes(event, frequency_hz, period_ns), cpu))
                fcntl.ioctl(self._fds[-1], _SET_PROGRAM, program_fd)
            for fd in self._fds:
                fcntl.ioctl(fd, _ENABLE, 0)
        except OSError:
            self.close()
            raise

    def is_redraw_due(self) -> bool:
        """Whether a second has passed since periods were drawn; if so, the next one begins."""
        now_s = time.monotonic()
        is_due = now_s - self._redrawn_s >= _REDRAW_S
        if is_due:
            self._redrawn_s = now_s
        return is_due

    def redraw(self) -> None:
        """Draws other periods. Raises OSError."""
        for _ in range(min(len(self._fds), _MOST_REDRAWN)):
            self._next = (self._next + 1) % len(self._fds)
            period_ns = _tick_ns(self._frequency_hz)
            self._tell_period(self.cpus[self._next], period_ns)
            fcntl.ioctl(self._fds[self._next], _SET_PERIOD, _PERIOD.pack(period_ns))

    def close(self) -> None:
        """Ends it; safe to call twice."""
        while self._fds:
            os.close(self._fds.pop())


def online_cpus() -> Iterator[int]:
    """The numbers of the CPUs that run: a list such as ``0-3,8``."""
    for part in _ONLINE.read_text().strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _attributes(event: str, frequency_hz: int, period_ns: int) -> bytes:
    """A struct perf_event_attr."""
    if event == "cycles":
        kind, config, period, flags = _HARDWARE, _CPU_CYCLES, frequency_hz, _DISABLED | _IS_FREQUENCY
    else:
        kind, config, period, flags = _SOFTWARE, _CPU_CLOCK, period_ns, _DISABLED
    return _ATTRIBUTES.pack(kind, _ATTRIBUTES_BYTES, config, period, flags)


def _tick_ns(frequency_hz: int) -> int:
    """The time from one tick to the next, drawn at random."""
    if frequency_hz >= OFTEN_HZ:
        return _drawn_ns(frequency_hz, _SLOT_SPREAD)
    return _drawn_ns(frequency_hz * _TICKS, _SPREAD)


def _drawn_ns(hz: float, spread: tuple[float, float]) -> int:
    """How long one of `hz` a second is, drawn at random between `spread` times the mean."""
    return round(_SECOND_NS / hz * random.uniform(*spread))
