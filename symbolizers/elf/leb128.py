"""Numbers of variable length, as DWARF has them (DWARF 5, 7.6)."""

from __future__ import annotations

from symbolizers.errors import Malformed

_MOST_BITS = 70
"""A number of 64 bits takes ten bytes at most."""


def read_uleb(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at `at`, and the index behind it. Raises `Malformed`, or IndexError at the end."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift >= _MOST_BITS:
            raise Malformed("a number in DWARF that does not end")


def read_sleb(data: bytes, at: int) -> tuple[int, int]:
    """As `read_uleb`, signed."""
    value, end = read_uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> (bits - 1) else value), end
