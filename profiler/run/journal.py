"""Hands a recording on to its file while it goes on: what came in a second is written as one slice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.profile.model import Process, Profile
from profiler.profile.schema import KERNEL_PATH
from profiler.profile.slices import CannotKeep, FrameRow, Slice
from profiler.run.stacks import Element, Inner, KernelAddress, NativeAddress, RunningLine, address_in
from symbolizers.errors import Reason
from symbolizers.frame import Frame
from symbolizers.inspection import FileKey
from symbolizers.process.identity import ProcessId

if TYPE_CHECKING:  # it imports what not every recording needs
    from profiler.profile.writer import RecordingWriter

SLICE_NS = 1_000_000_000
_MOST_NODES = 20_000
"""Nodes of the call tree that are remembered. One that was forgotten is written again when it is needed."""
_NS_PER_MS = 1_000_000


class Rows(Protocol):
    """Takes samples, as numbers that it has given for their threads and stacks."""

    def thread(self, sample: RawSample) -> int:
        """The number of its thread."""

    def stack(self, elements: Sequence[int]) -> int:
        """The number of a stack, root first, of elements by their numbers (0 is the first)."""

    def sample(self, thread: int, stack: int, cpu: int, time_ns: int) -> None:
        """Takes a sample; CLOCK_MONOTONIC."""

    def again(self, thread: int, stack: int, taken: Iterable[tuple[int, int]]) -> None:
        """Takes several samples, each by its CPU and time."""

    def partial(self, sample: RawSample, reason: Reason) -> None:
        """The stack of this sample is partial."""

    def learn(self, process: ProcessId, facts: Process | None) -> None:
        """What is known of the process now."""

    def merged(self, process: ProcessId, comm: bytes) -> None:
        """The process has ended, and counts with others by this name."""


class NoRows:
    """`Rows` of a recording that has no file."""

    def thread(self, sample: RawSample) -> int:
        return 0

    def stack(self, elements: Sequence[int]) -> int:
        return 0

    def sample(self, thread: int, stack: int, cpu: int, time_ns: int) -> None:
        pass

    def again(self, thread: int, stack: int, taken: Iterable[tuple[int, int]]) -> None:
        pass

    def partial(self, sample: RawSample, reason: Reason) -> None:
        pass

    def learn(self, process: ProcessId, facts: Process | None) -> None:
        pass

    def merged(self, process: ProcessId, comm: bytes) -> None:
        pass


class Journal:
    """`Rows` for a file. Lifetime: one recording; `elements`, by number, may grow meanwhile."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._started_ns = 0
        self._slice = Slice()
        self._partial: Counter[tuple[int, int, Reason]] = Counter()
        self._processes: dict[ProcessId, tuple[int, Process]] = {}
        self._threads: dict[tuple[int, int], tuple[int, bytes]] = {}
        """By process and tid: its number and its name."""
        self._tids: dict[int, list[int]] = {}
        """By process, those that have a number."""
        self._functions: dict[tuple[Frame, int | None], int] = {}
        """Each frame with the number of what it is inlined in."""
        self._nodes: dict[tuple[int | None, int], int] = {}
        self._last_process = self._last_thread = self._last_stack = 0
        self._written_elements = 0
        self._due_ns = 0
        self.failure = ""
        """Why the file could not be written, if that happened."""

    def begin(self, started_ns: int, facts: Mapping[str, str | int | float]) -> None:
        """Sampling has begun at that time (CLOCK_MONOTONIC)."""
        self._started_ns = started_ns
        self._due_ns = started_ns + SLICE_NS
        self._attempt(lambda: self._writer.facts(facts))

    def thread(self, sample: RawSample) -> int:
        process = self._process(sample)
        known = self._threads.get((process, sample.tid))
        if known is not None and known[1] == sample.thread_comm:
            return known[0]
        if known is None:
            self._last_thread += 1
            self._tids.setdefault(process, []).append(sample.tid)
        number = self._last_thread if known is None else known[0]
        self._threads[process, sample.tid] = number, sample.thread_comm
        self._slice.threads[number] = process, sample.tid, sample.thread_comm, ""
        return number

    def stack(self, elements: Sequence[int]) -> int:
        if len(self._nodes) > _MOST_NODES:
            self._nodes.clear()
        node: int | None = None
        for element in elements:
            found = self._nodes.get((node, element))
            if found is None:
                self._last_stack += 1
                found = self._nodes[node, element] = self._last_stack
                self._slice.stacks.append((node, element + 1))
            node = found
        return node or 0

    def sample(self, thread: int, stack: int, cpu: int, time_ns: int) -> None:
        time_ms = max(time_ns - self._started_ns, 0) // _NS_PER_MS
        self._slice.samples.append((time_ms, thread, cpu, stack, 1))

    def again(self, thread: int, stack: int, taken: Iterable[tuple[int, int]]) -> None:
        for cpu, time_ns in taken:
            self.sample(thread, stack, cpu, time_ns)

    def partial(self, sample: RawSample, reason: Reason) -> None:
        second = max(sample.time_ns - self._started_ns, 0) // SLICE_NS
        self._partial[second, self._process(sample), reason] += 1

    def learn(self, process: ProcessId, facts: Process | None) -> None:
        if facts is not None:
            self._keep(process, facts)

    def merged(self, process: ProcessId, comm: bytes) -> None:
        if process in self._processes:
            number, facts = self._processes.pop(process)
            self._slice.processes[number] = facts, process.start_ns(), comm
            for tid in self._tids.pop(number, ()):
                del self._threads[number, tid]

    def write_if_due(self, now_ns: int, elements: Sequence[Element]) -> None:
        """Writes a slice each second if there is anything to write."""
        if self._slice.samples and now_ns >= self._due_ns:
            self._due_ns = now_ns + SLICE_NS
            self._write(elements)

    def due_s(self) -> float:
        """When there is a slice to be written (CLOCK_MONOTONIC); infinite if there is nothing to write."""
        return self._due_ns / 1e9 if self._slice.samples else math.inf

    def finish(
        self,
        elements: Sequence[Element],
        names: Mapping[Element, Frame],
        inlined: Mapping[Element, tuple[Frame, ...]],
        build_ids: Mapping[FileKey, str],
        thread_names: Mapping[tuple[int, int], str],
        profile: Profile,
    ) -> None:
        """Writes the rest: the last slice, names by element and by pid and tid, build ids by file.

        `inlined` has, by element, the functions that are inlined there.
        """
        for process, (number, _) in self._processes.items():
            for tid in self._tids.get(number, ()) if thread_names else ():
                if name := thread_names.get((process.pid, tid)):
                    thread, comm = self._threads[number, tid]
                    self._slice.threads[thread] = number, tid, comm, name
        self._write(elements)
        late = Slice()
        named = []
        for at, element in enumerate(elements, 1):
            address = address_in(element) or element
            if address in names:
                build_id = build_ids.get(address.file, "") if isinstance(address, NativeAddress) else ""
                frames = (names[address], *inlined.get(address, ()))
                named.append((at, self._functions_of(frames, late), build_id))
        self._attempt(lambda: self._writer.append(late))
        self._attempt(lambda: self._writer.name(named))
        self._attempt(lambda: self._writer.finish(profile))
        self._attempt(self._writer.close)

    def _write(self, elements: Sequence[Element]) -> None:
        new, self._slice = self._slice, Slice()
        for element in elements[self._written_elements :]:
            new.frames.append(self._frame(element, new))
        self._written_elements = len(elements)
        new.partial.extend((*key, count) for key, count in self._partial.items())
        self._partial.clear()
        self._attempt(lambda: self._writer.append(new))

    def _attempt(self, write: Callable[[], None]) -> None:
        """Once anything has failed, nothing more is written: rows refer to earlier ones."""
        if not self.failure:
            try:
                write()
            except CannotKeep as error:
                self.failure = str(error)

    def _process(self, sample: RawSample) -> int:
        known = self._processes.get(sample.process)
        if known is None:
            facts = Process(sample.process.pid, sample.comm, sample.parent.pid, sample.uid)
            return self._keep(sample.process, facts)
        if known[1].comm != sample.comm:
            self._keep(sample.process, replace(known[1], comm=sample.comm))
        return known[0]

    def _keep(self, process: ProcessId, facts: Process) -> int:
        known = self._processes.get(process)
        if known is None:
            self._last_process += 1
        number = self._last_process if known is None else known[0]
        self._processes[process] = number, facts
        self._slice.processes[number] = facts, process.start_ns(), None
        return number

    def _frame(self, element: Element, new: Slice) -> FrameRow:
        if isinstance(element, Inner):
            return self._frame(element.of, new)._replace(is_inner=True)
        if isinstance(element, NativeAddress):
            return FrameRow(None, path=element.path, address=_signed(element.offset))
        if isinstance(element, KernelAddress):
            return FrameRow(None, path=KERNEL_PATH, address=_signed(element.address))
        if isinstance(element, RunningLine):
            return FrameRow(self._function(element.frame, new), element.line)
        return FrameRow(self._function(element, new))

    def _function(self, frame: Frame, new: Slice, inlined_in: int | None = None) -> int:
        number = self._functions.get((frame, inlined_in))
        if number is None:
            number = self._functions[frame, inlined_in] = len(self._functions) + 1
            new.functions.append((frame, inlined_in))
        return number

    def _functions_of(self, frames: Sequence[Frame], new: Slice) -> int:
        """The number of the last of `frames`, each of which is inlined in the one before."""
        number = None
        for frame in frames:
            number = self._function(frame, new, number)
        assert number is not None
        return number


def _signed(address: int) -> int:
    """As SQLite has 64 bits."""
    return address - (1 << 64) if address >> 63 else address
