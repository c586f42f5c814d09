"""Finds in PHP's machine code what a stripped program does not name. Pure; x86-64.

No exported variable has the version: it is the end of a string, the header ``X-Powered-By``, that the
exported `php_request_startup` addresses relative to the instruction pointer. The functions that run single
instructions are not exported either. They come from the same source file as `execute_ex`, which calls them,
and so lie right before it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from symbolizers.elf.file import ElfFile, FunctionTable, Segment
from symbolizers.elf.machine_code import ADDRESS, CALL, SMALL_FUNCTION_BYTES, function_code, targets
from symbolizers.errors import Malformed

_MAX_LOOP_BYTES: Final = 1 << 19
_POWERED_BY: Final = b"X-Powered-By: PHP/"
_MAX_VERSION_BYTES: Final = 16
_VERSION: Final = re.compile(rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
_INSTRUCTION: Final = "_HANDLER"
"""How the function of an instruction is called where a program is not stripped."""


class Code(NamedTuple):
    """The segment with the interpreter's code: its address and size (bytes)."""

    start: int
    size: int


def find_version(elf: ElfFile) -> tuple[int, ...]:
    """The version, ``(8, 2, 32)``; empty where that can't be found. Raises `Malformed`."""
    code = function_code(elf, "php_request_startup", most_bytes=SMALL_FUNCTION_BYTES)
    for target in targets(ADDRESS, *code):
        try:
            text = elf.read(target, len(_POWERED_BY) + _MAX_VERSION_BYTES)
        except Malformed:
            continue
        match = _VERSION.match(text, len(_POWERED_BY))
        if match is not None and text.startswith(_POWERED_BY):
            return tuple(map(int, match.groups()))
    return ()


def find_code(elf: ElfFile) -> Code:
    """The segment that `execute_ex` lies in. Raises `Malformed` where no segment has it."""
    symbol = elf.symbol("execute_ex")
    around = [each for each in elf.segments if symbol is not None and _has(each, symbol.address)]
    if not around:
        raise Malformed("execute_ex lies outside of the file")
    return Code(around[0].address, around[0].file_size)


def _has(segment: Segment, address: int) -> bool:
    return 0 <= address - segment.address < segment.file_size


def find_loop(elf: ElfFile) -> tuple[int, int]:
    """``(start, end)`` of the code that runs PHP's instructions; ``(0, 0)`` unknown. Raises `Malformed`."""
    address, code = function_code(elf, "execute_ex")
    if not code:
        return 0, 0
    functions = elf.functions()
    called = {target for target in targets(CALL, address, code) if 0 < address - target < _MAX_LOOP_BYTES}
    start = min((target for target in called if _runs_an_instruction(functions, target)), default=address)
    return start, address + len(code)


def _runs_an_instruction(functions: FunctionTable, address: int) -> bool:
    """Whether `address` is no function with a name, or one with the name of an instruction."""
    found = functions.find(address)
    return found is None or found[1] != address or found[0].endswith(_INSTRUCTION)
