"""Counts equal stacks and keeps the ledger of what was lost, by process and reason."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, overload

from profiler.capture.records import RawSample
from profiler.capture.wire import UserEnd
from profiler.profile.model import Losses, NativeEnd, Root, Sample
from profiler.profile.schema import DROPPED
from profiler.profile.view import View
from profiler.run.accounts import (
    Account,
    Count,
    Ended,
    HotProgram,
    StackKey,
    Tally,
    Unsettled,
    hottest_of,
    stack_bytes,
)
from profiler.run.allowance import Allowance, Allowances
from profiler.run.codes import PLACEHOLDERS
from profiler.run.journal import NoRows, Rows
from profiler.run.numbering import Known, Numbering, OnAddress, ignore, know_none
from profiler.run.outcome import losses_of, samples_of
from profiler.run.significance import traits_of
from profiler.run.stacks import Element, Partial, plain
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import Frame
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId

_ADDRESS_BYTES = 320
"""What an address takes that is in no stack before."""
_MOST_NEW = 1024
"""New stacks until those without a sample since are packed; an eighth of the held ones, if that is more."""
_TEXT_SHARE = 4
"""How many bytes of names, which a file repeats for each stack, count as one."""
_ENDS = {
    UserEnd.ROOT: NativeEnd.ROOT,
    UserEnd.DEEP: NativeEnd.DEEP,
    UserEnd.FAULT: NativeEnd.WOULD_FAULT,
    UserEnd.LOST: NativeEnd.LOST,
}
_BY_DEFAULT = View()
_NO_NAMES: Mapping[tuple[int, int], str] = MappingProxyType({})
_NOTHING_INLINED: Mapping[Element, tuple[Frame, ...]] = MappingProxyType({})
_MOST_ENDED = 500
"""Processes that have ended and still are a row each; of more than these, the first count by program."""
_MOST_PROGRAMS = 1000
_MOST_INTERPRETERS = 200
"""Characters of what is said of them: versions are what targets say."""
_OTHERS = b"other programs"


class CountedStack(NamedTuple):
    """A stack, root first, how many samples show it, and whose process it is of."""

    elements: tuple[Element, ...]
    samples: int
    pid: int
    user: int


class Aggregator:
    """Takes every sample exactly once, as a stack or as a loss. Lifetime: one recording.

    With `keep_dropped`, a loss is a stack too: one frame that says why. With `threads`, equal stacks of two
    threads stay two. With `containers`, a root says which it ran in. Of many processes that have ended, those
    of one program count together, so that what it holds does not grow with their number.
    """

    def __init__(
        self,
        *,
        keep_dropped: bool = False,
        threads: bool = False,
        containers: bool = False,
        allowances: Allowances | None = None,
        on_address: OnAddress = ignore,
        known: Known = know_none,
    ) -> None:
        """`on_address` and `known` are as `Numbering` has them."""
        self._rows: Rows = NoRows()
        self._keep_dropped = keep_dropped
        self._threads = threads
        self._containers = containers
        self._allowances = allowances or Allowances()
        self._numbering = Numbering(on_address=on_address, known=known)
        self._over_budget = self._placeholder(PLACEHOLDERS[Reason.OVER_BUDGET])
        self._dropped: dict[Reason, int] = {}
        """What the journal calls the stacks of dropped samples."""
        self._accounts: dict[ProcessId | Ended, Account] = {}
        self._unsettled = Unsettled()
        self._ended: OrderedDict[ProcessId, None] = OrderedDict()
        self._new = 0
        """Stacks that came since some were packed."""
        self._pack_at = _MOST_NEW
        self._programs = 0
        """How many of the accounts are of several processes."""
        self._notes: dict[ProcessId, dict[str, None]] = {}
        """About processes of which there is no sample yet."""
        self._interpreters: dict[ProcessId, str] = {}
        """Of the same."""

    @property
    def elements(self) -> Sequence[Element]:
        """Every element that was counted, by the number that the rows have for it."""
        return self._numbering.elements

    def write_to(self, rows: Rows) -> None:
        """Hands each sample on to `rows`, too. Called before there is any."""
        self._rows = rows

    def add(self, sample: RawSample, elements: tuple[Element, ...], partial: Partial | None = None) -> Tally:
        """Counts a finished stack, root first, and what it lacks. The tally counts equal samples.

        Lines and hidden frames, which multiply stacks, are kept while the allowance is ample.
        """
        account = self._account(sample)
        if not account.allowance.is_ample():
            elements = plain(elements)
        count = self._count(sample, elements, account.allowance)
        if count is None:
            count = self._count(sample, (PLACEHOLDERS[Reason.OVER_BUDGET], *elements[-1:]))
            partial = partial or Partial(Reason.OVER_BUDGET, leaf=False)
        traits, end = traits_of(sample), _native_end(sample)
        count.samples += 1
        account.end(end)
        account.evidence.add(traits, lost=partial is not None and partial.leaf)
        if partial is not None:
            count.partial += 1
            account.partial[partial.reason] += 1
            account.leafless += partial.leaf
            self._rows.partial(sample, partial.reason)
        thread = self._record(sample, count.number)
        root = Root(sample.comm, sample.process.pid)
        of_sample = (account, root, count, traits, end, sample.time_ns)
        return Tally(self._unsettled, self._rows, thread, count.number, *of_sample)

    def drop(self, sample: RawSample, reason: Reason) -> None:
        """Counts a sample that could not be named."""
        account = self._account(sample)
        account.dropped[reason] += 1
        account.evidence.add(traits_of(sample), lost=True)
        if self._keep_dropped:
            self._count(sample, (DROPPED[reason],)).samples += 1
        self._record(sample, self._dropped_number(reason))

    def blame(self, process: ProcessId, function: Frame) -> None:
        """Counts `function` as next to a frame without a name, in a sample of `process` that was counted."""
        account = self._accounts.get(process)
        if account is not None:
            account.blame(function)

    def note(self, process: ProcessId, text: str) -> None:
        """Keeps something that a person should know about `process`."""
        account = self._accounts.get(process)
        if account is not None:
            account.note(text)
        else:
            self._notes.setdefault(process, {})[text] = None

    def runs(self, process: ProcessId, interpreters: tuple[Interpreter, ...]) -> None:
        """Keeps what `process` interprets from now on."""
        found = ", ".join(f"{each.language} {each.version}" for each in interpreters)[:_MOST_INTERPRETERS]
        account = self._accounts.get(process)
        if account is None:
            self._interpreters[process] = found
        elif account.interpreters != found:
            account.interpreters = found
            self._rows.learn(process, account.process())

    def meet(self, sample: RawSample, description: Description) -> None:
        """The process of `sample` runs a new program, of which little is known as yet."""
        account = self._account_of(sample)
        account.describe(description)
        self._rows.learn(sample.process, account.process())

    def describe(self, process: ProcessId, description: Description) -> None:
        """Keeps what `process` is, unless it counts with others by now."""
        account = self._accounts.get(process)
        if account is not None:
            account.describe(description)
            self._rows.learn(process, account.process())

    def ended(self, process: ProcessId) -> None:
        """The process is over, and all its samples have been counted."""
        self._notes.pop(process, None)
        self._interpreters.pop(process, None)
        if process not in self._accounts:
            return
        self._ended[process] = None
        if len(self._ended) > _MOST_ENDED:
            first, _ = self._ended.popitem(last=False)
            self._fold(first)

    def hottest(self, waiting: Callable[[ProcessId], int] = lambda process: 0) -> HotProgram | None:
        """The program with most samples so far; those that wait for names are not among them.

        `waiting` tells how many samples of a process are put off, and are not counted yet.
        """
        self._unsettled.settle()
        accounts = self._accounts.items()
        return hottest_of(
            (account, waiting(key) if isinstance(key, ProcessId) else 0) for key, account in accounts
        )

    def stacks(self) -> Iterator[CountedStack]:
        """Every stack, to find out which of its elements still need names."""
        for account in self._settled():
            for stack in account.all_stacks():
                elements = tuple(map(self._numbering.elements.__getitem__, stack.elements))
                yield CountedStack(elements, stack.samples, account.pid, account.user)

    def lack(self, lacking: Mapping[Element, Reason]) -> None:
        """Counts every stack with an element that has no name, for that reason, as partial."""
        found = ((self._numbering.get(each), reason) for each, reason in lacking.items())
        numbers = {number: reason for number, reason in found if number is not None}
        for account in self._settled() if numbers else ():
            for stack in account.all_stacks():
                reasons = [numbers[each] for each in stack.elements if each in numbers]
                if reasons:
                    whole = stack.samples - stack.partial
                    account.partial[reasons[-1]] += whole
                    account.leafless += whole if stack.elements[-1] in numbers else 0

    def samples(
        self,
        names: Mapping[Element, Frame],
        thread_names: Mapping[tuple[int, int], str] = _NO_NAMES,
        view: View = _BY_DEFAULT,
        inlined: Mapping[Element, tuple[Frame, ...]] = _NOTHING_INLINED,
    ) -> tuple[Sample, ...]:
        """As `samples_of`, of all that was counted."""
        accounts, shows = self._settled(), self._containers
        return samples_of(accounts, self.elements, names, thread_names, view, inlined, containers=shows)

    def losses(self, *, lost: int) -> Losses:
        """As `losses_of`, of all that was counted."""
        return losses_of(self._settled(), lost=lost)

    @overload
    def _count(self, sample: RawSample, elements: tuple[Element, ...]) -> Count: ...
    @overload
    def _count(
        self, sample: RawSample, elements: tuple[Element, ...], allowance: Allowance
    ) -> Count | None: ...
    def _count(
        self, sample: RawSample, elements: tuple[Element, ...], allowance: Allowance | None = None
    ) -> Count | None:
        """The count of a stack, which may be a new one; None if the `allowance` has no room for that."""
        numbers = self._numbering.find(elements)
        known = [number for number in numbers if number is not None]
        is_known = len(known) == len(numbers)
        stacks, tid = self._accounts[sample.process].stacks, sample.tid if self._threads else 0
        stack = StackKey(tid, tuple(known))
        if is_known and (count := stacks.get(stack)) is not None:
            return count
        new = [] if is_known else [each for each, at in zip(elements, numbers, strict=True) if at is None]
        texts = self._numbering.text_length(known, new)
        size = stack_bytes(len(elements)) + _ADDRESS_BYTES * len(new) + texts // _TEXT_SHARE
        if allowance is not None and not allowance.take(size):
            return None
        if new:
            pid, user = sample.process.pid, sample.uid
            stack = StackKey(tid, self._numbering.complete(elements, numbers, pid=pid, user=user))
        held_bytes = 0 if allowance is None else size
        self._pack_if_due()
        count = stacks[stack] = Count(stack, size_bytes=held_bytes, number=self._rows.stack(stack.elements))
        return count

    def _pack_if_due(self) -> None:
        """Before a new stack is counted: what nothing has shown for so many new ones takes less memory."""
        self._new += 1
        if self._new >= self._pack_at:
            self._new = 0
            accounts = self._settled()
            for account in accounts:
                account.pack()
            self._pack_at = max(_MOST_NEW, sum(len(each.stacks) for each in accounts) // 8)

    def _record(self, sample: RawSample, stack: int) -> int:
        """Hands on a sample with that stack; returns the number of its thread."""
        thread = self._rows.thread(sample)
        self._rows.sample(thread, stack, sample.cpu, sample.time_ns)
        return thread

    def _dropped_number(self, reason: Reason) -> int:
        if reason not in self._dropped:
            self._dropped[reason] = self._rows.stack(self._placeholder(DROPPED[reason]))
        return self._dropped[reason]

    def _placeholder(self, frame: Frame) -> tuple[int]:
        """A stack of this frame alone."""
        return (self._numbering.number(frame),)

    def _fold(self, process: ProcessId) -> None:
        """From now on, a process that has ended counts with the others of its program."""
        account = self._accounts.pop(process)
        key = Ended(account.root.comm, account.user, self._container(account))
        if key not in self._accounts and self._programs >= _MOST_PROGRAMS:
            key = Ended(_OTHERS, account.user)
        group = self._accounts.get(key)
        if group is None:
            self._programs += 1
            root = Root(key.comm, 0)
            group = Account(root, account.pid, account.user, self._allowances.of_process(account.user))
            group.describe(Description(container=key.container))
            self._accounts[key] = group
        self._rows.merged(process, key.comm)
        account.allowance.give_all_back()
        group.take_over(account, self._over_budget, self._numbering.by_function)

    def _settled(self) -> Collection[Account]:
        """All accounts, with all that was counted."""
        self._unsettled.settle()
        return self._accounts.values()

    def _container(self, account: Account) -> str:
        """The container that is shown around it."""
        return account.description.container if self._containers else ""

    def _account_of(self, sample: RawSample) -> Account:
        account = self._accounts.get(sample.process)
        if account is None:
            root, allowance = Root(sample.comm, sample.process.pid), self._allowances.of_process(sample.uid)
            account = Account(root, sample.process.pid, sample.uid, allowance, parent=sample.parent.pid)
            for text in self._notes.pop(sample.process, ()):
                account.note(text)
            account.interpreters = self._interpreters.pop(sample.process, "")
            self._accounts[sample.process] = account
        return account

    def _account(self, sample: RawSample) -> Account:
        account = self._account_of(sample)
        # It may have waited while its process changed its name.
        account.name(Root(sample.comm, sample.process.pid), sample.time_ns)
        if self._threads and (sample.time_ns >= account.named_ns or sample.tid not in account.threads):
            account.threads[sample.tid] = sample.thread_comm
        account.samples += 1
        return account


def _native_end(sample: RawSample) -> NativeEnd | None:
    if not sample.user:
        return None
    return NativeEnd.NO_TABLE if sample.lacks_table else _ENDS[UserEnd(sample.user_end)]
