"""Rows of unwind tables of aarch64: what pyelftools reads out of Debian's libraries, and forged entries."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from symbolizers.elf.call_frames_aarch64 import Aarch64CallFrames
from symbolizers.elf.eh_frame import read_functions
from symbolizers.elf.file import ElfFile
from symbolizers.elf.unwind_rules import (
    ROOT,
    UNFOLLOWED,
    Cfa,
    SavedPair,
    assembled,
    of_register,
    packed,
    packed_fp,
)
from symbolizers.native.unwind_table import make_chunks
from tests.symbolizers.elf.test_eh_frame import rule_at, section
from tests.symbolizers.elf.test_eh_frame import rules as of_entries

LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
FILES = ("ld-linux-aarch64.so.1", "libgcc_s.so.1", "libm.so.6", "libresolv.so.2")
FP, LINK, SP = 29, 30, 31
EM_S390 = 22
ALL_IN_REGISTERS = packed(Cfa.STACK_POINTER, 0, 0)


def expected(line: dict[int | str, object]) -> int:
    """The row that pyelftools' `line` of a decoded table should become."""
    cfa, fp, link = line["cfa"], line.get(FP), line.get(LINK)
    if link is not None and link.type == "UNDEFINED":
        return ROOT
    if cfa.expr is not None or any(each and each.type not in ("OFFSET", "SAME_VALUE") for each in (fp, link)):
        return UNFOLLOWED
    fp_at, link_at = (each.arg if each and each.type == "OFFSET" else None for each in (fp, link))
    kind = {FP: Cfa.FRAME_POINTER, SP: Cfa.STACK_POINTER}.get(cfa.reg) or of_register(cfa.reg)
    if link_at is None:
        return packed(kind, cfa.offset, 0) if fp_at is None else UNFOLLOWED
    if fp_at is None:
        return packed(kind, cfa.offset, packed_fp(SavedPair.RETURN_AT_CFA, link_at))
    if link_at != fp_at + 8:
        return UNFOLLOWED
    return packed(kind, cfa.offset, packed_fp(SavedPair.BOTH_AT_CFA, fp_at))


@pytest.mark.root  # `make test` installs the libraries
@pytest.mark.parametrize("name", FILES)
def test_rows_are_what_pyelftools_reads(name: str) -> None:
    with (LIBRARIES / name).open("rb") as stream:
        rows = ElfFile.from_fd(stream.fileno()).unwind_rows()
        compared = followed = 0
        for entry in ELFFile(stream).get_dwarf_info().EH_CFI_entries():
            if not isinstance(entry, FDE) or entry.cie.header["return_address_register"] != LINK:
                continue  # glibc has one function that is called with the return address in x15
            end = entry["initial_location"] + entry["address_range"]
            lines = [line for line in entry.get_decoded().table if line["pc"] < end]
            for line, behind in zip(lines, [*(line["pc"] for line in lines[1:]), end], strict=True):
                if line["pc"] < behind:
                    wanted = expected(line)
                    assert rule_at(rows, line["pc"]) == wanted, (hex(line["pc"]), line)
                    assert rule_at(rows, behind - 1) == wanted, (hex(behind - 1), line)
                    compared += 1
                    followed += wanted != UNFOLLOWED
    assert compared > 500
    assert followed > 0.98 * compared


@pytest.mark.root
@pytest.mark.parametrize("name", FILES)
def test_a_table_is_made(name: str) -> None:
    with (LIBRARIES / name).open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        rows, chunks = elf.unwind_rows(), make_chunks(elf)
    assert len(set(rows.rules)) > 10
    assert len(chunks) >= 8 * len(rows.rules)


CIE = bytes((1,)) + b"zR\0" + bytes((4, 0x78, LINK, 1, 0x1B, 0x0C, SP, 0))
"""Version, augmentation, alignments 4 and -8, return address, FDE encoding; CFA sp."""


rules = partial(of_entries, cie=CIE, frames=Aarch64CallFrames)


def test_a_function_that_calls_others() -> None:
    """``stp x29, x30, [sp, -32]!``; ``mov x29, sp``; …; ``ldp x29, x30, [sp], 32``."""
    both = packed_fp(SavedPair.BOTH_AT_CFA, -32)
    assert rules(b"\x41\x0e\x20\x9d\x04\x9e\x03\x41\x0d\x1d\x44\xde\xdd\x0c\x1f\x00") == [
        (0x1000, ALL_IN_REGISTERS),
        (0x1004, packed(Cfa.STACK_POINTER, 32, both)),
        (0x1008, packed(Cfa.FRAME_POINTER, 32, both)),
        (0x1018, ALL_IN_REGISTERS),
        (0x1040, Cfa.UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("instructions", "rule"),
    [
        (b"", ALL_IN_REGISTERS),
        (b"\x07\x1e", ROOT),
        (b"\x2d", ALL_IN_REGISTERS),  # the return address is signed
        (b"\x0e\x10\x9e\x02", packed(Cfa.STACK_POINTER, 16, packed_fp(SavedPair.RETURN_AT_CFA, -16))),
        (b"\x0e\x10\x9d\x02", UNFOLLOWED),  # the frame pointer alone
        (b"\x0e\x20\x9d\x02\x9e\x04", UNFOLLOWED),  # the other way round
        (b"\x0e\x20\x9d\x04\x9e\x02", UNFOLLOWED),  # not next to each other
        (b"\x09\x1e\x01", UNFOLLOWED),  # the return address is in x1
        (b"\x09\x1e\x01\x9e\x02", packed(Cfa.STACK_POINTER, 0, packed_fp(SavedPair.RETURN_AT_CFA, -16))),
        (b"\x0c\x09\x10", packed(of_register(9), 16, 0)),
        (b"\x0c\x10\x10", UNFOLLOWED),  # x16, which a row can't name
        (b"\x0f\x02\x8f\x08", UNFOLLOWED),
        (b"\x12\x1f\x7c", packed(Cfa.STACK_POINTER, 32, 0)),
    ],
)
def test_a_rule(instructions: bytes, rule: int) -> None:
    assert rules(instructions)[0] == (0x1000, rule)


def test_entries_of_another_architecture_are_left_out() -> None:
    """They name another register for the return address."""
    assert not assembled(read_functions(section(b""), 0, Aarch64CallFrames)).rules


def test_a_file_of_a_third_architecture_has_no_rows() -> None:
    data = bytearray(Path("/usr/lib/x86_64-linux-gnu/libz.so.1").read_bytes())
    assert ElfFile.from_bytes(bytes(data)).unwind_rows().rules
    struct.pack_into("<H", data, 18, EM_S390)
    assert not ElfFile.from_bytes(bytes(data)).unwind_rows().rules
