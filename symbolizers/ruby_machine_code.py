"""Finds in Ruby's machine code what a stripped library does not name. Pure; x86-64.

`ruby_global_symbols`, the table of all names, is addressed relative to the instruction pointer by the
exported `rb_sym_all_symbols`, which every version has. The interpreter's loop is the function that the
exported `rb_vm_exec` calls and that the linker put right before it, from the same source file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.layouts.row import Row

_MAX_FUNCTION_BYTES: Final = 1 << 16
_MIN_LOOP_BYTES: Final = 1 << 12
"""The loop holds the code of some 200 instructions; nothing else before `rb_vm_exec` is as large."""
_MAX_FIRST_IDS: Final = 1 << 12
"""Ids that exist before the first is made at run time: operators and well-known names, a few hundred."""

_LOAD: Final = re.compile(rb"[\x48\x4c]\x8b[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](....)", re.DOTALL)
"""A ``mov`` of 8 bytes from an address relative to the instruction pointer to a register."""
_CALL: Final = re.compile(rb"\xe8(....)", re.DOTALL)


def _function(elf: ElfFile, name: str) -> tuple[int, bytes]:
    """Address and code of an exported function; no code where the file has no such function."""
    symbol = elf.symbol(name)
    if symbol is None or not 0 < symbol.size <= _MAX_FUNCTION_BYTES:
        return 0, b""
    return symbol.address, elf.read(symbol.address, symbol.size)


def _targets(pattern: re.Pattern[bytes], address: int, code: bytes) -> Iterator[int]:
    """What the instructions that look like `pattern` address, relative to their ends."""
    at = 0
    while match := pattern.search(code, at):
        (displacement,) = struct.unpack("<i", match[1])
        yield address + match.end() + displacement
        at = match.start() + 1


def find_global_symbols(elf: ElfFile, row: Row) -> int:
    """Where the file puts `ruby_global_symbols`, 0 where that can't be found. Raises `Malformed`.

    A candidate counts only if the file has there what the table starts with: the number of the last
    well-known id, and nothing else yet.
    """
    symbol = elf.symbol("ruby_global_symbols")
    if symbol is not None:
        return symbol.address
    for target in _targets(_LOAD, *_function(elf, "rb_sym_all_symbols")):
        start = target - row["symbols_by_name"]
        try:
            content = elf.read(start, row["symbols_ids"] + 8)
        except Malformed:
            continue
        (last_id,) = struct.unpack_from("<I", content, row["symbols_last_id"])
        rest = content[row["symbols_by_name"] :]
        if row["last_operator_id"] < last_id < _MAX_FIRST_IDS and not any(rest):
            return start
    return 0


def find_loop(elf: ElfFile) -> tuple[int, int]:
    """``(start, end)`` of the code that runs Ruby's instructions; ``(0, 0)`` unknown. Raises `Malformed`.

    It reaches to the end of `rb_vm_exec`, and starts there too where the compiler made one of the two.
    """
    address, code = _function(elf, "rb_vm_exec")
    end = address + len(code)
    if len(code) > _MIN_LOOP_BYTES:
        return address, end
    near = [
        target
        for target in _targets(_CALL, address, code)
        if _MIN_LOOP_BYTES <= address - target <= _MAX_FUNCTION_BYTES
    ]
    return max(near, default=address), end
