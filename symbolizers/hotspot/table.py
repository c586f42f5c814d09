"""The unwind table of the code that HotSpot has generated in a process, so far."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from symbolizers.elf.unwind_rules import AWAITED, Cfa
from symbolizers.hotspot.blobs import MOST_BYTES, Blob, CodeCache, Header
from symbolizers.hotspot.rows import is_compiled, keeps_frame_pointer, rows_of
from symbolizers.inspection import CHUNK_ROWS, MOST_CHUNKS
from symbolizers.native.unwind_table import chunks_of

_MOST_ROWS = MOST_CHUNKS * CHUNK_ROWS - 1
_MOST_BACK = (1 << 16) - 1
_OFFSET_LIMIT = (1 << 32) - 1


class _Rows(NamedTuple):
    """Of one blob: three columns as in `Rows`, the last row behind it."""

    offsets: array[int]
    rules: array[int]
    backs: array[int]
    keeps_frame_pointer: bool


_NONE = _Rows(array("I"), array("I"), array("H"), keeps_frame_pointer=False)
KnownRows = dict[int, tuple[Header, _Rows]]
"""Of compiled methods, by the address of their block: as long as its header stays, the code does."""


class GeneratedTable(NamedTuple):
    """Rows as in `make_chunks`; offsets count from the address `base`."""

    base: int
    chunks: bytes
    known: KnownRows


def read_table(cache: CodeCache, known: KnownRows) -> GeneratedTable:
    """The rows of all code in it, of which some were `known` before. Raises `Malformed` and `ReadFault`.

    Where there was no code yet, the rule is `AWAITED`, unless the program was told to keep its frame pointers
    (-XX:+PreserveFramePointer): there these lead on.
    """
    heaps = cache.heaps()
    base = heaps[0].low
    offsets, rules, backs = array("I", [0]), array("I", [AWAITED]), array("H", [0])
    has_frame_pointers, left_bytes = False, MOST_BYTES
    now_known: KnownRows = {}
    for heap in heaps:
        content = cache.read(heap, left_bytes)
        left_bytes -= len(content)
        distance = heap.low - base
        for at, header in cache.blocks(content, heap):
            before = known.get(heap.low + at)
            if before is not None and before[0] == header:
                rows = before[1]
                now_known[heap.low + at] = before
            else:
                blob = cache.blob(content, heap, at, header)
                rows = _NONE if blob is None else _rows(blob, distance)
                if blob is not None and is_compiled(blob):
                    now_known[heap.low + at] = header, rows
            if len(rules) + len(rows.rules) > _MOST_ROWS:
                break
            has_frame_pointers = has_frame_pointers or rows.keeps_frame_pointer
            offsets += rows.offsets
            rules += rows.rules
            backs += rows.backs
    offsets.append(min(heaps[-1].limit - base, _OFFSET_LIMIT))
    rules.append(Cfa.UNKNOWN)
    backs.append(0)
    if has_frame_pointers:
        rules = array("I", [Cfa.UNKNOWN if rule == AWAITED else rule for rule in rules])
    return GeneratedTable(base, chunks_of(offsets, rules, backs), now_known)


def _rows(blob: Blob, distance: int) -> _Rows:
    if distance + blob.end >= _OFFSET_LIMIT:
        return _NONE
    rows = rows_of(blob)
    return _Rows(
        array("I", [*(distance + at for at, _ in rows), distance + blob.end]),
        array("I", [*(rule for _, rule in rows), AWAITED]),
        array("H", [*(min(back, _MOST_BACK) for back in range(len(rows))), 0]),
        keeps_frame_pointer(blob),
    )
