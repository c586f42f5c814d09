"""Stacks in the order in which they are shown, and the boxes that they make over a line of samples.

What targets run may make millions of frames. So no tree is built: stacks are tuples of numbers, sorted, and a
box is done as soon as a stack comes that does not go through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from profiler.export.text import frame_text, root_name, root_text, thread_text
from profiler.profile.model import Sample
from symbolizers.frame import Frame

TOTAL = "all"
MAX_BOXES = 50_000
"""The most that are drawn: 15 MB of SVG, which browsers still show."""


class Level(NamedTuple):
    """A process, a thread or a frame, as its text. Those of equal text, among siblings, are one.

    `order` sorts it among its siblings: by text, processes of one name by pid, threads by tid. `kind` is a
    frame's; None for others.
    """

    order: tuple[str, int]
    text: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Stacks:
    """`sorted`: distinct stacks, root first, as indices in `levels`, and how many samples show each."""

    levels: Sequence[Level]
    sorted: Sequence[tuple[tuple[int, ...], int]]


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the call tree in its place: `start` and `count` in samples, `depth` 0 for the total.

    `count` includes the callees', `self_count` doesn't.
    """

    text: str
    kind: str | None
    depth: int
    start: int
    count: int
    self_count: int


def sort_stacks(samples: Sequence[Sample]) -> Stacks:
    """The stacks of `samples` by their texts; those of equal texts are one, with the sum of their counts."""
    level_of = cache(_frame_level)
    kinds: dict[tuple[tuple[str, int], str], str | None] = {}
    for sample in samples:
        for level in _levels(sample, level_of):
            kinds.setdefault((level.order, level.text), level.kind)
    keys = sorted(kinds)
    ranks = {key: rank for rank, key in enumerate(keys)}
    counts: Counter[tuple[int, ...]] = Counter()
    for sample in samples:
        stack = tuple(ranks[level.order, level.text] for level in _levels(sample, level_of))
        counts[stack] += sample.count
    levels = [Level(*key, kinds[key]) for key in keys]
    # What a function spends itself comes behind all that it calls.
    return Stacks(levels, sorted(counts.items(), key=lambda item: (*item[0], len(levels))))


def lay_out(stacks: Stacks, min_share: float, most: int = MAX_BOXES) -> tuple[list[Box], int]:
    """The boxes, callers before callees and left before right, and how many frames were left out.

    A box that holds less than `min_share` of the total is left out, and so are the narrowest ones, and of
    these the deepest, beyond the `most`; their places stay empty, so that no other box moves.
    """
    sizes = Counter((-box.count, box.depth) for box in _boxes(stacks))
    total = sum(count for _, count in stacks.sorted)
    kept = {size for size in sizes if -size[0] >= min_share * total}
    room = most
    for size in sorted(kept):
        room -= sizes[size]
        if room < 0:
            kept.discard(size)
    boxes = [box for box in _boxes(stacks) if (-box.count, box.depth) in kept]
    boxes.sort(key=lambda box: (box.start, box.depth))
    return boxes, sizes.total() - len(boxes)


def _levels(sample: Sample, level_of: Callable[[Frame], Level]) -> Iterator[Level]:
    root = sample.root
    yield Level((root_name(root), root.pid or -root.processes), root_text(root))
    if sample.thread is not None:
        text = thread_text(sample.thread)
        yield Level((text.rpartition(" ")[0], sample.thread.tid), text)
    yield from map(level_of, sample.frames)


def _frame_level(frame: Frame) -> Level:
    text = frame_text(frame)
    return Level((text, 0), text, frame.kind)


def _shared(path: tuple[int, ...], stack: tuple[int, ...]) -> int:
    """How many levels from the root on are the same."""
    pairs = enumerate(zip(path, stack, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(path), len(stack)))


def _boxes(stacks: Stacks) -> Iterator[Box]:
    """Every box, callees before callers."""
    path: tuple[int, ...] = ()
    starts: list[int] = []
    own: list[int] = []
    end = 0

    def box(depth: int) -> Box:
        level = stacks.levels[path[depth]]
        return Box(level.text, level.kind, depth + 1, starts[depth], end - starts[depth], own[depth])

    for stack, count in stacks.sorted:
        shared = _shared(path, stack)
        for depth in range(len(path) - 1, shared - 1, -1):
            yield box(depth)
        del starts[shared:], own[shared:]
        path = stack
        starts += [end] * (len(stack) - shared)
        own += [0] * (len(stack) - shared)
        own[-1] += count
        end += count
    for depth in range(len(path) - 1, -1, -1):
        yield box(depth)
    if end:
        yield Box(TOTAL, None, 0, 0, end, 0)
