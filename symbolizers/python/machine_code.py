"""Finds in CPython's machine code what a stripped file does not name. Pure; x86-64.

Up to 3.6 the list of interpreters hangs from a static variable, ``interp_head``. The exported
``PyInterpreterState_Head`` does nothing but return it.

If the compiler knew from a profile what runs often, the loop that runs bytecode is in two parts: the symbol's
own, and one called ``….cold`` elsewhere. Newer compilers put nearly all of the loop into the latter.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from typing import Final

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed

_RETURN_VARIABLE: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\x48\x8b\x05(.{4})\xc3", re.DOTALL)
"""``mov X(%rip),%rax; ret``, after an ``endbr64`` or none."""
_LONGEST_BYTES: Final = 12


def find_interpreters_head(elf: ElfFile) -> int:
    """The address of ``interp_head``. Raises `Malformed` where it can't be found."""
    symbol = elf.symbol("interp_head")
    if symbol is not None:
        return symbol.address
    function = elf.symbol("PyInterpreterState_Head")
    if function is not None:
        code = elf.read(function.address, min(function.size, _LONGEST_BYTES)) if function.size else b""
        if match := _RETURN_VARIABLE.match(code):
            (displacement,) = struct.unpack("<i", match[1])
            return function.address + match.end() - 1 + int(displacement)
    raise Malformed("the list of interpreters can't be found: PyInterpreterState_Head has unknown code")


_JUMP: Final = re.compile(rb"(?:\xe9|\x0f[\x80-\x8f])(?=(.{4}))", re.DOTALL)
"""``jmp`` or a conditional jump to an address relative to its end, 4 bytes on."""
_LEAST_JUMPS: Final = 4
_MAX_LOOP_BYTES: Final = 1 << 20


def find_cold_part(elf: ElfFile, start: int, end: int) -> tuple[int, int]:
    """Where the other part of the function from `start` to `end` is; ``(0, 0)`` without one.

    It is where the function's jumps go, and not to the start, as calls of other functions do. Raises
    `Malformed`.
    """
    jumps: Counter[tuple[int, int]] = Counter()
    code = elf.read(start, min(end - start, _MAX_LOOP_BYTES)) if start < end else b""
    for match in _JUMP.finditer(code):
        (displacement,) = struct.unpack("<i", match[1])
        target = start + match.end() + len(match[1]) + displacement
        if not start <= target < end:
            bounds = elf.function_bounds(target)
            if target != bounds[0]:
                jumps[bounds] += 1
    (found, count), *_ = jumps.most_common(1) or [((0, 0), 0)]
    return found if count >= _LEAST_JUMPS else (0, 0)
