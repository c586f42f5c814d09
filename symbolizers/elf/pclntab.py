"""The functions of a Go program, and how far each instruction's stack pointer is from the caller's.

Go keeps this table (section .gopclntab) in every program, stripped or not: its own runtime unwinds by it.
Format: `pcHeader`, `step` (src/runtime/symtab.go) and `_func` (src/runtime/runtime2.go) of Go 1.18 to 1.27.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from symbolizers.elf.headers import Section
from symbolizers.elf.leb128 import read_uleb
from symbolizers.elf.source import Source, find_all
from symbolizers.elf.unwind_rules import MOST_ROWS
from symbolizers.errors import Malformed

MOST_BYTES = 64 << 20
MAGICS = tuple(bytes((last, 0xFF, 0xFF, 0xFF, 0, 0, 1, 8)) for last in (0xF0, 0xF1))
"""With which the table of Go 1.18 and of 1.20 on begins, for x86-64."""
_HEADER = struct.Struct("<8x8Q")
"""Numbers of functions and of files, where code begins, and offsets: of names, compilation units, files, pcsp
tables and functions."""
_FUNCTION = struct.Struct("<IiiII")
"""Entry, name, arguments, the call that returns from a deferred one, pcsp table."""
_MOST_FUNCTIONS = 1 << 19
_SECTIONS = (b".gopclntab", b".data.rel.ro.gopclntab")
_MERGED = b".data.rel.ro"
"""Where another linker than Go's has put the table of a position-independent program."""
_ADDRESS_BITS = 48
_TEXT_IN_MODULE = 22 * 8
"""In struct moduledata: `text`."""


class Function(NamedTuple):
    """One function. `depths`: distances from its start, and how far from there on the stack pointer is below
    the return address."""

    start: int
    end: int
    name: str
    """Of those that were asked for; else empty."""
    depths: Sequence[tuple[int, int]]


class Pclntab:
    """The table of one file. All methods raise `Malformed`."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(MAGICS) or len(data) < _HEADER.size:
            raise Malformed("a .gopclntab of an unknown version")
        self._data = data
        self._count, _, self.text, self._names, _, _, self._tables, self._functions = _HEADER.unpack_from(
            data
        )
        """`text` is where addresses count from; 0 where the table does not say so, from Go 1.27 on."""
        if self._count > _MOST_FUNCTIONS or self._functions + 8 * self._count + 4 > len(data):
            raise Malformed(f"{self._count} functions in {len(data)} bytes of a .gopclntab")
        self._depths: dict[tuple[int, int], list[tuple[int, int]]] = {}
        """By table and size of the function: most are shared."""
        self._pairs = 0

    def functions(self, text: int, wanted: Sequence[str]) -> Iterator[Function]:
        """All functions of a file whose code begins at `text`, with names where they are among `wanted`."""
        names = self._offsets_of(wanted)
        numbers = struct.unpack_from(f"<{2 * self._count + 1}I", self._data, self._functions)
        for (start, end), at in zip(pairwise(numbers[::2]), numbers[1::2], strict=True):
            if end <= start:
                raise Malformed("functions out of order in a .gopclntab")
            try:
                _, name, _, _, table = _FUNCTION.unpack_from(self._data, self._functions + at)
                depths = self._depths_of(table, end - start) if table else ()
            except (struct.error, IndexError):
                raise Malformed("a .gopclntab that points behind its end") from None
            yield Function(text + start, text + end, names.get(name, ""), depths)

    def _offsets_of(self, wanted: Sequence[str]) -> Mapping[int, str]:
        found = {}
        for name in wanted:
            at = self._data.find(b"\0" + name.encode() + b"\0", self._names)
            if at >= 0:
                found[at + 1 - self._names] = name
        return found

    def _depths_of(self, table: int, size: int) -> list[tuple[int, int]]:
        """Decodes a table of pairs: a change of the depth, and the bytes of code that it holds for."""
        known = self._depths.get((table, size))
        if known is not None:
            return known
        found: list[tuple[int, int]] = []
        at, distance, depth = self._tables + table, 0, -1
        while distance < size:
            change, at = read_uleb(self._data, at)
            if not change and distance:
                break
            length, at = read_uleb(self._data, at)
            self._pairs += 1
            if not length or self._pairs > MOST_ROWS:
                raise Malformed("a .gopclntab without end")
            depth += ~(change >> 1) if change & 1 else change >> 1
            found.append((distance, depth))
            distance += length
        self._depths[table, size] = found
        return found


def find_pclntab(source: Source, find: Callable[[bytes], Section | None]) -> tuple[Pclntab, int] | None:
    """The table of a file, and where its functions count from; None without one. Raises `Malformed`."""
    data = _read_table(source, find)
    if not data:
        return None
    table = Pclntab(data)
    text, module, code = table.text, find(b".go.module"), find(b".text")
    if not text and module is not None:
        (text,) = struct.unpack("<Q", source.read(module.offset + _TEXT_IN_MODULE, 8))
    elif not text and code is not None:
        text = code.address
    if text >> _ADDRESS_BITS:
        raise Malformed(f"a .gopclntab for code at {text:#x}")
    return table, text


def _read_table(source: Source, find: Callable[[bytes], Section | None]) -> bytes:
    for name in (*_SECTIONS, _MERGED):
        section = find(name)
        if section is None or section.size > MOST_BYTES:
            continue
        if name != _MERGED:
            return source.read(section.offset, section.size)
        for magic in MAGICS:
            for at in find_all(source, magic, start=section.offset, size=section.size):
                return source.read(section.offset + at, section.size - at)
    return b""
