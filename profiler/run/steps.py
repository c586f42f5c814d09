"""How long a recording takes for what it does, one step after the other."""

from __future__ import annotations

import time
from collections.abc import Callable


class Steps:
    """Lifetime: one recording, from the start of the program on; both times on CLOCK_MONOTONIC."""

    def __init__(self, began_s: float, ended: Callable[[str, float], None] | None = None) -> None:
        """`ended` is called at the end of each step, with its name and the seconds that it took."""
        self.took_s: dict[str, float] = {}
        """In their order, by name."""
        self._ended_s = began_s
        self._ended = ended

    def end(self, name: str) -> None:
        """The step of this name is over, and the next one begins."""
        now_s = time.monotonic()
        self.took_s[name] = now_s - self._ended_s
        self._ended_s = now_s
        if self._ended is not None:
            self._ended(name, self.took_s[name])
