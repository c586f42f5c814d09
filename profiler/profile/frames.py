"""The frames of many stacks at once.

Frames are few objects that are in many stacks. To look each of a million up by its contents takes seconds,
and by its identity a tenth of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from msgspec.structs import replace

from profiler.profile.model import Sample
from symbolizers.frame import Frame
from symbolizers.registry import LANGUAGES

_INTERPRETED = frozenset(language.name for language in LANGUAGES)


def distinct(samples: Sequence[Sample]) -> dict[int, Frame]:
    """The frames in `samples`, by their `id`: as long as the samples live, no other object has it."""
    flat = [*chain.from_iterable(sample.frames for sample in samples)]
    return dict(zip(map(id, flat), flat, strict=True))


def with_line(frame: Frame, line: int) -> Frame:
    """An interpreted frame with the `line` that runs (0 if nobody knows it) instead of its first line."""
    return frame._replace(line=line) if frame.kind in _INTERPRETED else frame


def lineless(frames: Iterable[tuple[Frame, int]]) -> str:
    """A note on functions of which nobody knows which line ran; each has that line. Empty without any."""
    count = len({frame for frame, line in frames if frame.kind in _INTERPRETED and frame.line > 0 >= line})
    return f"{count} functions show no line: they were gone before it could be read" if count else ""


def with_frames(sample: Sample, shown: Mapping[int, Frame]) -> Sample:
    """The sample with what is `shown` in the place of its frames, by their `id`."""
    return replace(sample, frames=tuple(map(shown.__getitem__, map(id, sample.frames))))
