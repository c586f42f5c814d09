"""CPython's line tables: from the bytes of ``co_lnotab`` or ``co_linetable`` to lines.

Every decoder takes the table and ``co_firstlineno``, where the running line starts, and gives the parallel
``(starts, lines)`` of the code object: `starts` are bytes from the first instruction, ascending from 0;
neighbours of equal line are merged. A line is 0 where the table says that there is none, or one that no
source file can have. At most one entry a byte of the table, and one more, comes out.

- ``co_lnotab`` up to 3.9 (Objects/lnotab_notes.txt): pairs of bytes, how far to go on in the code and then
  in the lines. The second is signed, in 2.7 unsigned.
- ``co_linetable`` of 3.10 (the same file): pairs of bytes, the length of a range of code and how far its
  line is from the last; signed, -128 for a range without a line.
- ``co_linetable`` of 3.11 and later (Objects/locations.md): entries that start with a byte ``1 cccc lll``,
  where ``lll`` plus one is the number of 2-byte code units covered and ``cccc`` the form; the bytes that
  follow have the top bit clear.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final

from symbolizers.errors import Malformed

_ENTRY: Final = re.compile(rb"[\x80-\xff][\x00-\x7f]*")
_CODE_UNIT_BYTES: Final = 2

_ONE_LINE_0: Final = 10
_NO_COLUMNS: Final = 13
_LONG: Final = 14
_NONE: Final = 15

_MAX_VARINT_BYTES: Final = 6
"""6 bits a byte: enough for 32 bits and a sign."""
_MAX_LINE: Final = (1 << 31) - 1


LineTable = tuple[tuple[int, ...], tuple[int, ...]]

_NO_LINE_DELTA: Final = -128


def decode_unsigned_lnotab(table: bytes, first_line: int) -> LineTable:
    """The table of 2.7: the lines that ``dis.findlinestarts(code)`` gives."""
    return _decode_lnotab(table[::2], table[1::2], first_line)


def decode_lnotab(table: bytes, first_line: int) -> LineTable:
    """The table of 3.6 to 3.9: the lines that ``dis.findlinestarts(code)`` gives."""
    return _decode_lnotab(table[::2], _signed(table[1::2]), first_line)


def _decode_lnotab(lengths: bytes, deltas: Sequence[int], first_line: int) -> LineTable:
    if not lengths:
        return (), ()
    starts, lines = [0], [_line(first_line)]
    start, running = 0, first_line
    for length, delta in zip(lengths, deltas, strict=False):
        start += length
        running += delta
        if length and starts[-1] != start:
            starts.append(start)
            lines.append(0)
        lines[-1] = _line(running)
    return _merged(starts, lines)


def decode_ranges(table: bytes, first_line: int) -> LineTable:
    """The table of 3.10: the lines that ``code.co_lines()`` gives."""
    starts: list[int] = []
    lines: list[int] = []
    start, running = 0, first_line
    for length, delta in zip(table[::2], _signed(table[1::2]), strict=False):
        if delta != _NO_LINE_DELTA:
            running += delta
        if length:
            starts.append(start)
            lines.append(0 if delta == _NO_LINE_DELTA else _line(running))
        start += length
    return _merged(starts, lines)


def _signed(deltas: bytes) -> tuple[int, ...]:
    return struct.unpack(f"{len(deltas)}b", deltas)


def _line(number: int) -> int:
    return number if 0 <= number <= _MAX_LINE else 0


def _merged(starts: Sequence[int], lines: Sequence[int]) -> LineTable:
    """The table without starts that only repeat the line before."""
    changes = [index for index, line in enumerate(lines) if not index or line != lines[index - 1]]
    return tuple(starts[index] for index in changes), tuple(lines[index] for index in changes)


def decode_locations(table: bytes, first_line: int) -> LineTable:
    """The table of 3.11 and later: the lines that ``code.co_lines()`` gives. Raises `Malformed`."""
    if table and table[0] < 0x80:
        raise Malformed("location table does not start with an entry")
    starts: list[int] = []
    lines: list[int] = []
    start, running, last = 0, first_line, -1
    for entry in _ENTRY.findall(table):
        head = entry[0]
        form = head >> 3 & 0xF
        if form < _NO_COLUMNS:
            if form > _ONE_LINE_0:
                running += form - _ONE_LINE_0
            line = running
        elif form == _NONE:
            # The range has no line, and the running line stays where it was.
            line = 0
        else:
            running += _signed_varint(entry)
            line = running
        line = _line(line)
        if line != last:
            starts.append(start)
            lines.append(line)
            last = line
        start += ((head & 7) + 1) * _CODE_UNIT_BYTES
    return tuple(starts), tuple(lines)


def _signed_varint(entry: bytes) -> int:
    """The number that follows the head of `entry`: 6 bits a byte, lowest first, the sign in bit 0."""
    value = 0
    for index in range(1, min(len(entry), _MAX_VARINT_BYTES + 1)):
        value |= (entry[index] & 0x3F) << 6 * (index - 1)
        if not entry[index] & 0x40:
            return -(value >> 1) if value & 1 else value >> 1
    raise Malformed("location table holds a truncated or overlong number")
