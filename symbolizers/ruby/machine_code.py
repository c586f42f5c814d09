"""Finds in Ruby's machine code what a stripped library does not name. Pure; x86-64.

`ruby_current_vm_ptr` is hidden from 3.3 on. The exported `ruby_vm_at_exit` addresses it first, relative to
the instruction pointer. The exported `rb_sym_all_symbols` addresses `ruby_global_symbols`, the table of all
names, in the same way. The interpreter's loop is the function that `rb_vm_exec` calls and that the linker put
right before it, from the same source file. If `rb_vm_exec` is hidden, too, the loop is known by its jumps:
each of its instructions ends with one to an address that is in memory. The exported `rb_during_gc` tells
whether garbage is being collected, from a bit of a structure that the VM points at; its place differs even
between patch releases.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from typing import Final, NamedTuple

from symbolizers.elf.file import ElfFile
from symbolizers.elf.machine_code import CALL, LOAD, SMALL_FUNCTION_BYTES, function_code, targets
from symbolizers.errors import Malformed
from symbolizers.layout import MAX_OFFSET_BYTES, Row


class GcFlag(NamedTuple):
    """At `objspace` a VM points at a structure, whose byte `flags` has `bit` set during a collection."""

    objspace: int
    flags: int
    bit: int


_MAX_FUNCTION_BYTES: Final = 1 << 16
_MIN_LOOP_BYTES: Final = 1 << 12
"""The loop holds the code of some 200 instructions; nothing else before `rb_vm_exec` is as large."""
_MAX_FIRST_IDS: Final = 1 << 12
"""Ids that exist before the first is made at run time: operators and well-known names, a few hundred."""

_JUMP: Final = re.compile(rb"\xff[\x20-\x27]")
"""A ``jmp`` to an address that lies where a register points."""
_MIN_JUMPS: Final = 12
"""The loop has 15 to 29 (2.7 to 3.4), other functions near it have 4 at most."""
_DURING_GC: Final = re.compile(rb"\x48\x8b\x80(....)\x0f\xb6\x40(.)\xc0\xe8(.)", re.DOTALL)
"""``mov rax, [rax + A]``, ``movzx eax, byte [rax + B]``, ``shr al, C``: all of it but the VM's address."""
_NEAR_BYTES: Final = 1 << 18
"""This far around `ruby_vm_at_exit` lies the code of its source file, and hardly more."""


def find_global_symbols(elf: ElfFile, row: Row) -> int:
    """Where the file puts `ruby_global_symbols`, 0 where that can't be found. Raises `Malformed`.

    A candidate counts only if the file has there what the table starts with: the number of the last
    well-known id, and nothing else yet.
    """
    symbol = elf.symbol("ruby_global_symbols")
    if symbol is not None:
        return symbol.address
    code = function_code(elf, "rb_sym_all_symbols", most_bytes=SMALL_FUNCTION_BYTES)
    for target in targets(LOAD, *code):
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


def find_vm(elf: ElfFile) -> int:
    """The address of `ruby_current_vm_ptr`, 0 where that can't be found. Raises `Malformed`."""
    symbol = elf.symbol("ruby_current_vm_ptr")
    if symbol is not None:
        return symbol.address
    return next(targets(LOAD, *function_code(elf, "ruby_vm_at_exit")), 0)


def find_gc(elf: ElfFile) -> GcFlag | None:
    """Where a VM says that it collects garbage; None where that can't be found. Raises `Malformed`."""
    match = _DURING_GC.search(function_code(elf, "rb_during_gc")[1])
    if match is None:
        return None
    objspace, flags, bit = struct.unpack("<iBB", b"".join(match.groups()))
    return GcFlag(objspace, flags, bit) if 0 < objspace < MAX_OFFSET_BYTES and bit < 8 else None


def find_loop(elf: ElfFile) -> tuple[int, int]:
    """``(start, end)`` of the code that runs Ruby's instructions; ``(0, 0)`` unknown. Raises `Malformed`.

    It reaches to the end of `rb_vm_exec`, and starts with it if the compiler made one function of the two.
    """
    address, code = function_code(elf, "rb_vm_exec")
    if not code:
        return _find_jumping(elf)
    end = address + len(code)
    if len(code) > _MIN_LOOP_BYTES:
        return address, end
    near = [
        target
        for target in targets(CALL, address, code)
        if _MIN_LOOP_BYTES <= address - target <= _MAX_FUNCTION_BYTES
    ]
    return max(near, default=address), end


def _find_jumping(elf: ElfFile) -> tuple[int, int]:
    """The function near `ruby_vm_at_exit` that jumps most, if it does so often."""
    near = elf.symbol("ruby_vm_at_exit")
    if near is None:
        return 0, 0
    around = [s for s in elf.segments if 0 <= near.address - s.address < s.file_size]
    start = max([near.address - _NEAR_BYTES, *(segment.address for segment in around)])
    end = min([near.address + _NEAR_BYTES, *(segment.address + segment.file_size for segment in around)])
    code, starts = elf.read(start, end - start), elf.function_starts()
    jumps = Counter(starts.around(start + match.start()) for match in _JUMP.finditer(code))
    loop, count = max(jumps.items(), key=lambda item: item[1], default=((0, 0), 0))
    return loop if count >= _MIN_JUMPS and loop[1] - loop[0] >= _MIN_LOOP_BYTES else (0, 0)
