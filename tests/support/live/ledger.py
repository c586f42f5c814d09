"""The outcomes of reading memory that lies, and what a read may cost at most; for forged heaps."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from symbolizers.errors import Changed, Malformed, ReadFault

MOST_CPU_S = 3.0
"""The limit for one case; nearly all take 1 ms, a line table of a million entries 0.5 s."""
MOST_GROWTH_BYTES = 96 << 20


@dataclass
class Ledger:
    """How each case came out."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def attempt(self, read: Callable[[], object]) -> object:
        """What `read` gives, or its error: one of those that have a place in the statistics."""
        started = time.process_time()
        try:
            found = read()
        except (ReadFault, Changed, Malformed) as error:
            self.outcomes[type(error).__name__] += 1
            found = error
        else:
            self.outcomes["read"] += 1
        spent_s = time.process_time() - started
        self.slowest_s = max(self.slowest_s, spent_s)
        assert spent_s < MOST_CPU_S
        return found


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
