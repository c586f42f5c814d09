"""The functions that a runtime generates, by the text that it writes about them: ``/tmp/perf-PID.map``.

Each line is ``START SIZE NAME``, the numbers hexadecimal (tools/perf/Documentation/jit-interface.txt of
Linux). A runtime appends to it while it runs, and code may come where other code was: the last line about an
address counts.
"""

from __future__ import annotations

import os

from symbolizers.native.generated_places import GeneratedFunction, Places
from symbolizers.native.unnamed import bounded

MOST_BYTES = 64 << 20
"""Of the text that are read. Node with a large application writes some 20 MB."""
_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1 << 14


class PerfMap:
    """What was read of the map in an open file, which the caller closes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read_bytes = 0
        self._lines = Places()

    def read_on(self) -> None:
        """Takes in what was appended. Raises OSError."""
        size = min(os.fstat(self._fd).st_size, MOST_BYTES)
        if size < self._read_bytes:  # it was begun anew
            self._read_bytes, self._lines = 0, Places()
        lines, at = Places(), self._read_bytes
        while at < size:
            block = os.pread(self._fd, min(_BLOCK_BYTES, size - at), at)
            whole = block.rfind(b"\n") + 1
            if not whole:
                if len(block) < _LONGEST_LINE_BYTES:
                    break  # the rest of the line comes later
                whole = len(block)  # the end of such a line is no line, as it has no numbers
            _take_in(lines, block[:whole], at)
            at += whole
        if at > self._read_bytes:  # all at once: the budget may be over at any time
            self._read_bytes, self._lines = at, self._lines.with_more(lines)

    def find(self, address: int) -> GeneratedFunction | None:
        """The function around `address`, as it was said last. Raises OSError."""
        found = self._lines.find(address)
        if found is None:
            return None
        start, place = found
        line = os.pread(self._fd, _LONGEST_LINE_BYTES, place).partition(b"\n")[0]
        name = line.split(b" ", 2)[-1].decode("utf-8", "replace").rstrip()
        return GeneratedFunction(start, bounded(name))


def _take_in(lines: Places, text: bytes, at: int) -> None:
    """Adds these lines, of which the first is at `at` of the file; what has no numbers is none."""
    for line in text.split(b"\n"):
        fields = line.split(b" ", 2)
        if len(fields) > 2:
            try:
                start, size = int(fields[0], 16), int(fields[1], 16)
            except ValueError:
                start = size = 0
            lines.add(start, start + size, at)
        at += len(line) + 1
