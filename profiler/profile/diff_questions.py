"""What is asked of recordings: how often each function and each place shows before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from profiler.profile.diff_judge import Counted
from profiler.profile.diff_tree import Called, Counts, Pair, Place, Tree
from profiler.profile.matching import Program
from profiler.profile.model import Losses
from profiler.profile.spread import dispersion
from symbolizers.frame import Frame


class Unseen:
    """The samples of one side that may have been of anything: `whole` in all, without a stack."""

    def __init__(self, losses: Losses, programs: Mapping[bytes, Program]) -> None:
        """With the program of each comm."""
        self.whole = sum(losses.dropped.values()) + losses.lost
        self._of_programs: Counter[Program] = Counter()
        for row in losses.per_process:
            count = sum(row.dropped.values()) + sum(row.partial.values())
            self._of_programs[programs[row.root.comm]] += count
        known = self._of_programs.total() + losses.lost
        self._of_any = losses.lost + max(0, self.whole + sum(losses.partial.values()) - known)

    def of(self, programs: Iterable[Program]) -> int:
        """Those that may have been of a function of these programs: dropped, partial, or just lost."""
        return self._of_any + sum(self._of_programs[program] for program in programs)


class Questions:
    """All that is asked, each question once.

    What shows as much as a part of it, before and after together, is the same samples, and so the same
    question: a caller that does nothing but call, or a function that is called in one place.
    """

    def __init__(
        self,
        tree: Tree,
        places: Sequence[Place],
        functions: Mapping[int, Called],
        unseen: tuple[Unseen, Unseen],
        of: tuple[Counts, Counts],
    ) -> None:
        """The samples of each recording that counts are parts of, before and after: `of`."""
        self.counted: list[Counted] = []
        self.of_places: list[int] = []
        self.of_functions: list[tuple[Frame, int, int]] = []
        """The function, the question about its own samples, and that about its total."""
        self._tree = tree
        self._unseen = unseen
        self._of = of
        self._befores = len(of[0])
        self._programs: dict[frozenset[int], Pair] = {}
        widest = self._ask_of_places(places)
        for level, called in functions.items():
            lost = self._lost(frozenset(called.programs))
            total = self._ask(called.total, lost, widest.get(level))
            own = self._ask(called.own, lost, total)
            function = tree.levels[level]
            assert isinstance(function, Frame)
            self.of_functions.append((function, own, total))

    def sides(self, counts: Counts) -> Pair:
        """The samples before and after."""
        return Pair(sum(counts[: self._befores]), sum(counts[self._befores :]))

    def _ask_of_places(self, places: Sequence[Place]) -> dict[int, int]:
        """Returns the question about the place of each function in which it has most samples."""
        path: list[int] = []
        program = -1
        widest: dict[int, int] = {}
        for place in places:
            if place.depth == 1:
                program = place.level
            whole = Pair(self._unseen[0].whole, self._unseen[1].whole)
            lost = self._lost(frozenset((program,))) if place.depth else whole
            del path[place.depth :]
            path.append(self._ask(place.total, lost, path[-1] if path else None))
            self.of_places.append(path[-1])
            if place.depth > 1:
                best = widest.setdefault(place.level, path[-1])
                if sum(self.counted[best].seen) < sum(place.total):
                    widest[place.level] = path[-1]
        return widest

    def _lost(self, programs: frozenset[int]) -> Pair:
        """The samples of each side that may have been of a function of these."""
        found = self._programs.get(programs)
        if found is None:
            named = [self._tree.levels[program] for program in programs]
            known = [each for each in named if isinstance(each, Program)]
            found = self._programs[programs] = Pair(*(each.of(known) for each in self._unseen))
        return found

    def _ask(self, counts: Counts, unseen: Pair, other: int | None) -> int:
        """The index of the question; that of the `other`, of which this is a part, or the other way round."""
        parts = counts[: self._befores], counts[self._befores :]
        groups = [list(zip(part, of, strict=True)) for part, of in zip(parts, self._of, strict=True)]
        counted = Counted(self.sides(counts), unseen, dispersion(groups))
        if other is not None:
            asked = self.counted[other]
            if sum(asked.seen) == sum(counted.seen) and asked.unseen == counted.unseen:
                return other
        self.counted.append(counted)
        return len(self.counted) - 1
