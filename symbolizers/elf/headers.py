"""What an ELF file says about itself: header, segments, sections, notes.

Field offsets, sizes and numbers: the System V ABI (gABI), chapters 4 and 5, for ELFCLASS64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from symbolizers.elf.source import Source
from symbolizers.errors import Malformed

PT_LOAD = 1
PT_NOTE = 4
PT_GNU_EH_FRAME = 0x6474E550
PF_X = 1
EM_X86_64, EM_AARCH64 = 62, 183
SHT_SYMTAB = 2
SHT_NOTE = 7
SHT_DYNSYM = 11
SHF_EXECINSTR = 4
SHF_COMPRESSED = 0x800

_IDENT = b"\x7fELF\x02\x01\x01"  # 64-bit, little-endian, version 1
_ET_EXEC, _ET_DYN = 2, 3
_ET_REL = 1

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOTE = struct.Struct("<III")

_MAX_SEGMENTS = 128
_MAX_SECTIONS = 1 << 12
"""Programs and libraries have some 15 segments and 40 sections; each section that is kept takes 250 bytes."""
_MAX_SECTION_NAMES_BYTES = 1 << 18
_MAX_NOTES_BYTES = 1 << 16
"""Of all notes of a file together."""
_MAX_BUILD_ID_BYTES = 64
_NT_GNU_BUILD_ID = 3


class Header(NamedTuple):
    """The file header's facts; `sections` and `section_names` are as stored (see `read_sections`)."""

    position_independent: bool
    machine: int
    """``e_machine``."""
    segments_offset: int
    segments: int
    sections_offset: int
    sections: int
    section_names: int


class Segment(NamedTuple):
    """One program header. `address` is the virtual address that the file was linked for."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    alignment: int


class Section(NamedTuple):
    """One section header. `name` is an offset in the section name table; `link` another section."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int


def read_header(source: Source) -> Header:
    """The file header. Raises `Malformed` for anything but a 64-bit little-endian ELF file."""
    fields = _HEADER.unpack(source.read(0, _HEADER.size))
    ident, kind, machine, _version, _entry, phoff, shoff, _flags, _ehsize = fields[:9]
    phentsize, phnum, shentsize, shnum, shstrndx = fields[9:]
    if not ident.startswith(_IDENT) or kind not in (_ET_REL, _ET_EXEC, _ET_DYN):
        raise Malformed("not a 64-bit little-endian ELF program or library")
    if (phnum and phentsize != _SEGMENT.size) or phnum > _MAX_SEGMENTS:
        raise Malformed(f"{phnum} program headers of {phentsize} bytes")
    if shoff and shentsize != _SECTION.size:
        raise Malformed(f"section headers of {shentsize} bytes")
    return Header(kind == _ET_DYN, machine, phoff, phnum, shoff, shnum, shstrndx)


def read_segments(source: Source, header: Header) -> tuple[Segment, ...]:
    """All program headers, in the file's order."""
    data = source.read(header.segments_offset, header.segments * _SEGMENT.size)
    return tuple(
        Segment(kind, flags, offset, address, file_size, memory_size, alignment)
        for kind, flags, offset, address, _, file_size, memory_size, alignment in _SEGMENT.iter_unpack(data)
    )


def read_sections(source: Source, header: Header) -> tuple[Section, ...]:
    """All section headers; none in a file that was stripped of them."""
    if not header.sections_offset:
        return ()
    # A count that does not fit its 16 bits is 0 there, and stored as the size of section 0.
    count = header.sections or _section(source.read(header.sections_offset, _SECTION.size)).size
    if count > _MAX_SECTIONS:
        raise Malformed(f"{count} sections")
    data = source.read(header.sections_offset, count * _SECTION.size)
    return tuple(_section(data[at : at + _SECTION.size]) for at in range(0, len(data), _SECTION.size))


def _section(data: bytes) -> Section:
    name, kind, flags, address, offset, size, link, _info, _alignment, entry_size = _SECTION.unpack(data)
    return Section(name, kind, flags, address, offset, size, link, entry_size)


def find_section(
    source: Source, sections: tuple[Section, ...], name: bytes, *, names_index: int
) -> Section | None:
    """The first section called `name`, or None; `names_index` is `Header.section_names`.

    Raises `Malformed` when the table of names is broken.
    """
    index = names_index
    if index == 0xFFFF and sections:  # SHN_XINDEX: the index is in section 0's link
        index = sections[0].link
    if index >= len(sections):
        return None
    if sections[index].size > _MAX_SECTION_NAMES_BYTES:
        raise Malformed(f"names of sections of {sections[index].size} bytes")
    names = source.read(sections[index].offset, sections[index].size)
    wanted = name + b"\0"
    return next((s for s in sections if names.startswith(wanted, s.name)), None)


def read_build_id(source: Source, segments: Iterable[Segment], sections: Iterable[Section]) -> bytes:
    """The GNU build id from the note segments or, where these have none, the note sections; else b''."""
    places = [(s.offset, s.file_size, s.alignment) for s in segments if s.type == PT_NOTE]
    places += [(s.offset, s.size, 4) for s in sections if s.type == SHT_NOTE]
    left_bytes = _MAX_NOTES_BYTES
    for offset, size, alignment in places:
        notes = source.read(offset, min(size, left_bytes))
        left_bytes -= len(notes)
        found = _build_id_in(notes, 8 if alignment == 8 else 4)
        if found:
            return found
    return b""


def _build_id_in(notes: bytes, alignment: int) -> bytes:
    position = 0
    while position + _NOTE.size <= len(notes):
        name_size, size, kind = _NOTE.unpack_from(notes, position)
        name_at = position + _NOTE.size
        content_at = _aligned(name_at + name_size, alignment)
        if kind == _NT_GNU_BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            content = notes[content_at : content_at + size]
            return content if len(content) == size <= _MAX_BUILD_ID_BYTES else b""
        position = _aligned(content_at + size, alignment)
    return b""


def _aligned(value: int, alignment: int) -> int:
    return (value + alignment - 1) & -alignment
