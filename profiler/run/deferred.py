"""Stacks that are put together later, many at a time, when all that this needs is in the CPU's cache.

To put one together right after its sample took three times as long, and took it from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
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

    It is due when its process ends or maps something else, when the stack comes again, and when somebody
    wants to see what was counted. Lifetime: one recording.
    """

    def __init__(self) -> None:
        self.is_used = True
        """Whether stacks may wait."""
        self._stacks: dict[ProcessId, dict[bytes, _Stack]] = {}
        """By process and by their hash."""
        self._bytes = 0
        self._files: set[FileKey] = set()

    def is_new(self, file: FileKey) -> bool:
        """Whether this is the first stack with its leaf in `file`: the names of files are asked for early."""
        if file in self._files:
            return False
        if len(self._files) < _MOST_FILES:
            self._files.add(file)
        return True

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
