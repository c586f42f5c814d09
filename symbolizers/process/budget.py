"""A limit on the CPU time of one piece of work, kept by a signal: what takes too long breaks off."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.05
"""After that much more CPU time it breaks off once more, in case that something went on all the same."""


class OverBudget(BaseException):
    """The work under way has taken the CPU time that it may. No `except Exception` holds it."""


class CpuBudget:
    """Sets the limit. One lives in a process, in its main thread, where Python handles signals."""

    def __init__(self, each_s: float) -> None:
        """`each_s`: the CPU seconds, user and system, of each piece of work."""
        self._each_s = each_s
        self._is_under_way = False
        signal.signal(signal.SIGPROF, self._over)

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Raises `OverBudget` in its block, between two steps of Python, once the time is used up."""
        self._is_under_way = True
        signal.setitimer(signal.ITIMER_PROF, self._each_s, _AGAIN_S)
        try:
            yield
        finally:
            self._is_under_way = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _over(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_under_way:
            raise OverBudget
