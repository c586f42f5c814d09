"""How long the session sleeps between two looks at the records. Pure, but for chance."""

from __future__ import annotations

import math
import random
from enum import Enum

_POLL_S = (0.05, 0.15)
"""How long it sleeps where nothing wakes it: a random time, in step with nothing."""
_CALM_DOUBLINGS = 4
"""It sleeps twice as long after each look that found no new program and left no question open, so many times.
What is to be read at once wakes it, and so does a buffer that fills up."""
_POLL_FOR_TASKS_S = (0.004, 0.012)
"""The same where tasks are looked at, many of which are over soon."""
_POLL_IN_HURRY_S = (0.001, 0.003)
"""The same where a program is about to run its interpreter, whose place is told in a moment."""
_EMPTY_LOOKS = 3
"""After so many looks without a record the session sleeps until there is one: idle machines cost nothing."""
_LOOK_S, _SHOWN_S = 1.0, 0.3
"""How long it sleeps at most where the end of a target may have been lost, and where somebody watches."""


class Alarm(Enum):
    """What of the buffer is to wake the session."""

    NONE = "nothing more than what is new"
    FULL = "a part of it that is full"
    ANY = "any record"


class Pace:
    """Lifetime: one recording."""

    def __init__(self, *, tasks: bool, threads: bool, has_targets: bool, is_shown: bool) -> None:
        """`tasks` are looked at; the names of `threads` are asked for while these run; somebody may watch."""
        self._poll_s = _POLL_FOR_TASKS_S if tasks else _POLL_S
        self._most_calm = 0 if threads or tasks else _CALM_DOUBLINGS
        self._longest_s = _SHOWN_S if is_shown else _LOOK_S if has_targets else math.inf
        self._empty = self._calm = 0

    def nap(self, *, is_in_hurry: bool) -> tuple[float, Alarm]:
        """How long to sleep at most (s), and what is to end that."""
        if is_in_hurry:
            return random.uniform(*_POLL_IN_HURRY_S), Alarm.NONE
        if self._empty >= _EMPTY_LOOKS:
            return self._longest_s, Alarm.ANY
        nap_s = random.uniform(*self._poll_s) * 2**self._calm
        return min(nap_s, self._longest_s), Alarm.FULL if self._calm else Alarm.NONE

    def least_s(self) -> float:
        """How long to sleep at least for something that is due."""
        return self._poll_s[0]

    def looked(self, records: int, *, is_calm: bool) -> None:
        """There were so many records; nothing in them was new, and no answer is awaited, if it `is_calm`."""
        self._empty = 0 if records else self._empty + 1
        self._calm = min(self._calm + 1, self._most_calm) if is_calm else 0
