"""The whole records to which short ones refer, so that a stack that was seen before costs little."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from profiler.capture.records import CodeName, ProcessEvent, RawSample, Repeated
from profiler.capture.wire import REPEAT_TYPE, REPEATED_STACK, decode, decode_repeat
from symbolizers.process.identity import ProcessId

_MOST_BYTES, _MOST_BYTES_OF_CPU = 16 << 20, 1 << 20
"""Machines with many CPUs run many processes, and have the memory for this."""
_ENTRY_BYTES = 400
"""What a record takes here besides its bytes."""
_LEAVING_S = 0.5
"""What goes may still be referred to, by a sample that the kernel takes just then."""


class _Entry(NamedTuple):
    record: bytes
    process: ProcessId

    def size_bytes(self) -> int:
        return len(self.record) + _ENTRY_BYTES


class KnownStacks:
    """Decodes the records of one recording, of which it holds 16 MB, or 1 MB for each CPU.

    What a process showed goes when that has exited. Else what was not needed for longest goes, and comes
    whole once more: `forget` tells the kernel that we do not have a stack (any more). `lost` counts the
    samples of which nothing but their number is known.
    """

    def __init__(self, forget: Callable[[bytes], None], cpus: int = 1) -> None:
        self._forget = forget
        self._most_bytes = max(_MOST_BYTES, _MOST_BYTES_OF_CPU * cpus)
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """What was needed last is at the end."""
        self._stacks: dict[ProcessId, dict[bytes, None]] = {}
        """Those of each process."""
        self._bytes = 0
        self._leaving: OrderedDict[bytes, tuple[float, _Entry]] = OrderedDict()
        """What goes, and since when."""
        self.lost = 0

    def decode(self, records: Iterable[bytes]) -> Iterator[RawSample | Repeated | CodeName | ProcessEvent]:
        """What is in the `records` of one look into the ring buffer, in order, but for equal samples.

        Of those, all between two other records come as one. Raises `WireError`.
        """
        looked_s = time.monotonic()
        taken: dict[bytes, list[tuple[int, int]]] = {}
        for record in records:
            if record.startswith(REPEAT_TYPE):
                taken.setdefault(record[REPEATED_STACK], []).append(decode_repeat(record))
                continue
            if taken:
                yield from self._repeated(taken)
                taken.clear()
            decoded = decode(record)
            if isinstance(decoded, RawSample) and decoded.stack:
                self._keep(decoded.stack, _Entry(record, decoded.process))
            elif isinstance(decoded, ProcessEvent) and decoded.exited:
                for stack in tuple(self._stacks.get(decoded.process, ())):
                    self._leave(stack)
            yield decoded
        yield from self._repeated(taken)
        while self._leaving and next(iter(self._leaving.values()))[0] < looked_s - _LEAVING_S:
            self._leaving.popitem(last=False)

    def _repeated(self, taken: dict[bytes, list[tuple[int, int]]]) -> Iterator[Repeated]:
        for stack, samples in taken.items():
            entry = self._entries.get(stack)
            if entry is not None:
                self._entries.move_to_end(stack)
            elif stack in self._leaving:
                _, entry = self._leaving[stack]
            else:
                self.lost += len(samples)
                self._forget(stack)
                continue
            yield Repeated(entry.process, stack, tuple(samples), partial(_decoded, entry.record))

    def _keep(self, stack: bytes, entry: _Entry) -> None:
        self._leaving.pop(stack, None)
        before = self._entries.pop(stack, None)
        self._bytes += entry.size_bytes() - (before.size_bytes() if before is not None else 0)
        self._entries[stack] = entry
        self._stacks.setdefault(entry.process, {})[stack] = None
        while self._bytes > self._most_bytes:
            oldest = next(iter(self._entries))
            self._leave(oldest)
            self._forget(oldest)

    def _leave(self, stack: bytes) -> None:
        entry = self._entries.pop(stack)
        self._bytes -= entry.size_bytes()
        self._leaving[stack] = time.monotonic(), entry
        of_process = self._stacks[entry.process]
        del of_process[stack]
        if not of_process:
            del self._stacks[entry.process]


def _decoded(record: bytes) -> RawSample:
    decoded = decode(record)
    assert isinstance(decoded, RawSample)
    return decoded
