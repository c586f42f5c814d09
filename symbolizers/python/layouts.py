"""CPython's layout rows. Facts only: derive them again with `symbolizers.python.derive`.

The walker in the kernel gets the fields that ``struct python_layout`` in profiler/bpf/python_layout.h has;
`symbolizers.python.code` reads with all of them. All numbers are for 64-bit little-endian builds without
Py_DEBUG. From 3.13 on a build describes itself (see `symbolizers.python.debug_offsets`), and the row here
adds what the description leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layout import ABSENT, Absent, Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "runtime_interpreters_head": 8,
        "interpreter_next": 8,
        "interpreter_threads_head": 8,
        "thread_next": 8,
        "thread_thread_id": 8,
        "thread_frame": 8,
        "thread_running_task": 8,
        "task_name": 8,
        "task_name_value": 8,
        "cframe_frame": 8,
        "frame_window": 8,
        "frame_code": 8,
        "frame_previous": 8,
        "frame_instr": 8,
        "frame_lasti": 4,
        "frame_lasti_unit": 1,
        "frame_owner": 1,
        "frame_first_shim_owner": 1,
        "frame_entry": 1,
        "code_first_instr": 2,
        "code_checksum": 8,
        "code_checksum_words": 1,
        "code_first_line": 4,
        "code_filename": 8,
        "code_name": 8,
        "code_qualname": 8,
        "code_linetable": 8,
        "object_refcount": 8,
        "object_type": 8,
        "type_name": 8,
        "type_flags": 8,
        "unicode_length": 8,
        "unicode_state": 4,
        "unicode_kind_bit": 1,
        "unicode_compact_bit": 1,
        "unicode_ascii_bit": 1,
        "unicode_ascii_data": 8,
        "unicode_compact_data": 8,
        "unicode_legacy_data": 8,
        "bytes_size": 8,
        "bytes_data": 1,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a count or a bit number).

``thread_frame`` leads to the frame, or where ``cframe_frame`` isn't absent, to a structure that has the
frame there. The position in a frame is ``frame_instr``, the address of the instruction that runs (or of the
last part of its inline cache, which has the same line), or else ``frame_lasti``, a signed 32-bit index of
``frame_lasti_unit`` bytes each. A frame whose ``frame_owner`` (a byte) is ``frame_first_shim_owner`` or more
stands for a call out of C code and runs none of Python's; in 3.11 the byte ``frame_entry`` of a frame says
that such a call runs it. ``frame_window`` bytes of a frame hold all that.

``thread_running_task`` leads to the task that asyncio runs on the thread, or is 0. ``task_name`` leads from
the task to its name: usually a number, with its digits at ``task_name_value``, or a string, with its hash
there.

``code_checksum`` starts a region of ``code_checksum_words`` 8-byte words that nothing writes once the
code object exists: the argument counts, first line, and the pointers to names and line table. (In 3.11
the flags stand beside ``co_warmup``, which counts, so they stay out.) ``*_bit`` counts from the lowest
bit of the 32-bit ``unicode_state``.
"""


def with_extents(fields: Mapping[str, int | Absent], argcount: int | Absent) -> dict[str, int | Absent]:
    """`fields` with what follows from them: ``frame_window``, ``code_checksum``, ``code_checksum_words``.

    `argcount` is the offset of ``co_argcount``. Raises `ValueError` where there is no code object to check.
    """
    table = fields["code_linetable"]
    if isinstance(argcount, Absent) or isinstance(table, Absent):
        raise ValueError("code objects have no argument count or no line table")
    widths = {"frame_code": 8, "frame_previous": 8, "frame_instr": 8, "frame_lasti": 4, "frame_owner": 1}
    widths["frame_entry"] = 1
    places = ((fields[name], width) for name, width in widths.items())
    window = max(place + width for place, width in places if not isinstance(place, Absent))
    first = argcount & ~7
    return {
        **fields,
        "frame_window": (window + 7) & ~7,
        "code_checksum": first,
        "code_checksum_words": (table + 8 - first) // 8,
    }


def _row(
    version: str,
    *,
    source: str,
    fields: Mapping[str, int | Absent],
    like: str = "",
    last: str = "",
    flavour: str = "",
    capabilities: Mapping[str, str] = MappingProxyType({}),
) -> Row:
    first_version, last_version = (tuple(map(int, text.split("."))) for text in (version, last or version))
    name = f"cpython-{version}{'-' if flavour else ''}{flavour}"
    return Row(name, (first_version, last_version), source, fields, capabilities, like, flavour)


FREE_THREADED: Final = "free-threaded"
"""The flavour of builds without a GIL."""

SUPPORTED: Final = "2.7, 3.6 to 3.15, 3.13 free-threaded"
"""The versions that have a row, for people."""

LAYOUTS: Final = Layouts(
    _row(
        "2.7",
        source="DWARF of a 2.7.18 build",
        fields={
            "runtime_interpreters_head": 0,
            "interpreter_next": 0,
            "interpreter_threads_head": 8,
            "thread_next": 0,
            "thread_thread_id": 144,
            "thread_frame": 16,
            "thread_running_task": ABSENT,
            "task_name": ABSENT,
            "task_name_value": ABSENT,
            "cframe_frame": ABSENT,
            "frame_window": 128,
            "frame_code": 32,
            "frame_previous": 24,
            "frame_instr": ABSENT,
            "frame_lasti": 120,
            "frame_lasti_unit": 1,
            "frame_owner": ABSENT,
            "frame_first_shim_owner": ABSENT,
            "frame_entry": ABSENT,
            "code_first_instr": ABSENT,
            "code_checksum": 16,
            "code_checksum_words": 12,
            "code_first_line": 96,
            "code_filename": 80,
            "code_name": 88,
            "code_qualname": ABSENT,
            "code_linetable": 104,
            "object_refcount": 0,
            "object_type": 8,
            "type_name": 24,
            "type_flags": 168,
            "unicode_length": ABSENT,
            "unicode_state": ABSENT,
            "unicode_kind_bit": ABSENT,
            "unicode_compact_bit": ABSENT,
            "unicode_ascii_bit": ABSENT,
            "unicode_ascii_data": ABSENT,
            "unicode_compact_data": ABSENT,
            "unicode_legacy_data": ABSENT,
            "bytes_size": 16,
            "bytes_data": 36,
        },
        capabilities={"root": "interp_head", "line_table": "lnotab_unsigned", "strings": "bytes"},
    ),
    _row(
        "3.6",
        like="cpython-2.7",
        source="DWARF of a 3.6.15 build",
        fields={
            "thread_next": 8,
            "thread_thread_id": 152,
            "thread_frame": 24,
            "code_checksum_words": 13,
            "code_first_line": 36,
            "code_filename": 96,
            "code_name": 104,
            "code_linetable": 112,
            "unicode_length": 16,
            "unicode_state": 32,
            "unicode_kind_bit": 2,
            "unicode_compact_bit": 5,
            "unicode_ascii_bit": 6,
            "unicode_ascii_data": 48,
            "unicode_compact_data": 72,
            "unicode_legacy_data": 72,
            "bytes_data": 32,
        },
        capabilities={"line_table": "lnotab", "strings": "str"},
    ),
    _row(
        "3.7",
        like="cpython-3.6",
        source="DWARF of a 3.7.16 build",
        fields={
            "runtime_interpreters_head": 24,
            "thread_thread_id": 176,
            "frame_window": 112,
            "frame_lasti": 104,
        },
        capabilities={"root": "_PyRuntime"},
    ),
    _row(
        "3.8",
        last="3.9",
        like="cpython-3.7",
        source="DWARF of a 3.8.18 build; of a 3.9.18 build",
        fields={
            "runtime_interpreters_head": 32,
            "code_checksum_words": 14,
            "code_first_line": 40,
            "code_filename": 104,
            "code_name": 112,
            "code_linetable": 120,
        },
    ),
    _row(
        "3.10",
        like="cpython-3.8",
        source="DWARF of a 3.10.13 build",
        fields={"frame_window": 104, "frame_lasti": 96, "frame_lasti_unit": 2},
        capabilities={"line_table": "ranges"},
    ),
    _row(
        "3.11",
        like="cpython-3.10",
        source="internal headers of libpython3.11-dev 3.11.2; DWARF of a 3.11.7 build agrees",
        fields={
            "runtime_interpreters_head": 40,
            "interpreter_threads_head": 16,
            "thread_thread_id": 152,
            "thread_frame": 56,
            "cframe_frame": 8,
            "frame_window": 72,
            "frame_previous": 48,
            "frame_instr": 56,
            "frame_entry": 68,
            "frame_lasti": ABSENT,
            "frame_lasti_unit": ABSENT,
            "code_first_instr": 184,
            "code_checksum": 56,
            "code_checksum_words": 11,
            "code_first_line": 72,
            "code_filename": 112,
            "code_name": 120,
            "code_qualname": 128,
            "code_linetable": 136,
        },
        capabilities={"line_table": "locations"},
    ),
    _row(
        "3.12",
        like="cpython-3.11",
        source="DWARF of a 3.12.1 build",
        fields={
            "interpreter_threads_head": 72,
            "thread_thread_id": 136,
            "cframe_frame": 0,
            "frame_window": 72,
            "frame_code": 0,
            "frame_previous": 8,
            "frame_owner": 70,
            "frame_first_shim_owner": 3,
            "frame_entry": ABSENT,
            "code_first_instr": 192,
            "code_checksum": 48,
            "code_checksum_words": 12,
            "code_first_line": 68,
            "unicode_ascii_data": 40,
            "unicode_compact_data": 56,
            "unicode_legacy_data": 56,
        },
    ),
    _row(
        "3.13",
        like="cpython-3.12",
        source="internal headers of libpython3.13-dev 3.13.18; DWARF of a 3.13.0 build agrees",
        fields={
            "runtime_interpreters_head": 632,
            "interpreter_next": 7264,
            "interpreter_threads_head": 7344,
            "thread_thread_id": 152,
            "thread_frame": 72,
            "cframe_frame": ABSENT,
            "code_first_instr": 200,
        },
        capabilities={"self_described": "yes"},
    ),
    _row(
        "3.13",
        flavour=FREE_THREADED,
        like="cpython-3.13",
        source="internal headers of libpython3.13-dev 3.13.18 with Py_GIL_DISABLED=1",
        fields={
            "code_first_instr": 216,
            "code_checksum": 64,
            "code_first_line": 84,
            "code_filename": 128,
            "code_name": 136,
            "code_qualname": 144,
            "code_linetable": 152,
            "object_refcount": ABSENT,
            "object_type": 24,
            "type_name": 40,
            "type_flags": 184,
            "unicode_length": 32,
            "unicode_state": 48,
            "unicode_ascii_data": 56,
            "unicode_compact_data": 72,
            "unicode_legacy_data": 72,
            "bytes_size": 32,
            "bytes_data": 48,
        },
    ),
    _row(
        "3.14",
        like="cpython-3.13",
        source="internal headers of libpython3.14-dev 3.14.10",
        fields={
            "runtime_interpreters_head": 808,
            "interpreter_next": 7272,
            "thread_running_task": 872,
            "task_name": 136,
            "task_name_value": 24,
            "frame_window": 80,
            "frame_owner": 74,
            "code_first_instr": 208,
        },
    ),
    _row(
        "3.15",
        like="cpython-3.14",
        source="internal headers of libpython3.15-dev 3.15.2",
        fields={
            "runtime_interpreters_head": 936,
            "interpreter_next": 7264,
            "interpreter_threads_head": 7336,
            "thread_thread_id": 176,
            "thread_running_task": 1032,
        },
    ),
)
"""Oldest first. The capabilities:

``root``: what the walk starts from, the structure ``_PyRuntime`` or the variable ``interp_head``, the head of
the list of interpreters. ``line_table``: the decoder in `symbolizers.python.lines`. ``strings``: whether
names are ``str`` or ``bytes`` objects. ``self_described``: the build has a ``_Py_DebugOffsets``, which takes
precedence over the row.
"""
