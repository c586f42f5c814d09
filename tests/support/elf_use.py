"""Everything that an ELF file is asked, and where its structures are: for tests that forge files."""

from __future__ import annotations

import struct
from contextlib import suppress

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.native.symbols import NativeSymbols

SYMTAB, STRTAB, DYNSYM = 2, 3, 11
NOTE, EH_FRAME = 4, 0x6474E550
ADDRESSES = (0, 1, 0x1000, 0x1120, 0x2000, 0x4000, (1 << 47), (1 << 64) - 1)


def use_everything(data: bytes) -> None:
    """Calls all that an ELF file answers; anything raised but `Malformed` fails the test."""
    try:
        elf = ElfFile.from_bytes(data)
    except Malformed:
        return
    assert isinstance(elf.build_id, bytes)
    for name in ("exported", "local", "absent"):
        with suppress(Malformed):
            elf.symbol(name)
    for address in ADDRESSES:
        with suppress(Malformed):
            elf.read(address, 64)
        with suppress(Malformed):
            elf.bias(0x7F0000000000, address)
        with suppress(Malformed):
            elf.address_of_offset(address)
    table = elf.functions()
    symbols = NativeSymbols(elf, "library.so")
    for address in (*ADDRESSES, *(segment.address for segment in elf.segments)):
        table.find(address)
        table.start_of(address)
        assert len(symbols.find(address)[0].name) <= 1100


def sections_of(data: bytes) -> tuple[int, list[int]]:
    """Offset of the section headers and their types, by index."""
    at = struct.unpack_from("<Q", data, 40)[0]
    count = struct.unpack_from("<H", data, 60)[0]
    return at, [struct.unpack_from("<I", data, at + 64 * index + 4)[0] for index in range(count)]


def segment_headers(data: bytes) -> list[tuple[int, int, int]]:
    """Type, offset and size of every segment."""
    start, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    fields = (struct.unpack_from("<IIQQQQ", data, start + 56 * index) for index in range(count))
    return [(kind, offset, size) for kind, _, offset, _, _, size in fields]


def structure(data: bytes) -> list[int]:
    """Offsets of all fields of headers, notes, symbols and the unwind table: where lies hurt most."""
    sections, kinds = sections_of(data)
    places = [*range(16, 64 + 56 * len(segment_headers(data))), *range(sections, len(data))]
    for index, kind in enumerate(kinds):
        if kind in (SYMTAB, DYNSYM):
            offset, size = struct.unpack_from("<QQ", data, sections + 64 * index + 24)
            places += range(offset, min(offset + size, len(data)))
    for kind, offset, size in segment_headers(data):
        if kind in (NOTE, EH_FRAME):
            places += range(offset, min(offset + size, len(data)))
    return places
