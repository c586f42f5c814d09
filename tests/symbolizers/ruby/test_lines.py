"""Ruby's succinct table of positions, against an encoder written from its description."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.errors import Malformed
from symbolizers.ruby.layouts import LAYOUTS
from symbolizers.ruby.lines import decode_succinct, succinct_positions, succinct_size

ROW = LAYOUTS.named("ruby-3.1")


def encode(positions: list[int], code_words: int) -> bytes:
    """The table as Ruby builds it: ranks of the first 54 positions, then blocks with a bit for each."""
    words = []
    for first in range(0, min(code_words, 54), 9):
        ranks = [sum(p <= first + i for p in positions) for i in range(9)]
        words.append(sum(rank << 7 * i for i, rank in enumerate(ranks)))
    for first in range(54, code_words, 512):
        bits = sum(1 << p - first for p in positions if first <= p < first + 512)
        words += [sum(p < first for p in positions), 0]
        words += [bits >> 64 * i & (1 << 64) - 1 for i in range(8)]
    return struct.pack(f"<{len(words)}Q", *words)


def entries(lines: list[int]) -> bytes:
    return b"".join(struct.pack("<iiI", line, 7, 1) for line in lines)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], int]:
    code_words = draw(st.integers(1, 3000))
    positions = draw(st.sets(st.integers(0, code_words - 1), min_size=1, max_size=200))
    return sorted(positions | {0}), code_words


@given(tables())
def test_positions_come_back(table: tuple[list[int], int]) -> None:
    positions, code_words = table
    encoded = encode(positions, code_words)
    assert len(encoded) == succinct_size(code_words)
    assert succinct_positions(encoded, code_words) == positions


def test_lines_start_at_bytes_and_equal_neighbours_are_one() -> None:
    table = encode([0, 3, 5, 60], 70)
    assert decode_succinct(ROW, table, 70, entries([4, 4, 9, 2])) == ((0, 40, 480), (4, 9, 2))


def test_one_entry_needs_no_table() -> None:
    assert decode_succinct(ROW, b"", 5, entries([12])) == ((0,), (12,))


def test_no_entries_are_no_lines() -> None:
    assert decode_succinct(ROW, b"", 5, b"") == ((), ())


def test_another_number_of_positions_than_entries_is_malformed() -> None:
    with pytest.raises(Malformed, match="2 positions for 3 lines"):
        decode_succinct(ROW, encode([0, 3], 10), 10, entries([1, 2, 3]))


@given(st.integers(1, 3000), st.binary(min_size=16, max_size=64))
def test_any_bytes_end_in_positions_or_malformed(code_words: int, noise: bytes) -> None:
    size = succinct_size(code_words)
    table = (noise * (size // len(noise) + 1))[:size]
    positions: list[int] = []
    with suppress(Malformed):
        positions = succinct_positions(table, code_words)
    assert positions == sorted(set(positions))
    assert all(position < code_words + 512 for position in positions)
