"""Ruby's layout rows. Facts only: derive them again with `symbolizers.layouts.derive_ruby`.

The names from ``vm_ractors`` to ``svar_method`` are those of ``struct ruby_layout`` in
profiler/bpf/ruby_layout.h, which the walker gets; the rest is for `symbolizers.ruby`. All numbers are for
64-bit little-endian builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layouts.row import Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "vm_ractors": 8,
        "ractor_node": 8,
        "ractor_threads": 8,
        "thread_node": 8,
        "thread_native": 8,
        "thread_native_is_pointer": 1,
        "native_id": 8,
        "thread_ec": 8,
        "ec_stack": 8,
        "ec_stack_words": 8,
        "ec_frame": 8,
        "frame_size": 8,
        "frame_pc": 8,
        "frame_iseq": 8,
        "frame_ep": 8,
        "iseq_body": 8,
        "body_code": 8,
        "svar_method": 8,
        "body_type": 4,
        "body_code_words": 4,
        "body_path": 8,
        "body_base_label": 8,
        "body_label": 8,
        "body_first_line": 8,
        "body_local_iseq": 8,
        "body_lines": 8,
        "body_lines_count": 4,
        "body_lines_index": 8,
        "body_type_method": 1,
        "line_entry_size": 4,
        "line_entry_line": 4,
        "method_definition": 8,
        "method_owner": 8,
        "definition_id": 8,
        "class_ext": 8,
        "ext_variables": 8,
        "table_first": 8,
        "table_bound": 8,
        "table_entries": 8,
        "entry_size": 8,
        "entry_hash": 8,
        "entry_key": 8,
        "entry_value": 8,
        "symbols_last_id": 4,
        "symbols_by_name": 8,
        "symbols_ids": 8,
        "ids_per_block": 1,
        "ids_block_stride": 1,
        "last_operator_id": 1,
        "id_scope_bits": 1,
        "string_length": 8,
        "string_pointer": 8,
        "string_embedded": 8,
        "string_heap_bit": 1,
        "string_embedded_length_bit": 1,
        "array_length": 8,
        "array_pointer": 8,
        "array_embedded": 8,
        "array_embedded_bit": 1,
        "array_embedded_length_bit": 1,
        "class_singleton_bit": 1,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a count, a bit or a number).

``thread_native`` is where a thread keeps its native thread, or (``thread_native_is_pointer``, 3.3) a
pointer to it; ``native_id`` is the offset of its pthread id from there. ``*_bit`` counts from the lowest
bit of an object's flags. ``ids_block_stride`` is the number of array elements that an id takes in its
block.
"""

LAYOUTS: Final = Layouts(
    Row(
        name="ruby-3.1",
        versions=((3, 1), (3, 1)),
        source=(
            "rb_mjit_min_header-3.1.7.h of ruby3.1-dev; of 3.1: symbol.h (symbols_*), symbol.c (ids_*), st.c"
            " (entry_*) and id.h (last_operator_id)"
        ),
        fields={
            "vm_ractors": 8,
            "ractor_node": 568,
            "ractor_threads": 304,
            "thread_node": 0,
            "thread_native": 80,
            "thread_native_is_pointer": 0,
            "native_id": 0,
            "thread_ec": 40,
            "ec_stack": 0,
            "ec_stack_words": 8,
            "ec_frame": 16,
            "frame_size": 64,
            "frame_pc": 0,
            "frame_iseq": 16,
            "frame_ep": 32,
            "iseq_body": 16,
            "body_code": 8,
            "svar_method": 8,
            "body_type": 0,
            "body_code_words": 4,
            "body_path": 64,
            "body_base_label": 72,
            "body_label": 80,
            "body_first_line": 88,
            "body_local_iseq": 176,
            "body_lines": 120,
            "body_lines_count": 136,
            "body_lines_index": 144,
            "body_type_method": 1,
            "line_entry_size": 12,
            "line_entry_line": 0,
            "method_definition": 16,
            "method_owner": 32,
            "definition_id": 32,
            "class_ext": 24,
            "ext_variables": 8,
            "table_first": 32,
            "table_bound": 40,
            "table_entries": 48,
            "entry_size": 24,
            "entry_hash": 0,
            "entry_key": 8,
            "entry_value": 16,
            "symbols_last_id": 0,
            "symbols_by_name": 8,
            "symbols_ids": 16,
            "ids_per_block": 512,
            "ids_block_stride": 2,
            "last_operator_id": 169,
            "id_scope_bits": 4,
            "string_length": 16,
            "string_pointer": 24,
            "string_embedded": 16,
            "string_heap_bit": 13,
            "string_embedded_length_bit": 14,
            "array_length": 16,
            "array_pointer": 32,
            "array_embedded": 16,
            "array_embedded_bit": 13,
            "array_embedded_length_bit": 15,
            "class_singleton_bit": 12,
        },
        capabilities={"line_table": "succinct"},
    ),
)
"""Oldest first. `LAYOUTS.named(interpreter.layout)` is the row of an attached interpreter."""
