"""CPython's layout rows. Facts only: derive them again with `symbolizers.layouts.derive_cpython`.

The names from ``runtime_interpreters_head`` to ``code_checksum_words`` are those of ``struct
python_layout`` in profiler/bpf/records.h, which the walker gets; the rest is for `symbolizers.python`.
All numbers are for 64-bit little-endian builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layouts.row import Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "runtime_interpreters_head": 8,
        "interpreter_next": 8,
        "interpreter_threads_head": 8,
        "thread_next": 8,
        "thread_thread_id": 8,
        "thread_cframe": 8,
        "cframe_current_frame": 8,
        "frame_code": 8,
        "frame_previous": 8,
        "frame_instr": 8,
        "code_first_instr": 2,
        "code_checksum": 8,
        "code_checksum_words": 1,
        "code_first_line": 4,
        "code_filename": 8,
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

``code_checksum`` starts a region of ``code_checksum_words`` 8-byte words that nothing writes once the
code object exists: the argument counts, first line, and the pointers to names and line table. (The
flags stand beside ``co_warmup``, which counts, so they stay out.) ``frame_instr`` is the instruction
that runs, or the last one of its inline cache, which has the same line. ``*_bit`` counts from the lowest
bit of the 32-bit ``unicode_state``.
"""

LAYOUTS: Final = Layouts(
    Row(
        name="cpython-3.11",
        versions=((3, 11), (3, 11)),
        source="internal headers of libpython3.11-dev 3.11.2; DWARF of a 3.11.7 build agrees",
        fields={
            "runtime_interpreters_head": 40,
            "interpreter_next": 0,
            "interpreter_threads_head": 16,
            "thread_next": 8,
            "thread_thread_id": 152,
            "thread_cframe": 56,
            "cframe_current_frame": 8,
            "frame_code": 32,
            "frame_previous": 48,
            "frame_instr": 56,
            "code_first_instr": 184,
            "code_checksum": 56,
            "code_checksum_words": 11,
            "code_first_line": 72,
            "code_filename": 112,
            "code_qualname": 128,
            "code_linetable": 136,
            "object_refcount": 0,
            "object_type": 8,
            "type_name": 24,
            "type_flags": 168,
            "unicode_length": 16,
            "unicode_state": 32,
            "unicode_kind_bit": 2,
            "unicode_compact_bit": 5,
            "unicode_ascii_bit": 6,
            "unicode_ascii_data": 48,
            "unicode_compact_data": 72,
            "unicode_legacy_data": 72,
            "bytes_size": 16,
            "bytes_data": 32,
        },
        capabilities={"line_table": "locations"},
    ),
)
"""Oldest first. `LAYOUTS.named(interpreter.layout)` is the row of an attached interpreter."""
