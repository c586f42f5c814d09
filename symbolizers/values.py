"""What bytes of a target's memory stand for: numbers, addresses and texts, none of which is believed."""

from __future__ import annotations

from typing import Final

from symbolizers.errors import Malformed
from symbolizers.frame import ADDRESS_MASK

MAX_TEXT_BYTES: Final = 4096
"""The most that is read of one text."""


def word_at(data: bytes, offset: int) -> int:
    """The 8-byte number at `offset` of `data`."""
    return int.from_bytes(data[offset : offset + 8], "little")


def pointer(value: int) -> int:
    """`value`, if it can be the address of an object or structure. Raises `Malformed`."""
    if not 0 < value <= ADDRESS_MASK or value % 8:
        raise Malformed(f"{value:#x} is not an address")
    return value


def text_of(data: bytes, *, is_whole: bool) -> str:
    """The text in `data`; bytes that are not UTF-8 come as ``\\xNN``. One that is not whole ends in ``…``."""
    if is_whole:
        return data.decode("utf-8", "backslashreplace")
    return data.decode("utf-8", "ignore") + "…"
