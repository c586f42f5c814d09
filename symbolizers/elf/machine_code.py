"""Reads the machine code of a file's functions: what they address, call, and jump to. Pure; x86-64.

A language so finds what a stripped interpreter does not name. A function is in two parts where the compiler
knows or guesses what runs often: the symbol's own and one called ``….cold``, elsewhere. Newer compilers put
nearly all of a loop that runs bytecode into the latter.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Final

from symbolizers.elf.file import ElfFile

LOAD: Final = re.compile(rb"[\x48\x4c]\x8b[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](....)", re.DOTALL)
"""A ``mov`` of 8 bytes from an address relative to the instruction pointer to a register."""
ADDRESS: Final = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](....)", re.DOTALL)
"""A ``lea`` of an address relative to the instruction pointer."""
CALL: Final = re.compile(rb"\xe8(....)", re.DOTALL)

_JUMP: Final = re.compile(rb"(?:\xe9|\x0f[\x80-\x8f])(?=(.{4}))", re.DOTALL)
"""``jmp`` or a conditional jump to an address relative to its end, 4 bytes on."""
_LEAST_JUMPS: Final = 4
MAX_FUNCTION_BYTES: Final = 1 << 20
"""The largest functions that are looked into run bytecode: some 300 kB."""
SMALL_FUNCTION_BYTES: Final = 1 << 14
"""Of a function where each address is followed, which takes some microseconds."""


def function_code(elf: ElfFile, name: str, *, most_bytes: int = MAX_FUNCTION_BYTES) -> tuple[int, bytes]:
    """Address and code of the function that the file calls `name`; no code where it has none, or too much.

    Raises `Malformed`.
    """
    symbol = elf.symbol(name)
    if symbol is None or not 0 < symbol.size <= most_bytes:
        return 0, b""
    return symbol.address, elf.read(symbol.address, symbol.size)


def targets(pattern: re.Pattern[bytes], address: int, code: bytes) -> Iterator[int]:
    """What the instructions in `code`, at `address`, that look like `pattern` refer to.

    The group of `pattern` is a displacement from the instruction's end. Nothing is decoded: bytes that look
    like an instruction may be the middle of another.
    """
    at = 0
    while match := pattern.search(code, at):
        (displacement,) = struct.unpack("<i", match[1])
        yield address + match.end() + displacement
        at = match.start() + 1


def _jumps(address: int, code: bytes) -> Iterator[int]:
    """Where what looks like a jump in `code`, which is at `address`, leads to."""
    for match in _JUMP.finditer(code):
        (displacement,) = struct.unpack("<i", match[1])
        yield address + match.end() + len(match[1]) + displacement


NO_CODE: Final = (0, 0)
"""The range ``(start, end)`` of code that is not known, or that there is not."""


def find_cold_part(elf: ElfFile, start: int, end: int) -> tuple[int, int]:
    """Where the other part of the function from `start` to `end` is; ``(0, 0)`` without one.

    It is what the function jumps into, not to the start of, as calls of other functions do. Raises
    `Malformed`.
    """
    jumps: Counter[tuple[int, int]] = Counter()
    code = elf.read(start, min(end - start, MAX_FUNCTION_BYTES)) if start < end else b""
    starts = elf.function_starts()
    bounds = NO_CODE
    for target in sorted(_jumps(start, code)):  # so that few functions are looked up
        if not start <= target < end:
            if not bounds[0] <= target < bounds[1]:
                bounds = starts.around(target)
            if target != bounds[0]:
                jumps[bounds] += 1
    (found, count), *_ = jumps.most_common(1) or [(NO_CODE, 0)]
    return found if count >= _LEAST_JUMPS else NO_CODE
