"""The pieces of code in HotSpot's code cache: compiled methods, stubs, the interpreter.

It has up to three heaps of blocks (src/hotspot/share/memory/heap.hpp of OpenJDK). A block has a header, which
says how many segments it takes and whether it is used, and then a CodeBlob: its own header, and code. The
process goes on meanwhile, and what it has there may be anything: no number of it is trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from mmap import PAGESIZE
from typing import NamedTuple

from symbolizers.base import AddressSpace
from symbolizers.errors import Malformed
from symbolizers.hotspot.structs import (
    ADDRESS_LIMIT,
    Field,
    Library,
    Structs,
    Texts,
    content_at,
    read_structs,
    word_at,
)

_CLASSES = frozenset(
    (
        *("CodeCache", "CodeHeap", "VirtualSpace", "HeapBlock::Header", "CodeBlob", "nmethod"),
        *("GrowableArrayBase", "GenericGrowableArray", "GrowableArray<int>"),
    )
)
_MOST_HEAPS = 8
MOST_BYTES = 128 << 20
"""Of all code that is read; HotSpot reserves 240 MB, and most programs use a few."""
_MOST_BLOCKS = 1 << 18
"""Of one heap."""
_MOST_RESERVED = 1 << 32
_MOST_SEGMENT_SHIFT = 16
_MOST_FRAME_WORDS = 1 << 20
_PIECE_BYTES = 1 << 16
_PIECES = 4
"""In one read: what fits into a CPU's cache."""
_GROWN_BYTES = 1 << 18
_MOST_MISSING = 4096
"""Pages. HotSpot commits 2.5 MB of a heap before it needs them, and buffers have ends without code."""
_HEAP_BYTES = 4096
"""More than any of the objects that describe heaps has."""
_ARRAY_BYTES = 64
_ALIGNMENT = 8
_NEVER = -1
_WORD_BYTES = 8


class Heap(NamedTuple):
    """Addresses from `low` to before `high` are in use, up to `limit` they may be."""

    low: int
    high: int
    limit: int
    segment_shift: int


class Header(NamedTuple):
    """What a block says of itself and of its blob. Equal ones at one place are the same compiled method."""

    length: int
    used: int
    name: int
    frame_words: int
    complete: int
    begin: int
    end: int
    compilation: int
    """Its number, of a compiled method."""


class Blob(NamedTuple):
    """A piece of code: from `start` to before `end` of `content`."""

    content: bytes
    start: int
    end: int
    name: str
    frame_bytes: int
    """Of its frame, the return address included; 0 where no size is known."""
    complete: int
    """From where in `content` on the frame is there."""


class CodeCache:
    """The code cache of one process. Lifetime: it is read once."""

    def __init__(self, library: Library, bias: int, memory: AddressSpace) -> None:
        """It has the library at `bias`. Raises `Malformed`, and `ReadFault` before HotSpot has begun."""
        self._texts = Texts(library.elf, bias)
        self._memory = memory
        self._structs = read_structs(library, bias, memory, _CLASSES)
        self._header = _HeaderFields(self._structs)

    def heaps(self) -> list[Heap]:
        """Its heaps, by address: none overlaps another. Raises `Malformed` and `ReadFault`."""
        found: list[Heap] = []
        for heap in sorted(map(self._heap, self._heap_addresses())):
            if found and heap.low < found[-1].high:
                raise Malformed("heaps of code that overlap")
            is_sane = 0 < heap.low <= heap.high <= heap.limit <= min(heap.low + _MOST_RESERVED, ADDRESS_LIMIT)
            if not is_sane or not 0 <= heap.segment_shift <= _MOST_SEGMENT_SHIFT:
                raise Malformed(f"a heap of code from {heap.low:#x} to {heap.high:#x}")
            found.append(heap)
        return found

    def blocks(self, content: bytes, heap: Heap) -> Iterator[tuple[int, Header]]:
        """The blocks in use in the content of a heap: where each begins, in order, and its header."""
        at, unpack = 0, self._header.unpack
        last = len(content) - self._header.size
        for _ in range(_MOST_BLOCKS):
            if at > last:
                return
            header = unpack(content, at)
            size = header.length << heap.segment_shift
            if not 0 < size <= len(content) - at:
                return
            if header.used:
                yield at, header
            at += size

    def blob(self, content: bytes, heap: Heap, at: int, header: Header) -> Blob | None:
        """The blob in a block at `at`; None where there is no code in it."""
        place = at + self._header.blob
        start = header.begin + (-heap.low if self._header.is_absolute else place)
        end = place + header.end
        if not at < start < end <= at + (header.length << heap.segment_shift):
            return None
        is_complete = header.complete != _NEVER and 0 <= header.complete <= end - start
        complete = start + header.complete if is_complete else end
        has_size = 0 <= header.frame_words <= _MOST_FRAME_WORDS
        frame_bytes = header.frame_words * _WORD_BYTES if has_size else 0
        return Blob(content, start, end, self._texts.at(header.name), frame_bytes, complete)

    def read(self, heap: Heap, most_bytes: int) -> bytes:
        """What lies in it, and where it may have grown since; zeros for pages that are not in memory."""
        end = min(heap.high + _GROWN_BYTES, heap.limit, heap.low + most_bytes)
        start, size = heap.low, end - heap.low
        pieces: list[bytes] = []
        missing = 0
        places = range(start, start + size, _PIECE_BYTES)
        for first in range(0, len(places), _PIECES):
            wanted = [(at, min(_PIECE_BYTES, start + size - at)) for at in places[first : first + _PIECES]]
            for place, piece in zip(wanted, self._memory.read_many(wanted), strict=True):
                if isinstance(piece, bytes):
                    pieces.append(piece)
                    continue
                for page, is_there in self._pages(*place):
                    pieces.append(page)
                    missing += not is_there
            if missing > _MOST_MISSING:
                break
        return b"".join(pieces)

    def _pages(self, start: int, size: int) -> Iterator[tuple[bytes, bool]]:
        """Page by page, and whether each is in memory."""
        pages = [(page, min(PAGESIZE, start + size - page)) for page in range(start, start + size, PAGESIZE)]
        for (_, length), page in zip(pages, self._memory.read_many(pages), strict=True):
            yield (page, True) if isinstance(page, bytes) else (bytes(length), False)

    def _heap_addresses(self) -> Sequence[int]:
        one = self._structs.get(("CodeCache", "_heap"))
        if one is not None:  # JDK 8
            return (word_at(self._memory, one.place),)
        array = word_at(self._memory, self._field("CodeCache", "_heaps").place)
        base = (
            "GrowableArrayBase" if ("GrowableArrayBase", "_len") in self._structs else "GenericGrowableArray"
        )
        header = content_at(self._memory, array, _ARRAY_BYTES)
        count = self._field(base, "_len").of(header)
        if not 0 < count <= _MOST_HEAPS:
            raise Malformed(f"{count} heaps of code")
        at = self._field("GrowableArray<int>", "_data").of(header)
        data = content_at(self._memory, at, _WORD_BYTES * count)
        return struct.unpack(f"<{count}Q", data)

    def _heap(self, address: int) -> Heap:
        space = self._field("CodeHeap", "_memory").offset
        shift = self._field("CodeHeap", "_log2_segment_size")
        ends = [self._field("VirtualSpace", name) for name in ("_low", "_high", "_high_boundary")]
        size = max(space + max(end.offset for end in ends), shift.offset) + _WORD_BYTES
        if size > _HEAP_BYTES:
            raise Malformed(f"a heap of code that takes {size} bytes to describe")
        content = content_at(self._memory, address, size)
        low, high, limit = (end.of(content, space) for end in ends)
        return Heap(low, high, limit, shift.of(content))

    def _field(self, of: str, name: str) -> Field:
        return _field(self._structs, of, name)


class _HeaderFields:
    """Unpacks a block's header, and that of the blob behind it.

    Up to JDK 22 a blob has the address of its code, since then the distance from its own. Behind a method's
    own code lie its stubs, up to its data: frames that are to be deoptimized return there.
    """

    def __init__(self, structs: Structs) -> None:
        """Raises `Malformed`."""
        length, used = (_field(structs, "HeapBlock::Header", name) for name in ("_length", "_used"))
        behind = max(length.end, used.end)
        self.blob = -(-behind // _ALIGNMENT) * _ALIGNMENT
        """Where the blob begins in a block."""
        self.is_absolute = ("CodeBlob", "_code_begin") in structs
        begin = "_code_begin" if self.is_absolute else "_code_offset"
        places = {"length": length, "used": used}
        for name, field in zip(
            ("name", "frame_words", "complete", "begin", "end"),
            ("_name", "_frame_size", "_frame_complete_offset", begin, "_data_offset"),
            strict=True,
        ):
            places[name] = _field(structs, "CodeBlob", field).moved(self.blob)
        places["compilation"] = _field(structs, "nmethod", "_compile_id").moved(self.blob)
        self._layout, order = _packed_together(places)
        self._order = [order.index(name) for name in Header._fields]
        self.size = self._layout.size
        """Of both headers."""

    def unpack(self, content: bytes, at: int) -> Header:
        """The header of the block at `at`."""
        values = self._layout.unpack_from(content, at)
        return Header._make([values[index] for index in self._order])


def _packed_together(places: dict[str, Field]) -> tuple[struct.Struct, list[str]]:
    """All these fields as one layout, and their names in its order. Raises `Malformed` if they overlap."""
    order = sorted(places, key=lambda name: places[name].offset)
    format_, at = "<", 0
    for name in order:
        field = places[name]
        if not at <= field.offset <= _HEAP_BYTES:
            raise Malformed(f"HotSpot describes {name} at {field.offset}")
        format_ += f"{field.offset - at}x{field.layout.format[1:]}"
        at = field.end
    return struct.Struct(format_), order


def _field(structs: Structs, of: str, name: str) -> Field:
    field = structs.get((of, name))
    if field is None:
        raise Malformed(f"HotSpot does not describe {of}::{name}")
    return field
