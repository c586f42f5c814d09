"""The names that the kernel's programs would take of code objects of a live process, by the harness."""

from __future__ import annotations

from collections.abc import Sequence

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.frame import RawFrame
from symbolizers.taken import TakenName
from tests.support.walkers.harness import Harness, Image, Walk
from tests.support.walkers.images import walker_of, with_pages

AT_ONCE = 16
"""Frames in one sample: fewer than are named at most."""


def taken_of(
    harness: Harness, memory: AddressSpace, interpreter: Interpreter, frames: Sequence[RawFrame]
) -> dict[tuple[int, int], TakenName]:
    """What is taken of `frames`, by address and checksum; nothing of some. The process stands still."""
    found: dict[tuple[int, int], TakenName] = {}
    walker = walker_of(interpreter)

    def name(image: Image) -> Walk:
        return harness.walk(image, traced=True, named=True, frames=some, twice=False)

    for first in range(0, len(frames), AT_ONCE):
        some = frames[first : first + AT_ONCE]
        _, walk = with_pages(memory, lambda pages: Image(pages, (walker,), thread_pointer=1), name)
        found.update({(taken.address, taken.checksum): taken for taken in walk.names})
    return found
