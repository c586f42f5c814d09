"""ELF files: small ones with everything in them, real interpreters with lies in them, and names."""

from __future__ import annotations

import lzma
import struct
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from symbolizers.elf.eh_frame import MOST_BYTES
from symbolizers.elf.file import ElfFile
from symbolizers.elf.headers import SHF_COMPRESSED
from symbolizers.elf.source import Source, check_range
from symbolizers.errors import Malformed, UnsupportedVersion
from symbolizers.native.symbols import NativeSymbols
from symbolizers.registry import languages
from tests.fuzz.target import Target
from tests.support.elf_forge import Section, forge, symbol
from tests.support.elf_programs import PROGRAM, build, debug_frame_of
from tests.support.elf_use import structure, use_everything

_LARGEST_STRUCTURE_BYTES: Final = 1 << 16
_LIE: Final = struct.Struct("<IBQ")
_WIDTHS: Final = (8, 8, 4, 4, 2, 1)
_RECURSION: Final = "int work(int n) { return n ? work(n - 1) * 3 + work(n - 2) : 1; }"


def _programs() -> list[bytes]:
    """A library, a stripped program, and one whose symbols are in MiniDebugInfo."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        flags, source = ("-shared", "-fPIC", "-nostdlib"), "int f(void) { return 1; }"
        library = build(folder, "library.so", *flags, source=source)
        program = build(folder, "program", source=PROGRAM)
        debug, packed, stripped = folder / "debug", folder / "packed", folder / "stripped"
        subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
        packed.write_bytes(lzma.compress(debug.read_bytes()))
        add = f"--add-section=.gnu_debugdata={packed}"
        subprocess.run(["objcopy", "--strip-all", add, program, stripped], check=True)
        return [path.read_bytes() for path in (library, program, stripped)]


@lru_cache
def _places(data: bytes) -> Sequence[int]:
    try:
        return structure(data)
    except (struct.error, IndexError):  # a seed that was changed before
        return range(min(len(data), 4096))


class _Lying(Source):
    """A real file with some bytes changed; notes where small things are read."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content
        self._changed: dict[int, int] = {}
        self.read_at: set[int] = set()

    def change(self, offset: int, number: int, width: int) -> None:
        self._changed.update(enumerate((number % (1 << 8 * width)).to_bytes(width, "little"), offset))

    def read(self, offset: int, size: int) -> bytes:
        check_range(offset, size, file_size=self.size)
        if size < _LARGEST_STRUCTURE_BYTES:
            self.read_at.update(range(offset, offset + size, 4))
        data = self._content[offset : offset + size]
        inside = [(at - offset, byte) for at, byte in self._changed.items() if offset <= at < offset + size]
        if inside:
            changed = bytearray(data)
            for at, byte in inside:
                if at < len(changed):
                    changed[at] = byte
            data = bytes(changed)
        return data


@cache
def _interpreters() -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    """The contents of the machine's interpreters, and where in them their languages look."""
    paths = [Path("/usr/bin/python3").resolve(), Path("/usr/bin/php").resolve()]
    paths += Path("/usr/lib/x86_64-linux-gnu").glob("libruby*.so.*.*.*")
    paths += Path.home().glob(".pyenv/versions/3.1[3-9]*/lib/libpython3.*.so.1.0")
    found = []
    for path in paths:
        if path.exists():
            source = _Lying(path.read_bytes())
            _recognise(source)
            found.append((path.read_bytes(), (*sorted(source.read_at), *_wanted_symbols(source))))
    return tuple(found)


def _wanted_symbols(source: Source) -> Iterator[int]:
    """Where symbols lie that languages ask for."""
    names = {f"_{name}" for name in ("PyRuntime", "PyEval_EvalFrameDefault")}
    names |= {"Py_Version", "PyCode_Type", "ruby_version", "ruby_vm_at_exit", "rb_vm_exec", "rb_during_gc"}
    names |= {"execute_ex", "executor_globals", "php_request_startup", "rb_sym_all_symbols"}
    for table in ElfFile(source)._symbol_tables():
        for index in range(min(table.size // 24, 20_000)):
            if table.symbol_at(source, index)[0] in names:
                yield from range(table.offset + 24 * index, table.offset + 24 * index + 24, 4)


def _recognise(source: Source) -> None:
    elf = ElfFile(source)
    for language in languages():
        try:
            runtime = language.recognise(elf)
        except (Malformed, UnsupportedVersion):
            continue
        if runtime is not None:
            interpreter = runtime.attach(0x7F12_0000_0000)
            assert all(0 <= each < 1 << 64 for each in (interpreter.root, *interpreter.loop))


def _run_lies(data: bytes) -> None:
    """The first byte chooses the interpreter; the rest are lies: which place, how wide, and the number."""
    content, places = _interpreters()[data[0] % len(_interpreters()) if data else 0]
    source = _Lying(content)
    for at in range(1, len(data) - _LIE.size + 1, _LIE.size):
        place, width, number = _LIE.unpack_from(data, at)
        source.change(places[place % len(places)], number, _WIDTHS[width % len(_WIDTHS)])
    _recognise(source)


def _seeds_of_lies() -> list[bytes]:
    which = range(len(_interpreters()))
    return [bytes([each]) + _LIE.pack(at * 37, at, at * at) * at for each in which for at in (0, 1, 4)]


def _run_mini_debug_info(data: bytes) -> None:
    """The packed file, broken, or the file that is packed."""
    packed = lzma.compress(data[1:], preset=0) if data[:1] == b"\1" else data[1:]
    elf = ElfFile.from_bytes(forge(Section(content=packed, name=b".gnu_debugdata")).content)
    table = elf.functions()
    for address in (0x1000, 0x1139, 1 << 40):
        table.find(address)
        assert table.end_at(address) > address


def _mini_debug_info() -> list[bytes]:
    library, *_ = _programs()
    return [b"\1" + library, b"\0" + lzma.compress(library, preset=0)]


def _run_unwind_rows(data: bytes) -> None:
    rows = ElfFile.from_bytes(forge(Section(content=data, name=b".eh_frame")).content).unwind_rows()
    assert list(rows.addresses) == sorted(rows.addresses)
    assert len(rows.addresses) == len(rows.rules) == len(rows.backs) <= 3 * len(data) + 3


def _run_debug_frame(data: bytes) -> None:
    """In a file without any other unwind information: packed, or as it is."""
    flags, content = (0, data[1:]) if data[:1] == b"\0" else (SHF_COMPRESSED, data[1:])
    section = Section(content=content, name=b".debug_frame", flags=flags)
    rows = ElfFile.from_bytes(forge(section).content).unwind_rows()
    assert list(rows.addresses) == sorted(rows.addresses)
    assert len(rows.addresses) == len(rows.rules) == len(rows.backs) <= 3 * MOST_BYTES


def _debug_frames() -> list[bytes]:
    """What gcc writes for a function, and that packed: behind 24 bytes that say how."""
    with TemporaryDirectory() as name:
        data = debug_frame_of(Path(name), _RECURSION)
    packed = struct.pack("<IIQQ", 1, 0, len(data), 8) + zlib.compress(data)
    return [b"\0" + data, b"\1" + packed]


def _unwind_sections() -> list[bytes]:
    found = []
    for content in _programs():
        elf = ElfFile.from_bytes(content)
        section = elf._section(b".eh_frame")
        assert section is not None
        found.append(elf._source.read(section.offset, section.size))
    return found


def _run_name(data: bytes) -> None:
    tables = (Section.symbols(symbol(1, 0x1000, 16)), Section.strings(b"\0" + data))
    symbols = NativeSymbols(ElfFile.from_bytes(forge(*tables).content), "m")
    function = symbols.find(0x1008)
    assert len(function.frame.name) <= 1100
    assert function.start <= 0x1008 < function.end


def _mangled() -> list[bytes]:
    return [
        *(b"_ZN6engine5WheelIiE4turnEiPKc", b"_ZNSt3mapISsSt4pairIS_S_ESaIS1_EE5beginEv", b"_Z1fIXsrT_EEvv"),
        b"_ZZN3fooC1EvENKUlT_T0_E_clIidEEDaS1_S2_",
        b"_RNvMs_NtCs1234_7mycrate3fooINtB4_3BarNtB4_3BazE4quux",
        b"_RINvNtC3std3mem8align_ofdE",
        b"_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
        b"_ZNSt10_HashtableIiSt4pairIKidESaIS2_ENSt8__detail10_Select1stESt8equal_toIiEE4findERS1_",
    ]


TARGETS: Final = (
    Target("elf", _programs, use_everything, places=_places),
    Target("elf_recognise", _seeds_of_lies, _run_lies, most_bytes=500),
    Target("mini_debug_info", _mini_debug_info, _run_mini_debug_info),
    Target("unwind_rows", _unwind_sections, _run_unwind_rows),
    Target("debug_frame", _debug_frames, _run_debug_frame),
    Target("native_names", _mangled, _run_name, most_bytes=9000),
)
