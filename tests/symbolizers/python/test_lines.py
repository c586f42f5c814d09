"""Line tables: equal to what the interpreter says about its whole standard library, and hostile-proof."""

from __future__ import annotations

import sysconfig
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.errors import Malformed
from symbolizers.python.lines import (
    LineTable,
    decode_lnotab,
    decode_locations,
    decode_ranges,
    decode_unsigned_lnotab,
)

SHORT, ONE_LINE_0, NO_COLUMNS, LONG, NONE = 0, 10, 13, 14, 15


def entry(form: int, units: int = 1, payload: bytes = b"") -> bytes:
    return bytes([0x80 | form << 3 | (units - 1)]) + payload


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def standard_library() -> Iterator[CodeType]:
    """Every code object of the standard library, compiled by the interpreter that runs the tests."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if {"site-packages", "dist-packages", "lib2to3"}.isdisjoint(path.parts) and "bad" not in path.name:
            yield from code_objects(compile(path.read_bytes(), str(path), "exec", dont_inherit=True))


def test_agrees_with_the_interpreter_for_every_instruction_of_the_standard_library() -> None:
    instructions = 0
    for code in standard_library():
        starts, lines = decode_locations(code.co_linetable, code.co_firstlineno)
        assert starts[0] == 0
        for start, end, line in code.co_lines():
            for offset in range(start, end, 2):
                assert lines[bisect_right(starts, offset) - 1] == (line or 0), (code, offset)
                instructions += 1
    assert instructions > 100_000


def test_the_boundaries_are_those_of_co_lines() -> None:
    code = compile("def f(a):\n  x = [\n    a\n    for a in a\n  ]\n  return x\n", "f", "exec")
    for each in code_objects(code):
        starts, lines = decode_locations(each.co_linetable, each.co_firstlineno)
        merged: list[tuple[int, int]] = []
        for start, _, line in each.co_lines():
            if not merged or merged[-1][1] != (line or 0):
                merged.append((start, line or 0))
        assert list(zip(starts, lines, strict=True)) == merged


def test_an_entry_without_a_line_leaves_the_running_line_alone() -> None:
    table = entry(ONE_LINE_0 + 1, 2, b"\0\0") + entry(NONE, 3) + entry(SHORT, 1, b"\0")
    assert decode_locations(table, 10) == ((0, 4, 10), (11, 0, 11))


@pytest.mark.parametrize(
    ("table", "first_line", "lines"),
    [
        (entry(NO_COLUMNS, payload=b"\x02"), 5, (6,)),
        (entry(NO_COLUMNS, payload=b"\x03"), 5, (4,)),
        (entry(NO_COLUMNS, payload=b"\x40\x01"), 5, (37,)),
        (entry(LONG, payload=b"\x06\0\0\0"), 5, (8,)),
        (entry(ONE_LINE_0 + 2, payload=b"\0\0"), 5, (7,)),
        (entry(NO_COLUMNS, payload=b"\x0b"), 5, (0,)),
        (entry(NO_COLUMNS, payload=b"\x0d"), 5, (0,)),
        (b"", 5, ()),
    ],
)
def test_line_deltas(table: bytes, first_line: int, lines: tuple[int, ...]) -> None:
    assert decode_locations(table, first_line)[1] == lines


def test_a_line_beyond_32_bits_is_no_line() -> None:
    table = entry(NO_COLUMNS, payload=b"\x7e" + b"\x7f" * 4 + b"\x3f")
    assert decode_locations(table, 1) == ((0,), (0,))


@pytest.mark.parametrize(
    "table",
    [
        entry(NO_COLUMNS),
        entry(LONG, payload=b"\x40"),
        entry(LONG, payload=b"\x40" * 6),
        entry(NO_COLUMNS, payload=b"\x40" * 6 + b"\x01"),
        b"\x00" + entry(NONE),
        b"\x7f",
    ],
)
def test_what_breaks_the_format_is_malformed(table: bytes) -> None:
    with pytest.raises(Malformed):
        decode_locations(table, 1)


@given(st.binary(max_size=400), st.integers(-(2**31), 2**31 - 1))
def test_any_bytes_decode_bounded_or_are_malformed(table: bytes, first_line: int) -> None:
    try:
        starts, lines = decode_locations(table, first_line)
    except Malformed:
        return
    assert len(starts) == len(lines) <= len(table)
    assert list(starts) == sorted(set(starts))
    assert all(0 <= line < 1 << 31 for line in lines)
    assert all(0 <= start < 16 * len(table) for start in starts)


def test_a_table_of_a_mebibyte_is_decoded() -> None:
    starts, lines = decode_locations(entry(ONE_LINE_0 + 1, payload=b"\0\0") * (1 << 18), 1)
    assert len(starts) == len(lines) == 1 << 18
    assert (starts[-1], lines[-1]) == (2 * (1 << 18) - 2, (1 << 18) + 1)


@pytest.mark.parametrize(
    ("decode", "table", "expected"),
    [
        (decode_lnotab, b"", ((), ())),
        (decode_lnotab, b"\x00\x01\x06\x02", ((0, 6), (11, 13))),
        (decode_lnotab, b"\x06\x7f\x00\x02\x04\xff", ((0, 6, 10), (10, 139, 138))),
        (decode_lnotab, b"\xff\x00\x02\x01", ((0, 257), (10, 11))),
        (decode_lnotab, b"\x06\x01\x04", ((0, 6), (10, 11))),
        (decode_lnotab, b"\x04\xf0\x04\x06", ((0, 4), (10, 0))),
        (decode_unsigned_lnotab, b"\x06\xff\x00\x02", ((0, 6), (10, 267))),
        (decode_ranges, b"", ((), ())),
        (decode_ranges, b"\x04\x00\x02\x01\x06\x00", ((0, 4), (10, 11))),
        (decode_ranges, b"\x04\x01\x02\x80\x06\x00", ((0, 4, 6), (11, 0, 11))),
        (decode_ranges, b"\x00\x7f\x04\x02\xfe\x00\x02\xff", ((0, 258), (139, 138))),
        (decode_ranges, b"\x04\xe0\x04", ((0,), (0,))),
    ],
)
def test_older_tables(decode: Callable[[bytes, int], LineTable], table: bytes, expected: LineTable) -> None:
    assert decode(table, 10) == expected


@pytest.mark.parametrize("decode", [decode_lnotab, decode_unsigned_lnotab, decode_ranges])
@given(table=st.binary(max_size=400), first_line=st.integers(-(2**31), 2**31 - 1))
def test_any_bytes_decode_bounded(
    decode: Callable[[bytes, int], LineTable], table: bytes, first_line: int
) -> None:
    starts, lines = decode(table, first_line)
    assert len(starts) == len(lines) <= len(table) + 1
    assert list(starts) == sorted(set(starts))
    assert all(0 <= line < 1 << 31 for line in lines)
    assert all(one != other for one, other in pairwise(lines))
