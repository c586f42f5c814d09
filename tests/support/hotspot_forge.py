"""A HotSpot put together in a fake memory: its description of itself, heaps of code, and blobs in them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from symbolizers.elf.file import ElfFile
from symbolizers.hotspot.blobs import CodeCache
from symbolizers.hotspot.structs import _ARRAY, _PARTS, _STRIDE, Library
from tests.support.elf_forge import Section, forge
from tests.support.heap import FakeMemory

BIAS = 0x7F20_0000_0000
LOW, HEAP_BYTES = 0x7F10_0000_0000, 0x10_0000
SEGMENT_SHIFT = 7
DESCRIPTION, VARIABLES, OBJECTS = BIAS + 0x30_0000, 0x20_0000, 0x7F30_0000_0000
STRIDE = 48
COMPILATION_AT = 304
HEADER_BYTES = 320
"""Of a blob, before its code."""
COMMON = {
    ("CodeHeap", "_memory"): (8, "VirtualSpace"),
    ("CodeHeap", "_log2_segment_size"): (256, "int"),
    ("VirtualSpace", "_low"): (16, "char*"),
    ("VirtualSpace", "_high"): (24, "char*"),
    ("VirtualSpace", "_high_boundary"): (8, "char*"),
    ("GrowableArrayBase", "_len"): (0, "int"),
    ("GrowableArray<int>", "_data"): (8, "int*"),
    ("nmethod", "_compile_id"): (COMPILATION_AT, "int"),
}
JDK_17 = COMMON | {
    ("HeapBlock::Header", "_length"): (0, "size_t"),
    ("HeapBlock::Header", "_used"): (8, "bool"),
    ("CodeBlob", "_name"): (96, "const char*"),
    ("CodeBlob", "_frame_complete_offset"): (20, "int"),
    ("CodeBlob", "_frame_size"): (28, "int"),
    ("CodeBlob", "_code_begin"): (32, "address"),
    ("CodeBlob", "_data_offset"): (24, "int"),
}
JDK_25 = COMMON | {
    ("HeapBlock::Header", "_length"): (0, "uint32_t"),
    ("HeapBlock::Header", "_used"): (4, "bool"),
    ("CodeBlob", "_name"): (16, "const char*"),
    ("CodeBlob", "_frame_complete_offset"): (44, "int16_t"),
    ("CodeBlob", "_frame_size"): (40, "int"),
    ("CodeBlob", "_code_offset"): (32, "int"),
    ("CodeBlob", "_data_offset"): (36, "int"),
}
Layout = Mapping[tuple[str, str], tuple[int, str]]
"""Where each field is, and its type."""
_FORMATS = {"int": "<i", "uint32_t": "<I", "int16_t": "<h", "bool": "<B"}


class Piece(NamedTuple):
    """A blob to be put in; what it says of itself may be a lie."""

    code: bytes
    name: str = "nmethod"
    frame_words: int = 0
    complete: int = 0
    compilation: int = 0
    used: bool = True
    length: int | None = None
    """In segments; None: as long as it is."""
    code_bytes: int | None = None


@dataclass
class ForgedJvm:
    """`heaps`: the blobs in each, one behind the other."""

    heaps: Sequence[Sequence[Piece]]
    layout: Layout = field(default_factory=lambda: JDK_17)
    lows: Sequence[int] = ()
    memory: FakeMemory = field(default_factory=FakeMemory)
    starts: list[int] = field(default_factory=list)
    """Where the code of each piece begins."""

    def __post_init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._content = bytearray()
        self._lows = [*self.lows] or [LOW + HEAP_BYTES * number for number in range(len(self.heaps))]
        for low, pieces in zip(self._lows, self.heaps, strict=True):
            at = low
            for piece in pieces:
                at = self._put(at, piece)
        self._describe()

    def cache(self) -> CodeCache:
        """As the worker reads it."""
        return CodeCache(self.library(), BIAS, self.memory)

    def library(self) -> Library:
        """The file with its texts; where it describes itself is in the memory by then."""
        forged = forge(Section(content=bytes(self._content) + bytes(128)))
        elf = ElfFile.from_bytes(forged.content)
        for text, place in self._texts.items():
            assert forged.content[forged.offsets[0] + place :].startswith(text.encode())
        assert forged.offsets[0] == FIRST_TEXT, "addresses of texts count from there"
        variables = {name: VARIABLES + 8 * number for number, name in enumerate((_ARRAY, _STRIDE, *_PARTS))}
        for name, value in zip(variables, (DESCRIPTION, STRIDE, 0, 8, 16, 32, 40), strict=True):
            self.memory.write(BIAS + variables[name], struct.pack("<Q", value))
        return Library(elf, variables)

    def write(self, address: int, of: str, name: str, value: int) -> None:
        """A field of the object there."""
        offset, kind = self.layout[of, name]
        self.memory.write(address + offset, struct.pack(_FORMATS.get(kind, "<Q"), value))

    def _text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self._content)
            self._content += text.encode() + b"\0"
        return BIAS + FIRST_TEXT + self._texts[text]

    def _put(self, block: int, piece: Piece) -> int:
        """Returns where the next block begins."""
        blob = block + (8 if self.layout["HeapBlock::Header", "_used"][0] < 8 else 16)
        start = blob + HEADER_BYTES
        whole = start + len(piece.code) - block
        length = piece.length if piece.length is not None else -(-whole >> SEGMENT_SHIFT)
        code_bytes = piece.code_bytes if piece.code_bytes is not None else len(piece.code)
        self.memory.write(start, piece.code)
        self.write(blob, "nmethod", "_compile_id", piece.compilation)
        self.write(block, "HeapBlock::Header", "_length", length)
        self.write(block, "HeapBlock::Header", "_used", piece.used)
        self.write(blob, "CodeBlob", "_name", self._text(piece.name))
        self.write(blob, "CodeBlob", "_frame_size", piece.frame_words)
        self.write(blob, "CodeBlob", "_frame_complete_offset", piece.complete)
        if ("CodeBlob", "_code_begin") in self.layout:
            self.write(blob, "CodeBlob", "_code_begin", start)
        else:
            self.write(blob, "CodeBlob", "_code_offset", HEADER_BYTES)
        self.write(blob, "CodeBlob", "_data_offset", HEADER_BYTES + code_bytes)
        self.starts.append(start)
        return block + (length << SEGMENT_SHIFT)

    def _describe(self) -> None:
        count = len(self._lows)
        array, data, first = OBJECTS, OBJECTS + 64, OBJECTS + 0x1000
        self.memory.write(OBJECTS - 8, struct.pack("<Q", array))
        self.write(array, "GrowableArrayBase", "_len", count)
        self.write(array, "GrowableArray<int>", "_data", data)
        self.memory.write(data, struct.pack(f"<{count}Q", *(first + 512 * each for each in range(count))))
        for number, low in enumerate(self._lows):
            space = first + 512 * number + self.layout["CodeHeap", "_memory"][0]
            for name, value in (
                ("_low", low),
                ("_high", low + HEAP_BYTES),
                ("_high_boundary", low + HEAP_BYTES),
            ):
                self.write(space, "VirtualSpace", name, value)
            self.write(first + 512 * number, "CodeHeap", "_log2_segment_size", SEGMENT_SHIFT)
        entries = [(of, name, kind, offset, 0) for (of, name), (offset, kind) in self.layout.items()]
        entries.append(("CodeCache", "_heaps", "GrowableArray<CodeHeap*>*", 0, OBJECTS - 8))
        for number, (of, name, kind, offset, place) in enumerate(entries):
            texts = self._text(of), self._text(name), self._text(kind)
            self.memory.write(
                DESCRIPTION + STRIDE * number, struct.pack("<3Qi4x2Q", *texts, bool(place), offset, place)
            )
        end = DESCRIPTION + STRIDE * len(entries)
        self.memory.write(end, bytes(2 * 4096))


FIRST_TEXT = forge(Section(content=b"x")).offsets[0]
