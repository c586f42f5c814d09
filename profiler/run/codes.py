"""The code objects of one program: which are known, which are asked for, and which are gone.

Most are known from the interrupt at which they were first seen, when the kernel took their names. The
worker is asked for what the kernel left, and for line tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from profiler.capture.records import RawSample
from profiler.capture.wire import WalkStatus
from profiler.run.stacks import Partial
from symbolizers.errors import Reason
from symbolizers.frame import FIRST_ANNOTATION, MARKER, CodeObject, Frame, RawFrame, capture_kind
from symbolizers.registry import MARKERS, NAMERS
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
_MAX_CODES = 200_000
_MAX_INHERITED = 10_000
"""Code objects that a fork takes over from its parent; one with more is asked itself."""


class CodeObjects:
    """Code objects by key. Lifetime: one program. With `lines`, frames show the line that runs."""

    def __init__(self, *, lines: bool) -> None:
        self._lines = lines
        self._known: dict[CodeKey, CodeObject] = {}
        self._definitions: dict[CodeKey, Frame] = {}
        self._failed: dict[CodeKey, Reason] = {}
        self._unread: dict[CodeKey, RawFrame] = {}
        """As last captured: where an object has copies, their owners differ, and the last one still lives."""
        self._asked: set[CodeKey] = set()
        self._taken: dict[CodeKey, TakenCode] = {}
        """What the kernel took of objects that the worker is asked for all the same."""
        self.lineless = 0
        """How many objects are known by name, but were gone before their line table could be read."""
        self.renamed = 0
        """How many objects had one name at the interrupt and another when they were read."""

    def inherit(self, parent: CodeObjects) -> None:
        """Takes over what the program of a parent knows."""
        if len(parent._known) <= _MAX_INHERITED:
            self._known.update(parent._known)
            self._definitions.update(parent._definitions)
            self._taken.update(parent._taken)

    def take(self, name: TakenName) -> CodeKey | None:
        """Takes in what the kernel took of a code object; its key, if that is all that is wanted of it."""
        key = name.address, name.checksum
        name_code = NAMERS.get(capture_kind(name.address))
        taken = name_code(name) if name_code is not None else None
        if taken is None or key in self._known:
            return None
        if taken.is_whole and not self._lines:
            self._know(key, taken.code)
            return key
        if len(self._taken) < _MAX_CODES:
            self._taken[key] = taken
        return None

    def missing(self, sample: RawSample, gone: Gone) -> list[CodeKey]:
        """What `sample` needs and is neither known nor `gone`, leaf first."""
        frames = {key_of(frame): frame for frame in sample.interpreter if frame.address < FIRST_ANNOTATION}
        missing = [key for key in frames if key not in self._known and key not in gone]
        self._unread.update((key, frames[key]._replace(position=0)) for key in missing)
        return missing

    def ask(self, keys: Iterable[CodeKey]) -> tuple[list[CodeKey], tuple[RawFrame, ...]]:
        """Those of `keys` that were not asked for before, and what to ask the worker for them."""
        asked = [key for key in keys if key not in self._asked]
        self._asked.update(asked)
        return asked, tuple(self._unread[key] for key in asked)

    def learn(self, keys: Sequence[CodeKey], found: Sequence[CodeObject | Reason]) -> Gone:
        """Takes in the answer about `keys`; those of them that failed, each with its reason."""
        self._asked.difference_update(keys)
        for key, result in zip(keys, found, strict=True):
            if result is not Reason.WOULD_FAULT:
                self._unread.pop(key, None)
            if isinstance(result, CodeObject):
                self._know(key, self._as_taken(key, result))
            elif not self.fall_back(key, result):
                self._failed[key] = result
        return {key: self._failed[key] for key in keys if key in self._failed}

    def fall_back(self, key: CodeKey, reason: Reason) -> bool:
        """Makes do with what the kernel took of an object that is gone for good; whether it took anything."""
        if reason not in (Reason.CHANGED, Reason.EXITED) or key not in self._taken:
            return False
        code = self._taken.pop(key).code
        if self._lines:  # the first line is not the one that ran
            code = replace(code, first_line=0)
            self.lineless += 1
        self._know(key, code)
        return True

    def why(self, key: CodeKey, otherwise: Reason) -> Reason:
        """Why the last attempt to read `key` failed; `otherwise` where there was none."""
        return self._failed.get(key, otherwise)

    def frames(self, sample: RawSample, gone: Gone) -> list[Frame]:
        """The interpreter's frames by name, leaf first; a marker in the place of each that is `gone`."""
        frames: list[Frame] = []
        shown_above = False
        for raw in sample.interpreter:
            key = key_of(raw)
            code = self._known.get(key)
            if code is None:
                annotation = _MARKERS.get(capture_kind(raw.address))
                marker = PLACEHOLDERS[gone[key]] if key in gone else annotation
                frames += [marker] if marker is not None else []
                shown_above = shown_above and key not in gone
                continue
            if not shown_above and self._lines:
                frames.append(Frame(code.kind, code.name, code.file, code.line_at(raw.position)))
            elif not shown_above:
                frames.append(self._definitions[key])
            shown_above = code.stands_for_caller
        return frames

    def beside(self, sample: RawSample, gone: Gone) -> Frame | None:
        """The named function next to the first frame of `sample` that is `gone`, or to where its walk ended.

        It is the nearest caller, or else the nearest callee.
        """
        keys = [key_of(frame) for frame in sample.interpreter]
        first = next((at for at, key in enumerate(keys) if key in gone), len(keys))
        near = (*keys[first:], *reversed(keys[:first]))
        return next((self._definitions[key] for key in near if key in self._definitions), None)

    def _know(self, key: CodeKey, code: CodeObject) -> None:
        if len(self._known) > _MAX_CODES:
            self._known.clear()
            self._definitions.clear()
        self._known[key] = code
        self._definitions[key] = Frame(code.kind, code.name, code.file, code.first_line)
        self._failed.pop(key, None)

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
