"""The whole records to which short ones refer, so that a stack that was seen before costs little."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from profiler.capture.records import CodeName, ProcessEvent, RawSample, Repeated
from profiler.capture.wire import REPEAT_TYPE, REPEATED_STACK, decode, decode_repeat
from symbolizers.process.identity import ProcessId

_MOST_BYTES = 8 << 20
_ENTRY_BYTES = 400
"""What a record takes here besides its bytes."""
_LEAVING_S = 0.5
"""What the kernel was told to forget may still be referred to, by a sample that it takes just then."""


class _Entry:
    __slots__ = ("left_s", "process", "record")

    def __init__(self, record: bytes, process: ProcessId) -> None:
        self.record = record
        self.process = process
        self.left_s: float | None = None
        """When the kernel was told to forget it."""


class KnownStacks:
    """Decodes the records of one recording. It holds 8 MB of them: the oldest go, and come whole once more.

    `forget` tells the kernel that we do not have a stack (any more). `lost` counts the samples of which
    nothing but their number is known.
    """

    def __init__(self, forget: Callable[[bytes], None]) -> None:
        self._forget = forget
        self._entries: dict[bytes, _Entry] = {}
        self._bytes = 0
        self._leaving: deque[tuple[bytes, _Entry]] = deque()
        self.lost = 0

    def decode(self, records: Iterable[bytes]) -> Iterator[RawSample | Repeated | CodeName | ProcessEvent]:
        """What is in the `records` of one look into the ring buffer, in order, but for equal samples.

        Of those, all between two other records come as one. Raises `WireError`.
        """
        looked_s = time.monotonic()
        last: dict[bytes, bytes] = {}
        counts: dict[bytes, int] = {}
        for record in records:
            if record.startswith(REPEAT_TYPE):
                stack = record[REPEATED_STACK]
                last[stack] = record
                counts[stack] = counts.get(stack, 0) + 1
                continue
            if counts:
                yield from self._repeated(last, counts)
                last.clear()
                counts.clear()
            decoded = decode(record)
            if isinstance(decoded, RawSample) and decoded.stack:
                self._keep(decoded.stack, record, decoded.process)
            yield decoded
        yield from self._repeated(last, counts)
        self._let_go(looked_s - _LEAVING_S)

    def _repeated(self, last: dict[bytes, bytes], counts: dict[bytes, int]) -> Iterator[Repeated]:
        for stack, count in counts.items():
            entry = self._entries.get(stack)
            if entry is None:
                self.lost += count
                self._forget(stack)
                continue
            cpu, time_ns = decode_repeat(last[stack])
            yield Repeated(entry.process, stack, count, cpu, time_ns, partial(_decoded, entry.record))

    def _keep(self, stack: bytes, record: bytes, process: ProcessId) -> None:
        before = self._entries.pop(stack, None)
        if before is None or before.left_s is not None:
            self._bytes += len(record) + _ENTRY_BYTES
        self._entries[stack] = _Entry(record, process)
        while self._bytes > _MOST_BYTES:
            oldest, entry = next(each for each in self._entries.items() if each[1].left_s is None)
            entry.left_s = time.monotonic()
            self._leaving.append((oldest, entry))
            self._bytes -= len(entry.record) + _ENTRY_BYTES
            self._forget(oldest)

    def _let_go(self, before_s: float) -> None:
        """Forgets what the kernel was told to forget before that time, unless it has come once more since."""
        while self._leaving and (self._leaving[0][1].left_s or 0.0) < before_s:
            stack, entry = self._leaving.popleft()
            if self._entries.get(stack) is entry:
                del self._entries[stack]


def _decoded(record: bytes) -> RawSample:
    decoded = decode(record)
    assert isinstance(decoded, RawSample)
    return decoded
