"""Rows of Go programs: against the compiler's own .debug_frame, and where the table or the code lies."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.elf.file import ElfFile
from symbolizers.elf.goroutines import NAMES, rows_of
from symbolizers.elf.pclntab import MAGICS, Pclntab
from symbolizers.elf.unwind_rules import ROOT, Cfa, Rows, packed
from symbolizers.errors import Malformed
from tests.support.elf_forge import Section, forge

SOURCE = Path(__file__).parents[2] / "support" / "native" / "mixed.go"
LIMIT_MASK = 0x7FFF << 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("go") / "mixed"
    subprocess.run(["go", "build", "-o", str(built), str(SOURCE)], check=True)
    return built


def rows_in(program: Path) -> Rows:
    fd = os.open(program, os.O_RDONLY)
    try:
        return ElfFile.from_fd(fd).unwind_rows()
    finally:
        os.close(fd)


def rule_at(rows: Rows, address: int) -> int:
    return rows.rules[bisect_right(rows.addresses, address) - 1]


def named_functions(program: Path) -> Iterator[tuple[str, int, int]]:
    with program.open("rb") as file:
        for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols():
            if symbol["st_size"]:
                yield symbol.name.removesuffix(".abi0"), symbol["st_value"], symbol["st_size"]


def test_rows_agree_with_debug_frame(program: Path) -> None:
    """Which says of Go's code where the CFA is by the stack pointer."""
    rows = rows_in(program)
    switching = {start for name, start, _ in named_functions(program) if name in NAMES}
    compared = 0
    with program.open("rb") as file:
        entries = [each for each in ELFFile(file).get_dwarf_info().CFI_entries() if isinstance(each, FDE)]
        for entry in random.Random(1).sample(entries, 500):
            start, size = entry["initial_location"], entry["address_range"]
            for line in entry.get_decoded().table if start not in switching else ():
                if line["pc"] < start + size:
                    rule = rule_at(rows, line["pc"])
                    expected = packed(Cfa.STACK_POINTER, line["cfa"].offset, 0)
                    assert rule & 7 == expected & 7, hex(line["pc"])
                    assert rule & LIMIT_MASK == expected & LIMIT_MASK, hex(line["pc"])
                    compared += 1
    assert compared > 1000


def test_what_goes_over_to_another_stack_has_rules_of_its_own(program: Path) -> None:
    rows = rows_in(program)
    of = {
        name: [rule_at(rows, start + at) for at in range(size)]
        for name, start, size in named_functions(program)
    }
    assert set(of["runtime.goexit"]) == {ROOT}
    assert ROOT in of["runtime.mcall"]
    for name in ("runtime.systemstack", "runtime.morestack"):
        assert any(
            (rule & 7 == Cfa.ELSEWHERE and rule != ROOT) or rule >> 18 & 3 == 3 for rule in of[name]
        ), name
    restorer = next(
        start for name, start, _ in named_functions(program) if name.startswith("runtime.sigreturn")
    )
    assert rule_at(rows, restorer - 1) == Cfa.SIGNAL, "a handler returns to its first byte"


@pytest.mark.parametrize("options", [("-ldflags=-s -w",), ("-buildmode=pie", "-ldflags=-s -w")], ids=" ".join)
def test_a_stripped_program_has_the_same_rows(
    program: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    subprocess.run(["go", "build", "-o", str(tmp_path / "mixed"), *options, str(SOURCE)], check=True)
    stripped, whole = rows_in(tmp_path / "mixed"), rows_in(program)
    assert abs(len(stripped.rules) - len(whole.rules)) < 0.05 * len(whole.rules)
    if "-buildmode=pie" not in options:
        assert stripped == whole


def table(
    *functions: tuple[int, int], pcsp: bytes = b"", text: int = 0x1000, count: int | None = None
) -> bytes:
    """A table of functions with these starts and pcsp tables; the last has no entry of its own."""
    names, tables = b"\0main.main\0", b"\0" + pcsp
    at = 72 + len(names) + len(tables)
    entries, bodies = b"", b""
    for start, pairs in functions[:-1]:
        entries += struct.pack("<II", start, 8 * len(functions) - 4 + len(bodies))
        bodies += struct.pack("<IiiII", start, 1, 0, 0, pairs)
    entries += struct.pack("<I", functions[-1][0])
    numbers = len(functions) - 1 if count is None else count
    header = struct.pack("<8Q", numbers, 0, 0x1000, 72, 0, 0, 72 + len(names), at)
    return MAGICS[1] + header + names + tables + entries + bodies


def read_rows(data: bytes) -> list[tuple[int, int, list[int]]]:
    found = rows_of(Pclntab(data), 0x1000, lambda _, size: bytes(size))
    return [(start, end, list(rows)) for start, end, rows in found]


def test_a_table_of_pairs_gives_a_row_each() -> None:
    [(start, end, rows)] = read_rows(table((0x10, 1), (0x30, 0), pcsp=b"\x02\x04\x20\x0c\x1f\x10\0"))
    deep = packed(Cfa.STACK_POINTER, 24, 0) | 1 << 18 | 0xFFE << 20
    assert (start, end) == (0x1010, 0x1030)
    assert rows == [
        packed(Cfa.STACK_POINTER, 8, 0),
        4 << 32 | deep,
        16 << 32 | packed(Cfa.STACK_POINTER, 8, 0),
    ]


@pytest.mark.parametrize(
    "data",
    [
        table((0x10, 1), (0x10, 0)),
        table((0x10, 0xFFFF), (0x20, 0)),
        table((0x10, 1), (0x20, 0), count=1 << 40),
        table((0x10, 1), (0xFFFFFFFF, 0), pcsp=b"\x02\x01\x02\x01" * (1 << 20)),
        table((0x10, 1), (0x20, 0), pcsp=b"\x80" * 100),
    ],
    ids=["empty function", "beyond the end", "2**40 functions", "too many pairs", "number without end"],
)
def test_a_table_that_lies_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_rows(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_a_table_says_the_file_has_rows_or_none(data: st.DataObject) -> None:
    content = bytearray(table((0x10, 1), (0x30, 1), (0x50, 0), pcsp=b"\x02\x04\x20\x0c\x1f\x10\0"))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(
            st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])
        )
    forged = forge(Section(content=bytes(content), name=b".gopclntab")).content
    rows = ElfFile.from_bytes(forged).unwind_rows()
    assert list(rows.addresses) == sorted(rows.addresses)
