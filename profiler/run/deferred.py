"""Samples that are taken in later, many at a time, when all that this needs is in the CPU's cache.

To take one in right after its interrupt took three times as long, and took it from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct, field

from profiler.capture.records import RawSample, Repeated
from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessId

_MOST_BYTES = 2 << 20
_MOST_FILES = 4096
"""So many are noticed; what leads through others is taken in at once."""
_MOST_EQUAL = 8
"""Samples that equal one that waits: where its stack comes often, each costs less once it is taken in."""
_EQUAL_BYTES = 400

TakeIn = Callable[[RawSample, Sequence[Repeated]], None]
"""Takes in a sample, and those that equal it."""


class _Deferred(Struct):
    sample: RawSample
    size_bytes: int
    take_in: TakeIn
    equal: list[Repeated] = field(default_factory=list)

    def samples(self) -> int:
        return 1 + sum(len(each.taken) for each in self.equal)


class Deferred:
    """Holds samples of which all is known until they are due, and those that equal them.

    They are due before their process maps something else or ends, when their stack has come often, where
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
        return sum(each.samples() for each in self._held.get(process, {}).values())

    def put(self, sample: RawSample, size_bytes: int, take_in: TakeIn) -> None:
        """Calls `take_in` with it later.

        If a sample with this stack waits already, that one is taken in now, and then this one.
        """
        of_process = self._held.setdefault(sample.process, {})
        before = of_process.pop(sample.stack, None)
        if before is not None:
            self._take_in(before)
            take_in(sample, ())
            return
        of_process[sample.stack] = _Deferred(sample, size_bytes, take_in)
        self._bytes += size_bytes
        if self._bytes > _MOST_BYTES:
            self.take_in_all()

    def again(self, repeated: Repeated) -> bool:
        """Takes note of samples that equal one; returns whether that one waited."""
        of_process = self._held.get(repeated.process, {})
        found = of_process.get(repeated.stack)
        if found is None:
            return False
        found.equal.append(repeated)
        found.size_bytes += _EQUAL_BYTES
        self._bytes += _EQUAL_BYTES
        if found.samples() > _MOST_EQUAL:
            self._take_in(of_process.pop(repeated.stack))
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
        deferred.take_in(deferred.sample, deferred.equal)
