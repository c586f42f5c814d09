"""Rows out of .debug_frame: those that pyelftools reads, and what a forged section may do."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from symbolizers.elf.eh_frame import MOST_BYTES
from symbolizers.elf.file import ElfFile
from symbolizers.elf.headers import SHF_COMPRESSED
from symbolizers.elf.unwind_rules import Cfa, Rows, packed
from tests.support.elf_forge import Section, forge
from tests.support.elf_programs import FOR_DEBUGGERS, PROGRAM, build
from tests.symbolizers.elf.test_eh_frame import expected, rule_at

RETURN = 16
SP_8, SP_16 = packed(Cfa.STACK_POINTER, 8, 0), packed(Cfa.STACK_POINTER, 16, 0)
INSTRUCTIONS = bytes((0x0C, 7, 8, 0x90, 1))
"""The CFA is rsp + 8, the return address at CFA - 8."""
CIES = {
    1: b"\1\0" + bytes((1, 0x78, RETURN)) + INSTRUCTIONS,
    3: b"\3\0" + bytes((1, 0x78, RETURN)) + INSTRUCTIONS,
    4: b"\4\0" + bytes((8, 0, 1, 0x78, RETURN)) + INSTRUCTIONS,
}
"""By version: no augmentation, alignments 1 and -8."""


def section(*functions: tuple[int, bytes], cie: bytes = CIES[4], size: int = 64) -> bytes:
    """A CIE, and functions of this `size` at these addresses, with these instructions."""
    data = struct.pack("<II", len(cie) + 4, 0xFFFFFFFF) + cie
    for start, instructions in functions:
        body = struct.pack("<IQQ", 0, start, size) + instructions
        data += struct.pack("<I", len(body)) + body
    return data


def rows_of(data: bytes, *others: Section, flags: int = 0) -> Rows:
    forged = forge(*others, Section(content=data, name=b".debug_frame", flags=flags))
    return ElfFile.from_bytes(forged.content).unwind_rows()


def rules(data: bytes, *others: Section, flags: int = 0) -> list[tuple[int, int]]:
    rows = rows_of(data, *others, flags=flags)
    return list(zip(rows.addresses, rows.rules, strict=True))


@pytest.mark.parametrize("flags", [(), ("-gz=zlib",), ("-O2", "-fno-omit-frame-pointer"), ("-gdwarf-2",)])
def test_rows_are_what_pyelftools_reads(tmp_path: Path, flags: tuple[str, ...]) -> None:
    program = build(tmp_path, "program", *FOR_DEBUGGERS, *flags)
    rows = ElfFile.from_bytes(program.read_bytes()).unwind_rows()
    compared = 0
    for entry in ELFFile(program.open("rb")).get_dwarf_info().CFI_entries():
        if isinstance(entry, FDE):
            for line in entry.get_decoded().table:
                assert rule_at(rows, line["pc"]) == expected(line, signal=False), (hex(line["pc"]), line)
                compared += 1
    assert compared > 5


@pytest.mark.parametrize("version", CIES)
def test_every_version_of_a_cie(version: int) -> None:
    found = rules(section((0x1000, b""), (0x1080, b"\x44\x0e\x10"), cie=CIES[version]))
    assert found == [(0x1000, SP_8), (0x1040, 0), (0x1080, SP_8), (0x1084, SP_16), (0x10C0, 0)]


@pytest.mark.parametrize("sizes", [(4, 0), (8, 4)])
def test_addresses_of_another_size_are_left_out(sizes: tuple[int, int]) -> None:
    assert not rules(section((0x1000, b""), cie=CIES[4][:2] + bytes(sizes) + CIES[4][4:]))


def test_what_the_program_goes_by_comes_first() -> None:
    """.eh_frame, for a function that both sections describe."""
    cie = b"\1\0" + bytes((1, 0x78, RETURN)) + INSTRUCTIONS
    body = struct.pack("<IQQ", len(cie) + 12, 0x1000, 64) + b"\x0e\x10"
    known = struct.pack("<II", len(cie) + 4, 0) + cie + struct.pack("<I", len(body)) + body + bytes(4)
    found = rules(section((0x1000, b""), (0x1040, b"")), Section(content=known, name=b".eh_frame"))
    assert found == [(0x1000, SP_16), (0x1040, SP_8), (0x1080, 0)]


def test_functions_that_are_not_in_the_code_push_nothing_out() -> None:
    """The linker left them out, and they lie over others: at 0, or behind all code."""
    found = rules(section((0, b""), (1 << 40, b""), (0x1000, b""), size=0x2000))
    assert found == [(0x1000, SP_8), (0x3000, 0)]


def packed_by_zlib(content: bytes, kind: int = 1) -> bytes:
    return struct.pack("<IIQQ", kind, 0, len(content), 8) + zlib.compress(content)


def test_a_packed_section_that_is_broken_has_no_rows() -> None:
    whole = section((0x1000, b""))
    packed_whole = packed_by_zlib(whole)
    assert rules(packed_whole, flags=SHF_COMPRESSED) == [(0x1000, SP_8), (0x1040, 0)]
    for data in (
        *(packed_whole[:at] for at in (0, 3, 24, 30, len(packed_whole) - 1)),
        packed_by_zlib(whole, kind=2),
        packed_by_zlib(whole + bytes(MOST_BYTES)),
    ):
        assert not rules(data, flags=SHF_COMPRESSED)


@pytest.mark.parametrize(
    "lie",
    [
        struct.pack("<II", 1 << 20, 0),  # longer than the section
        struct.pack("<II", 3, 0),  # without room for its CIE
        struct.pack("<IIQ", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),  # 64-bit DWARF
        struct.pack("<IIQQ", 20, 0xFFFFFFF0, 0x1040, 64),  # a CIE beyond the section
        struct.pack("<IIQQ", 20, 1, 0x1040, 64),  # … in the midst of another
        struct.pack("<IIQQ", 20, 0, 0x1040, (1 << 64) - 1),  # it ends behind all memory
        struct.pack("<IIQQ", 33, 0, 0x1040, 64) + b"\x0e" + b"\xff" * 12,  # a number without end
    ],
)
def test_an_entry_that_lies_costs_no_other_one(lie: bytes) -> None:
    assert rules(section((0x1000, b"")) + lie) == [(0x1000, SP_8), (0x1040, 0)]


def test_every_word_of_a_section_may_lie() -> None:
    """Rows stay sorted and few, whatever a byte of it is."""
    whole = section((0x1000, b"\x41\x0e\x10\x86\x02\x43\x0d\x06"), (0x1040, b"\x02\x10\x0e\x18"))
    for at in range(len(whole)):
        for byte in (0, 1, 0x7F, 0x80, 0xFF):
            rows = rows_of(whole[:at] + bytes((byte,)) + whole[at + 1 :])
            assert list(rows.addresses) == sorted(set(rows.addresses))
            assert len(rows.rules) <= 8


def test_a_program_for_debuggers_has_callers(tmp_path: Path) -> None:
    """All but what comes with the C library has no .eh_frame there."""
    elf = ElfFile.from_bytes(build(tmp_path, "program", *FOR_DEBUGGERS, source=PROGRAM).read_bytes())
    rows, marker = elf.unwind_rows(), elf.symbol("marker")
    assert marker is not None
    assert rule_at(rows, marker.address) == SP_8
