"""Ruby's table of which instructions belong to which line, from an iseq's body. Pure.

Two arrays in the target: entries, each with a line number, and the positions (in words of the bytecode)
that the entries start at. From Ruby 2.6 on the positions are a succinct bit vector: for each of the first
54 positions how many entries start at or before it, 7 bits each and 9 to a word; then for blocks of 512
positions a head of two words and one bit for each position that an entry starts at.
"""

from __future__ import annotations

import struct
from typing import Final

from symbolizers.errors import Malformed
from symbolizers.layout import Row

WORD_BYTES: Final = 8

_RANKED_POSITIONS: Final = 54
_RANKS_PER_WORD: Final = 9
_RANK_BITS: Final = 7
_BLOCK_POSITIONS: Final = 512
_BLOCK_HEAD_WORDS: Final = 2
_BLOCK_WORDS: Final = _BLOCK_HEAD_WORDS + _BLOCK_POSITIONS // 64

LineTable = tuple[tuple[int, ...], tuple[int, ...]]


def decode_positions(row: Row, table: bytes, code_words: int, entries: bytes) -> LineTable:
    """As `decode_succinct`, of Ruby 2.5: each entry has its position, and there is no table.

    Raises `Malformed` where positions do not grow, or lie outside of the code.
    """
    size, line_offset, position_offset = (
        row[name] for name in ("line_entry_size", "line_entry_line", "line_entry_position")
    )
    positions: list[int] = []
    lines: list[int] = []
    for at in range(0, len(entries), size):
        (position,) = struct.unpack_from("<I", entries, at + position_offset)
        (line,) = struct.unpack_from("<i", entries, at + line_offset)
        if position >= code_words or (positions and position * WORD_BYTES <= positions[-1]):
            raise Malformed(f"a line that starts at {position} of {code_words} words")
        positions.append(position * WORD_BYTES)
        lines.append(max(line, 0))
    return tuple(positions), tuple(lines)


def succinct_size(code_words: int) -> int:
    """Bytes of the succinct table of an iseq of `code_words` words."""
    if code_words < _RANKED_POSITIONS:
        return (code_words + _RANKS_PER_WORD - 1) // _RANKS_PER_WORD * WORD_BYTES
    blocks = -(-(code_words - _RANKED_POSITIONS) // _BLOCK_POSITIONS)
    return (_RANKED_POSITIONS // _RANKS_PER_WORD + blocks * _BLOCK_WORDS) * WORD_BYTES


def succinct_positions(table: bytes, code_words: int) -> list[int]:
    """The positions in the `table` of an iseq of `code_words` words, ascending.

    Raises `Malformed` where ranks do not grow one by one.
    """
    words = struct.unpack(f"<{len(table) // WORD_BYTES}Q", table)
    ranked_words = min(-(-code_words // _RANKS_PER_WORD), _RANKED_POSITIONS // _RANKS_PER_WORD)
    positions: list[int] = []
    for position in range(ranked_words * _RANKS_PER_WORD):
        word, place = divmod(position, _RANKS_PER_WORD)
        rank = words[word] >> place * _RANK_BITS & (1 << _RANK_BITS) - 1
        if rank == len(positions) + 1:
            positions.append(position)
        elif rank != len(positions):
            raise Malformed("a table of lines whose ranks jump")
    first_position = _RANKED_POSITIONS
    for block in range(ranked_words, len(words), _BLOCK_WORDS):
        bits = words[block + _BLOCK_HEAD_WORDS : block + _BLOCK_WORDS]
        for start, word in enumerate(bits):
            while word:
                lowest = word & -word
                positions.append(first_position + start * 64 + lowest.bit_length() - 1)
                word ^= lowest
        first_position += _BLOCK_POSITIONS
    return positions


def decode_succinct(row: Row, table: bytes, code_words: int, entries: bytes) -> LineTable:
    """``(starts, lines)``: code bytes from ``starts[i]`` on belong to ``lines[i]``; see `CodeObject`.

    `entries` are the whole array. Raises `Malformed` where the two do not fit together.
    """
    size, line_offset = row["line_entry_size"], row["line_entry_line"]
    count = len(entries) // size
    # If there is only one entry, Ruby uses it for every position.
    positions = succinct_positions(table, code_words) if count > 1 else [0] * count
    if len(positions) != count:
        raise Malformed(f"{len(positions)} positions for {count} lines")
    starts: list[int] = []
    lines: list[int] = []
    for index, position in enumerate(positions):
        (line,) = struct.unpack_from("<i", entries, index * size + line_offset)
        if not lines or line != lines[-1]:
            starts.append(position * WORD_BYTES)
            lines.append(max(line, 0))
    return tuple(starts), tuple(lines)
