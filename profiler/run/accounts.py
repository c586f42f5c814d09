"""What is counted for one process, and for all those of a program that have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct, field

from profiler.capture.records import Repeated
from profiler.profile.model import NativeEnd, Process, Root
from profiler.run.allowance import Allowance
from profiler.run.journal import Rows
from profiler.run.packed import Packed, PackedStacks
from profiler.run.significance import Evidence, Traits
from symbolizers.errors import Reason
from symbolizers.frame import Frame
from symbolizers.process.description import Description

_MAX_HIT = 1024
"""Functions of one process that are counted as hit by losses."""
_MAX_NOTES = 20
_LEAST_PACKED = 16
"""Stacks of one account: fewer take more when packed."""
_LEAST_UNSETTLED = 4096
_STACK_BYTES, _ELEMENT_BYTES = 300, 8
_TEXT_BYTES = 60
"""What a text takes besides its characters."""


_NOTHING_KNOWN = Description()


class StackKey(NamedTuple):
    """A stack of a process, root first."""

    tid: int
    """0 unless threads are told apart."""
    elements: tuple[int, ...]
    """By their numbers."""


class Count(Struct):
    """The samples that show a stack, and those among them that are partial."""

    key: StackKey
    samples: int = 0
    partial: int = 0
    size_bytes: int = 0
    """What the stack takes of an allowance, its addresses included."""
    number: int = 0
    """What the journal calls the stack."""
    before: int = -1
    """Its samples when stacks were last packed."""
    is_packed: bool = False
    """Whether it counts no more: its samples are packed, see `Account.unpacked`."""


def stack_bytes(elements: int) -> int:
    """What a stack of so many elements takes, without them."""
    return _STACK_BYTES + _ELEMENT_BYTES * elements


class Ended(NamedTuple):
    """What processes that have ended have in common, if they count together."""

    comm: bytes
    user: int
    container: str = ""
    """Where containers are shown."""


class Account(Struct):
    """The samples of a process, or of several that have ended; `pid` is that of one of them."""

    root: Root
    pid: int
    user: int
    allowance: Allowance
    samples: int = 0
    stacks: dict[StackKey, Count] = field(default_factory=dict)
    packed: PackedStacks = field(default_factory=PackedStacks)
    """More stacks, and earlier samples of the same."""
    dropped: Counter[Reason] = field(default_factory=Counter)
    partial: Counter[Reason] = field(default_factory=Counter)
    leafless: int = 0
    native: Counter[NativeEnd] = field(default_factory=Counter)
    hit: Counter[Frame] = field(default_factory=Counter)
    evidence: Evidence = field(default_factory=Evidence)
    threads: dict[int, bytes] = field(default_factory=dict)
    """The last names of its threads, by tid, where they are told apart."""
    notes: dict[str, None] = field(default_factory=dict)
    """What a person should know about it."""
    parent: int = 0
    """The pid of what started it."""
    description: Description = _NOTHING_KNOWN
    interpreters: str = ""
    """As `Process` has it."""
    named_ns: int = 0
    """When the sample was taken that has told the root."""

    def name(self, root: Root, time_ns: int) -> None:
        """A sample of that time (CLOCK_MONOTONIC) has this root; the latest one counts."""
        if time_ns >= self.named_ns:
            self.root, self.named_ns = root, time_ns

    def describe(self, description: Description) -> None:
        """Keeps what is known of it, in the place of what was known before."""
        self.allowance.give_back(_size_of(self.description))
        if not self.allowance.take(_size_of(description)):
            description = Description()
        self.description = description

    def process(self) -> Process | None:
        """The process, if it is one alone."""
        if self.root.processes:
            return None
        facts = (self.pid, self.root.comm, self.parent, self.user, *self.description)
        return Process(*facts, interpreters=self.interpreters)

    def lacking(self) -> int:
        """How many of its samples don't say what ran."""
        return self.dropped.total() + self.leafless

    def blame(self, function: Frame, times: int = 1) -> None:
        """Counts `function` as next to a frame without a name."""
        if function in self.hit or len(self.hit) < _MAX_HIT:
            self.hit[function] += times

    def end(self, end: NativeEnd | None, samples: int = 1) -> None:
        """Counts how the native stacks of so many samples ended; None without one."""
        if end is not None:
            self.native[end] += samples

    def note(self, text: str) -> None:
        """Keeps the text, once."""
        if len(self.notes) < _MAX_NOTES:
            self.notes[text] = None

    def all_stacks(self) -> Iterator[Packed]:
        """Every stack; one may come several times, with other samples."""
        yield from self.packed
        for (tid, elements), count in self.stacks.items():
            yield Packed(tid, elements, count.samples, count.partial)

    def pack(self) -> None:
        """Packs the stacks that had no sample since this was called before."""
        idle = [
            (key, count)
            for key, count in self.stacks.items()
            if count.samples == count.before and count.size_bytes >= stack_bytes(len(key.elements))
        ]
        for count in self.stacks.values():
            count.before = count.samples
        if len(idle) < _LEAST_PACKED:
            return
        held_bytes = self.packed.size_bytes()
        self.packed.add(Packed(*key, count.samples, count.partial) for key, count in idle)
        for key, count in idle:
            count.is_packed = True
            del self.stacks[key]
        # It takes less than it did: addresses stay where they are.
        freed_bytes = sum(stack_bytes(len(key.elements)) for key, _ in idle)
        self.allowance.give_back(freed_bytes + held_bytes - self.packed.size_bytes())

    def unpacked(self, count: Count) -> Count:
        """Where more samples of a stack count that has been packed."""
        found = self.stacks.get(count.key)
        if found is None:
            size_bytes = stack_bytes(len(count.key.elements))
            held_bytes = size_bytes if self.allowance.take(size_bytes) else 0
            found = self.stacks[count.key] = Count(count.key, size_bytes=held_bytes, number=count.number)
        return found

    def take_over(
        self,
        other: Account,
        otherwise: tuple[int, ...],
        shown: Callable[[tuple[int, ...]], tuple[int, ...]],
    ) -> None:
        """Counts the samples of another one, too, without its threads, and under our own name.

        `shown` gives a stack as it is shown, which may be that of others, too. Stacks for which there is no
        room count as `otherwise`.
        """
        for _, elements, samples, partial in other.all_stacks():
            key = StackKey(0, shown(elements))
            own = self.stacks.get(key)
            if own is None:
                size_bytes = stack_bytes(len(key.elements))
                if self.allowance.take(size_bytes):
                    own = self.stacks[key] = Count(key, size_bytes=size_bytes)
                else:
                    key = StackKey(0, otherwise)
                    own = self.stacks.setdefault(key, Count(key))
            own.samples += samples
            own.partial += partial
        self.samples += other.samples
        self.dropped += other.dropped
        self.partial += other.partial
        self.leafless += other.leafless
        self.native += other.native
        for function, times in other.hit.items():
            self.blame(function, times)
        for text in other.notes:
            self.note(text)
        self.evidence.merge(other.evidence)
        self.root = self.root._replace(processes=self.root.processes + 1)


class HotProgram(NamedTuple):
    """The program with most samples so far: its command's name, its processes, and its share (0 to 1)."""

    comm: bytes
    processes: int
    share: float


def hottest_of(accounts: Iterable[tuple[Account, int]]) -> HotProgram | None:
    """Where most samples are; None without any. With each account comes how many it is still to get."""
    samples: Counter[bytes] = Counter()
    processes: Counter[bytes] = Counter()
    for account, more in accounts:
        samples[account.root.comm] += account.samples + more
        processes[account.root.comm] += account.root.processes or 1
    if not samples.total():
        return None
    comm, count = samples.most_common(1)[0]
    return HotProgram(comm, processes[comm], count / samples.total())


def _size_of(description: Description) -> int:
    """What it takes, beyond an empty one."""
    texts = [text for text in (description.executable, *description.command, description.container) if text]
    return sum(_TEXT_BYTES + len(text) for text in texts)


class Unsettled:
    """Tallies that hold samples which are in no account yet. Lifetime: one recording."""

    def __init__(self) -> None:
        self._tallies: list[Tally] = []
        self._most = _LEAST_UNSETTLED

    def add(self, tally: Tally) -> None:
        """Takes one in."""
        if len(self._tallies) >= self._most:  # programs bound the open ones
            self._tallies = [each for each in self._tallies if each.is_open]
            self._most = max(_LEAST_UNSETTLED, 2 * len(self._tallies))
        self._tallies.append(tally)

    def settle(self) -> None:
        """Brings all accounts up to date."""
        for tally in self._tallies:
            tally.settle()
        self._tallies.clear()


class Tally(Struct):
    """Where samples count that equal one whose stack is whole.

    With each of them a number in here changes, and nothing else: what else they touch would not be in the
    CPU's cache where there are many stacks. The account gets them before anybody reads it.
    """

    _unsettled: Unsettled
    _rows: Rows
    _thread: int
    _stack: int
    """What the rows call it."""
    _account: Account
    _root: Root
    _count: Count
    _traits: Traits
    _end: NativeEnd | None
    last_ns: int
    """As in `Counts`."""
    is_open: bool = True
    _samples: int = 0
    """Those that the account lacks."""

    def again(self, repeated: Repeated) -> None:
        """Counts these."""
        taken = repeated.taken
        self._rows.again(self._thread, self._stack, taken)
        if not self._samples:
            self._unsettled.add(self)
        self._samples += len(taken)
        self.last_ns = taken[-1][1]

    def settle(self) -> None:
        """Hands on to the account what was counted."""
        samples = self._samples
        if samples:
            if self._count.is_packed:
                self._count = self._account.unpacked(self._count)
            self._account.name(self._root, self.last_ns)
            self._account.samples += samples
            self._count.samples += samples
            self._account.end(self._end, samples)
            self._account.evidence.add(self._traits, lost=False, count=samples)
            self._samples = 0

    def close(self) -> None:
        """No more count here: the account may be merged with others."""
        self.settle()
        self.is_open = False
