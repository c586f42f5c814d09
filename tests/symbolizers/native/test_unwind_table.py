"""Unwind tables as the sampler reads them: every row of a file, by offset, in chunks."""

from __future__ import annotations

import os
import random
from array import array
from bisect import bisect_right
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.elf.unwind_rules import Cfa
from symbolizers.inspection import CHUNK_BYTES, CHUNK_ROWS
from symbolizers.native.symbols import vdso
from symbolizers.native.unwind_table import chunks_of, make_chunks
from tests.support.elf_forge import Section, forge

PAST_ALL = (1 << 32) - 1
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


def rows_of(chunks: bytes) -> list[tuple[int, int]]:
    """Offsets and rules, without what fills the last chunk up."""
    assert len(chunks) % CHUNK_BYTES == 0
    rows: list[tuple[int, int]] = []
    for at in range(0, len(chunks), CHUNK_BYTES):
        numbers = array("I", chunks[at : at + 8 * CHUNK_ROWS])
        rows += zip(numbers[:CHUNK_ROWS], numbers[CHUNK_ROWS:], strict=True)
    return [row for row in rows if row != (PAST_ALL, Cfa.UNKNOWN)]


@pytest.mark.parametrize("name", ["libc.so.6", "libz.so.1", "libstdc++.so.6"])
def test_a_row_is_found_by_the_offset_in_the_file(name: str) -> None:
    fd = os.open(LIBRARIES / name, os.O_RDONLY)
    try:
        elf = ElfFile.from_fd(fd)
        rows, found = elf.unwind_rows(), rows_of(make_chunks(elf))
        offsets = [offset for offset, _ in found]
        assert offsets == sorted(offsets)
        compared = 0
        for index in random.Random(1).sample(range(len(rows.rules)), 500):
            address = rows.addresses[index]
            for segment in elf.code_segments():
                if segment.address <= address < segment.address + segment.file_size:
                    at = bisect_right(offsets, address - segment.address + segment.offset) - 1
                    assert found[at][1] == rows.rules[index]
                    compared += 1
        assert compared > 450
    finally:
        os.close(fd)


def test_behind_its_code_a_file_has_no_rule() -> None:
    fd = os.open(LIBRARIES / "libz.so.1", os.O_RDONLY)
    try:
        elf = ElfFile.from_fd(fd)
        [segment] = elf.code_segments()
        assert rows_of(make_chunks(elf))[-1] == (segment.offset + segment.file_size, Cfa.UNKNOWN)
    finally:
        os.close(fd)


def test_the_vdso_has_a_table() -> None:
    assert len(rows_of(make_chunks(vdso()))) > 10


def test_a_file_without_unwind_information_has_no_chunk() -> None:
    assert make_chunks(ElfFile.from_bytes(forge(Section(content=b"", name=b".other")).content)) == b""


@pytest.mark.parametrize("count", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_chunks_are_filled_up(count: int) -> None:
    chunks = chunks_of(array("I", range(count)), array("I", [9] * count), array("H", [5] * count))
    assert len(chunks) == -(-count // CHUNK_ROWS) * CHUNK_BYTES
    assert rows_of(chunks) == [(at, 9) for at in range(count)]
