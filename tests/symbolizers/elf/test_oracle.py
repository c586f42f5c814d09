"""The ELF reader against pyelftools, over the machine's own programs and libraries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection, SymbolTableSection

from symbolizers.elf.file import ElfFile, FunctionTable
from tests.support.elf_programs import build

PLACES = (Path("/usr/bin"), Path("/usr/lib/x86_64-linux-gnu"))
MAX_FILES = 150
MAX_FILE_BYTES = 2 << 20
ADDRESSES_PER_FILE = 40
NAMES_PER_FILE = 12


class Function(NamedTuple):
    """A function symbol as pyelftools tells it."""

    start: int
    size: int
    name: str
    binding: str


@dataclass(frozen=True)
class Oracle:
    """What pyelftools knows about a file."""

    build_id: bytes
    symbols: dict[str, list[tuple[str, int]]]
    """By name, in the order of the tables: binding and address of those that are defined."""
    functions: list[Function]
    code_ends: list[int]


def _files() -> list[Path]:
    paths = sorted(
        path
        for place in PLACES
        for path in place.iterdir()
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_FILE_BYTES
    )
    elves = [path for path in paths if _magic(path) == b"\x7fELF\x02"]
    step = max(1, len(elves) // MAX_FILES)
    return [*elves[::step][:MAX_FILES], Path("/usr/lib/x86_64-linux-gnu/libc.so.6").resolve()]


def _magic(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(5)


@cache
def _oracle(path: Path) -> Oracle:
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        notes = [
            note["n_desc"]
            for section in elf.iter_sections()
            if isinstance(section, NoteSection)
            for note in section.iter_notes()
            if note["n_type"] == "NT_GNU_BUILD_ID"
        ]
        symbols: dict[str, list[tuple[str, int]]] = {}
        functions: list[Function] = []
        for kind in ("SHT_DYNSYM", "SHT_SYMTAB"):
            for section in elf.iter_sections(kind):
                assert isinstance(section, SymbolTableSection)
                for symbol in section.iter_symbols():
                    if symbol["st_shndx"] == "SHN_UNDEF":
                        continue
                    binding = symbol["st_info"]["bind"]
                    symbols.setdefault(symbol.name, []).append((binding, symbol["st_value"]))
                    if symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS"):
                        functions.append(
                            Function(symbol["st_value"], symbol["st_size"], symbol.name, binding)
                        )
        ends = [s["sh_addr"] + s["sh_size"] for s in elf.iter_sections() if s["sh_flags"] & 4]
        return Oracle(bytes.fromhex(notes[0]) if notes else b"", symbols, functions, sorted(ends))


@contextmanager
def _opened(path: Path) -> Iterator[ElfFile]:
    with path.open("rb") as stream:
        yield ElfFile.from_fd(stream.fileno())


@pytest.fixture(scope="module")
def static_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with the whole .symtab of libc.a: thousands of local symbols, aliases and resolvers."""
    return build(tmp_path_factory.mktemp("oracle"), "static", "-static")


FILES = _files()


def test_there_are_enough_files() -> None:
    assert len(FILES) >= 100


def test_build_ids() -> None:
    for path in FILES:
        with _opened(path) as elf:
            assert elf.build_id == _oracle(path).build_id, path
    assert sum(bool(_oracle(path).build_id) for path in FILES) > len(FILES) // 2


def _expected_symbol(symbols: list[tuple[str, int]]) -> int:
    """The first that other files can see, else the first."""
    return next((address for binding, address in symbols if binding != "STB_LOCAL"), symbols[0][1])


def _check_symbols(path: Path, count: int) -> int:
    oracle = _oracle(path)
    names = sorted(name for name in oracle.symbols if name)
    chosen = random.Random(path.name).sample(names, min(count, len(names)))
    with _opened(path) as elf:
        for name in chosen:
            found = elf.symbol(name)
            assert found is not None, (path, name)
            assert (found.name, found.address) == (name, _expected_symbol(oracle.symbols[name])), path
            assert oracle.symbols.get(name + "_") is not None or elf.symbol(name + "_") is None
        assert elf.symbol("no_such_symbol_anywhere") is None
    return len(chosen)


def test_symbols_by_name() -> None:
    assert sum(_check_symbols(path, NAMES_PER_FILE) for path in FILES) > 500


def test_symbols_by_name_in_a_static_program(static_program: Path) -> None:
    assert _check_symbols(static_program, 300) == 300


def _expected_function(oracle: Oracle, address: int, following_unwind: int | None) -> tuple[str, int] | None:
    """Innermost function around `address`, by looking at all of them."""
    inside = [f for f in oracle.functions if f.start <= address < f.start + f.size]
    below = max((f.start for f in oracle.functions if f.start <= address), default=-1)
    group = [f for f in oracle.functions if f.start == below]
    if group and not any(f.size for f in group):
        ends = [end for end in oracle.code_ends if end > below][:1]
        ends += [min((f.start for f in oracle.functions if f.start > below), default=ends[0])]
        ends += [] if following_unwind is None else [following_unwind]
        if address < min(ends):
            inside += group
    if not inside:
        return None
    start = max(f.start for f in inside)
    order = {"STB_GLOBAL": 0, "STB_WEAK": 1, "STB_LOCAL": 2}

    def preference(function: Function) -> tuple[bool, int, int]:
        name = function.name.partition("@")[0]
        rank = order.get(function.binding, 0)
        return rank == 2, len(name) - len(name.lstrip("_")), rank

    best = min((f for f in inside if f.start == start), key=preference)
    return best.name.partition("@")[0], start


def _check_functions(path: Path, count: int) -> int:
    """How many of `count` addresses in and around random functions have a name."""
    oracle = _oracle(path)
    with _opened(path) as elf:
        return _check_table(path, oracle, elf.functions(), count)


def _check_table(path: Path, oracle: Oracle, table: FunctionTable, count: int) -> int:
    assert len(table) == len(oracle.functions), path
    if not oracle.functions:
        return 0
    choose = random.Random(path.name)
    named = 0
    for _ in range(count):
        function = choose.choice(oracle.functions)
        address = max(0, function.start + choose.randint(-2, function.size + 24))
        below = max((f.start for f in oracle.functions if f.start <= address), default=0)
        expected = _expected_function(oracle, address, table.unwind.after(below))
        assert table.find(address) == expected, (path, hex(address))
        named += expected is not None
    return named


def test_functions_by_address() -> None:
    named = [_check_functions(path, ADDRESSES_PER_FILE) for path in FILES]
    with_functions = len(named) - named.count(0)
    assert with_functions > 30
    assert sum(named) > 0.7 * ADDRESSES_PER_FILE * with_functions


def test_functions_by_address_in_a_static_program(static_program: Path) -> None:
    assert _check_functions(static_program, 500) > 300


def test_function_starts_are_those_of_the_unwind_entries() -> None:
    # As many as pyelftools can read in a few seconds: it decodes every entry's instructions on the way.
    paths = [path for path in FILES if 20_000 < path.stat().st_size < 80_000][:8]
    assert len(paths) == 8
    for path in paths:
        with path.open("rb") as stream:
            entries = ELFFile(stream).get_dwarf_info().EH_CFI_entries()
            ranges = sorted(
                (entry.header.initial_location, entry.header.address_range)
                for entry in entries
                if isinstance(entry, FDE)
            )
        with _opened(path) as elf:
            table = elf.functions()
        assert [table.unwind.base + offset for offset in table.unwind.offsets] == [s for s, _ in ranges], path
        for start, size in ranges:
            assert table.start_of(start) == start
            assert table.start_of(start + size - 1) == start
