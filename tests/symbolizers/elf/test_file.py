"""The ELF reader's edges: what it refuses, MiniDebugInfo, shared name tails, functions without sizes."""

from __future__ import annotations

import lzma
import os
import struct
import subprocess
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.elf.source import BytesSource, find_all
from symbolizers.elf.symbols import SymbolKind
from symbolizers.errors import Malformed
from tests.support.elf_programs import build

LIBRARY = ("-shared", "-fPIC")
IDENT = b"\x7fELF\x02\x01\x01"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return build(tmp_path, "program", "-pie", "-fPIE")


def test_what_is_no_elf_file_is_malformed() -> None:
    elf = bytearray(Path("/usr/bin/env").read_bytes())
    for position, value in ((0, 0), (4, 1), (5, 2), (6, 0), (16, 4), (54, 57), (57, 255), (58, 1)):
        broken = bytearray(elf)
        broken[position] = value
        with pytest.raises(Malformed):
            ElfFile.from_bytes(bytes(broken)).symbol("main")
    for data in (b"", b"\x7fELF", bytes(elf[:63]), b"#!/bin/sh\n" * 20, bytes(4096)):
        with pytest.raises(Malformed):
            ElfFile.from_bytes(data)


def test_what_is_no_regular_file_is_malformed_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(Malformed):
                ElfFile.from_fd(fd)
        finally:
            os.close(fd)


def test_a_file_truncated_while_it_is_read_is_malformed(program: Path) -> None:
    with program.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        os.truncate(program, 4096)
        with pytest.raises(Malformed, match="truncated"):
            elf.symbol("marker")
        assert len(elf.functions()) == 0


def test_a_closed_descriptor_is_malformed(program: Path) -> None:
    with program.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
    with pytest.raises(Malformed, match="unreadable"):
        elf.symbol("marker")


def test_no_build_id_is_empty(tmp_path: Path) -> None:
    path = build(tmp_path, "program", "-Wl,--build-id=none")
    assert ElfFile.from_bytes(path.read_bytes()).build_id == b""


def test_the_build_id_of_an_object_without_segments_comes_from_its_section(tmp_path: Path) -> None:
    note = r".section .note.gnu.build-id,\"a\",@note\n.long 4,4,3\n.asciz \"GNU\"\n.long 0x44332211"
    assembly = f'__asm__("{note}");'
    path = build(tmp_path, "object.o", "-c", source=assembly)
    elf = ElfFile.from_bytes(path.read_bytes())
    assert elf.segments == ()
    assert elf.build_id == b"\x11\x22\x33\x44"


def test_symbols_are_those_that_the_file_defines(program: Path) -> None:
    elf = ElfFile.from_bytes(program.read_bytes())
    assert elf.symbol("printf") is None  # imported
    assert elf.symbol("arker") is None  # the tail of a name
    helper = elf.symbol("hidden_helper")  # local: only in .symtab
    assert helper is not None
    assert helper.kind is SymbolKind.FUNCTION
    assert helper.size > 0


def test_a_name_that_is_stored_as_the_tail_of_a_longer_one_is_found(tmp_path: Path) -> None:
    source = "int tail_of_name(void) { return 1; } int long_tail_of_name(void) { return 2; }"
    path = build(tmp_path, "library.so", *LIBRARY, "-Wl,-O2", "-s", source=source)
    data = path.read_bytes()
    assert data.count(b"tail_of_name\0") == 1  # the linker did merge them
    elf = ElfFile.from_bytes(data)
    short, long = elf.symbol("tail_of_name"), elf.symbol("long_tail_of_name")
    assert short is not None
    assert long is not None
    assert short.address != long.address


def test_thread_local_variables_say_what_they_are(tmp_path: Path) -> None:
    path = build(tmp_path, "library.so", *LIBRARY, "-s", source="__thread int padding = 1, per_thread = 2;")
    symbol = ElfFile.from_bytes(path.read_bytes()).symbol("per_thread")
    assert symbol is not None
    assert symbol.kind is SymbolKind.TLS


def test_of_several_names_the_exported_plain_one_is_preferred(program: Path) -> None:
    elf = ElfFile.from_bytes(program.read_bytes())
    marker = elf.symbol("__marker_internal")
    assert marker is not None
    assert elf.functions().find(marker.address) == ("marker", marker.address)


def test_versions_are_no_part_of_a_name(tmp_path: Path) -> None:
    script = tmp_path / "versions"
    script.write_text("V1 { global: old_name; }; V2 { global: new_name; };")
    source = (
        '__asm__(".symver first, old_name@V1"); int first(void) { return 1; }\n'
        '__asm__(".symver second, new_name@@V2"); int second(void) { return 2; }'
    )
    flags = (*LIBRARY, f"-Wl,--version-script={script}")
    data = build(tmp_path, "library.so", *flags, source=source).read_bytes()
    elf = ElfFile.from_bytes(data)
    table = elf.functions()
    assert b"new_name@@V2" in data
    for name in ("old_name", "new_name"):
        symbol = elf.symbol(name)
        assert symbol is not None
        found = table.find(symbol.address)
        assert found is not None
        assert "@" not in found[0]


def test_functions_without_a_size_end_with_the_next_or_the_section(tmp_path: Path) -> None:
    source = """__asm__(
        ".text\\n.globl bare, sized\\n.type bare,@function\\n.type sized,@function\\n"
        "bare: .skip 32, 0x90\\n"
        "sized: .skip 16, 0x90\\n.size sized, 8\\n"
        ".section .text.other,\\"ax\\"\\n.globl last\\n.type last,@function\\nlast: .skip 16, 0x90\\n");"""
    path = build(tmp_path, "library.so", *LIBRARY, "-nostdlib", "-s", source=source)
    elf = ElfFile.from_bytes(path.read_bytes())
    table = elf.functions()
    bare, sized, last = (elf.symbol(name) for name in ("bare", "sized", "last"))
    assert bare is not None
    assert sized is not None
    assert last is not None
    assert table.find(bare.address - 1) is None
    assert table.find(bare.address + 31) == ("bare", bare.address)
    assert table.find(sized.address + 7) == ("sized", sized.address)
    assert table.find(sized.address + 8) is None
    assert table.find(last.address + 15) == ("last", last.address)
    assert table.find(last.address + 16) is None


def test_a_function_inside_another_is_the_innermost(tmp_path: Path) -> None:
    source = """__asm__(
        ".text\\n.globl outer, inner\\n.type outer,@function\\n.type inner,@function\\n"
        "outer: .skip 16, 0x90\\n"
        "inner: .skip 16, 0x90\\n.size inner, .-inner\\n"
        ".skip 16, 0x90\\n.size outer, .-outer\\n");"""
    path = build(tmp_path, "library.so", *LIBRARY, "-nostdlib", "-s", source=source)
    elf = ElfFile.from_bytes(path.read_bytes())
    table = elf.functions()
    outer, inner = elf.symbol("outer"), elf.symbol("inner")
    assert outer is not None
    assert inner is not None
    assert table.find(inner.address) == table.find(inner.address + 15) == ("inner", inner.address)
    assert table.find(inner.address - 1) == table.find(inner.address + 16) == ("outer", outer.address)
    assert table.find(inner.address + 32) is None
    assert table.end_at(outer.address) == table.end_at(inner.address - 1) == inner.address
    assert table.end_at(inner.address) == inner.address + 16
    assert table.end_at(inner.address + 16) == inner.address + 32


def test_a_function_without_a_size_ends_where_the_next_one_is_unwound(tmp_path: Path) -> None:
    source = """__asm__(
        ".text\\n.globl bare\\n.type bare,@function\\nbare: .skip 32, 0x90\\n"
        "nameless: .cfi_startproc\\n.skip 16, 0x90\\n.cfi_endproc\\n");"""
    path = build(tmp_path, "library.so", *LIBRARY, "-nostdlib", "-s", source=source)
    elf = ElfFile.from_bytes(path.read_bytes())
    table = elf.functions()
    bare = elf.symbol("bare")
    assert bare is not None
    assert table.find(bare.address + 31) == ("bare", bare.address)
    assert table.find(bare.address + 32) is None
    assert table.start_of(bare.address + 40) == bare.address + 32


def test_a_file_page_that_two_segments_share_is_the_code_segments() -> None:
    """As lld lays files out: read-only data ends, and code begins, in the middle of one page."""
    segments = ((4, 0x000, 0x0000, 0x5C0), (5, 0x5C0, 0x15C0, 0x1000), (6, 0x15C0, 0x35C0, 0x100))
    header = struct.pack("<16sHHIQQQIHHHHHH", IDENT, 3, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    table = b"".join(
        struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, size, size, 0x1000)
        for flags, offset, address, size in segments
    )
    elf = ElfFile.from_bytes((header + table).ljust(0x16C0, b"\0"))
    assert elf.bias(0x555500001000, 0x0) == 0x555500000000
    assert elf.address_of_offset(0x5BF) == 0x5BF
    assert elf.address_of_offset(0x5C0) == 0x15C0


def test_names_across_block_boundaries_are_found() -> None:
    size = 3 << 20
    for position in ((1 << 20) - 5, (2 << 20) - 1, 2 << 20, size - 7):
        data = bytearray(b"x" * (size + 100))
        data[50 + position : 50 + position + 7] = b"_marker"
        assert list(find_all(BytesSource(bytes(data)), b"_marker", start=50, size=size)) == [position]
    assert list(find_all(BytesSource(b"aaaa"), b"aa", start=1, size=3)) == [0, 1]


def _with_mini_debug_info(program: Path, content: bytes) -> bytes:
    packed = program.with_suffix(".xz")
    packed.write_bytes(content)
    result = program.with_suffix(".mini")
    command = ["objcopy", "--strip-all", f"--add-section=.gnu_debugdata={packed}"]
    subprocess.run([*command, str(program), str(result)], check=True)
    return result.read_bytes()


def test_mini_debug_info_names_the_functions_of_a_stripped_file(program: Path) -> None:
    full = ElfFile.from_bytes(program.read_bytes())
    helper = full.symbol("hidden_helper")
    assert helper is not None
    debug = program.with_suffix(".debug")
    subprocess.run(["objcopy", "--only-keep-debug", str(program), str(debug)], check=True)
    stripped = ElfFile.from_bytes(_with_mini_debug_info(program, lzma.compress(debug.read_bytes())))
    assert stripped.symbol("hidden_helper") is None
    assert stripped.functions().find(helper.address) == ("hidden_helper", helper.address)
    assert stripped.functions().find(helper.address + helper.size - 1) == ("hidden_helper", helper.address)


@pytest.mark.parametrize(
    "content",
    [b"", b"no xz", lzma.compress(b"no ELF"), lzma.compress(bytes(33 << 20)), lzma.compress(bytes(99))[:-20]],
    ids=["empty", "garbage", "no_elf", "bomb", "cut_off"],
)
def test_broken_mini_debug_info_is_left_out(program: Path, content: bytes) -> None:
    data = _with_mini_debug_info(program, content)
    elf = ElfFile.from_bytes(data)
    table = elf.functions()
    assert len(table.unwind.offsets) > 0
    assert len(table) == len(ElfFile.from_bytes(_with_mini_debug_info(program, b"x")).functions())


def test_addresses_in_a_stripped_file_are_grouped_by_function(program: Path) -> None:
    helper = ElfFile.from_bytes(program.read_bytes()).symbol("hidden_helper")
    assert helper is not None
    subprocess.run(["strip", str(program)], check=True)
    elf = ElfFile.from_bytes(program.read_bytes())
    table = elf.functions()
    for offset in (0, 1, helper.size - 1):
        assert table.find(helper.address + offset) is None
        assert table.start_of(helper.address + offset) == helper.address
    assert table.start_of(0) is None
    assert table.start_of(elf.segments[-1].address) is None  # data
    assert table.start_of((1 << 64) - 1) is None


def test_names_of_a_file_that_is_closed_are_malformed(program: Path) -> None:
    with program.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        marker = elf.symbol("marker")
        table = elf.functions()
        assert marker is not None
        assert table.find(marker.address) == ("marker", marker.address)
    assert table.find(0) is None
    with pytest.raises(Malformed, match="unreadable"):
        table.find(marker.address)
