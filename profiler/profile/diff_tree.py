"""The call tree of several recordings at once, with what each of them has in every place.

As for the flame graph no tree is built, since what targets run may make millions of frames: stacks are tuples
of numbers, sorted, and a place is done as soon as a stack comes that does not lead through it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add, sub
from typing import NamedTuple

from msgspec import Struct, field

from profiler.profile.matching import Program
from profiler.profile.model import Sample
from symbolizers.frame import Frame

Level = Program | Frame
"""What stands in one place of a stack: its program, or a function, which is a frame without a line."""


class Pair(NamedTuple):
    """Samples before, and after."""

    before: int
    after: int


Counts = tuple[int, ...]
"""Samples in each recording."""


class Place(NamedTuple):
    """A place in the call tree: a function that was called on one way, or a program.

    `level` is an index in `Tree.levels`, -1 for the root of all, where `depth` is 0. `start` counts the
    samples of all recordings to the left. `own` are the samples of `total` that no callee has.
    """

    level: int
    depth: int
    start: int
    total: Counts
    own: Counts


class Called(Struct):
    """A function wherever it was called: its samples, and the programs that called it, as levels."""

    own: Counts
    """Without what it called."""
    total: Counts
    programs: set[int] = field(default_factory=set)


class Tree(Struct, frozen=True):
    """`stacks`: distinct ones, program first, as indices in `levels`, in their order, with their samples."""

    levels: Sequence[Level]
    stacks: Sequence[tuple[tuple[int, ...], Counts]]
    recordings: int

    def functions(self) -> dict[int, Called]:
        """All functions by their levels, in their order."""
        nothing = (0,) * self.recordings
        found: dict[int, Called] = defaultdict(lambda: Called(nothing, nothing))
        for stack, counts in self.stacks:
            for level in set(stack[1:]):  # once, however deep it recurses
                found[level].total = _sum(found[level].total, counts)
                found[level].programs.add(stack[0])
            if len(stack) > 1:
                found[stack[-1]].own = _sum(found[stack[-1]].own, counts)
        return dict(sorted(found.items()))

    def places(self, most: int) -> tuple[list[Place], int]:
        """Callers before callees and left before right, and how many were left out.

        Beyond the `most`, those of the fewest samples in all recordings are left out, of these the deepest.
        """
        left_out = 0
        places = _places(self.stacks, self.recordings)
        if sum(len(stack) for stack, _ in self.stacks) >= most:
            kept, left_out = self._widest(most)
            places = (place for place in places if (-sum(place.total), place.depth) in kept)
        return sorted(places, key=lambda place: (place.start, place.depth)), left_out

    def _widest(self, most: int) -> tuple[set[tuple[int, int]], int]:
        """Less the samples of the places that are kept, with their depths, and how many places are not."""
        sizes = Counter((-sum(place.total), place.depth) for place in _places(self.stacks, self.recordings))
        kept = set()
        room = most
        for size in sorted(sizes):
            if sizes[size] > room:
                break
            room -= sizes[size]
            kept.add(size)
        return kept, sizes.total() - (most - room)


def tree_of(recordings: Sequence[tuple[Sequence[Sample], Mapping[bytes, Program]]]) -> Tree:
    """The stacks of several recordings, each with the programs of its comms.

    Threads, pids and lines don't count. Siblings are in the order of their names and files.
    """
    frames = {frame for samples, _ in recordings for sample in samples for frame in sample.frames}
    functions = {frame: frame._replace(line=0) for frame in frames}
    known: set[Level] = {programs[sample.root.comm] for samples, programs in recordings for sample in samples}
    known.update(functions.values())
    levels = sorted(known, key=_order)
    ranks = {level: rank for rank, level in enumerate(levels)}
    rank_of = {frame: ranks[function] for frame, function in functions.items()}
    counts: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0] * len(recordings))
    for number, (samples, programs) in enumerate(recordings):
        for sample in samples:
            if sample.count > 0:
                stack = (ranks[programs[sample.root.comm]], *map(rank_of.__getitem__, sample.frames))
                counts[stack][number] += sample.count
    # What a function spends itself comes behind all that it calls.
    ordered = sorted(counts, key=lambda stack: (*stack, len(levels)))
    return Tree(levels, [(stack, tuple(counts[stack])) for stack in ordered], len(recordings))


def _order(level: Level) -> tuple[str, ...]:
    if isinstance(level, Program):
        return "", *(name.decode("utf-8", "backslashreplace") for name in level)
    return level.name, level.file, level.kind


def _places(stacks: Iterable[tuple[tuple[int, ...], Counts]], recordings: int) -> Iterator[Place]:
    """Every place, callees before callers."""
    path: tuple[int, ...] = ()
    nothing = (0,) * recordings
    # Of each place on the path, and of the root of all: the samples to the left of it, and its own ones.
    starts, own = [nothing], [nothing]
    end = nothing

    def closed(depth: int) -> Place:
        start = starts[depth]
        total = tuple(map(sub, end, start))
        return Place(path[depth - 1] if depth else -1, depth, sum(start), total, own[depth])

    for stack, counts in stacks:
        shared = _shared(path, stack)
        for depth in range(len(path), shared, -1):
            yield closed(depth)
        del starts[shared + 1 :], own[shared + 1 :]
        path = stack
        starts += [end] * (len(stack) - shared)
        own += [nothing] * (len(stack) - shared)
        own[-1] = _sum(own[-1], counts)
        end = _sum(end, counts)
    for depth in range(len(path), -1, -1):
        yield closed(depth)


def _sum(one: Counts, other: Counts) -> Counts:
    return tuple(map(add, one, other))


def _shared(path: tuple[int, ...], stack: tuple[int, ...]) -> int:
    """How many levels from the program on are the same."""
    pairs = enumerate(zip(path, stack, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(path), len(stack)))
