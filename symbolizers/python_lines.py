"""The location table of CPython 3.11 and later: from the bytes of ``co_linetable`` to lines.

The format (CPython's Objects/locations.md): entries that start with a byte ``1 cccc lll``, where ``lll``
plus one is the number of 2-byte code units covered and ``cccc`` the form; the bytes that follow have the
top bit clear. The running line starts at ``co_firstlineno`` and moves by each entry's line delta.
"""

from __future__ import annotations

import re
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


def decode_locations(table: bytes, first_line: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The parallel ``(starts, lines)`` of a code object, as ``code.co_lines()`` gives them.

    `starts` are bytes from the first instruction, ascending from 0; neighbours of equal line are merged.
    A line is 0 where the table says that there is none, or one that no source file can have. At most
    one entry a byte of `table` comes out. Raises `Malformed`.
    """
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
        if not 0 <= line <= _MAX_LINE:
            line = 0
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
