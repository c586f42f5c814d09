"""What a forged file can cost: CPU time and memory are bounded by constants, whatever the file claims.

Each file is sparse or made of repeated parts, as an attacker would make it, and is read in a process of its
own: the peak of memory is the file's.
"""

from __future__ import annotations

import json
import lzma
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.elf.symbols import MAX_STRINGS_BYTES, MAX_SYMBOLS
from tests.support.elf_forge import Forged, Section, forge, symbol
from tests.support.slowness import slowness

READ = """
import json, sys, time
from symbolizers.elf.file import ElfFile
from symbolizers.errors import SymbolizeError
from symbolizers.native.symbols import NativeSymbols
from symbolizers.registry import languages
def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
loaded = languages()
before, started = peak_bytes(), time.process_time()
said, named = [], ""
with open(sys.argv[1], "rb") as stream:
    try:
        elf = ElfFile.from_fd(stream.fileno())
        for language in loaded:
            try: language.recognise(elf)
            except SymbolizeError as error: said.append(str(error))
        named = NativeSymbols(elf, "m").find(int(sys.argv[2]))[0].name
    except SymbolizeError as error: said.append(str(error))
print(json.dumps([time.process_time() - started, peak_bytes() - before, named, said]))
"""


def cost(path: Path, address: int = 0x1008) -> tuple[float, int, str, list[str]]:
    """CPU seconds and bytes that it takes to recognise a file and to name an address; the name; errors."""
    command = (sys.executable, "-c", READ, str(path), str(address))
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return (*found,)


def write(path: Path, forged: Forged, *, size: int = 0) -> Path:
    path.write_bytes(forged.content)
    if size:
        os.truncate(path, size)
    return path


def test_the_names_of_two_million_functions(tmp_path: Path) -> None:
    """As many as the largest real programs have. The names are 120 MB."""
    names = b"\0" + b"".join(b"%059d\0" % number for number in range(MAX_SYMBOLS))
    symbols = b"".join(symbol(1 + 60 * at, 0x1000 + 16 * at, 16) for at in reversed(range(MAX_SYMBOLS)))
    path = write(tmp_path / "giant", forge(Section.symbols(symbols), Section.strings(names)))
    cpu_s, peak_bytes, name, said = cost(path, 0x1000 + 16 * 1_999_999 + 8)
    assert (name, said) == ("0" * 52 + "1999999", [])
    assert peak_bytes < 120 << 20
    assert cpu_s < 4 * slowness()


def test_a_hole_of_4_tib_as_the_table_of_names(tmp_path: Path) -> None:
    forged = forge(Section.symbols(symbol(1, 0x1000, 16)), Section.strings(b"", size=4 << 40))
    path = write(tmp_path / "hole", forged, size=5 << 40)
    assert path.stat().st_blocks < 100
    cpu_s, peak_bytes, name, said = cost(path)
    assert name == "[m+0x1008]"
    assert said
    assert set(said) == {f"a table of names of {4 << 40} bytes"}
    assert cpu_s < slowness()
    assert peak_bytes < 20 << 20


def test_the_largest_hole_that_may_be_a_table_of_names(tmp_path: Path) -> None:
    """Each language asks for names, and each name is searched for: in so many bytes in all, no more."""
    forged = forge(Section.symbols(symbol(1, 0x1000, 16)), Section.strings(b"", size=MAX_STRINGS_BYTES))
    path = write(tmp_path / "hole", forged, size=MAX_STRINGS_BYTES + (1 << 30))
    cpu_s, peak_bytes, _, said = cost(path)
    assert said[-1].startswith("symbol tables of")
    assert cpu_s < 5 * slowness()
    assert peak_bytes < 20 << 20


def test_holes_as_sections_notes_and_their_names(tmp_path: Path) -> None:
    """4,000 sections that are all the same notes, without an end."""
    notes = struct.pack("<III", 0, 0, 0) * (1 << 14)
    sections = [Section(kind=7, content=notes)] + [Section(kind=7, size=len(notes), at=0)] * 4000
    path = write(tmp_path / "notes", forge(*sections))
    cpu_s, peak_bytes, _, _ = cost(path)
    assert cpu_s < 0.5 * slowness()
    assert peak_bytes < 20 << 20
    path = write(tmp_path / "sections", forge(*sections, *[Section()] * 60_000))
    cpu_s, peak_bytes, _, said = cost(path)
    assert set(said) == {"64003 sections"}
    assert cpu_s < 0.5 * slowness()
    assert peak_bytes < 20 << 20


def test_a_bomb_as_mini_debug_info(tmp_path: Path) -> None:
    """128 MB packed to 20 kB, and a section that says it is packed debug information, of 100 MB."""
    packer = lzma.LZMACompressor(preset=0)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(128)) + packer.flush()
    for content, size in ((bomb, 0), (bomb, 100 << 20)):
        debug = Section(content=content, size=size, name=b".gnu_debugdata")
        path = write(tmp_path / "bomb", forge(debug), size=200 << 20)
        cpu_s, peak_bytes, name, _ = cost(path)
        assert name == "[m+0x1008]"
        assert cpu_s < slowness()
        assert peak_bytes < 90 << 20


CODE = 64 + 128 * 56
"""Where the content of the first section is, in the file and in memory."""
SEGMENTS = b"".join(
    struct.pack("<IIQQQQQQ", 1, 5, 0, address, 0, size, size, 4096)
    for address, size in [*((1 << 40 | number << 12, 8) for number in range(127)), (0, 80 << 20)]
)


def interpreter(functions: dict[str, int], content: bytes) -> Forged:
    """A file whose `functions`, of so many bytes each, all begin with the `content`."""
    names, symbols = b"\0", b""
    for name, size in functions.items():
        symbols += symbol(len(names), CODE, size)
        names += name.encode() + b"\0"
    tables = (Section.symbols(symbols, strings=3), Section.strings(names))
    return forge(Section(content=content), *tables, segments=SEGMENTS)


@pytest.mark.parametrize("instruction", [b"\x48\x8d\x05", b"\x48\x8b\x05"], ids=["lea", "mov"])
def test_code_that_is_nothing_but_addresses(tmp_path: Path, instruction: bytes) -> None:
    """Each is followed to see what is there, so functions that are looked at so are small."""
    names = ("execute_ex", "zend_execute_internal", "php_request_startup", "executor_globals")
    names = (*names, "zend_ce_generator", "ruby_vm_at_exit", "rb_sym_all_symbols")
    code = b"2.7.1\0\0\0" + instruction * (1 << 18)
    functions = dict.fromkeys(names, 700_000) | {"ruby_version": 6}
    path = write(tmp_path / "code", interpreter(functions, code), size=90 << 20)
    assert cost(path)[0] < 0.5 * slowness()


def test_texts_of_versions_without_an_end(tmp_path: Path) -> None:
    functions = dict.fromkeys(("_PyRuntime", "PyThreadState_GetFrame"), 8)
    for number in ("1", "1a" + "1" * 100):
        text = f"3.9.{number}\0".encode()
        path = write(
            tmp_path / "texts", interpreter(functions, text * ((64 << 20) // len(text))), size=90 << 20
        )
        cpu_s, peak_bytes, _, _ = cost(path)
        assert cpu_s < 1.5 * slowness()
        assert peak_bytes < 30 << 20


def test_a_name_without_an_end_is_cut(tmp_path: Path) -> None:
    names = b"\0" + b"n" * (1 << 20)
    path = write(tmp_path / "long", forge(Section.symbols(symbol(1, 0x1000, 16)), Section.strings(names)))
    with path.open("rb") as stream:
        found = ElfFile.from_fd(stream.fileno()).functions().find(0x1008)
    assert found == ("n" * 8192, 0x1000)


def test_symbols_of_all_tables_together_are_bounded(tmp_path: Path) -> None:
    many = symbol(1, 0x1000, 16) * (MAX_SYMBOLS * 4 // 5)
    tables = (Section.symbols(many, kind=11), Section.strings(b"\0f\0"), Section.symbols(many, strings=2))
    assert len(ElfFile.from_bytes(forge(*tables).content).functions()) == MAX_SYMBOLS * 4 // 5
