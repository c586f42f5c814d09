"""Names native and kernel addresses, each once: asks the worker and kallsyms.

Files that somebody can have made costly are asked about at the end of a run, the others before: so little is
left then. What a process says about code that it generates may be gone with it, and other code may be there
later: it is asked about soon, in a small part of the time if anybody can have made it costly.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import IntEnum
from itertools import groupby, islice
from typing import NamedTuple

from msgspec import Struct, field

from profiler.run.aggregate import CountedStack
from profiler.run.stacks import Element, KernelAddress, NativeAddress, address_in
from symbolizers.asker import ROOT_USER, Asker
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, NATIVE, Frame, Function
from symbolizers.inspection import FileKey
from symbolizers.native.kernel import KernelSymbols, kernel_frame
from symbolizers.native.unnamed import mapping_frame
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Failed, NameOffsets, Names

_EARLY_S = 0.5
"""How long after its first address a file is asked about, and then after pauses that double: each time the
worker may have to read its symbols again."""
_TRUSTED_S = 10.0
"""How long the names in files that trusted users run may take together at the end."""
_OWNED_SHARE = 0.1
"""The part of a recording's duration for those in files that trusted users own, and only others run."""
_OTHERS_S, _LEAST_S = 0.15, 0.05
"""How long after the end those in other files are waited for, and after the trusted ones at least: whoever
wrote such a file can make it costly."""
_MOST_OFFSETS = 4096
"""In one question: the answer has some hundred bytes for each."""
_MOST_INLINED_OFFSETS = 256
"""The same where inlined functions are asked for, too: a kilobyte or more for each."""
_MOST_PAUSE_S = 8.0
"""How long generated code keeps its name, at most, after other code has replaced it."""
_OTHERS_PAUSE = 10
"""How many times as long as it took to read what an untrusted process says of its code nobody asks again."""
_FINAL = (Reason.OVER_BUDGET, Reason.UNSUPPORTED)
"""Reasons for which nobody asks again."""
_TOO_MUCH = (Reason.OVER_BUDGET, Reason.STALLED)
"""Reasons for which nobody asks again about what is inlined in a file."""


def _ignore(_process: ProcessId) -> None:
    pass


class _Trust(IntEnum):
    """Why a file should have its names: the order in which files are asked about at the end."""

    RUN = 0
    """A trusted user runs it."""
    OWNED = 1
    """A trusted user owns it."""
    NONE = 2


class Named(NamedTuple):
    """A function's frame, and what stands for all of it: the first address that was sampled, or the frame."""

    element: NativeAddress | Frame
    frame: Frame


class Functions:
    """The functions of one file whose names are known."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._functions: dict[int, tuple[int, Named]] = {}
        """By start: the offset behind it, as far as it is known, and the function."""

    def learn(self, start: int, end: int, named: Named) -> None:
        """From `start` to before `end` there is this function."""
        if start not in self._functions:
            insort(self._starts, start)
        known_end, known = self._functions.get(start, (0, None))
        if known is None or known.frame != named.frame:  # generated code may be another function's later
            known = named
        self._functions[start] = max(end, known_end), known

    def replace(self, old: int, function: Function) -> bool:
        """In place of the function that started at `old` there is this one; returns if it is another.

        The frame stands for it: an address in it may have been one of the old function's.
        """
        frame, start, end = function
        if old == start and self._functions[old][1].frame == frame:
            return False
        self._starts.remove(old)
        del self._functions[old]
        self.learn(start, end, Named(frame, frame))
        return True

    def known(self, most: int) -> list[tuple[int, int]]:
        """The start of each function, and the last address in it that is known; the first `most` of them."""
        return [(start, end - 1) for start, (end, _) in islice(self._functions.items(), most)]

    def find(self, offset: int) -> Named | None:
        """The function around `offset`, if that is known."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return None
        end, known = self._functions[self._starts[index]]
        return known if offset < end else None


class _File(Struct):
    """A file in which addresses were sampled, which `mapped_by` (a pid) of `user` has mapped."""

    user: int
    mapped_by: int
    due_s: float
    pause_s: float = _EARLY_S
    check_s: float = math.inf
    """When to ask whether code that was generated has been replaced."""
    check_pause_s: float = _EARLY_S
    trust: _Trust = _Trust.NONE
    functions: Functions = field(default_factory=Functions)
    samples: int = 0
    inlines: bool = True
    """Whether what is inlined there can be had, as far as is known."""
    addresses: dict[NativeAddress, None] = field(default_factory=dict)
    """Those that nobody has asked about."""


def name_kernel(
    addresses: Collection[KernelAddress], told: Mapping[int, bytes]
) -> tuple[dict[Element, Frame], bool]:
    """A frame for each, and whether the kernel hides names: the CPU time of this is our own.

    `told`: what the kernel calls the addresses, as far as it could say; the others are looked up.
    """
    symbols = KernelSymbols()
    left = [each.address for each in addresses if each.address not in told]
    frames = symbols.resolve(left) | {address: kernel_frame(name) for address, name in told.items()}
    return {each: frames[each.address] for each in addresses}, symbols.hidden and bool(left)


class AddressNames:
    """Frames by address. Lifetime: one recording.

    `is_trusted` says whether a user is, `owner_of` who owns a file. `lacking` holds the addresses whose names
    could not be read, or not in time, each with the reason; they are shown as places in their file.
    `inlined` holds the functions that are inlined at an address, the outermost first. `build_ids`
    (hexadecimal, or empty) are those of files that were asked about.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        is_trusted: Callable[[int], bool],
        owner_of: Callable[[FileKey], int],
        inlines: bool = False,
        fetches: bool = False,
        on_replaced: Callable[[ProcessId], None] = _ignore,
    ) -> None:
        """`on_replaced` is called when a process has replaced code that it has generated.

        `inlines`: see `NameOffsets`. `fetches`: there is a `nameless` and an `ask_again` to come.
        """
        self._asker = asker
        self._inlines = inlines
        self._fetches = fetches
        self._on_replaced = on_replaced
        self._is_trusted = is_trusted
        self._owner_of = owner_of
        self._files: dict[FileKey, _File] = {}
        self._waiting: dict[FileKey, _File] = {}
        """Those with addresses that nobody has asked about."""
        self._generated: dict[FileKey, _File] = {}
        """Those of processes that generate code, of which the names of some is known."""
        self._frames: dict[Element, Frame] = {}
        self._refused: dict[NativeAddress, Reason] = {}
        self._open = 0
        self._others_asked_s = 0.0
        self._others_due_s = 0.0
        """Until when nobody asks about code of untrusted processes; infinite while somebody does."""
        self.lacking: dict[Element, Reason] = {}
        self.inlined: dict[Element, tuple[Frame, ...]] = {}
        self.build_ids: dict[FileKey, str] = {}

    def add(self, address: NativeAddress, pid: int, user: int) -> None:
        """Takes in an address that was sampled in the process `pid` of `user`."""
        file = self._files.get(address.file)
        if file is None:
            file = self._files[address.file] = _File(user, pid, time.monotonic() + _EARLY_S)
        if file.trust is not _Trust.RUN:
            file.trust = self._trust(address.file, user)
        file.addresses[address] = None
        self._waiting[address.file] = file

    def known(self, address: NativeAddress) -> Named | None:
        """The function around `address`, if an answer has told it already and all of it counts as one."""
        if self._inlines:
            return None
        file = self._files.get(address.file)
        named = None if file is None else file.functions.find(address.offset)
        may_be_named = self._fetches and named is not None and _is_nameless(named.frame)
        return None if may_be_named else named

    def ask_early(self) -> None:
        """Asks about what will be wanted at the end anyway, in files that are trusted."""
        now_s = time.monotonic()
        for key, file in self._generated.items():
            if now_s >= file.check_s:
                self._check(key, file, now_s)
        for key, file in [*self._waiting.items()]:
            if now_s >= self._due_s(key, file):
                if file.trust is _Trust.NONE:
                    self._others_asked_s, self._others_due_s = now_s, math.inf
                self._ask(key, file)
                file.due_s, file.pause_s = now_s + file.pause_s, 2 * file.pause_s

    def due_s(self) -> float:
        """When `ask_early` has something to ask (CLOCK_MONOTONIC); infinite if it has not."""
        return min((self._due_s(*item) for item in self._waiting.items()), default=math.inf)

    def resolve(
        self, stacks: Iterable[CountedStack], *, ended_s: float, duration_s: float
    ) -> dict[Element, Frame]:
        """A frame for every native address in `stacks`; the files with most samples come first.

        `ended_s`: when the recording ended, on CLOCK_MONOTONIC. No earlier question is under way any more.
        """
        self._open = 0
        sampled: dict[NativeAddress, None] = {}
        for stack in stacks:
            found = map(address_in, stack.elements)
            addresses = dict.fromkeys(each for each in found if each is not None)
            sampled |= addresses
            for each in addresses:
                if each not in self._frames and self._refused.get(each) not in _FINAL:
                    self.add(each, stack.pid, stack.user)
            for key in {each.file for each in addresses}:
                self._files[key].samples += stack.samples
        self._ask_in_order(ended_s, duration_s)
        for each in sampled:
            if each not in self._frames:
                self._frames[each] = mapping_frame(each.path, each.offset)
                reason = self._refused.get(each, Reason.OVER_BUDGET)
                # What is no ELF file has no names, and what runtimes say nothing about has none either.
                if reason is not Reason.UNSUPPORTED and not each.file.is_generated:
                    self.lacking[each] = reason
        return self._frames

    def nameless(self, most: int) -> dict[str, list[NativeAddress]]:
        """By build id, what has no symbol in the files that trusted users run or own, after `resolve`.

        Of so many files, those with most samples.
        """
        found: dict[FileKey, list[NativeAddress]] = {}
        for each, frame in self._frames.items():
            if isinstance(each, NativeAddress) and _is_nameless(frame):
                file = self._files[each.file]
                if self.build_ids.get(each.file) and file.trust is not _Trust.NONE:
                    found.setdefault(each.file, []).append(each)
        hottest = sorted(found, key=lambda key: -self._files[key].samples)[:most]
        return {self.build_ids[key]: found[key] for key in hottest}

    def ask_again(self, addresses: Iterable[NativeAddress]) -> dict[Element, Frame]:
        """The frames of all addresses, where files of these may have got symbols since `resolve`."""
        for each in addresses:
            file = self._files[each.file]
            file.addresses[each] = None
            self._waiting[each.file] = file
        for key, file in [*self._waiting.items()]:
            self._ask(key, file)
        end_s = time.monotonic() + _TRUSTED_S
        while self._open and (left_s := end_s - time.monotonic()) > 0:
            self._asker.wait(left_s)
        return self._frames

    def _ask_in_order(self, ended_s: float, duration_s: float) -> None:
        others_s = {_Trust.OWNED: max(_OTHERS_S, _OWNED_SHARE * duration_s), _Trust.NONE: _OTHERS_S}
        for trust in _Trust:
            files = [item for item in self._waiting.items() if item[1].trust is trust]
            for key, file in sorted(files, key=lambda item: -item[1].samples):
                self._ask(key, file)
            now_s = time.monotonic()
            until_s = max(ended_s + others_s[trust], now_s + _LEAST_S) if trust else now_s + _TRUSTED_S
            while self._open and (left_s := until_s - time.monotonic()) > 0:
                self._asker.wait(left_s)

    def _due_s(self, key: FileKey, file: _File) -> float:
        if file.trust is not _Trust.NONE:
            return file.due_s
        return max(file.due_s, self._others_due_s) if key.is_generated else math.inf

    def _trust(self, key: FileKey, user: int) -> _Trust:
        if self._is_trusted(user):
            return _Trust.RUN
        return _Trust.OWNED if self._is_trusted(self._owner_of(key)) else _Trust.NONE

    def _ask(self, key: FileKey, file: _File) -> None:
        """Asks about the addresses in a file that nobody has asked about."""
        by_path = groupby(sorted(file.addresses, key=_path_of), _path_of)
        file.addresses = {}
        del self._waiting[key]
        for addresses in [tuple(group) for _, group in by_path]:
            most = _MOST_INLINED_OFFSETS if self._asks_inlines(key, file) else _MOST_OFFSETS
            for at in range(0, len(addresses), most):
                self._ask_for(key, addresses[at : at + most], file)

    def _asks_inlines(self, key: FileKey, file: _File) -> bool:
        return self._inlines and file.inlines and not key.is_generated

    def _ask_for(self, key: FileKey, addresses: tuple[NativeAddress, ...], file: _File) -> None:
        inlines = self._asks_inlines(key, file)

        def answered(answer: Names | Failed) -> None:
            self._open -= 1
            if self._others_due_s == math.inf and file.trust is _Trust.NONE:
                now_s = time.monotonic()
                self._others_due_s = now_s + _OTHERS_PAUSE * (now_s - self._others_asked_s)
            if isinstance(answer, Names):
                self.build_ids[key] = answer.build_id
                for each, (frame, start, end) in zip(addresses, answer.functions, strict=True):
                    if key.is_generated and frame.kind != GENERATED:  # its runtime may say it later
                        file.addresses[each] = None
                        self._waiting[key] = file
                    else:
                        self._frames[each] = frame
                        file.functions.learn(start, end, Named(each, frame))
                        if key.is_generated and file.trust is _Trust.RUN and key not in self._generated:
                            self._generated[key] = file
                            file.check_s = time.monotonic() + file.check_pause_s
                self.inlined.update(
                    (each, frames) for each, frames in zip(addresses, answer.inlined, strict=False) if frames
                )
            elif inlines and answer.reason in _TOO_MUCH:  # the names alone cost little
                file.inlines = False
                self._ask_for(key, addresses, file)
            else:
                self._refused.update(dict.fromkeys(addresses, answer.reason))

        self._open += 1
        offsets = tuple(each.offset for each in addresses)
        question = NameOffsets(key, addresses[0].path, offsets, file.mapped_by, inlines)
        user = ROOT_USER if file.trust is _Trust.RUN else file.user
        self._asker.ask(question, answered, user=user, thorough=inlines or key.is_generated)

    def _check(self, key: FileKey, file: _File, now_s: float) -> None:
        """Asks whether a process has replaced code that has a name: later samples have the new one's."""
        known = file.functions.known(_MOST_OFFSETS)

        def answered(answer: Names | Failed) -> None:
            if not isinstance(answer, Names):  # it has ended
                self._generated.pop(key, None)
                return
            file.check_pause_s = min(2 * file.check_pause_s, _MOST_PAUSE_S)
            file.check_s = time.monotonic() + file.check_pause_s
            replaced = [
                file.functions.replace(old, function)
                for (old, _), function in zip(known, answer.functions, strict=True)
                if function.frame.kind == GENERATED
            ]
            if any(replaced):
                self._on_replaced(ProcessId(key.inode, key.version[0]))

        file.check_s = math.inf
        question = NameOffsets(key, "", tuple(offset for _, offset in known), file.mapped_by)
        self._asker.ask(question, answered, user=file.user, thorough=True)


def _is_nameless(frame: Frame) -> bool:
    """Whether it is a place in a file that has no symbol there."""
    return frame.kind == NATIVE and not frame.file


def _path_of(address: NativeAddress) -> str:
    return address.path
