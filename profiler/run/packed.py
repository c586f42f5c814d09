"""Stacks that nothing has shown for a while: in a twentieth of the memory, and slow to get at. Pure.

The stacks of one program begin alike. In order, each is written as how much of it is as in the one before,
and the rest; that is compressed.
"""

from __future__ import annotations

import heapq
import zlib
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_FASTEST = 1
_GROWTH = 2


class Packed(NamedTuple):
    """A stack, root first, by the numbers of its elements; its samples, and how many of them are partial.

    `tid` is 0 unless threads are told apart. No number reaches 2^64.
    """

    tid: int
    elements: tuple[int, ...]
    samples: int
    partial: int


class _Block(NamedTuple):
    stacks: int
    data: bytes


class PackedStacks:
    """Stacks of one account, in blocks, each at least twice as large as the next. Lifetime: the account."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def size_bytes(self) -> int:
        """What they take."""
        return sum(len(block.data) for block in self._blocks)

    def add(self, stacks: Iterable[Packed]) -> None:
        """Takes them in; equal ones are counted together sooner or later."""
        self._blocks.append(_block(sorted(stacks)))
        while len(self._blocks) > 1 and self._blocks[-2].stacks < _GROWTH * self._blocks[-1].stacks:
            last, before = self._blocks.pop(), self._blocks.pop()
            self._blocks.append(_block(heapq.merge(_unpacked(before), _unpacked(last))))

    def __iter__(self) -> Iterator[Packed]:
        """All of them; a stack may come several times, with other samples."""
        for block in self._blocks:
            yield from _unpacked(block)


def _block(stacks: Iterable[Packed]) -> _Block:
    """Of stacks in order, of which equal ones become one."""
    words = array("Q")
    number = 0
    before: tuple[int, ...] = ()
    for tid, elements, samples, partial in _merged(stacks):
        number += 1
        alike = 0
        for each, other in zip(elements, before, strict=False):
            if each != other:
                break
            alike += 1
        words.extend((tid, samples, partial, alike, len(elements) - alike, *elements[alike:]))
        before = elements
    return _Block(number, zlib.compress(words, _FASTEST))


def _merged(stacks: Iterable[Packed]) -> Iterator[Packed]:
    last: Packed | None = None
    for stack in stacks:
        if last is not None and stack[:2] == last[:2]:
            samples, partial = last.samples + stack.samples, last.partial + stack.partial
            last = last._replace(samples=samples, partial=partial)
        else:
            if last is not None:
                yield last
            last = stack
    if last is not None:
        yield last


def _unpacked(block: _Block) -> Iterator[Packed]:
    words = array("Q", zlib.decompress(block.data))
    at = 0
    elements: tuple[int, ...] = ()
    for _ in range(block.stacks):
        tid, samples, partial, alike, more = words[at : at + 5]
        at += 5 + more
        elements = (*elements[:alike], *words[at - more : at])
        yield Packed(tid, elements, samples, partial)
