"""The ELF reader against running processes: each program prints where its own things are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.elf.symbols import SymbolKind
from symbolizers.errors import Malformed
from tests.support.elf_programs import build, running

KINDS = {
    "pie": ("-pie", "-fPIE"),
    "fixed": ("-no-pie", "-fno-pie"),
    "static": ("-static",),
    "static_pie": ("-static-pie", "-fPIE"),
    # Text and data share a page of the file, which is then mapped twice.
    "shared_page": ("-pie", "-fPIE", "-Wl,-z,noseparate-code"),
    "shared_page_fixed": ("-no-pie", "-fno-pie", "-Wl,-z,noseparate-code", "-Wl,-z,norelro"),
    "lld": ("-pie", "-fPIE", "-fuse-ld=lld"),
    "large_pages": ("-pie", "-fPIE", "-Wl,-z,max-page-size=0x200000"),
}
if shutil.which("ld.gold"):  # part of binutils up to Debian 12
    KINDS["gold"] = ("-pie", "-fPIE", "-fuse-ld=gold")


@pytest.mark.parametrize("kind", KINDS)
def test_addresses_of_a_running_program(kind: str, tmp_path: Path) -> None:
    path = build(tmp_path, kind, *KINDS[kind])
    with running(path) as program, path.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        code = program.mapping_of(program.marker)
        assert "x" in code.permissions
        bias = elf.bias(code.start, code.offset)

        assert elf.is_position_independent == ("fixed" not in kind and kind != "static")
        assert elf.is_position_independent or bias == 0
        for name, kind_of_symbol in (
            ("marker", SymbolKind.FUNCTION),
            ("greeting", SymbolKind.OBJECT),
            ("counter", SymbolKind.OBJECT),
        ):
            symbol = elf.symbol(name)
            assert symbol is not None
            assert symbol.address + bias == getattr(program, name)
            assert symbol.kind is kind_of_symbol
        assert elf.read(program.greeting - bias, 19) == b"pidflame reads this"
        assert elf.functions().find(program.marker - bias + 1) == ("marker", program.marker - bias)
        file_offset = program.marker - code.start + code.offset
        assert elf.address_of_offset(file_offset) == program.marker - bias


@pytest.mark.parametrize("kind", KINDS)
def test_every_executable_mapping_has_the_same_bias(kind: str, tmp_path: Path) -> None:
    path = build(tmp_path, kind, *KINDS[kind])
    with running(path) as program:
        elf = ElfFile.from_bytes(path.read_bytes())
        biases = {
            elf.bias(mapping.start, mapping.offset)
            for mapping in program.mappings
            if "x" in mapping.permissions
        }
    assert biases == {program.marker - _address_of(elf, "marker")}


@pytest.mark.parametrize("kind", ["pie", "fixed", "large_pages"])
def test_the_first_mapping_will_do_where_segments_share_no_page(kind: str, tmp_path: Path) -> None:
    path = build(tmp_path, kind, *KINDS[kind])
    with running(path) as program:
        elf = ElfFile.from_bytes(path.read_bytes())
        first = program.mappings[0]
    assert elf.bias(first.start, first.offset) == program.marker - _address_of(elf, "marker")


def _address_of(elf: ElfFile, name: str) -> int:
    symbol = elf.symbol(name)
    assert symbol is not None
    return symbol.address


def test_what_no_segment_has_is_malformed(tmp_path: Path) -> None:
    path = build(tmp_path, "program", "-no-pie")
    elf = ElfFile.from_bytes(path.read_bytes())
    data = elf.segments[-1]
    with pytest.raises(Malformed):
        elf.read(_address_of(elf, "zeros") + 4096, 8)  # .bss: the file has no bytes for it
    with pytest.raises(Malformed):
        elf.read(data.address + data.file_size - 1, 2)
    with pytest.raises(Malformed):
        elf.read(data.address, -1)
    with pytest.raises(Malformed):
        elf.bias(0x10000, 1 << 40)
    with pytest.raises(Malformed):
        elf.address_of_offset(1 << 40)
