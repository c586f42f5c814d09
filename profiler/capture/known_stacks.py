"""The whole records to which short ones refer, so that a stack that was seen before costs little."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from profiler.capture.records import CodeName, KnownStack, ProcessEvent, RawSample, Repeated, StackCopy
from profiler.capture.wire import REPEAT_TYPE, decode, decode_repeat
from symbolizers.bounded import keep
from symbolizers.process.identity import ProcessId

_MOST_BYTES, _MOST_BYTES_OF_CPU = 4 << 20, 1 << 20
"""Machines with many CPUs run many processes, and have the memory for this."""
_ENTRY_BYTES = 400
"""What a record takes here besides its bytes."""
_MOST_EXITED = 1024
_LEAVING_S = 0.5
"""What goes may still be referred to, by a sample that the kernel takes just then."""


class KnownStacks:
    """Decodes the records of one recording, of which it holds 4 MB, or 1 MB for each CPU.

    What a process showed goes when that has exited. Else what came first goes, unless it was needed since
    its turn came last, and comes whole once more: `forget` tells the kernel that we do not have a stack (any
    more). `lost` counts the samples of which nothing but their number is known.
    """

    def __init__(self, forget: Callable[[bytes], None], cpus: int = 1) -> None:
        self._forget = forget
        self._most_bytes = max(_MOST_BYTES, _MOST_BYTES_OF_CPU * cpus)
        self._entries: OrderedDict[bytes, KnownStack] = OrderedDict()
        """The next whose turn it is to go comes first."""
        self._stacks: dict[ProcessId, dict[bytes, None]] = {}
        """Those of each process."""
        self._bytes = 0
        self._leaving: OrderedDict[bytes, tuple[float, KnownStack]] = OrderedDict()
        """What goes, and since when."""
        self._exited: OrderedDict[ProcessId, None] = OrderedDict()
        """Processes whose exit has come in lately: they are sampled while they give their memory back."""
        self._copies: dict[int, StackCopy] = {}
        """By CPU, the copy for the sample that comes next."""
        self.lost = 0

    def decode(self, records: Iterable[bytes]) -> Iterator[RawSample | Repeated | CodeName | ProcessEvent]:
        """What is in the `records` of one look into the ring buffer, in order, but for equal samples.

        Of those, all between two other records come as one. Raises `WireError`.
        """
        looked_s = time.monotonic()
        taken: dict[bytes, list[tuple[int, int]]] = {}
        for record in records:
            if record.startswith(REPEAT_TYPE):
                cpu, time_ns, stack = decode_repeat(record)
                if stack in taken:
                    taken[stack].append((cpu, time_ns))
                else:
                    taken[stack] = [(cpu, time_ns)]
                continue
            if taken:
                yield from self._repeated(taken)
                taken.clear()
            decoded = decode(record)
            if isinstance(decoded, StackCopy):
                self._copies[decoded.cpu] = decoded
                continue
            if isinstance(decoded, RawSample) and decoded.cpu in self._copies:
                decoded = _with_copy(decoded, self._copies.pop(decoded.cpu))
            if isinstance(decoded, RawSample) and decoded.stack:
                self._keep(KnownStack(decoded.process, decoded.stack, record, _decoded))
            elif isinstance(decoded, ProcessEvent) and decoded.exited:
                self._end(decoded.process)
            yield decoded
        yield from self._repeated(taken)
        while self._leaving and next(iter(self._leaving.values()))[0] < looked_s - _LEAVING_S:
            self._leaving.popitem(last=False)

    def _repeated(self, taken: dict[bytes, list[tuple[int, int]]]) -> Iterator[Repeated]:
        for stack, samples in taken.items():
            entry = self._entries.get(stack)
            if entry is None:
                if stack not in self._leaving:
                    self.lost += len(samples)
                    self._forget(stack)
                    continue
                _, entry = self._leaving.pop(stack)
                self._leaving[stack] = time.monotonic(), entry
            entry.is_used = True
            yield Repeated(entry, samples)

    def _end(self, process: ProcessId) -> None:
        for stack in tuple(self._stacks.get(process, ())):
            self._leave(stack)
        keep(self._exited, process, None, most=_MOST_EXITED)

    def _keep(self, entry: KnownStack) -> None:
        stack = entry.stack
        self._leaving.pop(stack, None)
        before = self._entries.pop(stack, None)
        self._bytes += _size_of(entry) - (_size_of(before) if before is not None else 0)
        self._entries[stack] = entry
        self._stacks.setdefault(entry.process, {})[stack] = None
        if entry.process in self._exited:  # what comes meanwhile has it yet
            self._leave(stack)
            self._forget(stack)
        while self._bytes > self._most_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """Lets go of the first that was not needed since its turn came last."""
        stack = next(iter(self._entries))
        while self._entries[stack].is_used:
            self._entries[stack].is_used = False
            self._entries.move_to_end(stack)
            stack = next(iter(self._entries))
        self._leave(stack)
        self._forget(stack)

    def _leave(self, stack: bytes) -> None:
        entry = self._entries.pop(stack)
        self._bytes -= _size_of(entry)
        self._leaving[stack] = time.monotonic(), entry
        of_process = self._stacks[entry.process]
        del of_process[stack]
        if not of_process:
            del self._stacks[entry.process]


def _size_of(entry: KnownStack) -> int:
    return len(entry.record) + _ENTRY_BYTES


def _with_copy(sample: RawSample, copy: StackCopy) -> RawSample:
    """The sample with the copy, if that is its own: another one may have been lost."""
    return replace(sample, copy=copy) if copy.time_ns == sample.time_ns else sample


def _decoded(record: bytes) -> RawSample:
    decoded = decode(record)
    assert isinstance(decoded, RawSample)
    return decoded
