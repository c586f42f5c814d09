"""Which row of the map of layouts each build of an interpreter has."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from profiler.capture.header import read_header
from profiler.capture.kernel_objects import number
from profiler.capture.libbpf import Map
from symbolizers.base import Interpreter

MOST_ROWS_OF_USER = 32
"""Layouts of builds of interpreters that one user other than root may have; all have 255."""


class LayoutRows:
    """Puts layouts into the map when they are first seen. Lifetime: one recording."""

    def __init__(self, layouts: Map, note: Callable[[str], None]) -> None:
        self._layouts = layouts
        self._note = note
        self._rows: dict[bytes, int] = {}
        self._rows_of: Counter[int] = Counter()
        self._crowded: set[int] = set()
        """Users of whom a note says that they run too many builds."""

    def left(self) -> int:
        """How many more there is room for. Row 0 stays empty: it means that no walker runs."""
        return self._layouts.shape.entries - 1 - len(self._rows)

    def row(self, interpreter: Interpreter, user: int) -> int:
        """The row of the interpreter's layout; 0 for one that lies, or finds the map full.

        A `user` other than root may put some there, so that there is room for those of the others.
        """
        layout = read_header(f"{interpreter.language}_layout.h").structs[f"{interpreter.language}_layout"]
        try:
            packed = layout.pack(dict(interpreter.offsets))
        except (struct.error, KeyError):
            self._note(
                f"a build of {interpreter.language} {interpreter.version} says of itself what can't be: its"
                " functions have no names here"
            )
            return 0
        if packed in self._rows:
            return self._rows[packed]
        if self.left() and (user == 0 or self._rows_of[user] < MOST_ROWS_OF_USER):
            row = self._rows[packed] = len(self._rows) + 1
            self._rows_of[user] += 1
            self._layouts[number(row)] = packed.ljust(self._layouts.shape.value_bytes, b"\0")
            return row
        if user not in self._crowded:
            self._crowded.add(user)
            self._note(
                f"user {user} runs more builds of interpreters than there is room for: functions of the"
                f" others, such as {interpreter.language} {interpreter.version}, have no names here"
            )
        return 0
