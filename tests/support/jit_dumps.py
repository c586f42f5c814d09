"""Records of a jitdump, as tools/perf/Documentation/jitdump-specification.txt of Linux has them."""

from __future__ import annotations

import struct

HEADER = struct.pack("<IIIIIIQQ", 0x4A695444, 1, 40, 62, 0, 7, 1, 0)


def record(kind: int, content: bytes) -> bytes:
    return struct.pack("<IIQ", kind, 16 + len(content), 1) + content


def loaded(number: int, start: int, size: int, name: str) -> bytes:
    """JIT_CODE_LOAD, with so many bytes of code."""
    return record(
        0, struct.pack("<IIQQQQ", 7, 7, start, start, size, number) + name.encode() + bytes(1 + size)
    )


def moved(number: int, old: int, new: int, size: int) -> bytes:
    """JIT_CODE_MOVE."""
    return record(1, struct.pack("<IIQQQQQ", 7, 7, new, old, new, size, number))
