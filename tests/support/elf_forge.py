"""ELF files put together from sections, whatever these claim."""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEADER_BYTES, _SEGMENT_BYTES = 64, 56
_SECTIONS_AT, _SECTION_NUMBERS_AT = 40, 58
"""Where the header says where the table of sections is, how long its entries are, and which has the names."""
CODE_BYTES = 1 << 30


class Section(NamedTuple):
    """A section with `content`. It says that it has `size` bytes at `at`, if these are not 0 and None."""

    kind: int = 1
    content: bytes = b""
    size: int = 0
    at: int | None = None
    link: int = 0
    entry_size: int = 0
    name: bytes = b""
    flags: int | None = None
    """None: as its kind has them."""

    @classmethod
    def symbols(cls, content: bytes, *, kind: int = 2, strings: int = 2) -> Section:
        """A symbol table whose names are in section `strings`: by default the next one of two."""
        return cls(kind, content, link=strings, entry_size=24)

    @classmethod
    def strings(cls, content: bytes, *, size: int = 0) -> Section:
        return cls(3, content, size)


class Forged(NamedTuple):
    """A file, and the offset in it of each section's content."""

    content: bytes
    offsets: tuple[int, ...]


def symbol(name: int, address: int, size: int, *, info: int = 0x12, section: int = 1) -> bytes:
    """A function, unless `info` says otherwise; `name` is an offset in the strings."""
    return struct.pack("<IBBHQQ", name, info, 0, section, address, size)


def forge(*sections: Section, segments: bytes = b"", program: bytes = b"") -> Forged:
    """A library of `sections`, numbered from 1 on, and behind them one of their names.

    Its one segment is code, unless it has `segments`. With `program`, it is that ELF file, which still runs,
    with these sections in place of its own.
    """
    names = bytearray(b"\0")
    named = []
    for each in sections:
        named.append(len(names) if each.name else 0)
        names += each.name + b"\0" if each.name else b""
    segments = segments or struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, CODE_BYTES, CODE_BYTES, 4096)
    content = bytearray(program or bytes(_HEADER_BYTES) + segments)
    content += bytes(-len(content) % 8)
    headers = bytearray(64)
    offsets = []
    for name, each in zip((*named, 0), (*sections, Section(3, bytes(names))), strict=True):
        offsets.append(len(content))
        at = len(content) if each.at is None else each.at
        size = each.size or len(each.content)
        flags = each.flags if each.flags is not None else 6 if each.kind == 1 else 0
        headers += struct.pack(
            "<IIQQQQIIQQ", name, each.kind, flags, 0, at, size, each.link, 0, 1, each.entry_size
        )
        content += each.content
        content += bytes(-len(content) % 8)
    count = len(sections) + 2
    struct.pack_into("<Q", headers, 32, count)  # where the header has no room for the number
    numbers = (64, count if count < 0xFF00 else 0, min(count - 1, 0xFFFE))
    if not program:
        fields = (
            3,
            62,
            1,
            0,
            _HEADER_BYTES,
            0,
            0,
            _HEADER_BYTES,
            _SEGMENT_BYTES,
            len(segments) // _SEGMENT_BYTES,
        )
        struct.pack_into("<16sHHIQQQIHHH", content, 0, b"\x7fELF\2\1\1", *fields)
    struct.pack_into("<Q", content, _SECTIONS_AT, len(content))
    struct.pack_into("<HHH", content, _SECTION_NUMBERS_AT, *numbers)
    return Forged(bytes(content + headers), tuple(offsets))
