"""What CPython 3.13 and later say about themselves: ``_Py_DebugOffsets``, the start of ``_PyRuntime``.

The table is 64-bit numbers: a cookie, the version, whether the build is free-threaded, then sizes
and offsets of structures, in an order that each 3.x may change (pycore_debug_offsets.h). It comes
from a target's file, so nothing in it is believed before it is checked.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from symbolizers.layout import MAX_OFFSET_BYTES, Absent, Layouts, Row
from symbolizers.python.layouts import ALIGNMENTS, with_extents

TABLE_BYTES: Final = 768
"""The part of every version's table that `TABLES` points into."""
COOKIE: Final = b"xdebugpy"

MAX_CHECKSUM_WORDS: Final = 16
MAX_FRAME_WINDOW_BYTES: Final = 128
"""The walker's limits; as CHECKSUM_WORDS and MAX_FRAME_WINDOW in profiler/bpf."""
MAX_HEAD_BYTES: Final = 1024
"""So much is read of an object before anything is known about it. The head of a code object has 150 bytes."""

_FREE_THREADED_AT: Final = 16
_WORD: Final = struct.Struct("<Q")
_HEX_VERSION_AT: Final = 8

TABLES: Final = Layouts(
    Row(
        name="debug-offsets-3.13",
        versions=((3, 13), (3, 13)),
        source="internal headers of libpython3.13-dev 3.13.18; DWARF of a 3.13.0 build agrees",
        fields={
            "free_threaded": _FREE_THREADED_AT,
            "runtime_interpreters_head": 40,
            "interpreter_size": 48,
            "interpreter_next": 64,
            "interpreter_threads_head": 72,
            "thread_size": 152,
            "thread_next": 168,
            "thread_thread_id": 192,
            "thread_frame": 184,
            "frame_size": 224,
            "frame_code": 240,
            "frame_previous": 232,
            "frame_instr": 248,
            "frame_owner": 264,
            "code_size": 272,
            "code_argcount": 320,
            "code_first_line": 312,
            "code_filename": 280,
            "code_name": 288,
            "code_qualname": 296,
            "code_linetable": 304,
            "code_first_instr": 344,
            "object_size": 352,
            "object_type": 360,
            "type_size": 368,
            "type_name": 376,
            "type_flags": 392,
            "unicode_size": 536,
            "unicode_length": 552,
            "unicode_state": 544,
            "unicode_ascii_data": 560,
            "bytes_object_size": 512,
            "bytes_size": 520,
            "bytes_data": 528,
        },
    ),
    Row(
        name="debug-offsets-3.14",
        versions=((3, 14), (3, 14)),
        like="debug-offsets-3.13",
        source="internal headers of libpython3.14-dev 3.14.10",
        fields={
            "thread_size": 176,
            "thread_next": 192,
            "thread_thread_id": 216,
            "thread_frame": 208,
            "frame_size": 248,
            "frame_code": 264,
            "frame_previous": 256,
            "frame_instr": 272,
            "frame_owner": 288,
            "code_size": 312,
            "code_argcount": 360,
            "code_first_line": 352,
            "code_filename": 320,
            "code_name": 328,
            "code_qualname": 336,
            "code_linetable": 344,
            "code_first_instr": 384,
            "object_size": 400,
            "object_type": 408,
            "type_size": 416,
            "type_name": 424,
            "type_flags": 440,
            "unicode_size": 616,
            "unicode_length": 632,
            "unicode_state": 624,
            "unicode_ascii_data": 640,
            "bytes_object_size": 592,
            "bytes_size": 600,
            "bytes_data": 608,
        },
    ),
    Row(
        name="debug-offsets-3.15",
        versions=((3, 15), (3, 15)),
        like="debug-offsets-3.14",
        source="internal headers of libpython3.15-dev 3.15.2",
        fields={
            "thread_thread_id": 240,
            "frame_size": 312,
            "frame_code": 328,
            "frame_previous": 320,
            "frame_instr": 336,
            "frame_owner": 352,
            "code_size": 376,
            "code_argcount": 424,
            "code_first_line": 416,
            "code_filename": 384,
            "code_name": 392,
            "code_qualname": 400,
            "code_linetable": 408,
            "code_first_instr": 448,
            "object_size": 464,
            "object_type": 472,
            "type_size": 480,
            "type_name": 488,
            "type_flags": 504,
            "unicode_size": 712,
            "unicode_length": 728,
            "unicode_state": 720,
            "unicode_ascii_data": 736,
            "bytes_object_size": 688,
            "bytes_size": 696,
            "bytes_data": 704,
        },
    ),
)
"""Byte offsets within the table, by the name that the number has in a row (or of a structure's size)."""

_SIZES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "interpreter_": "interpreter_size",
        "thread_": "thread_size",
        "frame_": "frame_size",
        "code_": "code_size",
        "object_": "object_size",
        "type_": "type_size",
        "unicode_": "unicode_size",
        "bytes_": "bytes_object_size",
    }
)
"""The structure that a field lies in, by the start of its name."""


def is_free_threaded(table: bytes) -> bool:
    """Whether the build that `table` describes runs without a GIL."""
    return _word(table, _FREE_THREADED_AT) != 0


def check_header(table: bytes, hex_version: int) -> None:
    """Raises `ValueError` unless `table` is one, and of the version that the file has elsewhere."""
    if not table.startswith(COOKIE):
        raise ValueError("_PyRuntime does not start with a description of the build")
    if _word(table, _HEX_VERSION_AT) != hex_version:
        raise ValueError("_PyRuntime describes another version than the file's")


def described(row: Row, table: bytes, places: Row) -> Row:
    """`row` with everything that the build's own `table` says; `places` is a row of `TABLES`.

    Raises `ValueError` where an offset is not aligned, not in its structure, or of no use for a walk.
    """
    numbers = {name: _word(table, places[name]) for name in places.fields}
    for name in numbers:
        _check_extent(numbers, name)
    fields: dict[str, int | Absent] = dict(row.fields)
    fields.update((name, number) for name, number in numbers.items() if name in ALIGNMENTS)
    # Wider strings have more behind an ASCII string's head: a pointer and a length, of a copy in UTF-8.
    wider = numbers["unicode_ascii_data"] + 16
    fields.update({"unicode_compact_data": wider, "unicode_legacy_data": wider})
    if row.has("object_refcount"):
        fields["object_refcount"] = numbers["object_type"] - 8
    full = replace(row, fields=MappingProxyType(with_extents(fields, numbers["code_argcount"])))
    full.validate(ALIGNMENTS)
    _check_regions(full)
    return full


def _check_extent(numbers: Mapping[str, int], name: str) -> None:
    size = next((size for prefix, size in _SIZES.items() if name.startswith(prefix)), None)
    limit = numbers[size] if size is not None else MAX_OFFSET_BYTES
    # Contents may start at the end of a head; `limit` itself is checked as the name of a size.
    if name != "free_threaded" and not 0 <= numbers[name] <= min(limit, MAX_OFFSET_BYTES):
        raise ValueError(f"{name} = {numbers[name]} is out of bounds")


def _check_regions(row: Row) -> None:
    """Checks that the walker and the reader have room for what they read at once, and find it there."""
    if not 0 < row["code_checksum_words"] <= MAX_CHECKSUM_WORDS:
        raise ValueError("the parts of code objects lie too far apart")
    region = range(row["code_checksum"], row["code_linetable"] + 1)
    parts = ("code_first_line", "code_filename", "code_name", "code_qualname", "code_linetable")
    if any(row[name] not in region for name in parts):
        raise ValueError("the parts of code objects lie too far apart")
    if row["frame_window"] > MAX_FRAME_WINDOW_BYTES:
        raise ValueError("the parts of frames lie too far apart")
    string, bytes_, code = row["unicode_ascii_data"], row["bytes_data"], row["code_linetable"]
    if max(string, bytes_, code) > MAX_HEAD_BYTES:
        raise ValueError("the heads of objects are too long")
    if max(row["unicode_length"] + 8, row["unicode_state"] + 4) > string or row["bytes_size"] + 8 > bytes_:
        raise ValueError("strings and bytes start before their heads end")
    if row["object_type"] + 8 > min(string, bytes_, code):
        raise ValueError("objects have their type behind their heads")


def _word(table: bytes, offset: int) -> int:
    (word,) = _WORD.unpack_from(table, offset)
    return int(word)
