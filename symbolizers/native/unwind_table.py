"""The unwind table of a file as the sampler in the kernel reads it: chunks of rows (`struct table_chunk`)."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from symbolizers.elf.file import ElfFile
from symbolizers.elf.unwind_rules import Cfa, Rows
from symbolizers.errors import Malformed
from symbolizers.inspection import CHUNK_ROWS, MOST_CHUNKS

_PAST_ALL = (1 << 32) - 1


def make_chunks(elf: ElfFile) -> bytes:
    """The rows of `elf` by offset in the file, 512 a chunk: offsets, then rules, each of 4 bytes; then how
    many rows before each its function begins, each of 2.

    Behind the last row there are offsets of all bits. Empty for a file without unwind information. Raises
    `Malformed`.
    """
    rows = elf.unwind_rows()
    offsets, rules, backs = array("I"), array("I"), array("H")
    for segment in sorted(elf.code_segments(), key=lambda each: each.offset):
        end = segment.address + segment.file_size
        first, behind = bisect_left(rows.addresses, segment.address), bisect_left(rows.addresses, end)
        if (offsets and segment.offset < offsets[-1]) or segment.offset + segment.file_size > _PAST_ALL:
            raise Malformed("segments that overlap")
        offsets.extend(_moved(rows, first, behind, segment.offset - segment.address))
        rules.extend(rows.rules[first:behind])
        backs.extend(rows.backs[first:behind])
        if behind > first:
            offsets.append(segment.offset + segment.file_size)
            rules.append(Cfa.UNKNOWN)
            backs.append(0)
    if len(rules) > MOST_CHUNKS * CHUNK_ROWS:
        raise Malformed(f"an unwind table of {len(rules)} rows")
    return chunks_of(offsets, rules, backs)


def chunks_of(offsets: array[int], rules: array[int], backs: array[int]) -> bytes:
    """These rows as chunks."""
    return b"".join(
        _chunk(*(column[at : at + CHUNK_ROWS] for column in (offsets, rules, backs)))
        for at in range(0, len(rules), CHUNK_ROWS)
    )


def _moved(rows: Rows, first: int, behind: int, distance: int) -> array[int]:
    return array("I", [address + distance for address in rows.addresses[first:behind]])


def _chunk(offsets: array[int], rules: array[int], backs: array[int]) -> bytes:
    rest = CHUNK_ROWS - len(rules)
    words = offsets + array("I", [_PAST_ALL] * rest) + rules + array("I", [Cfa.UNKNOWN] * rest)
    return words.tobytes() + (backs + array("H", [0] * rest)).tobytes()
