"""Ruby's layout rows. Facts only: derive them again with `symbolizers.ruby.derive`.

The fields that ``struct ruby_layout`` in profiler/bpf/ruby_layout.h has, too, are for the walker; all but the
first ones are for `symbolizers.ruby.iseqs`. All numbers are for 64-bit little-endian builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layout import ABSENT, Layouts, Row
from symbolizers.ruby.layouts_untested import UNTESTED

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "vm_threads": 8,
        "vm_ractors": 8,
        "ractor_node": 8,
        "ractor_threads": 8,
        "thread_node": 8,
        "thread_native": 8,
        "thread_native_is_pointer": 1,
        "native_id": 8,
        "running": 8,
        "thread_ec": 8,
        "ec_stack": 8,
        "ec_stack_words": 8,
        "ec_frame": 8,
        "ec_fiber": 8,
        "fiber_prev": 8,
        "frame_size": 8,
        "frame_pc": 8,
        "frame_iseq": 8,
        "frame_ep": 8,
        "iseq_body": 8,
        "body_code": 8,
        "svar_method": 8,
        "vm_objspace": 8,
        "objspace_flags": 1,
        "objspace_gc_bit": 1,
        "global_symbols": 1,
        "labels_by_method": 1,
        "body_type": 4,
        "body_code_words": 4,
        "body_path": 8,
        "body_base_label": 8,
        "body_label": 8,
        "body_first_line": 4,
        "body_first_line_tag_bits": 1,
        "body_local_iseq": 8,
        "body_parent_iseq": 8,
        "body_lines": 8,
        "body_lines_count": 4,
        "body_lines_index": 8,
        "body_type_method": 1,
        "body_type_block": 1,
        "body_type_rescue": 1,
        "body_type_ensure": 1,
        "body_type_eval": 1,
        "line_entry_size": 4,
        "line_entry_line": 4,
        "line_entry_position": 4,
        "method_definition": 8,
        "method_owner": 8,
        "definition_id": 8,
        "class_path": 8,
        "class_attached": 8,
        "class_ext": 8,
        "ext_variables": 8,
        "table_first": 8,
        "table_bound": 8,
        "table_entries": 8,
        "entry_size": 8,
        "entry_hash": 8,
        "entry_key": 8,
        "entry_value": 8,
        "class_path_id": 1,
        "class_attached_id": 1,
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
        "array_embedded_length_bits": 1,
        "class_singleton_bit": 1,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a count, a bit or a number).

``vm_threads`` is the list of all threads, in versions without ractors. ``thread_native`` is where a thread
keeps its native thread, or (``thread_native_is_pointer``, 3.3) a pointer to it; ``native_id`` is the offset
of its pthread id from there. ``running`` is where a ractor keeps the execution context that runs now; before
ractors, the VM keeps the running thread there. ``ec_fiber`` is where an execution context points at the fiber
that it lies in, and ``fiber_prev`` where a fiber has the one that resumed it. The fields of the garbage
collector (``vm_objspace``, ``objspace_flags``, ``objspace_gc_bit``) are absent in rows, and found in each
build: see `symbolizers.ruby.machine_code.GcFlag`. So is ``global_symbols``, which is how far that variable
is from the one where the walk begins. ``labels_by_method`` is 1 where Ruby puts a label together when it is
asked for one, and 0 where the compiler makes it. A class keeps its name at ``class_path`` behind its slot, a
singleton class also its object at ``class_attached``. Where these are absent, both are hidden variables in
the table of its ``class_ext``, under the numbers ``class_path_id`` and ``class_attached_id``, which are known
for some versions only. ``*_bit`` counts from the lowest bit of an object's flags; an embedded string without
``string_embedded_length_bit`` has its length where others have theirs, and is as long as its slot.
``body_first_line_tag_bits`` are the bits below the number of a first line: one where it is an Integer of
Ruby's, none where it is one of C's (3.2). ``ids_block_stride`` is the number of array elements that an id
takes in its block.
"""

LAYOUTS: Final = Layouts(
    Row(
        name="ruby-2.7",
        versions=((2, 7), (2, 7)),
        source=(
            "rb_mjit_min_header-2.7.4.h of ruby2.7-dev; of 2.7: symbol.h (symbols_*), symbol.c (ids_*), st.c"
            " (entry_*) and id.h (last_operator_id); a live 2.7.4 (class_*_id)"
        ),
        fields={
            "vm_threads": 312,
            "vm_ractors": ABSENT,
            "ractor_node": ABSENT,
            "ractor_threads": ABSENT,
            "thread_node": 0,
            "thread_native": 72,
            "thread_native_is_pointer": 0,
            "native_id": 0,
            "running": 200,
            "thread_ec": 32,
            "ec_stack": 0,
            "ec_stack_words": 8,
            "ec_frame": 16,
            "ec_fiber": 48,
            "fiber_prev": 520,
            "frame_size": 56,
            "frame_pc": 0,
            "frame_iseq": 16,
            "frame_ep": 32,
            "iseq_body": 16,
            "body_code": 8,
            "svar_method": 8,
            "vm_objspace": ABSENT,
            "objspace_flags": ABSENT,
            "objspace_gc_bit": ABSENT,
            "global_symbols": ABSENT,
            "labels_by_method": 0,
            "body_type": 0,
            "body_code_words": 4,
            "body_path": 64,
            "body_base_label": 72,
            "body_label": 80,
            "body_first_line": 88,
            "body_first_line_tag_bits": 1,
            "body_local_iseq": 176,
            "body_parent_iseq": 168,
            "body_lines": 120,
            "body_lines_count": 136,
            "body_lines_index": 144,
            "body_type_method": 1,
            "body_type_block": 2,
            "body_type_rescue": 4,
            "body_type_ensure": 5,
            "body_type_eval": 6,
            "line_entry_size": 8,
            "line_entry_line": 0,
            "line_entry_position": ABSENT,
            "method_definition": 16,
            "method_owner": 32,
            "definition_id": 32,
            "class_path": ABSENT,
            "class_attached": ABSENT,
            "class_ext": 24,
            "ext_variables": 8,
            "table_first": 32,
            "table_bound": 40,
            "table_entries": 48,
            "entry_size": 24,
            "entry_hash": 0,
            "entry_key": 8,
            "entry_value": 16,
            "class_path_id": 3809,
            "class_attached_id": 3073,
            "symbols_last_id": 0,
            "symbols_by_name": 8,
            "symbols_ids": 16,
            "ids_per_block": 512,
            "ids_block_stride": 2,
            "last_operator_id": 168,
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
            "array_embedded_length_bits": 2,
            "class_singleton_bit": 12,
        },
        capabilities={"line_table": "succinct"},
    ),
    Row(
        name="ruby-3.1",
        versions=((3, 1), (3, 1)),
        like="ruby-2.7",
        source=(
            "rb_mjit_min_header-3.1.7.h of ruby3.1-dev; of 3.1: symbol.h (symbols_*), symbol.c (ids_*), st.c"
            " (entry_*) and id.h (last_operator_id); a live 3.1.7 (class_*_id)"
        ),
        fields={
            "vm_threads": ABSENT,
            "vm_ractors": 8,
            "ractor_node": 568,
            "ractor_threads": 304,
            "thread_native": 80,
            "running": 520,
            "thread_ec": 40,
            "ec_fiber": 40,
            "fiber_prev": 512,
            "frame_size": 64,
            "line_entry_size": 12,
            "class_path_id": 3841,
            "class_attached_id": 3089,
            "last_operator_id": 169,
        },
    ),
    Row(
        name="ruby-3.3",
        versions=((3, 3), (3, 3)),
        like="ruby-3.1",
        source=(
            "headers of the source of 3.3.8 (vm_core.h, ractor_core.h, iseq.h, method.h, internal/class.h,"
            " symbol.h) with ruby/config.h of ruby3.3-dev; symbol.c (ids_*), st.c (entry_*), id.h"
        ),
        fields={
            "ractor_node": 432,
            "ractor_threads": 256,
            "thread_native": 40,
            "thread_native_is_pointer": 1,
            "native_id": 16,
            "running": 384,
            "thread_ec": 48,
            "fiber_prev": 680,
            "frame_size": 56,
            "body_first_line_tag_bits": 0,
            "body_local_iseq": 168,
            "body_parent_iseq": 160,
            "body_lines": 112,
            "body_lines_count": 128,
            "body_lines_index": 136,
            "class_path": 152,
            "class_attached": 128,
            "class_ext": ABSENT,
            "ext_variables": ABSENT,
            "table_first": ABSENT,
            "table_bound": ABSENT,
            "table_entries": ABSENT,
            "entry_size": ABSENT,
            "entry_hash": ABSENT,
            "entry_key": ABSENT,
            "entry_value": ABSENT,
            "class_path_id": ABSENT,
            "class_attached_id": ABSENT,
            "string_embedded": 24,
            "string_embedded_length_bit": ABSENT,
            "array_embedded_length_bits": 7,
        },
    ),
    Row(
        name="ruby-3.4",
        versions=((3, 4), (3, 4)),
        like="ruby-3.3",
        source=(
            "RJIT's tables in ruby3.4 (RubyVM::RJIT::C); a live 3.4.11 read through Fiddle, for what these"
            " leave out (ractor_*, native_id, class_*, last_operator_id); the rest is as in 3.3"
        ),
        fields={
            "fiber_prev": 664,
            "labels_by_method": 1,
            "last_operator_id": 170,
            "class_singleton_bit": 13,
        },
    ),
    *UNTESTED,
)
"""`LAYOUTS.named(interpreter.layout)` is the row of an attached interpreter."""
