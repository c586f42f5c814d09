"""CPython: recognises the interpreter in an ELF file, and which layout row describes it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from symbolizers.base import AddressSpace, Interpreter, Symbolizer
from symbolizers.elf.file import ElfFile
from symbolizers.elf.machine_code import NO_CODE, find_cold_part
from symbolizers.errors import Malformed, UnsupportedVersion
from symbolizers.layout import Row, Version
from symbolizers.python import debug_offsets
from symbolizers.python.code import PythonSymbolizer, TypeAddresses
from symbolizers.python.kinds import NAME
from symbolizers.python.layouts import FREE_THREADED, LAYOUTS, SUPPORTED
from symbolizers.python.layouts_tasks import TASKS
from symbolizers.python.layouts_threads import THREADS
from symbolizers.python.machine_code import find_interpreters_head
from symbolizers.python.tasks import PythonTasks
from symbolizers.python.threads import PythonThreads
from symbolizers.python.versions import PythonVersion, find_version

_FIRST_SELF_DESCRIBED: Final = (3, 13)
_LOOPS: Final = ("_PyEval_EvalFrameDefault", "PyEval_EvalFrameEx")
"""The function that runs bytecode; in 2.7 the second, which from 3.6 on only calls the first."""


class PythonLanguage:
    """Recognises CPython: a static executable, libpython, or a program that embeds it."""

    name = NAME

    def recognise(self, elf: ElfFile) -> PythonFile | None:
        """The CPython in `elf`, or None. Raises `UnsupportedVersion`, or `Malformed` for a broken file."""
        version = find_version(elf)
        if version is None:
            return None
        row, note = _find_row(elf, version)
        root = row.capabilities["root"]
        symbol = next((found for name in _LOOPS if (found := elf.symbol(name)) is not None), None)
        loop = (
            (symbol.address, symbol.address + symbol.size) if symbol is not None and symbol.size else NO_CODE
        )
        return PythonFile(
            version=version.text,
            series=version.numbers[:2],
            row=row,
            root=find_interpreters_head(elf) if root == "interp_head" else _symbol_address(elf, root),
            loop=loop,
            cold_loop=find_cold_part(elf, *loop),
            types=TypeAddresses(
                code=_symbol_address(elf, "PyCode_Type"),
                str=_symbol_address(elf, "PyUnicode_Type"),
                bytes=_symbol_address(elf, "PyBytes_Type") or _symbol_address(elf, "PyString_Type"),
            ),
            note=note,
        )


def _symbol_address(elf: ElfFile, name: str) -> int:
    """Where the file puts the symbol `name`, 0 where it defines none."""
    symbol = elf.symbol(name)
    return symbol.address if symbol is not None else 0


def _find_row(elf: ElfFile, version: PythonVersion) -> tuple[Row, str]:
    """The row that describes the build, and what people should know about that (or '').

    Raises `UnsupportedVersion`, or `Malformed` for a build that describes itself wrongly.
    """
    if version.numbers >= _FIRST_SELF_DESCRIBED:
        return _self_described_row(elf, version)
    # This variable counts references for debugging, which changes structures too.
    debug = elf.symbol("_Py_RefTotal") is not None
    row = LAYOUTS.find(version.numbers)
    if row is None or debug or not version.stable:
        raise UnsupportedVersion("Python", version.text + (" with Py_DEBUG" if debug else ""), SUPPORTED)
    return row, ""


def _self_described_row(elf: ElfFile, version: PythonVersion) -> tuple[Row, str]:
    """As `_find_row`, for builds that describe themselves: releases, pre-releases and newer versions too."""
    try:
        table = elf.read(_symbol_address(elf, "_PyRuntime"), debug_offsets.TABLE_BYTES)
        debug_offsets.check_header(table, version.hex_version)
        free_threaded = debug_offsets.is_free_threaded(table)
        row = LAYOUTS.find(version.numbers, FREE_THREADED if free_threaded else "")
        places = debug_offsets.TABLES.find(version.numbers)
        note = (
            "" if version.stable else f"Python {version.text} is a pre-release, read as it describes itself"
        )
        newest = LAYOUTS.newest()
        if newest is not None and version.numbers[:2] > newest.versions[1] and not free_threaded:
            row, places = newest, debug_offsets.TABLES.newest()
            note = f"Python {version.text} is newer than any known version, read as it describes itself"
        if row is not None and places is not None:
            return debug_offsets.described(row, table, places), note
    except (ValueError, Malformed) as error:
        if version.stable and LAYOUTS.find(version.numbers) is not None:
            raise Malformed(f"Python {version.text} describes itself wrongly: {error}") from None
        raise UnsupportedVersion("Python", version.text, SUPPORTED) from None
    raise UnsupportedVersion("Python", f"{version.text} free-threaded", SUPPORTED)


class PythonFile(Struct, frozen=True):
    """CPython in one ELF file; all addresses are the file's own, before a load bias."""

    version: str
    series: Version
    """The first two numbers of the version."""
    row: Row
    root: int
    loop: tuple[int, int]
    types: TypeAddresses
    cold_loop: tuple[int, int] = NO_CODE
    note: str = ""

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""
        return Interpreter(
            language=PythonLanguage.name,
            version=self.version,
            layout=self.row.name,
            root=self.root,
            loop=self.loop,
            cold_loop=self.cold_loop,
            offsets=self.row.numbers(),
            note=self.note,
        ).moved(bias)

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> PythonSymbolizer:
        """A reader of the code objects of one process, with their line tables if `lines`."""
        return PythonSymbolizer(self.row, memory, self.types.at(interpreter.root - self.root), lines=lines)

    def thread_reader(self, interpreter: Interpreter, memory: AddressSpace) -> PythonThreads | None:
        """A reader of one process's own names of its threads; None for versions without a row for it."""
        places = THREADS.find(self.series, self.row.flavour)
        if places is None:
            return None
        return PythonThreads(self.row, places, memory, root=interpreter.root)

    def task_reader(
        self, interpreter: Interpreter, memory: AddressSpace, symbolizer: Symbolizer
    ) -> PythonTasks | None:
        """A reader of the asyncio tasks of one process; None for versions without a row for it."""
        places = TASKS.find(self.series, self.row.flavour)
        return PythonTasks(self.row, places, memory, symbolizer) if places is not None else None
