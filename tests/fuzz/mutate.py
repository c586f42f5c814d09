"""Changes real inputs where it hurts: numbers become extreme, parts go missing, move or come twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

EXTREMES: Final = (
    *(0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 31),
    *((1 << 32) - 1, 1 << 32, 1 << 40, (1 << 40) + 1, 1 << 47, (1 << 56) - 8, 1 << 56, (1 << 63) - 1),
    *(1 << 63, (1 << 64) - 8, (1 << 64) - 1),
)
_WIDTHS: Final = (1, 2, 4, 8, 8)
_MOST_CHANGES: Final = 6
_MOST_MOVED_BYTES: Final = 64


class Mutator:
    """Makes inputs of others. `words`: numbers that mean something to the target, such as addresses."""

    def __init__(self, random_: random.Random, words: Sequence[int] = ()) -> None:
        self._random = random_
        self._words = words
        self._changes: tuple[Callable[[bytearray, Sequence[int]], None], ...] = (
            *(self._extreme,) * 3,
            *(self._known if words else self._extreme,) * 3,
            *(self._nearby, self._flip, self._cut, self._remove, self._repeat, self._move),
        )

    def changed(self, data: bytes, others: Sequence[bytes], places: Sequence[int] = ()) -> bytes:
        """`data` with one change or a few; now and then it ends as one of the `others` does.

        `places`: offsets of what is worth changing; everything is, without any.
        """
        result = bytearray(data)
        for _ in range(self._random.randint(1, _MOST_CHANGES)):
            self._random.choice(self._changes)(result, places)
        if not self._random.randrange(8):
            other = self._random.choice(others)
            at = self._random.randint(0, min(len(result), len(other)))
            result[at:] = other[at:]
        return bytes(result)

    def _place(self, data: bytearray, places: Sequence[int], width: int) -> int:
        if places and self._random.randrange(8):
            return min(self._random.choice(places), len(data))
        at = self._random.randint(0, len(data))
        return at - at % width if self._random.randrange(4) else at

    def _put(self, data: bytearray, places: Sequence[int], number: int, width: int) -> None:
        at = self._place(data, places, width)
        data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")

    def _extreme(self, data: bytearray, places: Sequence[int]) -> None:
        self._put(data, places, self._random.choice(EXTREMES), self._random.choice(_WIDTHS))

    def _known(self, data: bytearray, places: Sequence[int]) -> None:
        self._put(data, places, self._random.choice(self._words), 8)

    def _nearby(self, data: bytearray, places: Sequence[int]) -> None:
        """The number that is there, a little more or less, or half or twice."""
        width = self._random.choice(_WIDTHS)
        at = self._place(data, places, width)
        number = int.from_bytes(data[at : at + width], "little")
        near = self._random.choice((number + 1, number - 1, number + 8, number - 8, 2 * number, number // 2))
        data[at : at + width] = (near % (1 << 8 * width)).to_bytes(width, "little")

    def _flip(self, data: bytearray, places: Sequence[int]) -> None:
        at = self._place(data, places, 1)
        if at < len(data):
            data[at] ^= 1 << self._random.randrange(8)

    def _cut(self, data: bytearray, places: Sequence[int]) -> None:
        if not self._random.randrange(4):
            del data[self._place(data, places, 1) :]

    def _remove(self, data: bytearray, places: Sequence[int]) -> None:
        at = self._place(data, places, 1)
        del data[at : at + self._random.randint(1, _MOST_MOVED_BYTES)]

    def _repeat(self, data: bytearray, places: Sequence[int]) -> None:
        at = self._place(data, places, 8)
        part = data[at : at + self._random.randint(1, _MOST_MOVED_BYTES)]
        data[at:at] = part * self._random.choice((1, 1, 2, 8))

    def _move(self, data: bytearray, places: Sequence[int]) -> None:
        at, to = self._place(data, places, 8), self._place(data, places, 8)
        part = data[at : at + self._random.choice((8, 16, self._random.randint(1, _MOST_MOVED_BYTES)))]
        data[to : to + len(part)] = part
