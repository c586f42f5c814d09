"""How to get from a function to its caller, at every instruction of a file: a table.

It is in the section .eh_frame, which a program has at hand when it runs, or in .debug_frame, for debuggers.
Formats: Linux Standard Base, Core, "Exception Frames"; DWARF 5, 6.4.1. The rows of a function come from
call_frames.py.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping
from itertools import islice

from symbolizers.elf.call_frames import BrokenEntry, CallFrames, Cie
from symbolizers.elf.leb128 import read_sleb, read_uleb
from symbolizers.elf.unwind_rules import Cfa, FunctionRows
from symbolizers.errors import Malformed

MOST_BYTES = 24 << 20
"""Of a section; node's has 3 MB, and a browser's 10."""
_MOST_FUNCTIONS = 1 << 19


def read_functions(data: bytes, address: int, frames: type[CallFrames]) -> Iterator[FunctionRows]:
    """The functions in a .eh_frame of this content that the file loads at `address`, and their rows.

    `frames` follows entries of the file's architecture. Functions whose entry is broken are left out. `data`
    should have `MOST_BYTES` at most. Raises `Malformed` where entries can't be told apart.
    """
    return islice(_Reader(data, address, frames).functions(), _MOST_FUNCTIONS)


def read_debug_functions(data: bytes, frames: type[CallFrames]) -> Iterator[FunctionRows]:
    """As `read_functions`, of a .debug_frame. Functions that the linker left out are at address 0."""
    return islice(_DebugReader(data, 0, frames).functions(), _MOST_FUNCTIONS)


_U32 = struct.Struct("<I")
_FIXED: Mapping[int, struct.Struct] = {
    0x00: struct.Struct("<Q"),
    0x02: struct.Struct("<H"),
    0x03: _U32,
    0x04: struct.Struct("<Q"),
    0x0A: struct.Struct("<h"),
    0x0B: struct.Struct("<i"),
    0x0C: struct.Struct("<q"),
}
"""Formats of addresses (the lower half of a DW_EH_PE encoding) that have a fixed size."""
_RELATIVE = 0x10
_OMITTED = 0xFF
_WORD_LIMIT = 1 << 64
_DEBUG_CIE = 0xFFFFFFFF
"""In .debug_frame, what a CIE has in place of a CIE's address."""
_WITH_SIZES, _SIZES = 4, bytes((8, 0))
"""The version of a CIE that says how long addresses and segment selectors are, and what it says here."""


class _Reader:
    """Reads one section. Equal instructions give equal rows, and most functions have them from others."""

    def __init__(self, data: bytes, address: int, frames: type[CallFrames]) -> None:
        self._data = data
        self._frames = frames
        self._address = address
        self._cies: dict[int, Cie | None] = {}
        self._programs: dict[tuple[int, bytes], array[int]] = {}
        """Rows by CIE and instructions: the distance from the start (upper half) and the rule of each."""

    def functions(self) -> Iterator[FunctionRows]:
        """Each function that has an entry."""
        data, size, at = self._data, len(self._data), 0
        while at + 8 <= size:
            length, cie = struct.unpack_from("<II", data, at)
            end = at + 4 + length
            if not length:
                return
            if length < 4 or end > size:
                raise Malformed(f"an entry of {length} bytes at {at:#x} of unwind information of {size}")
            cie_at = self._cie_at(at + 4, cie)
            if cie_at is not None:
                try:
                    function = self._function(at + 8, end, cie_at)
                except (BrokenEntry, struct.error, IndexError, Malformed):
                    function = None
                if function is not None:
                    yield function
            at = end

    def _cie_at(self, at: int, word: int) -> int | None:
        """Where the CIE is of the entry that has this word at `at`; None for a CIE."""
        return at - word if word else None

    def _is_cie(self, word: int, version: int) -> bool:
        return not word and version in (1, 3)

    def _function(self, at: int, end: int, cie_at: int) -> FunctionRows | None:
        cie = self._cie(cie_at)
        if cie is None:
            return None
        start, at = self._pointer(at, cie.pointers)
        size, at = self._pointer(at, cie.pointers & 0x0F)
        if cie.has_data:
            length, at = read_uleb(self._data, at)
            at += length
        if at > end or size <= 0 or start + size >= _WORD_LIMIT:
            return None
        instructions = self._data[at:end]
        key = (cie_at, instructions)
        rows = self._programs.get(key)
        if rows is None:
            rows = array("Q", [Cfa.SIGNAL]) if cie.signal else self._frames.rows_of(cie, instructions)
            self._programs[key] = rows
        return start, start + size, rows

    def _cie(self, at: int) -> Cie | None:
        if at not in self._cies:
            try:
                self._cies[at] = self._read_cie(at)
            except (BrokenEntry, struct.error, IndexError, Malformed):
                self._cies[at] = None
        return self._cies[at]

    def _read_cie(self, at: int) -> Cie:
        data = self._data
        if at < 0:
            raise BrokenEntry
        length, identity, version = struct.unpack_from("<IIB", data, at)
        end = at + 4 + length
        if not self._is_cie(identity, version) or end > len(data):
            raise BrokenEntry
        text_end = data.index(b"\0", at + 9, end) if b"\0" in data[at + 9 : end] else end
        augmentation = data[at + 9 : text_end]
        if version == _WITH_SIZES and data[text_end + 1 : text_end + 3] != _SIZES:
            raise BrokenEntry
        code_alignment, at = read_uleb(data, text_end + 1 + len(_SIZES) * (version == _WITH_SIZES))
        data_alignment, at = read_sleb(data, at)
        returns_to, at = read_uleb(data, at)
        pointers, instructions_at = 0, at
        if augmentation.startswith(b"z"):
            size, at = read_uleb(data, at)
            instructions_at = at + size
            for letter in augmentation[1:]:
                if letter == ord("R"):
                    pointers, at = data[at], at + 1
                elif letter == ord("L"):
                    at += 1
                elif letter == ord("P"):
                    _, at = self._pointer(at + 1, data[at] & 0x7F)
                elif letter != ord("S"):
                    break
        elif augmentation not in (b"", b"S"):
            raise BrokenEntry
        if returns_to != self._frames.return_address:
            raise BrokenEntry
        return Cie(
            code_alignment,
            data_alignment,
            pointers,
            augmentation.startswith(b"z"),
            b"S" in augmentation,
            data[instructions_at:end],
        )

    def _pointer(self, at: int, encoding: int) -> tuple[int, int]:
        form = _FIXED.get(encoding & 0x0F)
        if form is None or encoding & 0x70 not in (0, _RELATIVE) or encoding == _OMITTED:
            raise BrokenEntry
        (value,) = form.unpack_from(self._data, at)
        if encoding & 0x70:
            value += self._address + at
        return value, at + form.size


class _DebugReader(_Reader):
    """Addresses in a .debug_frame are absolute, and a CIE's is its distance from the section's start."""

    def _cie_at(self, at: int, word: int) -> int | None:
        return word if word != _DEBUG_CIE else None

    def _is_cie(self, word: int, version: int) -> bool:
        return word == _DEBUG_CIE and version in (1, 3, _WITH_SIZES)
