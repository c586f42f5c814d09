"""The ELF reader on forged files: a normal answer or `Malformed`, soon, whatever the bytes are."""

from __future__ import annotations

import os
import struct
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from tests.support.elf_programs import build
from tests.support.elf_use import (
    DYNSYM,
    EH_FRAME,
    STRTAB,
    SYMTAB,
    sections_of,
    segment_headers,
    structure,
    use_everything,
)
from tests.support.slowness import slowness

SOURCE = """
int exported(int n) { return n * 2; }
static int __attribute__((noinline, used)) local(int n) { return exported(n) + 1; }
int data = 3;
"""
INTERESTING = (0, 1, 2, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small library with every part that is read: notes, both symbol tables, an unwind table."""
    directory = tmp_path_factory.mktemp("hostile")
    return build(directory, "library.so", "-shared", "-fPIC", "-nostdlib", source=SOURCE).read_bytes()


def _changes() -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """Each change: a place (modulo the number of places), how many bytes, and their new number."""
    where = st.integers(0, (1 << 20) - 1)
    number = st.sampled_from(INTERESTING) | st.integers(0, (1 << 64) - 1)
    return st.lists(st.tuples(where, st.sampled_from((1, 2, 4, 8)), number), min_size=1, max_size=6)


def _changed(data: bytes, places: list[int], changes: list[tuple[int, int, int]]) -> bytes:
    result = bytearray(data)
    for where, size, number in changes:
        position = places[where % len(places)]
        result[position : position + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(result)


@settings(max_examples=900, deadline=timedelta(seconds=3))
@given(changes=_changes())
def test_forged_fields(library: bytes, changes: list[tuple[int, int, int]]) -> None:
    use_everything(_changed(library, structure(library), changes))


@settings(max_examples=300, deadline=timedelta(seconds=3))
@given(changes=_changes(), cut=st.integers(0, 1 << 14) | st.just(1 << 20))
def test_flipped_bytes_and_truncation(library: bytes, changes: list[tuple[int, int, int]], cut: int) -> None:
    data = _changed(library, list(range(len(library))), changes)
    use_everything(data[:cut])


@settings(max_examples=200, deadline=timedelta(seconds=3))
@given(tail=st.binary(max_size=600))
def test_noise_behind_an_elf_ident(tail: bytes) -> None:
    use_everything(b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\x00\x3e\x00" + tail)


def test_huge_claims_in_a_huge_file_cost_little(library: bytes, tmp_path: Path) -> None:
    """A sparse file may be as large as it likes, so the file's size is not the only bound."""
    at, kinds = sections_of(library)
    forged = bytearray(library)
    for index, kind in enumerate(kinds):
        if kind in (SYMTAB, STRTAB, DYNSYM):
            struct.pack_into("<Q", forged, at + 64 * index + 32, 1 << 39)
    path = tmp_path / "huge.so"
    path.write_bytes(forged)
    os.truncate(path, 1 << 40)
    started = time.process_time()
    with path.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        with pytest.raises(Malformed):
            elf.symbol("exported")
        assert len(elf.functions()) == 0
    assert time.process_time() - started < slowness()


def test_a_number_of_sections_beyond_all_reason_is_malformed(library: bytes, tmp_path: Path) -> None:
    at, _ = sections_of(library)
    forged = bytearray(library)
    struct.pack_into("<H", forged, 60, 0)  # too many for 16 bits: the number is the size of section 0
    struct.pack_into("<Q", forged, at + 32, 1 << 20)
    path = tmp_path / "sections.so"
    path.write_bytes(forged)
    os.truncate(path, 1 << 40)
    with path.open("rb") as stream, pytest.raises(Malformed, match="1048576 sections"):
        ElfFile.from_fd(stream.fileno()).symbol("exported")


@pytest.mark.parametrize(
    ("field", "value"), [(40, 0xFFFF), (56, 25), (32, 24 << 21 | 24), (24, 1 << 63)], ids=str
)
def test_a_broken_symbol_table_is_malformed_and_the_other_one_stays(
    library: bytes, field: int, value: int
) -> None:
    at, kinds = sections_of(library)
    forged = bytearray(library)
    form = "<I" if field == 40 else "<Q"
    struct.pack_into(form, forged, at + 64 * kinds.index(SYMTAB) + field, value)
    elf = ElfFile.from_bytes(bytes(forged))
    exported = elf.symbol("exported")
    assert exported is not None
    with pytest.raises(Malformed):
        elf.symbol("local")
    assert elf.functions().find(exported.address) == ("exported", exported.address)


def test_an_unwind_table_longer_than_its_segment_is_left_out(library: bytes) -> None:
    at = next(offset for kind, offset, _ in segment_headers(library) if kind == EH_FRAME)
    functions = struct.unpack_from("<I", library, at + 8)[0]
    assert len(ElfFile.from_bytes(library).functions().unwind.offsets) == functions > 0
    forged = bytearray(library)
    struct.pack_into("<I", forged, at + 8, functions + 1)
    assert len(ElfFile.from_bytes(bytes(forged)).functions().unwind.offsets) == 0


def test_a_million_equal_symbols_cost_little(library: bytes) -> None:
    """Every symbol is the same function: no search may look at all of them."""
    at, kinds = sections_of(library)
    index = kinds.index(SYMTAB)
    count = 1_000_000
    name = library[struct.unpack_from("<Q", library, _strings_header(library, at, index) + 24)[0] :].index(
        b"exported\0"
    )
    symbol = struct.pack("<IBBHQQ", name, 0x12, 0, 1, 0x1000, 16)
    forged = bytearray(library)
    struct.pack_into("<QQ", forged, at + 64 * index + 24, len(library), count * len(symbol))
    elf = ElfFile.from_bytes(bytes(forged) + symbol * count)
    table = elf.functions()
    started = time.process_time()
    for _ in range(100):
        assert table.find(0x1008) == ("exported", 0x1000)
    assert time.process_time() - started < slowness()


def _strings_header(data: bytes, at: int, index: int) -> int:
    """Offset of the header of the string section that section `index` links to."""
    link: int = struct.unpack_from("<I", data, at + 64 * index + 40)[0]
    return at + 64 * link
