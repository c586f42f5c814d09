"""Every process that was seen: what is known of it, and the samples that wait for more to be known.

A sample is handed on when all its interpreter frames have names, or dropped with a reason. What can't be
read now is kept and asked for again when the same code object is next seen running, and at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from profiler.capture.header import read_header
from profiler.capture.records import ProcessEvent, RawSample
from profiler.capture.wire import WalkStatus
from profiler.run.stacks import CodeMap, Element, merge, native_elements
from symbolizers.base import Interpreter
from symbolizers.errors import Reason, Stalled, SymbolizeError
from symbolizers.frame import FIRST_ANNOTATION, MARKER, CodeObject, Frame, RawFrame, capture_kind
from symbolizers.inspection import Inspection
from symbolizers.process.deadline import Reply, Request
from symbolizers.process.identity import ProcessId
from symbolizers.registry import MARKERS

CodeKey = tuple[int, int, int]
"""What tells a code object of one process: address (with its capture kind), checksum, owner."""

_MAX_NATIVE_FRAMES = read_header("records.h").defines["MAX_NATIVE_FRAMES"]
_FAILED_WALKS: Mapping[int, Reason] = {
    WalkStatus.FAULT: Reason.WOULD_FAULT,
    WalkStatus.TORN: Reason.CHANGED,
}
_MARKERS = {kind: Frame(MARKER, text) for kind, text in MARKERS.items()}
"""What an annotation among the frames of an interpreter shows as, by its kind."""
_MAX_WAITING = 100_000
"""Samples that may wait in all; beyond that they are dropped at once, so memory stays bounded."""
_MAX_CODES = 200_000
_FIRST_RETRY_NS = 1_000_000
_LAST_RETRY_NS = 5_000_000_000
_EAGER_INSPECTIONS_HZ = 20
_MAX_INHERITED = 10_000
"""Code objects that a fork takes over from its parent; one with more is asked itself."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a question to the worker is about: a process, between two execs."""

    process: ProcessId
    generation: int


@dataclass(slots=True)
class _Tracked:
    """One process. `code` is None until it was inspected; `gone` says why it can't be asked any more."""

    id: ProcessId
    start_ns: int
    began_ns: int
    """When it began to run this program, on CLOCK_BOOTTIME."""
    generation: int = 0
    code: CodeMap | None = None
    interpreters: tuple[Interpreter, ...] = ()
    codes: dict[CodeKey, CodeObject] = field(default_factory=dict)
    definitions: dict[CodeKey, Frame] = field(default_factory=dict)
    failed: dict[CodeKey, Reason] = field(default_factory=dict)
    asked: set[CodeKey] = field(default_factory=set)
    waiting: dict[CodeKey, list[RawSample]] = field(default_factory=dict)
    uninspected: list[RawSample] = field(default_factory=list)
    inspecting: bool = False
    inspect_again_ns: int = 0
    retry_ns: int = _FIRST_RETRY_NS
    gone: Reason | None = None
    exited: bool = False


class ProcessTable:
    """The state machine between raw samples and finished stacks. Lifetime: one recording.

    `submit` asks the deadline worker, whose replies come back through `reply`; `emit` takes finished
    stacks and `drop` lost samples; `configure` tells the kernel which walkers a process needs.
    """

    def __init__(
        self,
        *,
        submit: Callable[[Request, bool], None],
        emit: Callable[[RawSample, tuple[Element, ...]], None],
        drop: Callable[[RawSample, Reason], None],
        note: Callable[[ProcessId, str], None],
        configure: Callable[[int, int, tuple[Interpreter, ...]], None],
        lines: bool,
    ) -> None:
        self._submit = submit
        self._emit = emit
        self._drop = drop
        self._note = note
        self._configure = configure
        self._lines = lines
        self._processes: dict[ProcessId, _Tracked] = {}
        self._stalled_pids: set[int] = set()
        self._waiting = 0
        self._eager_until_ns = 0
        self._listening_ns = math.inf
        self._boot_offset_ns = 0

    def discover(self, pids: Iterable[int], now_ns: int) -> None:
        """Asks about processes that run already, so that their first samples have names."""
        for pid in pids:
            self._submit(Request(pid, "inspect", (pid, None)), False)
        self._eager_until_ns = now_ns

    def listen(self, boot_ns: int, now_ns: int) -> None:
        """From now on (on CLOCK_BOOTTIME and CLOCK_MONOTONIC) every exec comes in as an event."""
        self._listening_ns = boot_ns
        self._boot_offset_ns = boot_ns - now_ns

    def sample(self, sample: RawSample) -> None:
        """Takes in one sample."""
        process = self._processes.get(ProcessId.from_start_ns(sample.pid, sample.start_ns))
        if process is None:
            process = self._track(sample.pid, sample.start_ns)
            self._inherit(process, sample)
        if process.gone is Reason.STALLED:
            self._drop(sample, Reason.STALLED)
        elif sample.walk_status in _FAILED_WALKS:
            self._drop(sample, _FAILED_WALKS[sample.walk_status])
            # Or the walker was told of a program that is no more: exec came before anyone listened.
            if process.gone is None and sample.time_ns >= process.inspect_again_ns:
                self._inspect(process, sample.time_ns)
        elif self._waiting >= _MAX_WAITING:
            self._drop(sample, Reason.WOULD_FAULT)
        else:
            self._place(process, sample)

    def event(self, event: ProcessEvent) -> None:
        """Takes in an exec or exit; it comes after all samples taken before it."""
        id_ = ProcessId.from_start_ns(event.pid, event.start_ns)
        if event.exited:
            self._stalled_pids.discard(event.pid)
            process = self._processes.get(id_)
            if process is not None:
                process.exited = True
                process.gone = process.gone or Reason.EXITED
                self._forget_if_done(process)
            return
        process = self._track(event.pid, event.start_ns)
        self._flush(process, Reason.CHANGED)
        began_ns = event.time_ns + self._boot_offset_ns
        fresh = _Tracked(id_, event.start_ns, began_ns, process.generation + 1)
        self._processes[id_] = fresh
        # An exec storm must not become our CPU time: beyond the budget, the first sample asks.
        if self._eager_until_ns <= event.time_ns:
            self._eager_until_ns = max(self._eager_until_ns, event.time_ns - 1_000_000_000)
            self._eager_until_ns += 1_000_000_000 // _EAGER_INSPECTIONS_HZ
            self._inspect(fresh, event.time_ns)

    def reply(self, reply: Reply) -> None:
        """Takes in an answer of the worker."""
        subject, value = reply.request.subject, reply.value
        if isinstance(subject, int):
            if isinstance(value, Inspection):
                self._discovered(value)
            elif isinstance(value, Stalled):
                self._stalled_pids.add(subject)
            return
        if not isinstance(subject, Subject):
            raise TypeError(f"not a question about a process: {subject}")
        process = self._processes.get(subject.process)
        if process is None or process.generation != subject.generation:
            return
        if isinstance(value, Stalled):
            self._gone(process, Reason.STALLED)
        elif reply.request.method == "inspect":
            self._inspected(process, value)
        else:
            self._read(process, reply.request.arguments[1], value)
        self._forget_if_done(process)

    def retry(self) -> None:
        """Asks once more for everything that failed: the end of the recording has come."""
        for process in list(self._processes.values()):
            if process.gone is None:
                self._ask(process, [key for key in process.waiting if key not in process.asked])

    def finish(self) -> None:
        """Drops what still waits."""
        for process in list(self._processes.values()):
            self._flush(process, Reason.WOULD_FAULT)

    def _track(self, pid: int, start_ns: int) -> _Tracked:
        id_ = ProcessId.from_start_ns(pid, start_ns)
        process = self._processes.get(id_)
        if process is None:
            process = self._processes[id_] = _Tracked(id_, start_ns, start_ns)
            if pid in self._stalled_pids:
                process.gone = Reason.STALLED
        process.start_ns = start_ns
        return process

    def _inherit(self, process: _Tracked, sample: RawSample) -> None:
        """Takes over what is known of the parent by a fork that has not replaced its program.

        Many forks are over before they can be looked at. An exec of a process that started while we listen
        would have come in before its samples.
        """
        if process.start_ns < self._listening_ns or process.gone is not None:
            return
        parent = self._processes.get(ProcessId.from_start_ns(sample.parent_pid, sample.parent_start_ns))
        if parent is None or parent.code is None or parent.began_ns > process.start_ns:
            return
        process.code = parent.code
        if len(parent.codes) <= _MAX_INHERITED:
            process.codes.update(parent.codes)
            process.definitions.update(parent.definitions)
        if parent.interpreters:
            process.interpreters = parent.interpreters
            self._configure(process.id.pid, process.start_ns, parent.interpreters)

    def _place(self, process: _Tracked, sample: RawSample) -> None:
        """Emits `sample` if everything is known, else lets it wait where the answer will find it."""
        code = process.code
        if code is None and process.gone is None:
            self._wait_for_inspection(process, sample)
            return
        if code is None:
            code = CodeMap()
        may_ask = process.gone is None and sample.time_ns >= process.inspect_again_ns
        if may_ask and sample.user and code.find(sample.user[0]) is None:
            self._wait_for_inspection(process, sample)
            return
        keys = dict.fromkeys(map(_key, sample.interpreter))
        missing = [key for key in keys if key not in process.codes and key[0] < FIRST_ANNOTATION]
        if not missing:
            self._finish_sample(process, code, sample)
        elif process.gone is not None:
            self._drop(sample, process.failed.get(missing[0], process.gone))
        else:
            process.waiting.setdefault(missing[0], []).append(sample)
            self._waiting += 1
            self._ask(process, [key for key in missing if key not in process.asked])

    def _finish_sample(self, process: _Tracked, code: CodeMap, sample: RawSample) -> None:
        frames = self._frames(process, sample)
        loops = [part for each in process.interpreters for part in (each.loop, each.cold_loop)]
        interpreted = any(frame.kind != MARKER for frame in frames)
        native = native_elements(sample.user, code, loops=loops, interpreted=interpreted)
        truncated = sample.walk_status == WalkStatus.TRUNCATED or (
            not interpreted and len(native) >= _MAX_NATIVE_FRAMES
        )
        self._emit(sample, merge(frames, native, sample.kernel, truncated=truncated))

    def _frames(self, process: _Tracked, sample: RawSample) -> list[Frame]:
        """The interpreter's frames by name, leaf first."""
        frames: list[Frame] = []
        shown_above = False
        for raw in sample.interpreter:
            key = _key(raw)
            code = process.codes.get(key)
            if code is None:  # an annotation
                marker = _MARKERS.get(capture_kind(raw.address))
                frames += [marker] if marker is not None else []
                continue
            if not shown_above and self._lines:
                frames.append(Frame(code.kind, code.name, code.file, code.line_at(raw.position)))
            elif not shown_above:
                frames.append(process.definitions[key])
            shown_above = code.stands_for_caller
        return frames

    def _wait_for_inspection(self, process: _Tracked, sample: RawSample) -> None:
        process.uninspected.append(sample)
        self._waiting += 1
        self._inspect(process, sample.time_ns)

    def _inspect(self, process: _Tracked, now_ns: int) -> None:
        if process.inspecting:
            return
        process.inspecting = True
        process.inspect_again_ns = now_ns + process.retry_ns
        process.retry_ns = min(process.retry_ns * 2, _LAST_RETRY_NS)
        subject = Subject(process.id, process.generation)
        self._submit(Request(subject, "inspect", (process.id.pid, process.id.start_ticks)), True)

    def _ask(self, process: _Tracked, keys: list[CodeKey]) -> None:
        if not keys:
            return
        process.asked.update(keys)
        frames = tuple(RawFrame(address, 0, checksum, owner) for address, checksum, owner in keys)
        subject = Subject(process.id, process.generation)
        self._submit(Request(subject, "read", (process.id, frames)), True)

    def _discovered(self, inspection: Inspection) -> None:
        process = self._processes.get(inspection.process)
        if process is None:
            start_ns = inspection.process.start_ns()
            process = _Tracked(inspection.process, start_ns, start_ns)
            self._processes[inspection.process] = process
        if process.code is None:
            self._inspected(process, inspection)

    def _inspected(self, process: _Tracked, value: object) -> None:
        process.inspecting = False
        if isinstance(value, Inspection):
            process.code = CodeMap(value.mappings)
            if process.interpreters != value.interpreters:
                process.interpreters = value.interpreters
                self._configure(process.id.pid, process.start_ns, value.interpreters)
            for note in value.notes:
                self._note(process.id, note)
        elif isinstance(value, SymbolizeError):
            self._gone(process, value.reason)
        self._replace(process, process.uninspected)

    def _read(self, process: _Tracked, frames: object, value: object) -> None:
        if isinstance(value, SymbolizeError):
            self._gone(process, value.reason)
            return
        if not isinstance(frames, tuple) or not isinstance(value, list):
            raise TypeError(f"not an answer to a read: {value!r}")
        if len(process.codes) > _MAX_CODES:
            process.codes.clear()
            process.definitions.clear()
        keys = [_key(frame) for frame in frames]
        process.asked.difference_update(keys)
        for key, result in zip(keys, value, strict=True):
            if isinstance(result, CodeObject):
                process.codes[key] = result
                process.definitions[key] = Frame(result.kind, result.name, result.file, result.first_line)
                process.failed.pop(key, None)
            else:
                process.failed[key] = result.reason
        for key in keys:
            reason = process.failed.get(key)
            if reason is None:
                self._replace(process, process.waiting.pop(key, []))
            elif reason is not Reason.WOULD_FAULT:
                self._drop_all(process.waiting.pop(key, []), reason)

    def _replace(self, process: _Tracked, samples: list[RawSample]) -> None:
        """Places waiting `samples` anew and empties the list."""
        waiting, samples[:] = samples[:], []
        self._waiting -= len(waiting)
        for sample in waiting:
            self._place(process, sample)

    def _drop_all(self, samples: list[RawSample], reason: Reason) -> None:
        self._waiting -= len(samples)
        for sample in samples:
            self._drop(sample, reason)

    def _forget_if_done(self, process: _Tracked) -> None:
        """Lets go of a process after its last sample, once the answers under way have come."""
        if not process.exited or process.inspecting or process.asked:
            return
        self._flush(process, Reason.EXITED)
        del self._processes[process.id]
        if process.interpreters:
            self._submit(Request(process.id.pid, "forget", (process.id,)), False)

    def _gone(self, process: _Tracked, reason: Reason) -> None:
        process.gone = reason
        process.asked.clear()
        process.inspecting = False
        self._flush(process, reason)

    def _flush(self, process: _Tracked, reason: Reason) -> None:
        """Nothing more will be learnt: drops what needs names, emits what can do without."""
        for key, samples in process.waiting.items():
            self._drop_all(samples, process.failed.get(key, reason))
        process.waiting.clear()
        process.gone = process.gone or reason
        if reason is Reason.STALLED:
            self._drop_all(process.uninspected, reason)
            process.uninspected.clear()
        self._replace(process, process.uninspected)


def _key(frame: RawFrame) -> CodeKey:
    return frame.address, frame.checksum, frame.owner
