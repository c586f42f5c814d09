"""Samples that are taken in later, many at a time, when all that this needs is in the CPU's cache.

To take one in right after its interrupt took three times as long, and took it from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessId

_MOST_BYTES = 2 << 20
_MOST_FILES = 4096
"""So many are noticed; what leads through others is taken in at once."""


class _Deferred(NamedTuple):
    """A sample of this size: what takes it in."""

    size_bytes: int
    take_in: Callable[[], None]


class Deferred:
    """Holds samples of which all is known until they are due.

    They are due before their process maps something else or ends, when their stack comes again, where
    `_MOST_BYTES` are held, and at the end of the recording. Lifetime: one recording.
    """

    def __init__(self) -> None:
        self.is_used = True
        """Whether samples may wait."""
        self._held: dict[ProcessId, dict[bytes, _Deferred]] = {}
        """By process and by the hash of their stack."""
        self._bytes = 0
        self._files: set[FileKey] = set()

    def notice(self, files: Collection[FileKey]) -> bool:
        """Takes note of the files of a stack; returns whether any is new: its names are asked for early."""
        if self._files.issuperset(files):
            return False
        if len(self._files) < _MOST_FILES:
            self._files.update(files)
        return True

    def waiting(self, process: ProcessId) -> int:
        """How many samples of it wait."""
        return len(self._held.get(process, ()))

    def put(self, process: ProcessId, stack: bytes, size_bytes: int, take_in: Callable[[], None]) -> None:
        """Calls `take_in` later.

        If a sample of `process` with this stack waits already, that one is taken in now, and then this one.
        """
        if self.take_in(process, stack):
            take_in()
            return
        self._held.setdefault(process, {})[stack] = _Deferred(size_bytes, take_in)
        self._bytes += size_bytes
        if self._bytes > _MOST_BYTES:
            self.take_in_all()

    def take_in(self, process: ProcessId, stack: bytes) -> bool:
        """Takes in the sample with this stack; returns whether it waited."""
        of_process = self._held.get(process)
        found = of_process.pop(stack, None) if of_process else None
        if found is None:
            return False
        self._take_in(found)
        return True

    def take_in_all_of(self, process: ProcessId) -> None:
        """Takes in the samples of a process."""
        for each in self._held.pop(process, {}).values():
            self._take_in(each)

    def take_in_all(self) -> None:
        """Takes in the samples of all processes."""
        for process in [*self._held]:
            self.take_in_all_of(process)

    def _take_in(self, deferred: _Deferred) -> None:
        self._bytes -= deferred.size_bytes
        deferred.take_in()
