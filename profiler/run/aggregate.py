"""Counts equal stacks and keeps the ledger of what was lost, by process and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from profiler.capture.records import RawSample
from profiler.profile.model import Losses, ProcessLosses, Root, Sample, Thread
from profiler.run.allowance import Allowance, Allowances
from profiler.run.codes import PLACEHOLDERS
from profiler.run.significance import Evidence, Traits, judge, judge_share, traits_of
from profiler.run.stacks import Element, NativeAddress, Partial
from symbolizers.errors import Reason
from symbolizers.frame import MARKER, Frame
from symbolizers.process.identity import ProcessId


@dataclass(slots=True)
class _Account:
    root: Root
    user: int
    allowance: Allowance
    samples: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    partial: Counter[Reason] = field(default_factory=Counter)
    leafless: int = 0
    hit: Counter[Frame] = field(default_factory=Counter)
    evidence: Evidence = field(default_factory=Evidence)
    threads: dict[int, bytes] = field(default_factory=dict)
    """The last names of its threads, by tid, where they are told apart."""

    def lacking(self) -> int:
        """How many of its samples don't say what ran."""
        return self.dropped.total() + self.leafless


_DROPPED = {reason: Frame(MARKER, f"[dropped: {reason.value.replace('_', ' ')}]") for reason in Reason}
_MAX_HIT = 1024
"""Functions of one process that are counted as hit by losses."""
_SHOWN_HIT = 3
_STACK_BYTES, _ELEMENT_BYTES, _ADDRESS_BYTES = 300, 8, 320
"""What a stack takes, each element of it, and an address that is in none before."""
_TEXT_SHARE = 4
"""How many bytes of names, which a file repeats for each stack, count as one."""
_NO_NAMES: Mapping[tuple[int, int], str] = MappingProxyType({})


def _ignore(_address: NativeAddress, _pid: int, _user: int) -> None:
    pass


class _Stack(NamedTuple):
    process: ProcessId
    tid: int
    """0 unless threads are told apart."""
    elements: tuple[Element, ...]


@dataclass(slots=True)
class _Count:
    """The samples that show a stack, and those among them that are partial."""

    samples: int = 0
    partial: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Where samples count that equal one whose stack is whole."""

    _account: _Account
    _root: Root
    _count: _Count
    _traits: Traits

    def again(self, samples: int) -> None:
        """Counts so many more."""
        self._account.root = self._root
        self._account.samples += samples
        self._count.samples += samples
        self._account.evidence.add(self._traits, lost=False, count=samples)


class CountedStack(NamedTuple):
    """A stack, root first, how many samples show it, and whose process it is of."""

    elements: tuple[Element, ...]
    samples: int
    pid: int
    user: int


class Aggregator:
    """Takes every sample exactly once, as a stack or as a loss. Lifetime: one recording.

    With `keep_dropped`, a loss is a stack too: one frame that says why. With `threads`, equal stacks of two
    threads stay two.
    """

    def __init__(
        self,
        *,
        keep_dropped: bool = False,
        threads: bool = False,
        allowances: Allowances | None = None,
        on_address: Callable[[NativeAddress, int, int], None] = _ignore,
    ) -> None:
        """`on_address` is called with each new address, and the pid and the user that it was sampled in."""
        self._keep_dropped = keep_dropped
        self._threads = threads
        self._on_address = on_address
        self._allowances = allowances or Allowances()
        self._stacks: dict[_Stack, _Count] = {}
        self._addresses: dict[Element, Element] = {}
        """Each once, however many stacks it is in."""
        self._accounts: dict[ProcessId, _Account] = {}
        self._notes: dict[ProcessId, list[str]] = {}

    def add(self, sample: RawSample, elements: tuple[Element, ...], partial: Partial | None = None) -> Tally:
        """Counts a finished stack, root first, and what it lacks. The tally counts equal samples."""
        account = self._account(sample)
        if not self._has_room(account.allowance, sample, elements):
            elements = (PLACEHOLDERS[Reason.OVER_BUDGET], *elements[-1:])
            partial = partial or Partial(Reason.OVER_BUDGET, leaf=False)
        count = self._count(sample, elements)
        traits = traits_of(sample)
        count.samples += 1
        account.evidence.add(traits, lost=partial is not None and partial.leaf)
        if partial is not None:
            count.partial += 1
            account.partial[partial.reason] += 1
            account.leafless += partial.leaf
        return Tally(account, account.root, count, traits)

    def drop(self, sample: RawSample, reason: Reason) -> None:
        """Counts a sample that could not be named."""
        account = self._account(sample)
        account.dropped[reason] += 1
        account.evidence.add(traits_of(sample), lost=True)
        if self._keep_dropped:
            self._count(sample, (_DROPPED[reason],)).samples += 1

    def blame(self, process: ProcessId, function: Frame) -> None:
        """Counts `function` as next to a frame without a name, in a sample of `process` that was counted."""
        account = self._accounts.get(process)
        if account is not None and (function in account.hit or len(account.hit) < _MAX_HIT):
            account.hit[function] += 1

    def note(self, process: ProcessId, text: str) -> None:
        """Keeps something that a person should know about `process`."""
        notes = self._notes.setdefault(process, [])
        if text not in notes:
            notes.append(text)

    def stacks(self) -> Iterator[CountedStack]:
        """Every stack, to find out which of its elements still need names."""
        for stack, count in self._stacks.items():
            user = self._accounts[stack.process].user
            yield CountedStack(stack.elements, count.samples, stack.process.pid, user)

    def lack(self, lacking: Mapping[Element, Reason]) -> None:
        """Counts every stack with an element that has no name, for that reason, as partial."""
        for stack, count in self._stacks.items() if lacking else ():
            reasons = [lacking[each] for each in stack.elements if each in lacking]
            if reasons:
                account = self._accounts[stack.process]
                whole = count.samples - count.partial
                account.partial[reasons[-1]] += whole
                account.leafless += whole if stack.elements[-1] in lacking else 0

    def samples(
        self, names: Mapping[Element, Frame], thread_names: Mapping[tuple[int, int], str] = _NO_NAMES
    ) -> tuple[Sample, ...]:
        """The stacks with every element named (by `names` unless it is a frame already), merged anew.

        `thread_names`: what languages call threads, by pid and tid.
        """
        named: Counter[tuple[Root, Thread | None, tuple[Frame, ...]]] = Counter()
        for (process, tid, elements), count in self._stacks.items():
            frames = tuple(each if isinstance(each, Frame) else names[each] for each in elements)
            account = self._accounts[process]
            comm = account.threads.get(tid)
            name = thread_names.get((process.pid, tid), "")
            thread = Thread(comm, tid, name) if comm is not None else None
            named[account.root, thread, frames] += count.samples
        return tuple(Sample(root, frames, count, thread) for (root, thread, frames), count in named.items())

    def losses(self, *, lost: int) -> Losses:
        """The ledger, and whether the losses matter: processes with most samples first."""
        accounts = self._accounts.values()
        verdicts = judge([(each.lacking(), each.samples, each.evidence) for each in accounts])
        dropped: Counter[Reason] = Counter()
        partial: Counter[Reason] = Counter()
        rows = []
        lacking = 0
        for (process, account), verdict in zip(self._accounts.items(), verdicts, strict=True):
            dropped += account.dropped
            partial += account.partial
            lacking += 0 if verdict.significant else account.lacking()
            rows.append(
                ProcessLosses(
                    account.root,
                    account.samples,
                    account.samples - account.dropped.total() - account.partial.total(),
                    dict(account.dropped),
                    "; ".join(self._notes.get(process, ())),
                    verdict,
                    dict(account.partial),
                    tuple(function for function, _ in account.hit.most_common(_SHOWN_HIT)),
                )
            )
        rows.sort(key=lambda row: (-row.samples, row.root.pid))
        samples = sum(row.samples for row in rows)
        rest = judge_share(lacking + lost, samples + lost)
        whole = samples - dropped.total() - partial.total()
        return Losses(samples, whole, dict(dropped), lost, tuple(rows), rest, dict(partial))

    def _has_room(self, allowance: Allowance, sample: RawSample, elements: tuple[Element, ...]) -> bool:
        """Whether the stack is known, or there is room for it, which then counts as taken."""
        return self._stack(sample, elements) in self._stacks or allowance.take(self._size_of(elements))

    def _count(self, sample: RawSample, elements: tuple[Element, ...]) -> _Count:
        """The count of a stack, which may be a new one."""
        stack = self._stack(sample, elements)
        count = self._stacks.get(stack)
        if count is None:
            for each in elements:
                if isinstance(each, NativeAddress) and each not in self._addresses:
                    self._on_address(each, sample.process.pid, sample.uid)
            shared = tuple(self._addresses.setdefault(each, each) for each in elements)
            count = self._stacks[stack._replace(elements=shared)] = _Count()
        return count

    def _stack(self, sample: RawSample, elements: tuple[Element, ...]) -> _Stack:
        return _Stack(sample.process, sample.tid if self._threads else 0, elements)

    def _size_of(self, elements: tuple[Element, ...]) -> int:
        texts = sum(len(each.name) + len(each.file) for each in elements if isinstance(each, Frame))
        new = sum(each not in self._addresses for each in elements)
        return _STACK_BYTES + _ELEMENT_BYTES * len(elements) + texts // _TEXT_SHARE + _ADDRESS_BYTES * new

    def _account(self, sample: RawSample) -> _Account:
        root = Root(sample.comm, sample.process.pid)
        account = self._accounts.get(sample.process)
        if account is None:
            account = _Account(root, sample.uid, self._allowances.of_process(sample.uid))
            self._accounts[sample.process] = account
        account.root = root
        if self._threads:
            account.threads[sample.tid] = sample.thread_comm
        account.samples += 1
        return account
