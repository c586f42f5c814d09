"""What CPython 3.13 and later say about themselves is believed only if it makes sense."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed, UnsupportedVersion
from symbolizers.layout import Absent, Row
from symbolizers.python.debug_offsets import COOKIE, TABLE_BYTES, TABLES, described
from symbolizers.python.language import PythonFile, PythonLanguage, debug_offsets
from symbolizers.python.layouts import ALIGNMENTS, FREE_THREADED, LAYOUTS
from tests.support.elf_programs import build

NOTHING: Mapping[str, int] = MappingProxyType({})
SIZES = {
    "interpreter_size": 1 << 18,
    "thread_size": 1024,
    "frame_size": 96,
    "code_size": 216,
    "object_size": 16,
    "type_size": 416,
    "unicode_size": 64,
    "bytes_object_size": 40,
}
SELF_DESCRIBED = [row for row in LAYOUTS if "self_described" in row.capabilities and not row.flavour]


def places_of(row: Row) -> Row:
    found = TABLES.find(row.versions[0])
    assert found is not None
    return found


def table_of(
    row: Row, changed: Mapping[str, int] = NOTHING, *, hex_version: int = 0, free_threaded: bool = False
) -> bytes:
    """The table of a build with the numbers of `row`, except for those that are `changed`."""
    places = places_of(row)
    numbers = {**SIZES, "code_argcount": row["code_checksum"] + 4, "free_threaded": int(free_threaded)}
    numbers |= {name: value for name, value in row.fields.items() if not isinstance(value, Absent)}
    numbers |= changed
    table = bytearray(TABLE_BYTES)
    struct.pack_into("<8sQ", table, 0, COOKIE, hex_version)
    for name in places.fields:
        struct.pack_into("<Q", table, places[name], numbers[name] & (1 << 64) - 1)
    return bytes(table)


@pytest.mark.parametrize("places", tuple(TABLES), ids=lambda row: row.name)
def test_no_two_numbers_of_a_table_are_at_the_same_place(places: Row) -> None:
    offsets = [places[name] for name in places.fields]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 8 == 0 and 16 <= offset <= TABLE_BYTES - 8 for offset in offsets)


@pytest.mark.parametrize("row", SELF_DESCRIBED, ids=lambda row: row.name)
def test_a_build_as_the_row_has_it(row: Row) -> None:
    assert described(row, table_of(row), places_of(row)).fields == row.fields


@pytest.mark.parametrize("row", SELF_DESCRIBED, ids=lambda row: row.name)
def test_what_the_build_says_goes_before_the_row(row: Row) -> None:
    changed = {"thread_frame": 80, "frame_owner": 78, "code_first_instr": 212, "unicode_ascii_data": 48}
    found = described(row, table_of(row, changed), places_of(row))
    assert {name: found[name] for name in changed} == changed
    assert (found["unicode_compact_data"], found["unicode_legacy_data"]) == (64, 64)
    assert found["frame_window"] == 80


def test_a_build_that_traces_references() -> None:
    row = SELF_DESCRIBED[0]
    found = described(row, table_of(row, {"object_type": 24, "object_size": 32}), places_of(row))
    assert found["object_refcount"] == 16


WRONG = {
    "not aligned": {"thread_next": 12},
    "beyond its structure": {"frame_instr": 104},
    "beyond anything": {"runtime_interpreters_head": 1 << 21},
    "negative": {"thread_frame": -8},
    "a structure beyond anything": {"interpreter_size": 1 << 40},
    "a part of code before the rest": {"code_name": 8},
    "a part of code behind the rest": {"code_filename": 192},
    "code too large": {"code_linetable": 208},
    "frame too large": {"frame_size": 4096, "frame_owner": 200},
    "bytes in their head": {"bytes_data": 16},
    "strings in their head": {"unicode_ascii_data": 24},
    "no table of lines": {"code_linetable": 0},
    "a type behind the head": {"object_size": 1 << 16, "object_type": 1 << 15},
    "a type behind the head of a string": {"object_size": 64, "object_type": 40},
    "a string's length at its end": {"unicode_length": 32, "unicode_ascii_data": 36},
    "a string's head without an end": {"unicode_size": 1 << 20, "unicode_ascii_data": 1 << 20},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("row", SELF_DESCRIBED, ids=lambda row: row.name)
def test_a_build_that_can_not_be(row: Row, changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"out of bounds|too far apart|their heads|too long"):
        described(row, table_of(row, changed), places_of(row))


@given(
    row=st.sampled_from(SELF_DESCRIBED),
    changes=st.lists(
        st.tuples(
            st.integers(2, TABLE_BYTES // 8 - 1),
            st.one_of(st.integers(0, 512), st.integers(0, (1 << 64) - 1)),
        ),
        max_size=6,
    ),
)
@settings(max_examples=500)
def test_whatever_it_says_is_usable_or_refused(row: Row, changes: list[tuple[int, int]]) -> None:
    table = bytearray(table_of(row))
    for word, value in changes:
        struct.pack_into("<Q", table, 8 * word, value)
    try:
        found = described(row, bytes(table), places_of(row))
    except ValueError:
        return
    found.validate(ALIGNMENTS)
    assert 0 < found["code_checksum_words"] <= debug_offsets.MAX_CHECKSUM_WORDS
    assert found["frame_window"] <= debug_offsets.MAX_FRAME_WINDOW_BYTES


def library(directory: Path, table: bytes, number: int) -> PythonFile | None:
    """What is found in a library with `table` as its ``_PyRuntime`` and hexversion `number`."""
    source = f"const unsigned long Py_Version = {number:#x}; char _PyRuntime[] = {{"
    source += ", ".join(f"(char){byte}" for byte in table) + "};"
    path = build(directory, "library.so", "-shared", "-fPIC", source=source)
    return PythonLanguage().recognise(ElfFile.from_bytes(path.read_bytes()))


@pytest.mark.parametrize(
    ("number", "text", "note"),
    [
        (0x030D05F0, "3.13.5", ""),
        (0x030F02F0, "3.15.2", ""),
        (0x030F00A2, "3.15.0a2", "Python 3.15.0a2 is a pre-release, read as it describes itself"),
        (0x031000F0, "3.16.0", "Python 3.16.0 is newer than any known version, read as it describes itself"),
        (
            0x031000A1,
            "3.16.0a1",
            "Python 3.16.0a1 is newer than any known version, read as it describes itself",
        ),
    ],
)
def test_recognised_as_it_describes_itself(tmp_path: Path, number: int, text: str, note: str) -> None:
    row = LAYOUTS.find((3, min(number >> 16 & 0xFF, 15)))
    assert row is not None
    found = library(tmp_path, table_of(row, {"thread_frame": 88}, hex_version=number), number)
    assert found is not None
    assert (found.version, found.row.name, found.note) == (text, row.name, note)
    assert dict(found.attach(0x1000).offsets)["thread_frame"] == 88


def test_a_free_threaded_build(tmp_path: Path) -> None:
    row = LAYOUTS.find((3, 13), FREE_THREADED)
    assert row is not None
    numbers = {"object_size": 32, "bytes_object_size": 56, "unicode_size": 80, "code_size": 240}
    table = table_of(row, numbers, hex_version=0x030D00F0, free_threaded=True)
    found = library(tmp_path, table, 0x030D00F0)
    assert found is not None
    assert found.row == row


@pytest.mark.parametrize("number", [0x030E00F0, 0x031000F0])
def test_a_free_threaded_build_that_is_not_known(tmp_path: Path, number: int) -> None:
    table = table_of(SELF_DESCRIBED[-1], hex_version=number, free_threaded=True)
    with pytest.raises(UnsupportedVersion, match="free-threaded is not supported"):
        library(tmp_path, table, number)


@pytest.mark.parametrize("table", [bytes(TABLE_BYTES), table_of(SELF_DESCRIBED[0], hex_version=0x030D06F0)])
def test_a_release_that_describes_itself_wrongly(tmp_path: Path, table: bytes) -> None:
    with pytest.raises(Malformed, match=r"Python 3\.13\.5 describes itself wrongly"):
        library(tmp_path, table, 0x030D05F0)
