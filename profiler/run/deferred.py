"""Stacks that are put together later, many at a time, when all that this needs is in the CPU's cache.

To put one together right after its sample took three times as long, and took it from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessId

_MOST_BYTES = 2 << 20
_MOST_FILES = 4096


class _Stack(NamedTuple):
    size_bytes: int
    emit: Callable[[], None]


class Deferred:
    """Holds what is to be done for a stack until that is due; all of it where it is too much.

    It is due when its process ends or maps something else, when the stack comes again, and at the end of the
    recording. Lifetime: one recording.
    """

    def __init__(self) -> None:
        self.is_used = True
        """Whether stacks may wait."""
        self._stacks: dict[ProcessId, dict[bytes, _Stack]] = {}
        """By process and by their hash."""
        self._bytes = 0
        self._files: set[FileKey] = set()

    def have_new(self, files: Collection[FileKey]) -> bool:
        """Whether no stack before began or ended in one of these: names in it are to be asked for early."""
        if self._files.issuperset(files):
            return False
        if len(self._files) < _MOST_FILES:
            self._files.update(files)
        return True

    def waiting(self, process: ProcessId) -> int:
        """How many stacks of it wait, each of one sample."""
        return len(self._stacks.get(process, ()))

    def put(self, process: ProcessId, stack: bytes, size_bytes: int, emit: Callable[[], None]) -> None:
        """Calls `emit` later; at once if an equal stack of `process` waits, after that one."""
        if self.emit(process, stack):
            emit()
            return
        self._stacks.setdefault(process, {})[stack] = _Stack(size_bytes, emit)
        self._bytes += size_bytes
        if self._bytes > _MOST_BYTES:
            self.emit_all()

    def emit(self, process: ProcessId, stack: bytes) -> bool:
        """Does what is to be done for this stack; returns whether it waited."""
        stacks = self._stacks.get(process)
        found = stacks.pop(stack, None) if stacks else None
        if found is None:
            return False
        self._do(found)
        return True

    def emit_of(self, process: ProcessId) -> None:
        """The same for all stacks of a process."""
        for stack in self._stacks.pop(process, {}).values():
            self._do(stack)

    def emit_all(self) -> None:
        """The same for all processes."""
        for process in [*self._stacks]:
            self.emit_of(process)

    def _do(self, stack: _Stack) -> None:
        self._bytes -= stack.size_bytes
        stack.emit()
