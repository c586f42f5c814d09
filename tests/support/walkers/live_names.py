"""The names that the kernel's programs would take of code objects of a live process, by the harness."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.errors import ReadFault
from symbolizers.frame import RawFrame
from symbolizers.taken import TakenName
from tests.support.walkers.harness import PAGE_BYTES, Harness, Image
from tests.support.walkers.images import touched, walker_of

AT_ONCE = 16
"""Frames in one sample: fewer than are named at most."""


def taken_of(
    harness: Harness, memory: AddressSpace, interpreter: Interpreter, frames: Sequence[RawFrame]
) -> dict[tuple[int, int], TakenName]:
    """What is taken of `frames`, by address and checksum; nothing of some. The process stands still."""
    found: dict[tuple[int, int], TakenName] = {}
    for first in range(0, len(frames), AT_ONCE):
        names = _taken(harness, memory, interpreter, frames[first : first + AT_ONCE])
        found.update({(name.address, name.checksum): name for name in names})
    return found


def _taken(
    harness: Harness, memory: AddressSpace, interpreter: Interpreter, frames: Sequence[RawFrame]
) -> tuple[TakenName, ...]:
    pages: dict[int, bytes] = {}
    absent: set[int] = set()
    while True:
        image = Image(dict(pages), (walker_of(interpreter),), thread_pointer=1)
        walk = harness.walk(image, traced=True, named=True, frames=frames, twice=False)
        missed = {page for read in walk.trace if read.fault for page in touched(read.address, read.size)}
        missed -= pages.keys() | absent
        if not missed:
            return walk.names
        for page in missed:
            with suppress(ReadFault):
                pages[page] = memory.read(page, PAGE_BYTES)
        absent |= missed - pages.keys()
