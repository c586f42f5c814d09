"""Protobuf's wire format, as far as pprof and OTLP profiles need it: fields and packed numbers, no reading.

It is a page of code, and no package does better here. PyPI has no package of pprof's schema, and that of
OTLP's (``opentelemetry-proto``) follows a schema that still changes its fields, while ours is fixed by the
numbers in `profiler.export.otlp`. Both would need Google's ``protobuf``, a native library of 3 MB, in a
program that may run as root. The tests read what this writes by that library and by Go's.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

_VARINT, _BYTES, _FIXED_64 = 0, 2, 1
MAX = (1 << 63) - 1
"""The largest number; a larger one is written as this."""


@lru_cache(maxsize=1 << 16)
def varint(value: int) -> bytes:
    """A number from 0 on, in the fewest bytes; a negative one is written as 0."""
    return _varint(min(max(value, 0), MAX))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(field: int, value: int) -> bytes:
    """A field with a number; nothing for 0, which is what a missing one means."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def address(field: int, value: int) -> bytes:
    """A field with an address, which may have all of 64 bits; nothing for 0."""
    return varint(field << 3 | _VARINT) + _varint(value) if value else b""


def fixed_64(field: int, value: int) -> bytes:
    """A field with a number of eight bytes."""
    return varint(field << 3 | _FIXED_64) + struct.pack("<Q", value) if value else b""


def message(field: int, *parts: bytes) -> bytes:
    """A field with a message of these fields, or with bytes; also if it is empty."""
    contents = b"".join(parts)
    return varint(field << 3 | _BYTES) + varint(len(contents)) + contents


def text(field: int, value: str) -> bytes:
    """A field with a text, also if it is empty. Raises `UnicodeEncodeError` for lone surrogates."""
    return message(field, value.encode())


def packed(field: int, encoded: Iterable[bytes]) -> bytes:
    """A repeated field of numbers that `varint` has encoded; nothing for none."""
    contents = b"".join(encoded)
    return message(field, contents) if contents else b""


def packed_fixed_64(field: int, values: Sequence[int]) -> bytes:
    """A repeated field of numbers of eight bytes; nothing for none."""
    return message(field, struct.pack(f"<{len(values)}Q", *values)) if values else b""
