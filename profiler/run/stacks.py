"""One stack out of three: kernel, native and interpreter frames of the same instant, root first. Pure.

Addresses stay addresses here; names come at the end of a run, once for each address.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from symbolizers.errors import Reason
from symbolizers.frame import MARKER, Frame
from symbolizers.inspection import CodeMapping, FileKey
from symbolizers.native.unnamed import mapping_frame

TRUNCATED = Frame(MARKER, "[truncated]")


class NativeAddress(NamedTuple):
    """An instruction in a mapped file: `offset` bytes into it; `path` as in /proc/PID/maps."""

    file: FileKey
    offset: int
    path: str


class KernelAddress(NamedTuple):
    """An instruction of the kernel."""

    address: int


class Partial(NamedTuple):
    """What a stack lacks: the name of a frame, for `reason`; and whether that is the `leaf`'s."""

    reason: Reason
    leaf: bool


Element = Frame | NativeAddress | KernelAddress
"""One level of a stack before native and kernel names are known."""


class CodeMap:
    """A process's executable mappings, to look addresses up in. Lifetime: one inspection."""

    def __init__(self, mappings: Sequence[CodeMapping] = ()) -> None:
        self._mappings = tuple(mappings)
        self._starts = [mapping.start for mapping in self._mappings]

    def find(self, address: int) -> NativeAddress | Frame | None:
        """What lies at `address`: code of a file, named memory without a file, or None (not code)."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._mappings[index].end:
            return None
        mapping = self._mappings[index]
        offset = address - mapping.start + mapping.offset
        if mapping.file is None:
            return mapping_frame(mapping.path, offset)
        return NativeAddress(mapping.file, offset, mapping.path)


def native_elements(
    user: Sequence[int], code: CodeMap, *, loops: Sequence[tuple[int, int]], interpreted: bool
) -> list[Element]:
    """The native frames that belong on top, leaf first.

    `user` is the instruction pointer, then return addresses found by frame pointers, which are junk
    where code keeps none: the chain ends at the first address that isn't code. Where the thread is
    `interpreted`, a frame in one of the interpreter `loops` *is* an interpreter frame: what is above it
    was called from there. If the chain never gets to a loop, only the leaf is known to belong here.
    The result is empty if even the instruction pointer isn't code.
    """
    found: list[Element] = []
    for level, address in enumerate(user):
        address -= level > 0  # a return address may be the first byte of the next function
        if interpreted and any(start <= address < end for start, end in loops):
            return found
        element = code.find(address)
        if element is None:
            break
        found.append(element)
    return found[:1] if interpreted else found


def merge(
    interpreter: Sequence[Frame], native: Sequence[Element], kernel: Sequence[int], *, truncated: bool
) -> tuple[Element, ...]:
    """The whole stack, root first, of parts that are each leaf first."""
    root = (TRUNCATED,) if truncated else ()
    return (*root, *reversed(interpreter), *reversed(native), *reversed(kernel_elements(kernel)))


def kernel_elements(kernel: Sequence[int]) -> list[KernelAddress]:
    """The instructions that ran, leaf first: of a caller, the call and not where it returns to."""
    return [KernelAddress(address - (level > 0)) for level, address in enumerate(kernel)]
