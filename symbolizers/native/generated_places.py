"""Where generated functions are: addresses that are said to be of one function after another."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

_MOST_BEHIND = 16
"""Functions before an address that may reach over it: code that was replaced may have been longer."""
_WORD_LIMIT = 1 << 64
_FIELDS = 3


class GeneratedFunction(NamedTuple):
    """Where it starts, and its name."""

    start: int
    name: str


class Places:
    """What is said of addresses, in that order: the last one counts.

    Each has a place in the file that says it, where the name is. 32 bytes for each.
    """

    def __init__(self) -> None:
        self._fields = array("Q")
        """Of each its start, its end and its place: all at once, since the budget may be over at any time."""
        self._starts = array("Q")
        self._by_start: list[int] = []
        """Numbers of those that can be found."""

    def __len__(self) -> int:
        return len(self._fields) // _FIELDS

    def add(self, start: int, end: int, place: int) -> None:
        """What is said at `place` of addresses from `start` to before `end`; nothing if that can't be."""
        if 0 <= start < end < _WORD_LIMIT:
            self._fields.extend((start, end, place))

    def sort(self) -> None:
        """From now on, what was added is found."""
        if len(self._by_start) != len(self):
            self._starts = self._fields[0::_FIELDS]
            self._by_start = sorted(range(len(self._starts)), key=self._starts.__getitem__)

    def find(self, address: int) -> tuple[int, int] | None:
        """Where the function around `address` starts, and the place of its name."""
        behind = bisect_right(self._by_start, address, key=self._starts.__getitem__)
        before = self._by_start[max(behind - _MOST_BEHIND, 0) : behind]
        number = max((each for each in before if address < self._fields[_FIELDS * each + 1]), default=None)
        return None if number is None else (self._starts[number], self._fields[_FIELDS * number + 2])

    def with_more(self, more: Places) -> Places:
        """These, and then those, sorted."""
        both = Places()
        both._fields = self._fields + more._fields
        both.sort()
        return both
