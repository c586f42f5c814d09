"""What is counted for one process, and for all those of a program that have ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from profiler.profile.model import Root
from profiler.run.allowance import Allowance
from profiler.run.significance import Evidence, Traits
from symbolizers.errors import Reason
from symbolizers.frame import Frame

_MAX_HIT = 1024
"""Functions of one process that are counted as hit by losses."""
_MAX_NOTES = 20


class StackKey(NamedTuple):
    """A stack of a process, root first."""

    tid: int
    """0 unless threads are told apart."""
    elements: tuple[int, ...]
    """By their numbers."""


@dataclass(slots=True)
class Count:
    """The samples that show a stack, and those among them that are partial."""

    samples: int = 0
    partial: int = 0
    size_bytes: int = 0
    """What the stack takes, its addresses included."""


class Ended(NamedTuple):
    """What processes that have ended have in common, if they count together."""

    comm: bytes
    user: int


@dataclass(slots=True)
class Account:
    """The samples of a process, or of several that have ended; `pid` is that of one of them."""

    root: Root
    pid: int
    user: int
    allowance: Allowance
    samples: int = 0
    stacks: dict[StackKey, Count] = field(default_factory=dict)
    dropped: Counter[Reason] = field(default_factory=Counter)
    partial: Counter[Reason] = field(default_factory=Counter)
    leafless: int = 0
    hit: Counter[Frame] = field(default_factory=Counter)
    evidence: Evidence = field(default_factory=Evidence)
    threads: dict[int, bytes] = field(default_factory=dict)
    """The last names of its threads, by tid, where they are told apart."""
    notes: dict[str, None] = field(default_factory=dict)
    """What a person should know about it."""

    def lacking(self) -> int:
        """How many of its samples don't say what ran."""
        return self.dropped.total() + self.leafless

    def blame(self, function: Frame, times: int = 1) -> None:
        """Counts `function` as next to a frame without a name."""
        if function in self.hit or len(self.hit) < _MAX_HIT:
            self.hit[function] += times

    def note(self, text: str) -> None:
        """Keeps the text, once."""
        if len(self.notes) < _MAX_NOTES:
            self.notes[text] = None

    def take_over(self, other: Account, otherwise: tuple[int, ...]) -> None:
        """Counts the samples of another one, too, without its threads, and under our own name.

        Stacks for which there is no room count as `otherwise`.
        """
        for (_, elements), count in other.stacks.items():
            key = StackKey(0, elements)
            if key not in self.stacks and not self.allowance.take(count.size_bytes):
                key = StackKey(0, otherwise)
            own = self.stacks.setdefault(key, Count(size_bytes=count.size_bytes))
            own.samples += count.samples
            own.partial += count.partial
        self.samples += other.samples
        self.dropped += other.dropped
        self.partial += other.partial
        self.leafless += other.leafless
        for function, times in other.hit.items():
            self.blame(function, times)
        for text in other.notes:
            self.note(text)
        self.evidence.merge(other.evidence)
        self.root = self.root._replace(processes=self.root.processes + 1)


@dataclass(frozen=True, slots=True)
class Tally:
    """Where samples count that equal one whose stack is whole."""

    _account: Account
    _root: Root
    _count: Count
    _traits: Traits

    def again(self, samples: int) -> None:
        """Counts so many more."""
        self._account.root = self._root
        self._account.samples += samples
        self._count.samples += samples
        self._account.evidence.add(self._traits, lost=False, count=samples)
