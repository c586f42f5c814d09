"""Symbol tables: one symbol by its name, without parsing anything when the name is not there.

Record layout and numbers: the System V ABI (gABI), chapter 4, "Symbol Table"; GNU additions: binutils'
elf/common.h (STB_GNU_UNIQUE, STT_GNU_IFUNC).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from enum import IntEnum
from itertools import compress, islice
from typing import NamedTuple

from msgspec import Struct

from symbolizers.elf.headers import Section
from symbolizers.elf.source import Source, find_all
from symbolizers.errors import Malformed

SYMBOL_BYTES = 24
STB_LOCAL = 0
MAX_SYMBOLS = 1 << 21
"""The most in one table: a browser with all its symbols has 1 to 2 million, node has 0.11 million."""
MAX_STRINGS_BYTES = 512 << 20
"""The largest table of names: 2 million names of 250 bytes, which is long for C++."""

_SYMBOL = struct.Struct("<4xBxHQQ")
_NAME_AND_INFO = struct.Struct("<IB")
_BLOCK_SYMBOLS = 1 << 16
_MAX_PLACES = 4096
"""How often one name may stand in a string table: once, and as the tail of longer names."""

_SHORT_NAME_BYTES = 256
_MAX_NAME_BYTES = 8192
_MAX_MATCHES = 4096
"""How many symbols of one name are looked at: every file compiled in may have a local one."""


class SymbolKind(IntEnum):
    """What a symbol stands for: its ELF type."""

    NONE = 0
    OBJECT = 1
    FUNCTION = 2
    SECTION = 3
    FILE = 4
    COMMON = 5
    TLS = 6
    """The address is an offset in the module's thread-local storage."""
    INDIRECT_FUNCTION = 10
    """The address is of a resolver that returns the address of the function."""
    OTHER = 16


class ElfSymbol(Struct, frozen=True):
    """A symbol that the file defines. `address` is the one the file was linked for; `size` in bytes."""

    name: str
    address: int
    size: int
    kind: SymbolKind


class SymbolTable(NamedTuple):
    """Where a symbol table and its strings lie in the file (offsets and sizes in bytes)."""

    offset: int
    size: int
    strings_offset: int
    strings_size: int

    @classmethod
    def of(cls, section: Section, sections: tuple[Section, ...]) -> SymbolTable:
        """The table that `section` describes. Raises `Malformed` where its numbers cannot be true."""
        if section.entry_size != SYMBOL_BYTES or section.size > MAX_SYMBOLS * SYMBOL_BYTES:
            raise Malformed(f"a symbol table of {section.size} bytes, {section.entry_size} a symbol")
        if section.link >= len(sections):
            raise Malformed(f"a symbol table with strings in section {section.link}")
        strings = sections[section.link]
        if strings.size > MAX_STRINGS_BYTES:
            raise Malformed(f"a table of names of {strings.size} bytes")
        size = section.size - section.size % SYMBOL_BYTES
        return cls(section.offset, size, strings.offset, strings.size)

    def blocks(self, source: Source) -> Iterator[bytes]:
        """The table, some thousand whole symbols at a time. Raises `Malformed`, also if it has no strings."""
        if self.strings_offset + self.strings_size > source.size:
            raise Malformed("a symbol table with strings past the end of the file")
        block_bytes = _BLOCK_SYMBOLS * SYMBOL_BYTES
        for at in range(0, self.size, block_bytes):
            yield source.read(self.offset + at, min(block_bytes, self.size - at))

    def symbol_at(self, source: Source, index: int) -> tuple[str, int]:
        """Name and info byte of the symbol number `index`. Raises `Malformed`.

        The name is cut at 8 kB and where its version begins; it is empty past the end of the strings.
        """
        offset, info = _NAME_AND_INFO.unpack(
            source.read(self.offset + index * SYMBOL_BYTES, _NAME_AND_INFO.size)
        )
        name = b""
        for most in (_SHORT_NAME_BYTES, _MAX_NAME_BYTES):
            size = min(most, self.strings_size - offset)
            if size <= 0:
                break
            name, end, _ = source.read(self.strings_offset + offset, size).partition(b"\0")
            if end:
                break
        return name.decode(errors="backslashreplace").partition("@")[0], info

    def lookup(self, source: Source, name: str) -> ElfSymbol | None:
        """The symbol that the file defines under exactly `name`, or None; global before local.

        A name that is not in the string table costs one search of its bytes. Raises `Malformed`.
        """
        needle = name.encode() + b"\0"
        places = find_all(source, needle, start=self.strings_offset, size=self.strings_size)
        wanted = set(islice(places, _MAX_PLACES))
        if not wanted:
            return None
        found: ElfSymbol | None = None
        for info, section, address, size in islice(self._named(source, wanted), _MAX_MATCHES):
            if not section:  # undefined here: another file has it
                continue
            if info >> 4 != STB_LOCAL:
                return ElfSymbol(name, address, size, _kind(info & 15))
            found = found or ElfSymbol(name, address, size, _kind(info & 15))
        return found

    def _named(self, source: Source, wanted: set[int]) -> Iterator[tuple[int, int, int, int]]:
        """Info, section, address and size of the symbols whose name is at one of the `wanted` offsets."""
        for data in self.blocks(source):
            name_offsets = array("I", data)[:: SYMBOL_BYTES // 4]
            for index in compress(range(len(name_offsets)), map(wanted.__contains__, name_offsets)):
                yield _SYMBOL.unpack_from(data, index * SYMBOL_BYTES)


def _kind(number: int) -> SymbolKind:
    return SymbolKind(number) if number in _KINDS else SymbolKind.OTHER


_KINDS = frozenset(kind.value for kind in SymbolKind)
