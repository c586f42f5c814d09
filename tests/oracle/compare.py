"""Two walks of one stack, frame by frame."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from profiler.capture.wire import UserEnd
from symbolizers.inspection import CodeMapping
from tests.oracle.libdw import Followed, Libdw
from tests.oracle.taken import Taken

NO_TABLE = "table not there yet"
NO_MAPPINGS = "mappings unknown"
GENERATED = "in generated code"
ENDS = {
    UserEnd.LOST: "nothing says where the caller is",
    UserEnd.FAULT: "read would fault",
    UserEnd.DEEP: "too deep",
}
GOES_ON = ", but libdw goes on"
TO_GENERATED = "up to generated code"
TO_END_OF_COPY = "up to the end of the copy"


class Difference(NamedTuple):
    """Two walks that part behind the frame `level`."""

    taken: Taken
    followed: Followed
    level: int

    def where(self) -> str:
        """The file of the frame whose callers differ, and the offset in it."""
        address = self.taken.sample.user[self.level] - (self.level > 0)
        for mapping in self.taken.mappings:
            if mapping.start <= address < mapping.end:
                return f"{mapping.path.rpartition('/')[2]}+{address - mapping.start + mapping.offset:#x}"
        return f"{address:#x}"


@dataclass(slots=True)
class Compared:
    """What came out for some samples. The leaf is always the same: only its callers count as frames."""

    samples: int = 0
    """Those that were compared."""
    frames: int = 0
    """Of the longer of both walks."""
    agreeing: int = 0
    """Frames up to the first that differs."""
    partly: Counter[str] = field(default_factory=Counter)
    """Those of the compared samples that were not compared to their end, by reason."""
    others: Counter[str] = field(default_factory=Counter)
    """Samples that could not be compared, by reason."""
    differences: list[Difference] = field(default_factory=list)
    early: list[Difference] = field(default_factory=list)
    """Where our walk ended early and libdw's did not."""

    def agreement(self) -> float:
        """Per cent of the frames."""
        return 100 * self.agreeing / max(self.frames, 1)

    def add(self, taken: Taken, followed: Followed) -> None:
        """Compares one sample."""
        reason = self._compare(taken, followed)
        if reason:
            self.others[reason] += 1

    def _compare(self, taken: Taken, followed: Followed) -> str:
        """Returns why it can't be done; or an empty text."""
        sample = taken.sample
        if sample.lacks_table:
            return NO_TABLE
        ours, is_cut = _in_files(sample.user, taken.mappings)
        theirs, _ = _in_files(followed.addresses, taken.mappings)
        if not is_cut and sample.user_end != UserEnd.ROOT:
            if len(theirs) <= len(ours):
                return ENDS[UserEnd(sample.user_end)]
            self.early.append(Difference(taken, followed, len(ours) - 1))
            return ENDS[UserEnd(sample.user_end)] + GOES_ON
        if is_cut and len(ours) == 1:
            return GENERATED
        if followed.lacks_stack and len(theirs) < len(ours):
            self.partly[TO_END_OF_COPY] += 1
            ours = ours[: len(theirs)]
        elif is_cut:
            self.partly[TO_GENERATED] += 1
        self._count(Difference(taken, followed, 0), ours, theirs)
        return ""

    def _count(self, pair: Difference, ours: Sequence[int], theirs: Sequence[int]) -> None:
        pairs = zip(ours, theirs, strict=False)
        same = len(list(takewhile(lambda both: both[0] == both[1], pairs)))
        longer = max(len(ours), len(theirs))
        self.samples += 1
        self.frames += longer - 1
        self.agreeing += max(same - 1, 0)
        if same < longer:
            self.differences.append(pair._replace(level=max(same - 1, 0)))


def compared(taken: Iterable[Taken], libdw: Libdw) -> Compared:
    """All of these but threads of the kernel."""
    found = Compared()
    of_programs = [each for each in taken if each.registers]
    known = [each for each in of_programs if any(mapping.file for mapping in each.mappings)]
    if len(known) < len(of_programs):
        found.others[NO_MAPPINGS] = len(of_programs) - len(known)
    for each, followed in zip(known, libdw.follow(known), strict=True):
        found.add(each, followed)
    return found


def _in_files(stack: Sequence[int], mappings: Sequence[CodeMapping]) -> tuple[Sequence[int], bool]:
    """The frames up to the first that is in no file, that one included, and whether there is one.

    Generated code has no unwind information: which frames are behind it, each unwinder has to guess.
    """
    files = sorted((each.start, each.end) for each in mappings if each.file is not None)
    starts = [start for start, _ in files]
    for level, address in enumerate(stack):
        address -= level > 0
        at = bisect_right(starts, address) - 1
        if at < 0 or address >= files[at][1]:
            return stack[: level + 1], True
    return stack, False
