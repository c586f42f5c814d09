"""Ever new functions whose names have 1,024 characters of four bytes; all are kept."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

FIRST, KINDS = 0x20000, 40_000
"""CJK characters beyond the basic plane, which may be in names."""
kept: list[Callable[[], None]] = []

for number in count():
    name = chr(FIRST + number % KINDS) + chr(FIRST + number // KINDS) + chr(FIRST) * 1022
    made: dict[str, Callable[[], None]] = {}
    exec(f"def {name}():\n for _ in range(20_000): pass", made)
    kept.append(made[name])
    kept[-1]()
