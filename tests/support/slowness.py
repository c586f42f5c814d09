"""How slow this machine is just now, for tests that limit CPU time.

The same CPU time is up to twice as long on another host of the same kind, and where a neighbour on that host
shares the core. A limit for what is out of proportion grows with it.
"""

from __future__ import annotations

import statistics
import time

LOOP_TIMES, LOOP_S, ROUNDS = 100_000, 0.0055, 30
"""A loop of plain Python, and what it takes on the machine that the limits are for."""


def slowness() -> float:
    """How many times as long the loop takes here, as a rule: 1 at least."""
    return max(1.0, statistics.median(_loop_s() for _ in range(ROUNDS)) / LOOP_S)


def _loop_s() -> float:
    before_s = time.thread_time()
    sum(number * number for number in range(LOOP_TIMES))
    return time.thread_time() - before_s
