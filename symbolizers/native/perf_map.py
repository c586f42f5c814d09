"""The functions that a runtime generates, by the text that it writes about them: ``/tmp/perf-PID.map``.

Each line is ``START SIZE NAME``, the numbers hexadecimal (tools/perf/Documentation/jit-interface.txt of
Linux). A runtime appends to it while it runs, and code may come where other code was: the last line about an
address counts.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from typing import NamedTuple

from symbolizers.native.unnamed import bounded

MOST_BYTES = 64 << 20
"""Of the text that are read. Node with a large application writes some 20 MB."""
_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1 << 14
_MOST_BEHIND = 16
"""Functions before an address that may reach over it: code that was replaced may have been longer."""
_WORD_LIMIT = 1 << 64


class GeneratedFunction(NamedTuple):
    """Where it starts, and its name."""

    start: int
    name: str


class PerfMap:
    """What was read of the map in an open file, which the caller closes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read_bytes = 0
        self._lines = _Lines()
        self._by_start: list[int] = []
        """Numbers of lines."""

    def read_on(self) -> None:
        """Takes in what was appended. Raises OSError."""
        size = min(os.fstat(self._fd).st_size, MOST_BYTES)
        if size < self._read_bytes:  # it was begun anew
            self._read_bytes, self._lines = 0, _Lines()
        lines, at = _Lines(), self._read_bytes
        while at < size:
            block = os.pread(self._fd, min(_BLOCK_BYTES, size - at), at)
            whole = block.rfind(b"\n") + 1
            if not whole:
                if len(block) < _LONGEST_LINE_BYTES:
                    break  # the rest of the line comes later
                whole = len(block)  # the end of such a line is no line, as it has no numbers
            lines.take_in(block[:whole], at)
            at += whole
        if at > self._read_bytes:  # all at once: the budget may be over at any time
            self._read_bytes, self._lines = at, self._lines.with_more(lines)
            self._by_start = sorted(range(len(self._lines.starts)), key=self._lines.starts.__getitem__)

    def find(self, address: int) -> GeneratedFunction | None:
        """The function around `address`, as it was said last. Raises OSError."""
        lines = self._lines
        behind = bisect_right(self._by_start, address, key=lines.starts.__getitem__)
        before = self._by_start[max(behind - _MOST_BEHIND, 0) : behind]
        number = max((each for each in before if address < lines.ends[each]), default=None)
        if number is None:
            return None
        line = os.pread(self._fd, _LONGEST_LINE_BYTES, lines.places[number]).partition(b"\n")[0]
        name = line.split(b" ", 2)[-1].decode("utf-8", "replace").rstrip()
        return GeneratedFunction(lines.starts[number], bounded(name))


class _Lines:
    """What lines say, by their number: addresses `starts` to `ends` (exclusive); `places` in the file."""

    def __init__(self) -> None:
        self.starts, self.ends, self.places = array("Q"), array("Q"), array("Q")

    def take_in(self, text: bytes, at: int) -> None:
        """Appends these lines, of which the first is at `at` of the file; what has no numbers is none."""
        for line in text.split(b"\n"):
            fields = line.split(b" ", 2)
            if len(fields) > 2:
                try:
                    start, size = int(fields[0], 16), int(fields[1], 16)
                except ValueError:
                    start = size = 0
                if 0 <= start < start + size < _WORD_LIMIT:
                    self.starts.append(start)
                    self.ends.append(start + size)
                    self.places.append(at)
            at += len(line) + 1

    def with_more(self, more: _Lines) -> _Lines:
        """These, and then those."""
        both = _Lines()
        both.starts = self.starts + more.starts
        both.ends = self.ends + more.ends
        both.places = self.places + more.places
        return both
