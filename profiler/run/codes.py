"""The code objects of one program: which are known, which are asked for, and which are gone.

Most are known from the interrupt at which they were first seen, when the kernel took their names. The
worker is asked for what the kernel left, and for line tables.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from sys import getsizeof
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.capture.wire import WalkStatus
from profiler.run.allowance import Allowance
from profiler.run.stacks import Partial, Run, RunningLine
from symbolizers.errors import Reason
from symbolizers.frame import (
    CAPTURE_KIND_SHIFT,
    ENTERED,
    FIRST_ANNOTATION,
    MARKER,
    CodeObject,
    Frame,
    RawFrame,
    capture_kind,
)
from symbolizers.registry import LANGUAGE_OF_KIND, MARKERS, NAMERS
from symbolizers.taken import TakenCode, TakenName

CodeKey = tuple[int, int]
"""What identifies a code object in one process: address (with its capture kind) and checksum.

The checksum covers the owner, too: two owners with one checksum give the same name.
"""
Gone = Mapping[CodeKey, Reason]
"""The code objects of one sample that have no name and will have none, and why."""

NOTHING_GONE: Gone = MappingProxyType({})

_MARKERS = {kind: Frame(MARKER, text) for kind, text in MARKERS.items()}
"""What an annotation among the frames of an interpreter shows as, by its kind."""
PLACEHOLDERS = {reason: Frame(MARKER, f"[{reason.value.replace('_', ' ')}]") for reason in Reason}
"""What stands in the place of a frame without a name, by the reason: ``[changed]``."""
_KEY_BYTES = 400
"""What a code object that is asked for or has failed takes here."""
_CODE_BYTES = 500
"""What one that is known takes, beside its texts and lines."""
_LINE_BYTES = 72
_WORTH_CLEARING_BYTES = 1 << 16
_LEAST_DELTA = 64


class _Known(NamedTuple):
    code: CodeObject
    definition: Frame
    has_lines: bool
    stands_for_caller: bool
    """As in the code: what is held here is at hand."""

    def size_bytes(self) -> int:
        texts = getsizeof(self.code.name) + getsizeof(self.code.file)
        return _CODE_BYTES + texts + _LINE_BYTES * len(self.code.starts)


class _Shared:
    """Code objects that were known when a process forked; it and its forks share them."""

    def __init__(self, known: dict[CodeKey, _Known], allowance: Allowance) -> None:
        self.known = known
        size_bytes = sum(each.size_bytes() for each in known.values())
        self.is_allowed = allowance.take(size_bytes)
        if self.is_allowed:
            weakref.finalize(self, allowance.give_back, size_bytes)


_NOTHING_SHARED: Mapping[CodeKey, _Known] = MappingProxyType({})


class CodeObjects:
    """Code objects by key. Lifetime: one program. With `lines`, frames have the line that runs.

    What the `allowance` has no room for is forgotten, and asked for again when it is next needed.
    """

    def __init__(self, *, lines: bool, allowance: Allowance) -> None:
        self._lines = lines
        self._allowance = allowance
        self._held_bytes = 0
        self._known: dict[CodeKey, _Known] = {}
        self._shared: _Shared | None = None
        self._failed: dict[CodeKey, Reason] = {}
        self._unread: dict[CodeKey, RawFrame] = {}
        """As last captured: where an object has copies, their owners differ, and the last one still lives."""
        self._asked: set[CodeKey] = set()
        self._taken: dict[CodeKey, TakenCode] = {}
        """What the kernel took of objects that the worker is asked for all the same."""
        self.is_full = False
        """Whether there was no room to ask for what the last sample needs."""
        self.renamed = 0
        """How many objects had one name at the interrupt and another when they were read."""

    def inherit(self, parent: CodeObjects) -> None:
        """Takes over what the program of a parent knows."""
        self._shared = parent._share()
        self._known = {key: known for key, known in parent._known.items() if self._hold(_KEY_BYTES)}
        self._taken = {key: taken for key, taken in parent._taken.items() if self._hold(_KEY_BYTES)}

    def close(self) -> None:
        """Gives everything back."""
        self._shared = None
        self._allowance.give_all_back()

    def take(self, name: TakenName) -> CodeKey | None:
        """Takes in what the kernel took of a code object; its key, if that is all that is wanted of it."""
        key = name.address, name.checksum
        name_code = NAMERS.get(capture_kind(name.address))
        taken = name_code(name) if name_code is not None else None
        if taken is None or self._find(key) is not None:
            return None
        if taken.is_whole and not self._lines:
            return key if self._know(key, taken.code) else None
        if self._hold(_KEY_BYTES):
            self._taken[key] = taken
        return None

    def missing(self, sample: RawSample, gone: Gone) -> list[CodeKey]:
        """What `sample` needs and is neither known nor `gone`, leaf first."""
        known, shared = self._known, self._shared_known()
        missing: dict[CodeKey, RawFrame] = {}
        for frame in sample.interpreter:
            address, _, checksum, _ = frame
            key = address, checksum
            if key in known or key in shared or key in gone or address >= FIRST_ANNOTATION:
                continue
            missing[key] = frame
        self.is_full = False
        for key, frame in missing.items():
            if key in self._unread or self._hold(_KEY_BYTES):
                self._unread[key] = frame._replace(position=0)
            else:
                self.is_full = True
        return list(missing)

    def ask(self, keys: Iterable[CodeKey]) -> tuple[list[CodeKey], tuple[RawFrame, ...]]:
        """Those of `keys` that were not asked for before, and what to ask the worker for them."""
        asked = [key for key in keys if key not in self._asked and key in self._unread]
        self._asked.update(asked)
        return asked, tuple(self._unread[key] for key in asked)

    def learn(self, keys: Sequence[CodeKey], found: Sequence[CodeObject | Reason]) -> Gone:
        """Takes in the answer about `keys`; those of them that failed, each with its reason.

        An answer may be about the first of them only: the others are to be asked for again.
        """
        self._asked.difference_update(keys)
        for key, result in zip(keys, found, strict=False):
            if isinstance(result, CodeObject):
                if not self._know(key, self._as_taken(key, result)):
                    self._failed[key] = Reason.OVER_BUDGET
            elif not self.fall_back(key, result):
                self._failed[key] = result
            if result is not Reason.WOULD_FAULT and self._unread.pop(key, None) is not None:
                self._let_go(0 if key in self._failed else _KEY_BYTES)
        return {key: self._failed[key] for key in keys if key in self._failed}

    def fall_back(self, key: CodeKey, reason: Reason) -> bool:
        """Makes do with what the kernel took of an object that can't be read; whether that will do.

        If only its lines are lacking, they are not worth the samples that wait for them.
        """
        taken = self._taken.get(key)
        if taken is None or not (taken.is_whole or reason in (Reason.CHANGED, Reason.EXITED)):
            return False
        del self._taken[key]
        return self._know(key, taken.code, has_lines=False)

    def why(self, key: CodeKey, otherwise: Reason) -> Reason:
        """Why the last attempt to read `key` failed; `otherwise` where there was none."""
        return self._failed.get(key, otherwise)

    def runs(self, sample: RawSample, gone: Gone) -> list[Run]:
        """The interpreter's frames by name, leaf first, by the calls of evaluation loops that run them.

        There is a marker in the place of each that is `gone`.
        """
        runs: list[Run] = []
        language, frames = "", list[Frame | RunningLine]()
        last_kind = -1
        shown_above = False
        own, shared = self._known, self._shared_known()
        for raw in sample.interpreter:
            address, position, checksum, _ = raw
            key = address, checksum
            kind = address >> CAPTURE_KIND_SHIFT
            if kind != last_kind:
                last_kind = kind
                of = LANGUAGE_OF_KIND.get(kind, language)
                if language and of != language and frames:
                    runs.append(Run(language, tuple(frames)))
                    frames.clear()
                language = of
            known = own.get(key) or shared.get(key)
            if known is None:
                annotation = _MARKERS.get(kind)
                marker = PLACEHOLDERS[gone[key]] if key in gone else annotation
                frames += [marker] if marker is not None else []
                shown_above = shown_above and key not in gone
            else:
                if not shown_above:
                    line = known.code.line_at(raw.distance) if known.has_lines else 0
                    frames.append(RunningLine(known.definition, line) if line else known.definition)
                shown_above = known.stands_for_caller
            if position & ENTERED and address < FIRST_ANNOTATION:
                runs.append(Run(language, tuple(frames)))
                frames.clear()
        return [*runs, Run(language, tuple(frames))] if frames else runs

    def beside(self, sample: RawSample, gone: Gone) -> Frame | None:
        """The named function next to the first frame of `sample` that is `gone`, or to where its walk ended.

        It is the nearest caller, or else the nearest callee.
        """
        keys = [key_of(frame) for frame in sample.interpreter]
        first = next((at for at, key in enumerate(keys) if key in gone), len(keys))
        near = (*keys[first:], *reversed(keys[:first]))
        found = (self._find(key) for key in near)
        return next((known.definition for known in found if known is not None), None)

    def _find(self, key: CodeKey) -> _Known | None:
        return self._known.get(key) or self._shared_known().get(key)

    def _shared_known(self) -> Mapping[CodeKey, _Known]:
        return self._shared.known if self._shared is not None else _NOTHING_SHARED

    def _know(self, key: CodeKey, code: CodeObject, *, has_lines: bool = True) -> bool:
        """Keeps what is known of `key`; False where there is no room, not even without its lines."""
        definition = Frame(code.kind, code.name, code.file, code.first_line)
        known = _Known(code, definition, has_lines and self._lines, code.stands_for_caller)
        if not self._hold(known.size_bytes()):
            known = known._replace(code=replace(code, starts=(), lines=()), has_lines=False)
            if not self._hold(known.size_bytes()):
                return False
        if key in self._known:
            self._let_go(self._known[key].size_bytes())
        self._known[key] = known
        if self._failed.pop(key, None) is not None:
            self._let_go(_KEY_BYTES)
        return True

    def _share(self) -> _Shared | None:
        """What a fork shares with this program; the few objects that were learnt since are not in it."""
        before = self._shared_known()
        if len(self._known) > max(_LEAST_DELTA, len(before) // 8):
            shared = _Shared({**before, **self._known}, self._allowance.above or self._allowance)
            if shared.is_allowed:
                self._let_go(sum(each.size_bytes() for each in self._known.values()))
                self._shared, self._known = shared, {}
        return self._shared

    def _hold(self, size_bytes: int) -> bool:
        """Whether there is room for so much more, which then counts; all that is known may go for it."""
        if not self._allowance.take(size_bytes):
            if self._held_bytes < _WORTH_CLEARING_BYTES:
                return False
            self._known.clear()
            self._taken.clear()
            self._failed.clear()
            self._let_go(self._held_bytes - _KEY_BYTES * len(self._unread))
            if not self._allowance.take(size_bytes):
                return False
        self._held_bytes += size_bytes
        return True

    def _let_go(self, size_bytes: int) -> None:
        size_bytes = min(size_bytes, self._held_bytes)
        self._held_bytes -= size_bytes
        self._allowance.give_back(size_bytes)

    def _as_taken(self, key: CodeKey, read: CodeObject) -> CodeObject:
        """`read`, under the name that it had at the interrupt: an object may be given another one later."""
        taken = self._taken.pop(key, None)
        if taken is None or not taken.is_whole:
            return read
        named = replace(read, name=taken.code.name, file=taken.code.file)
        self.renamed += named != read
        return named


def partial_of(sample: RawSample, gone: Gone, unseen: Reason | None = None) -> Partial | None:
    """What the stack of `sample` lacks, None if it is whole; the reason is of the frame nearest the leaf.

    `unseen`: why nothing is known about its native frames.
    """
    if unseen is not None:
        return Partial(unseen, leaf=not sample.kernel)
    reasons = reasons_of(sample, gone)
    if reasons:
        leaf = sample.leaf()
        return Partial(reasons[0], leaf=leaf is not None and key_of(leaf) in gone)
    if sample.walk_status == WalkStatus.FAULT:
        return Partial(Reason.WOULD_FAULT, leaf=sample.leaf() is None)
    return None


def reasons_of(sample: RawSample, gone: Gone) -> list[Reason]:
    """Why frames of `sample` have no name, leaf first; mostly nothing."""
    if not gone:
        return []
    return [gone[key] for key in map(key_of, sample.interpreter) if key in gone]


def key_of(frame: RawFrame) -> CodeKey:
    """What identifies the code object of `frame` in its process."""
    return frame.address, frame.checksum
