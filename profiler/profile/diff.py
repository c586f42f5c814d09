"""What differs between recordings of the same programs, and what of it chance and losses explain.

Pure. Samples of a function (or of a place in the call tree) in two recordings are two shares. docs/DIFF.md
says in full how they are judged, and why so:

- Two shares are compared by Fisher's exact test, and the interval of their difference is Newcombe's. Both
  hold for small counts.
- What was lost may all have been in that function. So the test is of the nearest shares that are possible,
  and the interval covers all of them.
- All tests of a comparison are corrected for together, by Holm's method, which is right however they depend
  on each other: frames are nested, and shares add up to one. Tests that could not be significant, whatever
  the split of their samples, don't count (Tarone).
- Samples are not quite independent. If the functions as a whole vary more from one recording to the other
  than independent samples would, then all counts are divided by that factor first. J. N. K. Rao and A. J.
  Scott, "A simple method for the analysis of clustered binary data", Biometrics 48, 1992, 577-585.
- Where a side has several recordings, the same is done for each function by how its share varies among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from math import sqrt
from statistics import NormalDist

from msgspec import Struct
from msgspec.structs import replace

from profiler.profile.diff_judge import Exposure, Outcome, judge
from profiler.profile.diff_questions import Questions, Unseen
from profiler.profile.diff_tree import Counts, Level, Pair, Place, Tree, tree_of
from profiler.profile.matching import matched
from profiler.profile.merge import merged
from profiler.profile.model import Profile
from profiler.profile.spread import spread
from symbolizers.frame import Frame

LEVEL = 0.05
"""The probability that a comparison of two recordings without any difference calls something different."""
MAX_NODES = 50_000


class Basis(str, Enum):
    """By what counts are normalised. The values are those of ``--by``."""

    SAMPLES = "samples"
    """By the samples taken: shares of all that ran."""
    TIME = "time"
    """By time: CPU seconds a second, so that 1.0 is one CPU."""


class Change(str, Enum):
    """The verdict on a difference."""

    NOISE = "noise"
    """Chance explains it."""
    DOUBTFUL = "doubtful"
    """Chance does not explain it, but the samples that were lost might."""
    UNSTEADY = "unsteady"
    """Neither explains it, but recordings of one side differ as much."""
    MORE = "more"
    LESS = "less"
    NEW = "new"
    """More, and not seen before."""
    GONE = "gone"
    """Less, and not seen after."""

    @property
    def significant(self) -> bool:
        """Whether nothing that is known explains it but a change of the program."""
        return self not in (Change.NOISE, Change.DOUBTFUL, Change.UNSTEADY)


class Difference(Struct, frozen=True):
    """One difference: samples, and what they mean by the comparison's `Basis`.

    `low` to `high` is the interval of ``share_after - share_before`` (95 %, of this difference alone),
    wherever the lost samples belong. `p` is corrected for all tests of the comparison; it is 1 where no split
    of the samples would be significant.
    """

    before: int
    after: int
    share_before: float
    share_after: float
    low: float
    high: float
    p: float
    verdict: Change

    @property
    def change(self) -> float:
        """How much greater the share is."""
        return self.share_after - self.share_before


class FunctionDifference(Struct, frozen=True):
    """A function, whoever called it, by name and file: its line is 0. `own` is without what it called."""

    function: Frame
    own: Difference
    total: Difference


class Node(Struct, frozen=True):
    """A place in the call tree. `parent` is an index in `Diff.nodes`, -1 for the root of all at 0.

    `level` is None there. `own` are its samples without callees, on which there is no verdict.
    """

    level: Level | None
    parent: int
    depth: int
    total: Difference
    own: Pair


class Diff(Struct, frozen=True, dict=True):
    """Recordings compared, ready for any exporter. `before` and `after` are without their samples.

    Several recordings of one side are merged there.
    """

    before: Profile
    after: Profile
    recordings: Pair
    """How many there are of each side."""
    by: Basis
    of: Pair
    """What counts are shares of: samples taken, seen or lost; by time, the ticks of all CPUs."""
    unit: float
    """What a share of 1 is by the basis: 1.0, or so many CPUs."""
    unseen: Pair
    """Samples without a stack: dropped or lost."""
    spread: float
    """How many times more the functions vary between the recordings than independent samples; at least 1."""
    tests: int
    """How many tests were corrected for."""
    functions: tuple[FunctionDifference, ...]
    """By name and file."""
    nodes: tuple[Node, ...]
    """Callers before callees, and siblings by name and file."""
    left_out: int = 0
    """Places of the call tree that are not among the `nodes`, since they have the fewest samples."""

    @cached_property
    def verdicts(self) -> Counter[Change]:
        """How many functions have which verdict, of their total, or of their own where that tells more."""
        return Counter(verdict_of(each) for each in self.functions)

    def detectable(self, share: float) -> float:
        """About how much such a share (by the basis) has to change to be found in half of all comparisons."""
        part = min(max(share / self.unit, 0.0), 1.0)
        z = NormalDist().inv_cdf(1 - LEVEL / 2 / self.tests)
        variance = self.spread * part * (1 - part) * sum(1 / max(each, 1) for each in self.of)
        lost = max(unseen / max(of, 1) for unseen, of in zip(self.unseen, self.of, strict=True))
        return self.unit * min(1.0, z * sqrt(variance) + lost)


def verdict_of(function: FunctionDifference) -> Change:
    """The verdict on the function as a whole: its total's if that is significant, else its own's."""
    total, own = function.total.verdict, function.own.verdict
    if total.significant or (total != Change.NOISE and not own.significant):
        return total
    return own


class WithoutTime(ValueError):
    """A recording can't be compared by time, since it does not say how long it took."""


def compare(before: Profile, after: Profile, by: Basis = Basis.SAMPLES) -> Diff:
    """Compares two recordings. Raises `WithoutTime` where time is asked for and one has none."""
    return compare_runs((before,), (after,), by)


def compare_runs(befores: Sequence[Profile], afters: Sequence[Profile], by: Basis = Basis.SAMPLES) -> Diff:
    """As `compare`, for one recording or several on each side."""
    before, after = merged(befores), merged(afters)
    programs = matched(before, after)
    tree = tree_of(
        [
            *((each.samples, programs[0]) for each in befores),
            *((each.samples, programs[1]) for each in afters),
        ]
    )
    unseen = Unseen(before.losses, programs[0]), Unseen(after.losses, programs[1])
    functions = tree.functions()
    places, left_out = tree.places(MAX_NODES)
    of, unit = _exposure((*befores, *afters), by)
    of_sides = of[: len(befores)], of[len(befores) :]
    questions = Questions(tree, places, functions, unseen, of_sides)
    sides = Pair(*map(sum, of_sides))
    exposure = Exposure(
        sides,
        Pair(unseen[0].whole, unseen[1].whole),
        spread([questions.sides(each.own) for each in functions.values()]),
    )
    outcomes, tests = judge(questions.counted, exposure, LEVEL)
    pairs = zip(questions.counted, outcomes, strict=True)
    differences = [_difference(counted.seen, sides, unit, outcome) for counted, outcome in pairs]
    return Diff(
        replace(before, samples=()),
        replace(after, samples=()),
        Pair(len(befores), len(afters)),
        by,
        sides,
        unit,
        exposure.unseen,
        exposure.spread,
        tests,
        tuple(
            FunctionDifference(function, differences[own], differences[total])
            for function, own, total in questions.of_functions
        ),
        _nodes(questions, tree, places, [differences[index] for index in questions.of_places]),
        left_out,
    )


def _exposure(profiles: Sequence[Profile], by: Basis) -> tuple[Counts, float]:
    """What counts of each recording are parts of, and `Diff.unit`."""
    # A profile that is not from us may have more samples than it says.
    taken = tuple(
        max(each.losses.samples + each.losses.lost, sum(sample.count for sample in each.samples))
        for each in profiles
    )
    if by == Basis.SAMPLES:
        return taken, 1.0
    cpus = max(1, *(each.cpus for each in profiles))
    ticks = [round(each.duration_s * each.frequency_hz * cpus) for each in profiles]
    if min(ticks) <= 0:
        raise WithoutTime("a recording without a duration or a frequency can't be compared by time")
    return tuple(map(max, ticks, taken)), float(cpus)


def _difference(seen: Pair, of: Pair, unit: float, outcome: Outcome) -> Difference:
    before, after = (unit * count / whole if whole else 0.0 for count, whole in zip(seen, of, strict=True))
    if outcome.p < LEVEL:
        more = Change.MORE if seen.before else Change.NEW
        less = Change.LESS if seen.after else Change.GONE
        verdict = more if after > before else less
    elif outcome.p_if_steady < LEVEL:
        verdict = Change.UNSTEADY
    else:
        verdict = Change.DOUBTFUL if outcome.p_if_like < LEVEL else Change.NOISE
    return Difference(*seen, before, after, unit * outcome.low, unit * outcome.high, outcome.p, verdict)


def _nodes(
    questions: Questions, tree: Tree, places: Sequence[Place], differences: Sequence[Difference]
) -> tuple[Node, ...]:
    nodes: list[Node] = []
    path: list[int] = []
    for index, (place, total) in enumerate(zip(places, differences, strict=True)):
        del path[place.depth :]
        parent = path[-1] if path else -1
        path.append(index)
        above = nodes[parent].total.verdict if path[:-1] else None
        # What is called by something new is new, however few samples show it.
        if (above == Change.NEW and not total.before) or (above == Change.GONE and not total.after):
            total = replace(total, verdict=above)
        level = tree.levels[place.level] if place.depth else None
        nodes.append(Node(level, parent, place.depth, total, questions.sides(place.own)))
    return tuple(nodes)
