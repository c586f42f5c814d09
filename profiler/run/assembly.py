"""Puts the stack of one sample together of what is known about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.capture.wire import UserEnd, WalkStatus
from profiler.run.codes import PLACEHOLDERS
from profiler.run.stacks import CodeMap, Element, Loop, Partial, Run, interleave, merge, native_elements
from symbolizers.errors import Reason
from symbolizers.frame import Frame

_SAMPLE_BYTES, _FRAME_BYTES = 1000, 220
"""What a sample that waits takes, and each frame of it."""


def size_of(sample: RawSample) -> int:
    """What it takes while it waits, in bytes."""
    frames = len(sample.interpreter) + len(sample.user) + len(sample.kernel)
    return _SAMPLE_BYTES + _FRAME_BYTES * frames


def cut_in_generated(sample: RawSample, code: CodeMap) -> RawSample:
    """The sample; if its native stack seems to begin in generated code, as one whose callers nobody knows.

    Code that has no unwind information and keeps no frame pointer may have a 0 in its register, as roots do.
    """
    if sample.user_end != UserEnd.ROOT or not _outermost_is_generated(sample, code):
        return sample
    return replace(sample, user_end=int(UserEnd.LOST))


def ends_in_generated(sample: RawSample, code: CodeMap) -> bool:
    """Whether its native stack ends in generated code, of which nothing says what called it."""
    return sample.user_end in (UserEnd.LOST, UserEnd.FAULT) and _outermost_is_generated(sample, code)


def _outermost_is_generated(sample: RawSample, code: CodeMap) -> bool:
    if not sample.user:
        return False
    level = code.level(sample.user[-1] - (len(sample.user) > 1))
    return level is not None and (level.is_generated or type(level.element) is Frame)


class Parts(NamedTuple):
    """All but the addresses: these may become more, while the sample waits for an unwind table."""

    runs: Sequence[Run]
    """Its interpreters' frames, by name."""
    code: CodeMap
    loops: tuple[Loop, ...]
    unseen: Reason | None
    """Why frames may be missing."""
    lacks: Partial | None

    def elements(self, sample: RawSample) -> tuple[Element, ...]:
        """The stack of `sample`, root first."""
        interpreted = sample.leaf() is not None
        if interpreted:
            is_whole = sample.user_end == UserEnd.ROOT and not sample.lacks_table
            stack = interleave(self.runs, sample.user, self.code, self.loops, is_whole=is_whole)
        else:
            stack = native_elements(sample.user, self.code)
            stack += (frame for run in self.runs for frame in run.frames)
        if self.unseen is not None:
            stack.append(PLACEHOLDERS[self.unseen])
        truncated = sample.walk_status == WalkStatus.TRUNCATED or (
            not interpreted and sample.user_end == UserEnd.DEEP
        )
        return merge(stack, sample.kernel, truncated=truncated)
