"""Function starts of a stripped file: the search table that unwinders use (section .eh_frame_hdr).

Layout: Linux Standard Base, Core, "The .eh_frame_hdr section"; the encodings are DWARF's exception header
encodings. Every linker writes 4-byte offsets relative to the section, and only these are read here.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import NamedTuple

from symbolizers.elf.headers import Segment
from symbolizers.elf.source import Source
from symbolizers.errors import Malformed

_HEAD = struct.Struct("<BBBB4xI")
_VERSION = 1
_FRAME_POINTER = 0x1B  # relative to the field, signed 4 bytes
_COUNT = 0x03  # unsigned 4 bytes
_TABLE = 0x3B  # relative to the section, signed 4 bytes
_ENTRY_BYTES = 8
_MAX_FUNCTIONS = 1 << 21
"""As many as a file may have symbols; node has 0.1 million."""


class FunctionStarts(NamedTuple):
    """Sorted starts of all functions that have unwind information, relative to `base`."""

    base: int
    offsets: array[int]

    def at_or_before(self, address: int) -> int | None:
        """The last start that is not after `address`, or None."""
        index = bisect_right(self.offsets, address - self.base) - 1
        return self.base + self.offsets[index] if index >= 0 else None

    def after(self, address: int) -> int | None:
        """The first start after `address`, or None."""
        index = bisect_right(self.offsets, address - self.base)
        return self.base + self.offsets[index] if index < len(self.offsets) else None

    def around(self, address: int) -> tuple[int, int]:
        """Where the function at `address` and the next one start; ``(0, 0)`` unknown."""
        start, end = self.at_or_before(address), self.after(address)
        return (0, 0) if start is None or end is None else (start, end)


NO_STARTS = FunctionStarts(0, array("i"))


def read_function_starts(source: Source, segment: Segment) -> FunctionStarts:
    """The starts in the PT_GNU_EH_FRAME `segment`. Raises `Malformed`."""
    *form, count = _HEAD.unpack(source.read(segment.offset, _HEAD.size))
    if form != [_VERSION, _FRAME_POINTER, _COUNT, _TABLE]:
        raise Malformed("an .eh_frame_hdr without a search table of the usual encoding")
    if count > _MAX_FUNCTIONS or count * _ENTRY_BYTES > segment.file_size - _HEAD.size:
        raise Malformed(f"an .eh_frame_hdr of {segment.file_size} bytes with {count} functions")
    table = array("i", source.read(segment.offset + _HEAD.size, count * _ENTRY_BYTES))
    return FunctionStarts(segment.address, table[::2])
