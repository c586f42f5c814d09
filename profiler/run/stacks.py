"""One stack out of three: kernel, native and interpreter frames of the same instant, root first. Pure.

Addresses stay addresses here; names come at the end of a run, once for each address.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import count
from types import MappingProxyType
from typing import NamedTuple

from symbolizers.errors import Reason
from symbolizers.frame import MARKER, Frame
from symbolizers.inspection import CodeMapping, FileKey
from symbolizers.native.unnamed import is_shared_memory, mapping_frame, module_name
from symbolizers.registry import PROGRAMS

TRUNCATED = Frame(MARKER, "[truncated]")
_STARTING = re.compile(
    "|".join((r"libc\.so.*|libc-2.*|libpthread.*|ld-linux.*|ld-musl.*", *PROGRAMS)), re.ASCII
)
"""Names of files that start a program or a thread: the C library, and programs that are interpreters."""
_VSYSCALL = "[vsyscall]"
_CACHED_MODULES = 256
_MOST_LEVELS = 4096
"""Addresses that are at hand, of all processes together."""
_NOTHING: Mapping[int, Level] = MappingProxyType({})


class NativeAddress(NamedTuple):
    """An instruction in a mapped file: `offset` bytes into it; `path` as in /proc/PID/maps.

    Or in code that the process has generated, see `generated_by`: `offset` is the address itself.
    """

    file: FileKey
    offset: int
    path: str


class KernelAddress(NamedTuple):
    """An instruction of the kernel."""

    address: int


class Inner(NamedTuple):
    """A level that is hidden unless the interpreters' own functions are asked for."""

    of: NativeAddress | Frame


class RunningLine(NamedTuple):
    """A frame, and the line of its function that runs."""

    frame: Frame
    line: int


class Partial(NamedTuple):
    """What a stack lacks: the name of a frame, for `reason`; and whether that is the `leaf`'s."""

    reason: Reason
    leaf: bool


Element = Frame | RunningLine | NativeAddress | Inner | KernelAddress
"""One level of a stack before native and kernel names are known."""


def address_in(element: Element) -> NativeAddress | None:
    """The native address that it is, hidden or not."""
    place = element.of if type(element) is Inner else element
    return place if type(place) is NativeAddress else None


def plain(elements: Iterable[Element]) -> tuple[Element, ...]:
    """What shows of them by default: no hidden ones, and no lines that run."""
    return tuple(
        each.frame if isinstance(each, RunningLine) else each
        for each in elements
        if not isinstance(each, Inner)
    )


def running_lines(elements: Iterable[Element]) -> Iterator[tuple[Frame, int]]:
    """Each function, with a line that ran in it; 0 if that is not known."""
    for element in elements:
        if isinstance(element, RunningLine):
            yield element
        elif isinstance(element, Frame):
            yield element, 0


class Run(NamedTuple):
    """The frames that one call of an interpreter's evaluation loop runs, leaf first."""

    language: str
    frames: tuple[Frame | RunningLine, ...]


class Loop(NamedTuple):
    """Addresses of an evaluation loop, from `start` to before `end`."""

    language: str
    start: int
    end: int


class Level(NamedTuple):
    """A native frame, as it may stand in a stack."""

    element: NativeAddress | Frame
    inner: Inner
    """The same, hidden."""
    language: str
    """Whose evaluation loop it is in; empty in none."""
    is_own: bool
    """Whether it is in the file of an evaluation loop."""
    is_generated: bool
    is_start: bool
    """Whether its file starts programs."""


class Levels:
    """What was found lately at addresses, in any `CodeMap`: most of it runs again. Lifetime: a recording."""

    def __init__(self) -> None:
        self._by_map: dict[int, dict[int, Level]] = {}
        self._held = 0
        self._numbers = count()

    def number(self) -> int:
        """For one more map, or for one in which everything is something else now."""
        return next(self._numbers)

    def of(self, number: int) -> Mapping[int, Level]:
        """What is at hand of the map that has this number."""
        return self._by_map.get(number, _NOTHING)

    def put(self, number: int, address: int, level: Level) -> None:
        """Keeps it; where too much is kept, all else goes."""
        if self._held >= _MOST_LEVELS:
            self._by_map.clear()
            self._held = 0
        self._by_map.setdefault(number, {})[address] = level
        self._held += 1


class CodeMap:
    """A process's executable mappings, to look addresses up in. Lifetime: one inspection."""

    def __init__(
        self,
        mappings: Sequence[CodeMapping] = (),
        generated: FileKey | None = None,
        levels: Levels | None = None,
    ) -> None:
        """`generated` stands for the code that the process generates; `levels` are those of all maps."""
        self._mappings = tuple(mappings)
        self._generated = generated
        self._starts = [mapping.start for mapping in self._mappings]
        self._files = [None if is_shared_memory(each.path) else each.file for each in self._mappings]
        self._loops: tuple[Loop, ...] = ()
        self._own: frozenset[FileKey] = frozenset()
        """The files of which the loops are parts."""
        self._levels = levels or Levels()
        self._number = self._levels.number()

    @cached_property
    def is_of_files(self) -> bool:
        """Whether none of it is code that the process may have generated."""
        pairs = zip(self._files, self._mappings, strict=True)
        return all(file is not None or each.path == _VSYSCALL for file, each in pairs)

    def find(self, address: int) -> NativeAddress | Frame | None:
        """What lies at `address`: code of a file, named memory without a file, or None (not code)."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._mappings[index].end:
            return None
        mapping = self._mappings[index]
        offset = address - mapping.start + mapping.offset
        file = self._files[index]
        if file is not None:
            return NativeAddress(file, offset, mapping.path)
        if self._generated is not None:
            return NativeAddress(self._generated, address, mapping.path)
        return mapping_frame(mapping.path, offset)

    def files(self) -> Iterator[NativeAddress]:
        """The files that are mapped, each as where a mapping of it begins."""
        for mapping, file in zip(self._mappings, self._files, strict=True):
            if file is not None:
                yield NativeAddress(file, mapping.offset, mapping.path)

    def interpret(self, loops: tuple[Loop, ...]) -> None:
        """From now on, these are the evaluation loops in it: as a rule the same as before."""
        if loops != self._loops:
            found = (self.find(loop.start) for loop in loops)
            self._own = frozenset(each.file for each in found if type(each) is NativeAddress)
            self._loops = loops
            self._number = self._levels.number()

    def walk(self, user: Sequence[int]) -> list[Level]:
        """The native frames of a thread, leaf first. `user`: the instruction pointer, then return addresses.

        Where code keeps neither unwind information nor frame pointers these are junk: the stack ends at the
        first address that isn't code.
        """
        walked = []
        known = self._levels.of(self._number)
        called = 0
        for address in user:
            at = address - called  # a return address may be the first byte of the next function
            called = 1
            level = known.get(at) or self._look_up(at)
            if level is None:
                break
            walked.append(level)
        return walked

    def new_files(self, user: Sequence[int]) -> set[FileKey] | None:
        """The files of those addresses that are not at hand; None where one of all is in no file.

        `user` as in `walk`.
        """
        known = self._levels.of(self._number)
        files: set[FileKey] = set()
        called = 0
        for address in user:
            at = address - called
            called = 1
            level = known.get(at) or self._look_up(at)
            if level is None or type(level.element) is not NativeAddress or level.is_generated:
                return None
            if at not in known:
                files.add(level.element.file)
        return files

    def level(self, address: int) -> Level | None:
        """The frame at `address`, an instruction; None if that is no code."""
        return self._levels.of(self._number).get(address) or self._look_up(address)

    def _look_up(self, address: int) -> Level | None:
        """The same, for an address that is not at hand."""
        element = self.find(address)
        if element is None:
            return None
        language = next((each.language for each in self._loops if each.start <= address < each.end), "")
        is_own = is_generated = is_start = False
        if type(element) is NativeAddress:
            is_own, is_generated = element.file in self._own, element.file.is_generated
            is_start = _is_starting(module_name(element.path))
        level = Level(element, Inner(element), language, is_own, is_generated, is_start)
        self._levels.put(self._number, address, level)
        return level


def native_elements(user: Sequence[int], code: CodeMap) -> list[Element]:
    """The native frames of a thread that runs no interpreter, leaf first: as `CodeMap.walk` has them."""
    return [level.element for level in code.walk(user)]


def interleave(
    runs: Sequence[Run], user: Sequence[int], code: CodeMap, loops: tuple[Loop, ...], *, is_whole: bool
) -> list[Element]:
    """Interpreter and native frames as they called each other, leaf first.

    A native frame in an evaluation loop *is* the run of frames that it runs, and is `Inner` below it. What it
    called goes on top, and what called it below; there, the interpreter's own functions and those that
    started the program are `Inner`. If the native stack never gets to a loop, only its leaf is known to
    belong on top, and the rest is `Inner`. `is_whole`: its root is there.
    """
    code.interpret(loops)
    walked = _calls(code.walk(user))
    calls = [level.language for level in walked if level.language]
    left = {name: deque(run for run in runs if run.language == name) for name in {*calls}}
    # A loop that has just been called, or is about to return, has no frame.
    idle = {name: calls.count(name) - len(left[name]) if is_whole else 0 for name in left}
    if not any(left.values()):
        top: list[Element] = [level.element for level in walked[:1]]
        return [
            *top,
            *(level.inner for level in walked[1:]),
            *(frame for run in runs for frame in run.frames),
        ]
    stack: list[Element] = []
    called: list[Level] = []
    placed: set[int] = set()
    for level in walked:
        language = level.language
        if language and idle[language] <= 0 and left[language]:
            run = left[language].popleft()
            stack += _between(called) if placed else _without_entry(called)
            stack += run.frames
            placed.add(id(run))
            called.clear()
        elif language and idle[language] > 0:
            idle[language] -= 1
        called.append(level)
    rest = [run for run in runs if id(run) not in placed]
    if not rest:
        stack += _below(called) if is_whole else [level.inner for level in called]
    return [*stack, *(frame for run in rest for frame in run.frames)]


def _calls(walked: Sequence[Level]) -> list[Level]:
    """Each native frame; the loop may be two functions, of which one calls the other: these are one frame."""
    calls: list[Level] = []
    before = ""
    for level in walked:
        if not level.language or level.language != before:
            calls.append(level)
        before = level.language
    return calls


def _between(called: Sequence[Level]) -> list[Element]:
    """What one run called that led to the next, without the interpreter's own functions."""
    return _hide(called, (_trampoline(called), _entry(called)), hides_own=True)


def _without_entry(called: Sequence[Level]) -> list[Element]:
    """What the innermost run called."""
    return _hide(called, (_entry(called),), hides_own=False)


def _below(called: Sequence[Level]) -> list[Element]:
    """What called the outermost run; hidden if that is the interpreter and what starts every program."""
    below = _hide(called, (_trampoline(called),), hides_own=True)
    for level, element in zip(called, below, strict=True):
        if not level.is_start and element is not level.inner:
            return below
    return [level.inner for level in called]


def _hide(called: Sequence[Level], places: tuple[int, ...], *, hides_own: bool) -> list[Element]:
    """Each of these; those in a loop and at `places` are hidden, and with `hides_own` those in its file."""
    return [
        level.inner if level.language or (hides_own and level.is_own) or at in places else level.element
        for at, level in enumerate(called)
    ]


def _trampoline(called: Sequence[Level]) -> int:
    """The place of generated code that called the loop, which only leads there; -1 without such."""
    return _generated_in(called, range(len(called)))


def _entry(called: Sequence[Level]) -> int:
    """The place of generated code that the loop called itself: the run's frames are compiled to it."""
    return _generated_in(called, range(len(called) - 1, -1, -1))


def _generated_in(called: Sequence[Level], order: Iterable[int]) -> int:
    """Where the first in this order lies that is in no loop, if it is generated code; else -1."""
    for at in order:
        if not called[at].language:
            return at if called[at].is_generated else -1
    return -1


@lru_cache(_CACHED_MODULES)
def _is_starting(module: str) -> bool:
    return _STARTING.fullmatch(module) is not None


def merge(stack: Sequence[Element], kernel: Sequence[int], *, truncated: bool) -> tuple[Element, ...]:
    """The whole stack, root first: `stack` is leaf first, and the kernel's on top of it."""
    root = (TRUNCATED,) if truncated else ()
    return (*root, *reversed(stack), *reversed(kernel_elements(kernel)))


def kernel_elements(kernel: Sequence[int]) -> list[KernelAddress]:
    """The instructions that ran, leaf first: of a caller, the call and not where it returns to."""
    return [KernelAddress(address - (level > 0)) for level, address in enumerate(kernel)]
