"""Rows of unwind tables: what pyelftools reads out of real files, and what a forged section may do."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.elf.call_frames import CallFrames
from symbolizers.elf.call_frames_x86_64 import X86CallFrames
from symbolizers.elf.eh_frame import read_functions
from symbolizers.elf.leb128 import read_sleb, read_uleb
from symbolizers.elf.unwind_rules import (
    RETURN_IN_ARGUMENT,
    ROOT,
    UNFOLLOWED,
    CallersFp,
    Cfa,
    Rows,
    assembled,
    of_register,
    packed,
    packed_fp,
)
from symbolizers.errors import Malformed

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
FILES = ("ld-linux-x86-64.so.2", "libz.so.1", "libffi.so.8", "libgcc_s.so.1")
FP, SP, RETURN = 6, 7, 16
NAMES = ("ax", "dx", "cx", "bx", "si", "di", "bp", "sp", *map("r{}".format, range(8, 16)))
"""By their numbers in DWARF: the System V ABI, figure 3.36."""
PT_REGS = ("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di")
"""The words of pt_regs, from arch/x86/include/asm/ptrace.h."""


def section_of(path: Path) -> tuple[bytes, int, ELFFile]:
    elf = ELFFile(path.open("rb"))
    section = elf.get_section_by_name(".eh_frame")
    return section.data(), section["sh_addr"], elf


def rule_at(rows: Rows, address: int) -> int:
    return rows.rules[bisect_right(rows.addresses, address) - 1]


def expected(line: dict[int | str, object], *, signal: bool) -> int:
    """The row that pyelftools' `line` of a decoded table should become."""
    if signal:
        return Cfa.SIGNAL
    cfa, returns_to = line["cfa"], line.get(RETURN)
    if returns_to is not None and returns_to.type == "UNDEFINED":
        return ROOT
    if returns_to is None or (returns_to.type, returns_to.arg) != ("OFFSET", -8):
        return UNFOLLOWED
    fp = line.get(FP)
    part = 0
    if fp is not None and fp.type == "OFFSET":
        part = packed_fp(CallersFp.AT_CFA, fp.arg)
    elif fp is not None and fp.type == "EXPRESSION":
        assert fp.arg[0] == 0x76
        part = packed_fp(CallersFp.AT_FRAME_POINTER, read_sleb(bytes(fp.arg), 1)[0])
    if cfa.expr is not None:
        kinds = {0x76: Cfa.AT_FRAME_POINTER, 0x77: Cfa.ABOVE_STACK_POINTER}
        if len(cfa.expr) == 11:
            return packed(Cfa.PLT, 8, part)
        offset, _ = read_sleb(bytes(cfa.expr), 1)
        return packed(kinds[cfa.expr[0]], offset, part)
    kinds = {FP: Cfa.FRAME_POINTER, SP: Cfa.STACK_POINTER}
    return packed(kinds.get(cfa.reg) or of_register(PT_REGS.index(NAMES[cfa.reg])), cfa.offset, part)


@pytest.mark.parametrize("name", FILES)
def test_rows_are_what_pyelftools_reads(name: str) -> None:
    data, address, elf = section_of(LIBRARIES / name)
    rows = assembled(read_functions(data, address, X86CallFrames))
    assert list(rows.addresses) == sorted(set(rows.addresses))
    compared = 0
    for entry in elf.get_dwarf_info().EH_CFI_entries():
        if isinstance(entry, FDE):
            signal = b"S" in entry.cie.header["augmentation"]
            end = entry["initial_location"] + entry["address_range"]
            lines = [line for line in entry.get_decoded().table if line["pc"] < end]
            ends = [*(line["pc"] for line in lines[1:]), end]
            for line, behind in zip(lines, ends, strict=True):
                if line["pc"] < behind:
                    wanted = expected(line, signal=signal)
                    assert rule_at(rows, line["pc"]) == wanted, (hex(line["pc"]), line)
                    assert rule_at(rows, behind - 1) == wanted, (hex(behind - 1), line)
                    compared += 1
            assert compared
    assert compared > 50


CIE = bytes((1,)) + b"zR\0" + bytes((1, 0x78, RETURN, 1, 0x1B, 0x0C, SP, 8, 0x90, 1))
"""Version, augmentation, alignments 1 and -8, return address, FDE encoding; CFA rsp + 8, rip at CFA - 8."""


def section(*entries: bytes, cie: bytes = CIE, first: int = 0x1000) -> bytes:
    """A CIE, functions of 64 bytes with these instructions at 0x1000, 0x1040, …, and the end."""
    data = struct.pack("<II", len(cie) + 4, 0) + cie
    for number, instructions in enumerate(entries):
        at = len(data)
        start = first + 64 * number
        body = struct.pack("<IiI", at + 4, start - (at + 8), 64) + b"\0" + instructions
        data += struct.pack("<I", len(body)) + body
    return data + bytes(4)


def rules(
    *entries: bytes, cie: bytes = CIE, frames: type[CallFrames] = X86CallFrames
) -> list[tuple[int, int]]:
    rows = assembled(read_functions(section(*entries, cie=cie), 0, frames))
    return list(zip(rows.addresses, rows.rules, strict=True))


SP_8 = packed(Cfa.STACK_POINTER, 8, 0)


def test_equal_rows_of_a_function_are_one() -> None:
    """But those of two functions are two."""
    assert rules(b"", b"", b"\x44\x0e\x08") == [
        *((start, SP_8) for start in (0x1000, 0x1040, 0x1080)),
        (0x10C0, Cfa.UNKNOWN),
    ]


def test_each_row_tells_where_its_function_begins() -> None:
    """The rows of the same function before it; what is behind all functions is of none."""
    pushes = b"\x41\x0e\x10\x42\x0e\x18"
    assert list(assembled(read_functions(section(pushes, b"", pushes), 0, X86CallFrames)).backs) == [
        0,
        1,
        2,
        0,
        0,
        1,
        2,
        0,
    ]


def test_a_frame_pointer_that_is_saved_and_restored() -> None:
    at_16 = packed_fp(CallersFp.AT_CFA, -16)
    assert rules(b"\x41\x0e\x10\x86\x02\x43\x0d\x06\x50\x0c\x07\x08\xc6") == [
        (0x1000, SP_8),
        (0x1001, packed(Cfa.STACK_POINTER, 16, at_16)),
        (0x1004, packed(Cfa.FRAME_POINTER, 16, at_16)),
        (0x1014, SP_8),
        (0x1040, Cfa.UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("instructions", "rule"),
    [
        (b"\x07\x10", ROOT),
        (b"\x0c\x03\x10", packed(of_register(5), 16, 0)),  # rbx
        (b"\x0c\x00\x00", packed(of_register(10), 0, 0)),  # rax
        (b"\x0c\x03\x80\x40", UNFOLLOWED),  # rbx and 8 kB
        (b"\x0c\x10\x10", UNFOLLOWED),  # rip
        (b"\x0e\x0c", UNFOLLOWED),  # no whole number of words
        (b"\x0e\x80\x80\x10", UNFOLLOWED),  # 256 kB
        (b"\x09\x10\x05", packed(Cfa.STACK_POINTER, 8, RETURN_IN_ARGUMENT)),  # the return address is in rdi
        (b"\x09\x10\x04", UNFOLLOWED),  # … in rsi
        (b"\x86\x02\x09\x10\x05", UNFOLLOWED),  # … in rdi, and there is no room to say where rbp is
        (b"\x09\x10\x05\x90\x01", SP_8),
        (b"\x0f\x03\x76\x78\x06", packed(Cfa.AT_FRAME_POINTER, -8, 0)),
        (b"\x0f\x06\x77\xc8\x00\x06\x23\x08", packed(Cfa.ABOVE_STACK_POINTER, 72, 0)),
        (b"\x0f\x01\x96", UNFOLLOWED),
        (b"\x10\x06\x02\x76\x00", packed(Cfa.STACK_POINTER, 8, packed_fp(CallersFp.AT_FRAME_POINTER, 0))),
    ],
)
def test_a_rule(instructions: bytes, rule: int) -> None:
    assert rules(instructions)[0] == (0x1000, rule)


SIGNAL_CIE = CIE.replace(b"zR", b"zRS")


def test_a_signals_frame_is_one_until_its_system_call_is_over() -> None:
    """The next function keeps its first byte."""
    assert rules(b"", cie=SIGNAL_CIE) == [(0x1000, Cfa.SIGNAL), (0x1041, Cfa.UNKNOWN)]
    signal = section(b"", cie=SIGNAL_CIE)[:-4]
    rows = assembled(read_functions(signal + section(b"", first=0x1040 - len(signal)), 0, X86CallFrames))
    assert list(zip(rows.addresses, rows.rules, strict=True)) == [
        (0x1000, Cfa.SIGNAL),
        (0x1040, SP_8),
        (0x1080, Cfa.UNKNOWN),
    ]


BROKEN = {
    "a number without end": b"\x0e" + b"\xff" * 40,
    "an unknown instruction": b"\x3f",
    "a state that nobody remembered": b"\x0b",
    "a block that is longer than the entry": b"\x0f\xff\x7f\x76",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_entry_costs_its_own_function(what: str) -> None:
    found = rules(b"", BROKEN[what], b"\x0e\x10")
    assert found == [
        (0x1000, SP_8),
        (0x1040, Cfa.UNKNOWN),
        (0x1080, packed(Cfa.STACK_POINTER, 16, 0)),
        (0x10C0, Cfa.UNKNOWN),
    ]


def test_a_length_that_lies_is_malformed() -> None:
    with pytest.raises(Malformed):
        assembled(read_functions(struct.pack("<II", 1 << 20, 0) + CIE, 0, X86CallFrames))


def test_numbers_of_variable_length() -> None:
    assert read_uleb(b"\xe5\x8e\x26", 0) == (624485, 3)
    assert read_sleb(b"\x80\x7f", 0) == (-128, 2)
    with pytest.raises(Malformed):
        read_uleb(b"\xff" * 12, 0)


def words_of(data: bytes) -> Iterator[tuple[int, int]]:
    rows = assembled(read_functions(data, 0, X86CallFrames))
    yield from zip(rows.addresses, rows.rules, strict=True)


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
def test_whatever_an_entry_says_rows_are_sorted_and_few(instructions: bytes, at: int, byte: int) -> None:
    data = bytearray(section(instructions, b"\x41\x0e\x10"))
    data[at % len(data)] = byte
    try:
        found = list(words_of(bytes(data)))
    except Malformed:
        return
    assert len(found) <= len(instructions) + 8
    assert [address for address, _ in found] == sorted({address for address, _ in found})
