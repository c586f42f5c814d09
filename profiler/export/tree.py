"""Stacks in the order in which they are shown, and the boxes that they make over a line of samples.

What targets run may make millions of frames. So no tree is built: stacks are tuples of numbers, sorted, and a
box is done as soon as a stack comes that does not go through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, compress, count
from operator import ne
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from profiler.export.text import (
    container_text,
    frame_text,
    root_name,
    root_text,
    thread_name,
    thread_text,
)
from profiler.profile.frames import distinct
from profiler.profile.model import Root, Sample, Thread
from symbolizers.frame import Frame

TOTAL = "all"
MAX_BOXES = 50_000
"""The most that are drawn: 20 MB of SVG, which browsers still show."""

# The kinds of a level that is no frame.
PROCESS: Final = "process"
PROGRAM: Final = "program"
"""Several processes of one name."""
THREAD: Final = "thread"


class Level(NamedTuple):
    """A container, a program, a process, a thread or a frame, as its text.

    Those of equal text, among siblings, are one.

    `order` sorts it among its siblings. `kind` is a frame's, or `PROGRAM`, `PROCESS` or `THREAD`.
    """

    order: tuple[int, str, int]
    text: str
    kind: str


OriginOf = Callable[[Root, Thread | None], tuple[Level, ...]]
"""What the frames of a process and its thread stand on, root first."""


class Stacks(Struct, frozen=True):
    """`sorted`: distinct stacks, root first, as indices in `levels`, and how many samples show each."""

    levels: Sequence[Level]
    sorted: Sequence[tuple[tuple[int, ...], int]]


class Box(Struct, frozen=True):
    """A node of the call tree in its place: `start` and `count` in samples, `depth` 0 for the total.

    `count` includes the callees', `self_count` doesn't. `kind` is the level's, or None.
    """

    text: str
    kind: str | None
    depth: int
    start: int
    count: int
    self_count: int


def by_process(root: Root, thread: Thread | None) -> tuple[Level, ...]:
    """The process, around it its container, on it the thread, where these are shown.

    They are in the order of their names, those of one name in that of their numbers.
    """
    levels = [Level((0, root_name(root), root.pid or -root.processes), root_text(root), PROCESS)]
    if root.container:
        text = container_text(root.container)
        levels.insert(0, Level((0, text, 0), text, PROCESS))
    if thread is not None:
        levels.append(Level((0, thread_name(thread), thread.tid), thread_text(thread), THREAD))
    return tuple(levels)


class StackSorter:
    """Sorts the stacks of samples, as often as there are ways to tell where they come from.

    Functions that one function calls are in the order of their names: two pictures of a program look alike.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        frames = distinct(samples)
        self._levels, number_of = _numbered({frame: _frame_level(frame) for frame in frames.values()})
        number = {at: number_of[frame] for at, frame in frames.items()}.__getitem__
        self._stacks = [tuple(map(number, map(id, sample.frames))) for sample in samples]

    def by(self, origin_of: OriginOf, only: Callable[[Root], bool] = lambda _: True) -> Stacks:
        """The stacks of `only` some processes by their texts; those of equal texts are one, with the sum."""
        origins = dict.fromkeys((sample.root, sample.thread) for sample in self._samples)
        paths = {origin: origin_of(*origin) for origin in origins if only(origin[0])}
        every = dict.fromkeys(chain.from_iterable(paths.values()))
        origin_levels, number_of = _numbered({level: level for level in every})
        behind = len(self._levels)  # the numbers of frames are the same for all origins
        bases = {
            origin: tuple(behind + number_of[level] for level in levels) for origin, levels in paths.items()
        }
        counts: Counter[tuple[int, ...]] = Counter()
        for sample, stack in zip(self._samples, self._stacks, strict=True):
            if base := bases.get((sample.root, sample.thread)):
                counts[base + stack] += sample.count
        levels = [*self._levels, *origin_levels]
        # What a function spends itself comes behind all that it calls.
        return Stacks(levels, sorted(counts.items(), key=lambda item: (*item[0], len(levels))))


def sort_stacks(samples: Sequence[Sample], origin_of: OriginOf = by_process) -> Stacks:
    """The stacks of `samples` by their texts; those of equal texts are one, with the sum of their counts."""
    return StackSorter(samples).by(origin_of)


def lay_out(stacks: Stacks, min_share: float, most: int = MAX_BOXES) -> tuple[list[Box], int]:
    """The boxes, callers before callees and left before right, and how many frames were left out.

    A box that holds less than `min_share` of the total is left out, and so are the narrowest ones, and of
    these the deepest, beyond the `most`; their places stay empty, so that no other box moves.
    """
    total = sum(samples for _, samples in stacks.sorted)
    if not total:
        return [], 0
    widest = _Widest(most)
    widest.add(_Place(0, 0, -1, total, 0))
    path: tuple[int, ...] = ()
    starts: list[int] = []
    own: list[int] = []
    end, boxes = 0, 1

    def close(shared: int) -> None:
        """Takes what ends here of the path; whatever stands on a narrow box is narrow, too."""
        for depth in range(shared, len(path)):
            samples = end - starts[depth]
            if samples < min_share * total:
                break
            widest.add(_Place(starts[depth], depth + 1, path[depth], samples, own[depth]))
        del starts[shared:], own[shared:]

    for stack, samples in stacks.sorted:
        shared = _shared(path, stack)
        close(shared)
        new = len(stack) - shared
        path = stack
        starts += [end] * new
        own += [0] * new
        own[-1] += samples
        end += samples
        boxes += new
    close(0)
    drawn = [_box(stacks.levels, place) for place in sorted(widest.places())]
    return drawn, boxes - len(drawn)


_T = TypeVar("_T", Frame, Level)


def _numbered(levels: Mapping[_T, Level]) -> tuple[list[Level], dict[_T, int]]:
    """The levels in their order, those of equal text once, and the number of each."""
    kinds: dict[tuple[tuple[int, str, int], str], str] = {}
    for level in levels.values():
        kinds.setdefault((level.order, level.text), level.kind)
    keys = sorted(kinds)
    numbers = {key: number for number, key in enumerate(keys)}
    numbered = {each: numbers[level.order, level.text] for each, level in levels.items()}
    return [Level(*key, kinds[key]) for key in keys], numbered


def _frame_level(frame: Frame) -> Level:
    text = frame_text(frame)
    return Level((0, text, 0), text, frame.kind)


def _shared(path: tuple[int, ...], stack: tuple[int, ...]) -> int:
    """How many levels from the root on are the same."""
    return next(compress(count(), map(ne, path, stack)), min(len(path), len(stack)))


class _Place(NamedTuple):
    """A box before its text is looked up; `level` is an index, -1 for the total."""

    start: int
    depth: int
    level: int
    samples: int
    own: int


def _box(levels: Sequence[Level], place: _Place) -> Box:
    text, kind = (TOTAL, PROCESS) if place.level < 0 else (levels[place.level].text, levels[place.level].kind)
    return Box(text, kind, place.depth, place.start, place.samples, place.own)


class _Widest:
    """The widest of all places, `most` of them; those of one width and depth are all there, or none is.

    It holds twice as many meanwhile.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[_Place] = []
        self._left_out: tuple[int, int] | None = None

    def add(self, place: _Place) -> None:
        if self._left_out is None or (-place.samples, place.depth) < self._left_out:
            self._places.append(place)
            if len(self._places) > 2 * self._most:
                self._prune()

    def places(self) -> Sequence[_Place]:
        self._prune()
        return self._places

    def _prune(self) -> None:
        sizes = Counter((-place.samples, place.depth) for place in self._places)
        room = self._most
        for size in sorted(sizes):
            room -= sizes[size]
            if room < 0:  # what is as wide, or less, has no room either, however many are still to come
                self._left_out = size
                self._places = [each for each in self._places if (-each.samples, each.depth) < size]
                return
