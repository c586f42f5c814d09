"""Symbol tables: one symbol by its name, without parsing anything when the name is not there.

Record layout and numbers: the System V ABI (gABI), chapter 4, "Symbol Table"; GNU additions: binutils'
elf/common.h (STB_GNU_UNIQUE, STT_GNU_IFUNC).
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from symbolizers.elf.headers import Section
from symbolizers.elf.source import Source, find_all
from symbolizers.errors import Malformed

SYMBOL_BYTES = 24
STB_LOCAL = 0
MAX_SYMBOLS = 1 << 21
"""The most in one table (node has 0.11 million); reading a table takes some 150 bytes for each."""

_SYMBOL = struct.Struct("<IBBHQQ")
_MAX_PLACES = 4096
"""How often one name may stand in a string table: once, and as the tail of longer names."""

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


@dataclass(frozen=True, slots=True)
class ElfSymbol:
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
        size = section.size - section.size % SYMBOL_BYTES
        return cls(section.offset, size, strings.offset, strings.size)

    def lookup(self, source: Source, name: str) -> ElfSymbol | None:
        """The symbol that the file defines under exactly `name`, or None; global before local.

        A name that is not in the string table costs one search of its bytes. Raises `Malformed`.
        """
        needle = name.encode() + b"\0"
        places = find_all(source, needle, start=self.strings_offset, size=self.strings_size)
        wanted = set(islice(places, _MAX_PLACES))
        if not wanted:
            return None
        data = source.read(self.offset, self.size)
        name_offsets = array("I", data)[:: SYMBOL_BYTES // 4]
        matches = (index for index, name_offset in enumerate(name_offsets) if name_offset in wanted)
        found: ElfSymbol | None = None
        for index in islice(matches, _MAX_MATCHES):
            _, info, _, section, address, size = _SYMBOL.unpack_from(data, index * SYMBOL_BYTES)
            if not section:  # undefined here: another file has it
                continue
            if info >> 4 != STB_LOCAL:
                return ElfSymbol(name, address, size, _kind(info & 15))
            found = found or ElfSymbol(name, address, size, _kind(info & 15))
        return found


def _kind(number: int) -> SymbolKind:
    return SymbolKind(number) if number in _KINDS else SymbolKind.OTHER


_KINDS = frozenset(kind.value for kind in SymbolKind)
