"""CPython ``str`` objects: their heads and their three widths of characters, as bytes from a target.

A string is one of: compact ASCII (characters right after the short head), compact (after the longer
head), or legacy (characters elsewhere, behind a pointer; an instance of a ``str`` subclass is one).
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct

from symbolizers.errors import Malformed
from symbolizers.layout import Row

MAX_LENGTH: Final = 1 << 40
"""No object has a greater length: no machine has that much memory."""

_WIDTHS_BYTES: Final = (1, 2, 4)
_KIND_MASK: Final = 7
_STATE: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<Q")


class StringHead(Struct, frozen=True):
    """What the head of a ``str`` says: `length` in characters of `width` bytes, and where they are.

    `data_offset` is from the start of the object: of the characters, or (`indirect`) of the pointer to
    them.
    """

    length: int
    width: int
    data_offset: int
    indirect: bool


def parse_head(row: Row, head: bytes) -> StringHead:
    """The head of a ``str`` from its first ``row["unicode_ascii_data"]`` bytes. Raises `Malformed`."""
    (state,) = _STATE.unpack_from(head, row["unicode_state"])
    (length,) = _LENGTH.unpack_from(head, row["unicode_length"])
    width = state >> row["unicode_kind_bit"] & _KIND_MASK
    if length > MAX_LENGTH:
        raise Malformed(f"a string of {length} characters")
    if width not in _WIDTHS_BYTES:
        raise Malformed(f"a string of unknown kind {width}")
    if not state >> row["unicode_compact_bit"] & 1:
        return StringHead(length, width, row["unicode_legacy_data"], indirect=True)
    ascii_only = state >> row["unicode_ascii_bit"] & 1
    if ascii_only and width != 1:
        raise Malformed("an ASCII string of wide characters")
    offset = row["unicode_ascii_data" if ascii_only else "unicode_compact_data"]
    return StringHead(length, width, offset, indirect=False)


def decode(data: bytes, width: int) -> str:
    """The text of characters of `width` bytes, one code point each; lone surrogates stay as they are.

    Raises `Malformed` for a number that is no code point.
    """
    if width == 1:
        return data.decode("latin-1")
    if width == 2:
        # UTF-16 would join two surrogates that are two characters to Python.
        return "".join(map(chr, struct.unpack(f"<{len(data) // 2}H", data)))
    try:
        return data.decode("utf-32-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("a string with a number that is no character") from error


def decode_bytes(data: bytes) -> str:
    """The text of a name that is a ``bytes`` object (2.7), as the file system's paths are decoded."""
    return data.decode("utf-8", "surrogateescape")
