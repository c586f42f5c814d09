"""One program of a process, between two execs: what is known about it, and its samples that wait for more.

A sample is handed on when all its interpreter frames have names, or dropped with a reason. A code object that
can't be read now is asked for again when it is next seen running, and at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from profiler.capture.header import read_header
from profiler.capture.records import RawSample
from profiler.capture.wire import WalkStatus
from profiler.run.stacks import CodeMap, Element, merge, native_elements
from symbolizers.asker import Ask
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import FIRST_ANNOTATION, MARKER, CodeObject, Frame, RawFrame, capture_kind
from symbolizers.inspection import Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Codes, Failed, Inspect, Inspected, ReadCodes
from symbolizers.registry import MARKERS

CodeKey = tuple[int, int]
"""What identifies a code object in one process: address (with its capture kind) and checksum.

The checksum covers the owner, too: two owners with one checksum give the same name.
"""

_MAX_NATIVE_FRAMES = read_header("records.h").defines["MAX_NATIVE_FRAMES"]
_FAILED_WALKS: Mapping[int, Reason] = {
    WalkStatus.FAULT: Reason.WOULD_FAULT,
    WalkStatus.TORN: Reason.CHANGED,
}
_MARKERS = {kind: Frame(MARKER, text) for kind, text in MARKERS.items()}
"""The frame that an annotation shows as, by its kind."""
_MAX_WAITING = 100_000
"""Samples that may wait in all; beyond that they are dropped at once, so memory stays bounded."""
_MAX_CODES = 200_000
_MAX_INHERITED = 10_000
"""A fork takes over its parent's code objects, unless they are more than this: then it is asked itself."""
_FIRST_RETRY_NS = 1_000_000
_LAST_RETRY_NS = 5_000_000_000


class State(Enum):
    """How much is known of a program, and whether the worker may still be asked about it."""

    NEW = "new"
    """The worker was not asked about it yet; its first sample will do so."""
    LOOKING = "looking"
    """The worker looks at it for the first time; samples wait for that."""
    KNOWN = "known"
    """Its mappings and interpreters are known."""
    LOOKING_AGAIN = "looking again"
    """As KNOWN, but the worker looks once more: a sample shows that something has changed."""
    EXITED = "exited"
    """Its process has exited: nothing more is asked about it, but answers under way still count."""
    OVER = "over"
    """Nothing more will be learnt about it; `Program.why` says why."""


class Happening(Enum):
    """What moves a program from one state to another."""

    LOOK = "the worker is asked to look at it"
    FOUND = "mappings and interpreters were found"
    EXIT = "its process has exited"
    END = "it was replaced, or can't be looked into, or all answers have come"


_ALIVE = (State.NEW, State.LOOKING, State.KNOWN, State.LOOKING_AGAIN)

TRANSITIONS: Mapping[tuple[State, Happening], State] = MappingProxyType(
    {
        (State.NEW, Happening.LOOK): State.LOOKING,
        (State.KNOWN, Happening.LOOK): State.LOOKING_AGAIN,
        # At the start of a recording the worker looks at all that runs; a fork knows what its parent knew.
        (State.NEW, Happening.FOUND): State.KNOWN,
        (State.LOOKING, Happening.FOUND): State.KNOWN,
        (State.LOOKING_AGAIN, Happening.FOUND): State.KNOWN,
        (State.EXITED, Happening.FOUND): State.EXITED,
        **{(state, Happening.EXIT): State.EXITED for state in _ALIVE},
        **{(state, Happening.END): State.OVER for state in (*_ALIVE, State.EXITED)},
    }
)
"""Every step that a program can take. Any other can't happen, or changes nothing."""

_UNKNOWN = CodeMap()
"""The mappings of a program that was not found yet."""


@dataclass(slots=True)
class Waiting:
    """How many samples wait, over all programs of a recording."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What programs need of a recording. Lifetime: the recording.

    `ask` puts a question to the worker; `emit` takes finished stacks, root first, and `drop` lost samples;
    `note` takes what people should know about a process; `configure` tells the kernel which walkers it needs.
    """

    ask: Ask
    emit: Callable[[RawSample, tuple[Element, ...]], None]
    drop: Callable[[RawSample, Reason], None]
    note: Callable[[ProcessId, str], None]
    configure: Callable[[int, int, tuple[Interpreter, ...]], None]
    lines: bool
    waiting: Waiting


class Program:
    """A program of `process`, which it began to run at `began_ns` (on CLOCK_BOOTTIME).

    `over` is called when its process has exited and all answers about it have come. Its `state` moves as
    `TRANSITIONS` says, and by nothing else.
    """

    def __init__(
        self,
        process: ProcessId,
        start_ns: int,
        began_ns: int,
        surroundings: Surroundings,
        *,
        over: Callable[[Program], None],
    ) -> None:
        self.process = process
        self.start_ns = start_ns
        self.began_ns = began_ns
        self.state = State.NEW
        self.why = Reason.EXITED
        self._around = surroundings
        self._over = over
        self._code = _UNKNOWN
        self._interpreters: tuple[Interpreter, ...] = ()
        self._codes: dict[CodeKey, CodeObject] = {}
        self._definitions: dict[CodeKey, Frame] = {}
        self._failed: dict[CodeKey, Reason] = {}
        self._unread: dict[CodeKey, RawFrame] = {}
        """As last captured: where an object has copies, their owners differ, and the last one still lives."""
        self._asked: set[CodeKey] = set()
        self._open_questions = 0
        self._waiting: dict[CodeKey, list[RawSample]] = {}
        self._unplaced: list[RawSample] = []
        self._look_again_ns = 0
        self._retry_ns = _FIRST_RETRY_NS

    @property
    def is_known(self) -> bool:
        """Whether its mappings and interpreters were ever found."""
        return self._code is not _UNKNOWN

    @property
    def has_interpreters(self) -> bool:
        """Whether the worker holds something for it."""
        return bool(self._interpreters)

    def sample(self, sample: RawSample) -> None:
        """Takes in one sample: it is handed on, waits, or is dropped."""
        if self.state is State.OVER and self.why is Reason.STALLED:
            self._around.drop(sample, Reason.STALLED)
        elif sample.walk_status in _FAILED_WALKS:
            self._around.drop(sample, _FAILED_WALKS[sample.walk_status])
            # The walker may still know an earlier program, if its exec came before anyone listened.
            if sample.time_ns >= self._look_again_ns:
                self.look(sample.time_ns)
        elif self._around.waiting.count >= _MAX_WAITING:
            self._around.drop(sample, Reason.WOULD_FAULT)
        else:
            self._place(sample)

    def look(self, now_ns: int) -> None:
        """Asks the worker to look at the program, unless it does already or there is nothing to look at."""
        if (self.state, Happening.LOOK) in TRANSITIONS:
            self._step(Happening.LOOK)
            self._look_again_ns = now_ns + self._retry_ns
            self._retry_ns = min(self._retry_ns * 2, _LAST_RETRY_NS)
            self._open_questions += 1
            question = Inspect(self.process.pid, self.process.start_ticks)
            self._around.ask(question, self._looked, soon=True)

    def found(self, inspection: Inspection) -> None:
        """Takes in what the worker found."""
        self._step(Happening.FOUND)
        self._code = CodeMap(inspection.mappings)
        self._run_interpreters(inspection.interpreters)
        for note in inspection.notes:
            self._around.note(self.process, note)
        self._place_again(self._unplaced)

    def inherit(self, parent: Program) -> None:
        """Takes over what is known about `parent`: a fork goes on with its parent's program.

        Many forks are over before they can be looked at.
        """
        if self.state is not State.NEW or not parent.is_known or parent.began_ns > self.start_ns:
            return
        self._step(Happening.FOUND)
        self._code = parent._code
        if len(parent._codes) <= _MAX_INHERITED:
            self._codes.update(parent._codes)
            self._definitions.update(parent._definitions)
        self._run_interpreters(parent._interpreters)

    def exited(self) -> None:
        """Its process has exited; all its samples have come."""
        if self.state is State.OVER:
            self._over(self)
        else:
            self._step(Happening.EXIT)
            self._end_if_answered()

    def end(self, why: Reason) -> None:
        """Settles every sample that waits: nothing more will be learnt, because of `why`."""
        if self.state is State.OVER:
            return
        has_exited = self.state is State.EXITED
        self._step(Happening.END)
        self.why = why
        self._drop_nameless(why)
        if why is Reason.STALLED:
            self._drop_all(self._unplaced, why)
        self._place_again(self._unplaced)
        if has_exited:
            self._over(self)

    def retry(self) -> None:
        """Asks once more for everything that could not be read."""
        if self.state in _ALIVE:
            self._ask([key for key in self._waiting if key not in self._asked])

    def _step(self, happening: Happening) -> None:
        self.state = TRANSITIONS.get((self.state, happening), self.state)

    def _run_interpreters(self, interpreters: tuple[Interpreter, ...]) -> None:
        if self._interpreters != interpreters:
            self._interpreters = interpreters
            self._around.configure(self.process.pid, self.start_ns, interpreters)

    def _looked(self, answer: Inspected | Failed) -> None:
        if self.state is State.OVER:
            return
        self._open_questions -= 1
        if isinstance(answer, Inspected):
            self.found(answer.inspection)
        else:
            self.end(answer.reason)
        self._end_if_answered()

    def _place(self, sample: RawSample) -> None:
        """Emits `sample` if everything is known, else lets it wait where the answer will find it."""
        may_ask = self.state in _ALIVE
        if may_ask and not self.is_known:
            self._wait_to_be_placed(sample)
            return
        knows_leaf = not sample.user or self._code.find(sample.user[0]) is not None
        if may_ask and not knows_leaf and sample.time_ns >= self._look_again_ns:
            self._wait_to_be_placed(sample)
            return
        frames = {_key(frame): frame for frame in sample.interpreter if frame.address < FIRST_ANNOTATION}
        missing = [key for key in frames if key not in self._codes]
        if not missing:
            self._hand_on(sample)
        elif may_ask:
            self._waiting.setdefault(missing[0], []).append(sample)
            self._around.waiting.count += 1
            self._unread.update((key, frames[key]._replace(position=0)) for key in missing)
            self._ask([key for key in missing if key not in self._asked])
        else:
            self._around.drop(sample, self._failed.get(missing[0], self.why))

    def _wait_to_be_placed(self, sample: RawSample) -> None:
        self._unplaced.append(sample)
        self._around.waiting.count += 1
        self.look(sample.time_ns)

    def _hand_on(self, sample: RawSample) -> None:
        frames = self._frames(sample)
        loops = [part for each in self._interpreters for part in (each.loop, each.cold_loop)]
        interpreted = any(frame.kind != MARKER for frame in frames)
        native = native_elements(sample.user, self._code, loops=loops, interpreted=interpreted)
        truncated = sample.walk_status == WalkStatus.TRUNCATED or (
            not interpreted and len(native) >= _MAX_NATIVE_FRAMES
        )
        self._around.emit(sample, merge(frames, native, sample.kernel, truncated=truncated))

    def _frames(self, sample: RawSample) -> list[Frame]:
        """The interpreter's frames by name, leaf first."""
        frames: list[Frame] = []
        shown_above = False
        for raw in sample.interpreter:
            key = _key(raw)
            code = self._codes.get(key)
            if code is None:  # an annotation
                marker = _MARKERS.get(capture_kind(raw.address))
                frames += [marker] if marker is not None else []
                continue
            if not shown_above and self._around.lines:
                frames.append(Frame(code.kind, code.name, code.file, code.line_at(raw.position)))
            elif not shown_above:
                frames.append(self._definitions[key])
            shown_above = code.stands_for_caller
        return frames

    def _ask(self, keys: Sequence[CodeKey]) -> None:
        if not keys:
            return
        self._asked.update(keys)
        self._open_questions += 1
        frames = tuple(self._unread[key] for key in keys)

        def read(answer: Codes | Failed) -> None:
            self._read(keys, answer)

        self._around.ask(ReadCodes(self.process, frames), read, soon=True)

    def _read(self, keys: Sequence[CodeKey], answer: Codes | Failed) -> None:
        if self.state is State.OVER:
            return
        self._open_questions -= 1
        if isinstance(answer, Failed):
            self.end(answer.reason)
            return
        if len(self._codes) > _MAX_CODES:
            self._codes.clear()
            self._definitions.clear()
        self._asked.difference_update(keys)
        for key, result in zip(keys, answer.found, strict=True):
            self._learn(key, result)
        for key in keys:
            reason = self._failed.get(key)
            if reason is None:
                self._place_again(self._waiting.pop(key, []))
            elif reason is not Reason.WOULD_FAULT:
                self._drop_all(self._waiting.pop(key, []), reason)
        self._end_if_answered()

    def _learn(self, key: CodeKey, result: CodeObject | Reason) -> None:
        if result is not Reason.WOULD_FAULT:
            self._unread.pop(key, None)
        if isinstance(result, CodeObject):
            self._codes[key] = result
            self._definitions[key] = Frame(result.kind, result.name, result.file, result.first_line)
            self._failed.pop(key, None)
        else:
            self._failed[key] = result

    def _end_if_answered(self) -> None:
        if self.state is State.EXITED and not self._open_questions:
            self.end(Reason.EXITED)

    def _place_again(self, samples: list[RawSample]) -> None:
        """Places waiting `samples` anew and empties the list."""
        waiting, samples[:] = samples[:], []
        self._around.waiting.count -= len(waiting)
        for sample in waiting:
            self._place(sample)

    def _drop_nameless(self, reason: Reason) -> None:
        """Drops the samples that wait for a name, each for its own reason where that is known."""
        for key, samples in self._waiting.items():
            self._drop_all(samples, self._failed.get(key, reason))
        self._waiting.clear()

    def _drop_all(self, samples: list[RawSample], reason: Reason) -> None:
        """Drops `samples` and empties the list."""
        dropped, samples[:] = samples[:], []
        self._around.waiting.count -= len(dropped)
        for sample in dropped:
            self._around.drop(sample, reason)


def _key(frame: RawFrame) -> CodeKey:
    return frame.address, frame.checksum
