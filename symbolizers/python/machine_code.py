"""Finds in CPython's machine code what a stripped file does not name. Pure; x86-64.

Up to 3.6 the list of interpreters hangs from a static variable, ``interp_head``. The exported
``PyInterpreterState_Head`` does nothing but return it.
"""

from __future__ import annotations

import re
import struct
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
