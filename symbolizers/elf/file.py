"""One ELF file: build id, where it is mapped, single symbols, contents, all functions.

The file belongs to a target and may change under the reader: all methods raise `Malformed` and nothing else.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from symbolizers.elf import minidebuginfo
from symbolizers.elf.call_frames import CallFrames
from symbolizers.elf.call_frames_aarch64 import Aarch64CallFrames
from symbolizers.elf.call_frames_x86_64 import X86CallFrames
from symbolizers.elf.eh_frame import MOST_BYTES, read_debug_functions, read_functions
from symbolizers.elf.eh_frame_hdr import NO_STARTS, FunctionStarts, read_function_starts
from symbolizers.elf.functions import FunctionTable
from symbolizers.elf.goroutines import rows_of
from symbolizers.elf.headers import (
    EM_AARCH64,
    EM_X86_64,
    PF_X,
    PT_GNU_EH_FRAME,
    PT_LOAD,
    SHF_COMPRESSED,
    SHF_EXECINSTR,
    SHT_DYNSYM,
    SHT_SYMTAB,
    Section,
    Segment,
    find_section,
    read_build_id,
    read_header,
    read_sections,
    read_segments,
)
from symbolizers.elf.pclntab import find_pclntab
from symbolizers.elf.source import BytesSource, DescriptorSource, Source, inflated
from symbolizers.elf.symbols import ElfSymbol, SymbolTable
from symbolizers.elf.unwind_rules import FunctionRows, Rows, assembled
from symbolizers.errors import Malformed

__all__ = ["ElfFile", "ElfSymbol", "FunctionTable", "Segment"]

_CALL_FRAMES: Final[Mapping[int, type[CallFrames]]] = {
    EM_X86_64: X86CallFrames,
    EM_AARCH64: Aarch64CallFrames,
}
_MAX_LINK_BYTES = 256
_PAGE_BYTES = mmap.PAGESIZE
_MAX_SEARCHED_BYTES = 2 << 30
"""Of tables, for all the symbols that are asked for by name. A browser's tables have 0.3 GB."""


class ElfFile:
    """A 64-bit little-endian ELF file. Lifetime: the file; the source's owner keeps it open as long.

    `segments` are the PT_LOAD ones; `build_id` is b'' where the file has none.
    """

    build_id: bytes
    segments: tuple[Segment, ...]
    is_position_independent: bool

    def __init__(self, source: Source) -> None:
        """Raises `Malformed` when `source` is anything else, or its headers are broken."""
        self._source = source
        self._header = read_header(source)
        self._all_segments = read_segments(source, self._header)
        self._sections: tuple[Section, ...] | None = None
        self._searched_bytes = 0
        self.segments = tuple(segment for segment in self._all_segments if segment.type == PT_LOAD)
        self.is_position_independent = self._header.position_independent
        self.build_id = read_build_id(source, self._all_segments, ()) or self._build_id_of_sections()

    @classmethod
    def from_fd(cls, fd: int) -> ElfFile:
        """The file behind an open descriptor, which stays the caller's to close. Raises `Malformed`."""
        return cls(DescriptorSource(fd))

    @classmethod
    def from_bytes(cls, data: bytes) -> ElfFile:
        """The file whose whole content is `data`. Raises `Malformed`."""
        return cls(BytesSource(data))

    def symbol(self, name: str) -> ElfSymbol | None:
        """The symbol that this file defines as `name`, in .dynsym or else .symtab; None without one.

        Raises `Malformed`, also where its tables are too large to search for yet another name.
        """
        for table in self._symbol_tables():
            self._searched_bytes += table.size + table.strings_size
            if self._searched_bytes > _MAX_SEARCHED_BYTES:
                raise Malformed(f"symbol tables of {table.size + table.strings_size} bytes")
            found = table.lookup(self._source, name)
            if found is not None:
                return found
        return None

    def read(self, address: int, size: int) -> bytes:
        """The file's content at a virtual address. Raises `Malformed` where no file bytes lie (.bss too)."""
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.file_size:
                return self._source.read(segment.offset + address - segment.address, size)
        raise Malformed(f"no file content of {size} bytes at {address:#x}")

    def address_of_offset(self, file_offset: int) -> int:
        """The virtual address of a file offset. Raises `Malformed` for one that is not loaded."""
        for segment in self.segments:
            if segment.offset <= file_offset < segment.offset + segment.file_size:
                return segment.address + file_offset - segment.offset
        raise Malformed(f"no segment loads file offset {file_offset:#x}")

    def code_distance(self) -> int:
        """How far addresses of code are above its file offsets, where it is mapped at load bias 0 (bytes)."""
        code = next((segment for segment in self.segments if segment.flags & PF_X), None)
        return code.address - code.offset if code is not None else 0

    def bias(self, mapping_start: int, mapping_offset: int) -> int:
        """What to subtract from a process's address to get this file's (0 for a fixed-address program).

        `mapping_start` and `mapping_offset` of an executable mapping in /proc/PID/maps. (Others may be
        ambiguous: a page of the file that two segments share is mapped once for each.) Raises
        `Malformed` when no segment covers the offset.
        """
        covering = [
            segment
            for segment in self.segments
            if segment.file_size
            and _page(segment.offset) <= mapping_offset < segment.offset + segment.file_size
        ]
        if not covering:
            raise Malformed(f"no segment loads file offset {mapping_offset:#x}")
        best = max(covering, key=lambda s: (s.flags & PF_X, _page(s.offset) == mapping_offset))
        return mapping_start - mapping_offset - best.address + best.offset

    def has_symbol_table(self) -> bool:
        """Whether it was not stripped of its .symtab."""
        try:
            return any(section.type == SHT_SYMTAB for section in self._read_sections())
        except Malformed:
            return False

    def has_dwarf(self) -> bool:
        """Whether it has .debug_info."""
        try:
            return self._section(b".debug_info") is not None
        except Malformed:
            return False

    def contents(self) -> bytes:
        """The whole file. Raises `Malformed`, also for one of more than `MAX_READ_BYTES`."""
        return self._source.read(0, self._source.size)

    def debug_link(self) -> str:
        """The name of the file with its symbols, as .gnu_debuglink has it; empty without one."""
        try:
            section = self._section(b".gnu_debuglink")
            if section is None:
                return ""
            name = self._source.read(section.offset, min(section.size, _MAX_LINK_BYTES)).partition(b"\0")[0]
        except Malformed:
            return ""
        return "" if b"/" in name or name in (b".", b"..") else os.fsdecode(name)

    def functions(self, debug: ElfFile | None = None) -> FunctionTable:
        """All functions, from .dynsym, .symtab and MiniDebugInfo, and the starts in .eh_frame_hdr.

        `debug` is the file with its symbols. Broken parts are left out. The table reads names from the files,
        which have to stay open.
        """
        tables = [*self._function_sources(), *self._mini_debug_info()]
        if debug is not None:
            tables += debug._function_sources()
        return FunctionTable(tables, unwind=self.function_starts(), boundaries=self._code_ends())

    def code_segments(self) -> list[Segment]:
        """The segments with code in them."""
        return [segment for segment in self.segments if segment.flags & PF_X]

    def unwind_rows(self) -> Rows:
        """How to get from each instruction to its function's caller; none without unwind information, or for
        another architecture than x86-64 and aarch64.

        Of a function's two descriptions that one counts which the program itself would go by. Raises
        `Malformed`.
        """
        frames = _CALL_FRAMES.get(self._header.machine)
        if frames is None:
            return assembled(())
        of_go = self._functions_of_go() if frames is X86CallFrames else ()
        return assembled((*self._described(frames), *(of_go or self._described_for_debuggers(frames))))

    def function_starts(self) -> FunctionStarts:
        """The starts of all functions that .eh_frame_hdr knows; none where it is broken."""
        segment = next((s for s in self._all_segments if s.type == PT_GNU_EH_FRAME), None)
        try:
            return read_function_starts(self._source, segment) if segment else NO_STARTS
        except Malformed:
            return NO_STARTS

    def _described(self, frames: type[CallFrames]) -> Iterator[FunctionRows]:
        section = self._section(b".eh_frame")
        if section is not None and section.size <= MOST_BYTES:
            data = self._source.read(section.offset, section.size)
            yield from read_functions(data, section.address, frames)

    def _described_for_debuggers(self, frames: type[CallFrames]) -> Iterator[FunctionRows]:
        """From .debug_frame, as far as it can be read."""
        with suppress(Malformed):
            section = self._section(b".debug_frame")
            known = self._section(b".eh_frame")
            most_bytes = MOST_BYTES - (known.size if known is not None else 0)
            if section is None or section.size > most_bytes:
                return
            data = self._source.read(section.offset, section.size)
            if section.flags & SHF_COMPRESSED:
                data = inflated(data, most_bytes)
            code = [(each.address, each.address + each.file_size) for each in self.code_segments()]
            for function in read_debug_functions(data, frames):
                if function[0] and any(start <= function[0] < end for start, end in code):
                    yield function

    def _functions_of_go(self) -> list[FunctionRows]:
        try:
            found = find_pclntab(self._source, self._section)
            return list(rows_of(*found, self.read)) if found else []
        except Malformed:
            return []

    def _read_sections(self) -> tuple[Section, ...]:
        if self._sections is None:
            self._sections = read_sections(self._source, self._header)
        return self._sections

    def _section(self, name: bytes) -> Section | None:
        return find_section(self._source, self._read_sections(), name, names_index=self._header.section_names)

    def _build_id_of_sections(self) -> bytes:
        try:
            return read_build_id(self._source, (), self._read_sections())
        except Malformed:
            return b""

    def _symbol_tables(self) -> Iterator[SymbolTable]:
        """.dynsym comes first: it is smaller, and has the symbols that other files see."""
        sections = self._read_sections()
        for kind in (SHT_DYNSYM, SHT_SYMTAB):
            section = next((s for s in sections if s.type == kind), None)
            if section is not None:
                yield SymbolTable.of(section, sections)

    def _function_sources(self) -> list[tuple[Source, SymbolTable]]:
        tables: list[tuple[Source, SymbolTable]] = []
        try:
            tables.extend((self._source, table) for table in self._symbol_tables())
        except Malformed:
            return tables
        return tables

    def _mini_debug_info(self) -> list[tuple[Source, SymbolTable]]:
        try:
            section = self._section(minidebuginfo.SECTION)
            if section is None:
                return []
            content = minidebuginfo.decompress(self._source, section)
            return ElfFile.from_bytes(content)._function_sources()
        except Malformed:
            return []

    def _code_ends(self) -> set[int]:
        ends = {s.address + s.memory_size for s in self.segments if s.flags & PF_X}
        try:
            sections = self._read_sections()
        except Malformed:
            return ends
        return ends | {s.address + s.size for s in sections if s.flags & SHF_EXECINSTR}


def _page(offset: int) -> int:
    return offset & -_PAGE_BYTES
