"""One stack out of three: kernel, native and interpreter frames of the same instant, root first. Pure.

Addresses stay addresses here; names come at the end of a run, once for each address.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
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
_CACHED_MODULES = 256


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


class CodeMap:
    """A process's executable mappings, to look addresses up in. Lifetime: one inspection."""

    def __init__(self, mappings: Sequence[CodeMapping] = (), generated: FileKey | None = None) -> None:
        """`generated` stands for the code that the process generates."""
        self._mappings = tuple(mappings)
        self._generated = generated
        self._starts = [mapping.start for mapping in self._mappings]
        self._files = [None if is_shared_memory(each.path) else each.file for each in self._mappings]

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


class Run(NamedTuple):
    """The frames that one call of an interpreter's evaluation loop runs, leaf first."""

    language: str
    frames: tuple[Frame | RunningLine, ...]


class Loop(NamedTuple):
    """Addresses of an evaluation loop, from `start` to before `end`."""

    language: str
    start: int
    end: int


def native_elements(user: Sequence[int], code: CodeMap) -> list[Element]:
    """The native frames of a thread that runs no interpreter, leaf first.

    `user` is the instruction pointer, then return addresses. Where code keeps neither unwind information nor
    frame pointers these are junk: the stack ends at the first address that isn't code.
    """
    return [element for _, element in _native(user, code)]


def interleave(
    runs: Sequence[Run], user: Sequence[int], code: CodeMap, loops: Sequence[Loop], *, is_whole: bool
) -> list[Element]:
    """Interpreter and native frames as they called each other, leaf first.

    A native frame in an evaluation loop *is* the run of frames that it runs, and is `Inner` below it. What it
    called goes on top, and what called it below; there, the interpreter's own functions and those that
    started the program are `Inner`. If the native stack never gets to a loop, only its leaf is known to
    belong on top, and the rest is `Inner`. `is_whole`: its root is there.
    """
    walked = _calls(user, code, loops)
    calls = Counter(language for language, _ in walked if language)
    left = {language: deque(run for run in runs if run.language == language) for language in calls}
    # A loop that has just been called, or is about to return, has no frame.
    idle = {language: calls[language] - len(left[language]) if is_whole else 0 for language in calls}
    if not any(left.values()):
        top = [element for _, element in walked]
        return [*top[:1], *map(_hidden, top[1:]), *(frame for run in runs for frame in run.frames)]
    own = {found.file for loop in loops if isinstance(found := code.find(loop.start), NativeAddress)}
    stack: list[Element] = []
    called: list[Element] = []
    placed: set[int] = set()
    for language, element in walked:
        if language and idle[language] <= 0 and left[language]:
            run = left[language].popleft()
            stack += _between(called, own) if placed else _without_entry(called)
            stack += run.frames
            placed.add(id(run))
            called.clear()
        elif language and idle[language] > 0:
            idle[language] -= 1
        called.append(_hidden(element) if language else element)
    rest = [run for run in runs if id(run) not in placed]
    if not rest:
        stack += _below(called, own) if is_whole else map(_hidden, called)
    return [*stack, *(frame for run in rest for frame in run.frames)]


def _calls(user: Sequence[int], code: CodeMap, loops: Sequence[Loop]) -> list[tuple[str, Element]]:
    """Each native frame, and the language whose evaluation loop it is in.

    The loop may be two functions, of which one calls the other: these are one frame.
    """
    found: list[tuple[str, Element]] = []
    for address, element in _native(user, code):
        language = _loop_of(address, loops)
        if not (language and found and found[-1][0] == language):
            found.append((language, element))
    return found


def _native(user: Sequence[int], code: CodeMap) -> Iterator[tuple[int, Element]]:
    """The address and the element of each level, as far as they are code."""
    for level, address in enumerate(user):
        address -= level > 0  # a return address may be the first byte of the next function
        element = code.find(address)
        if element is None:
            return
        yield address, element


def _loop_of(address: int, loops: Sequence[Loop]) -> str:
    for loop in loops:
        if loop.start <= address < loop.end:
            return loop.language
    return ""


def _is_of(element: Element, files: Collection[FileKey]) -> bool:
    return type(element) is NativeAddress and element.file in files


def _between(called: Sequence[Element], own: Collection[FileKey]) -> list[Element]:
    """What one run called that led to the next."""
    return _without_own(_without_entry(_without_trampoline(called)), own)


def _without_own(called: Iterable[Element], own: Collection[FileKey]) -> list[Element]:
    """The functions of these files are hidden."""
    return [_hidden(each) if _is_of(each, own) else each for each in called]


def _without_trampoline(called: Sequence[Element]) -> Sequence[Element]:
    """Hides generated code that called the loop: it only leads there."""
    return _without_generated(called, range(len(called)))


def _without_entry(called: Sequence[Element]) -> Sequence[Element]:
    """Hides generated code that the loop called itself: it is what the run's frames are compiled to."""
    return _without_generated(called, reversed(range(len(called))))


def _without_generated(called: Sequence[Element], order: Iterable[int]) -> Sequence[Element]:
    """Hides what comes first in this order, of what is not hidden, if it is generated code."""
    first = next((at for at in order if not isinstance(called[at], Inner)), None)
    if first is None or not _is_generated(called[first]):
        return called
    return [*called[:first], _hidden(called[first]), *called[first + 1 :]]


def _is_generated(element: Element) -> bool:
    return type(element) is NativeAddress and element.file.is_generated


def _below(called: Sequence[Element], own: Collection[FileKey]) -> list[Element]:
    """What called the outermost run; hidden if that is the interpreter and what starts every program."""
    rest = _without_own(_without_trampoline(called), own)
    is_start = all(_starts_programs(each) for each in rest if not isinstance(each, Inner))
    return [*map(_hidden, rest)] if is_start else rest


def _hidden(element: Element) -> Element:
    return Inner(element) if type(element) is NativeAddress or type(element) is Frame else element


def _starts_programs(element: Element) -> bool:
    return type(element) is NativeAddress and _is_starting(module_name(element.path))


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
