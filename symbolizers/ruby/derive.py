"""Derive the numbers of a Ruby layout row again, from headers.

    python -m symbolizers.ruby.derive ruby-3.1 /usr/include/…/ruby-3.1.0/rb_mjit_min_header-3.1.7.h
    python -m symbolizers.ruby.derive ruby-3.3 vm_core.h ractor_core.h iseq.h method.h \\
        internal/class.h symbol.h id.h -I SOURCE -I SOURCE/include -I /usr/include/…/ruby-3.3.0

A tool for whoever adds a version, and for the tests; nothing of a recording imports it. Up to 3.2 Ruby
installs the header that its method JIT compiles (Debian: ruby3.1-dev). Later versions take the release's
source, and the folder of ruby/config.h as installed. Structures that are private to symbol.c and st.c are
read there (`FROM_SOURCES`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.c_headers import from_headers
from symbolizers.layout import Row
from symbolizers.ruby.layouts import LAYOUTS

_VM: Final = "struct rb_vm_struct"
_RACTOR: Final = "struct rb_ractor_struct"
_THREAD: Final = "struct rb_thread_struct"
_EC: Final = "struct rb_execution_context_struct"
_FRAME: Final = "struct rb_control_frame_struct"
_BODY: Final = "struct rb_iseq_constant_body"
_METHOD: Final = "struct rb_method_entry_struct"
_TABLE: Final = "struct st_table"

EXPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vm_ractors": f"offsetof({_VM}, ractor.set)",
        "ractor_node": f"offsetof({_RACTOR}, vmlr_node)",
        "ractor_threads": f"offsetof({_RACTOR}, threads.set)",
        "thread_node": f"offsetof({_THREAD}, lt_node)",
        "thread_native": f"offsetof({_THREAD}, thread_id)",
        "running": f"offsetof({_RACTOR}, threads.running_ec)",
        "thread_ec": f"offsetof({_THREAD}, ec)",
        "ec_stack": f"offsetof({_EC}, vm_stack)",
        "ec_stack_words": f"offsetof({_EC}, vm_stack_size)",
        "ec_frame": f"offsetof({_EC}, cfp)",
        "ec_fiber": f"offsetof({_EC}, fiber_ptr)",
        "frame_size": f"sizeof({_FRAME})",
        "frame_pc": f"offsetof({_FRAME}, pc)",
        "frame_iseq": f"offsetof({_FRAME}, iseq)",
        "frame_ep": f"offsetof({_FRAME}, ep)",
        "iseq_body": "offsetof(struct rb_iseq_struct, body)",
        "body_code": f"offsetof({_BODY}, iseq_encoded)",
        "svar_method": "offsetof(struct vm_svar, cref_or_me)",
        "body_type": f"offsetof({_BODY}, type)",
        "body_code_words": f"offsetof({_BODY}, iseq_size)",
        "body_path": f"offsetof({_BODY}, location.pathobj)",
        "body_base_label": f"offsetof({_BODY}, location.base_label)",
        "body_label": f"offsetof({_BODY}, location.label)",
        "body_first_line": f"offsetof({_BODY}, location.first_lineno)",
        "body_local_iseq": f"offsetof({_BODY}, local_iseq)",
        "body_parent_iseq": f"offsetof({_BODY}, parent_iseq)",
        "body_lines": f"offsetof({_BODY}, insns_info.body)",
        "body_lines_count": f"offsetof({_BODY}, insns_info.size)",
        "body_lines_index": f"offsetof({_BODY}, insns_info.succ_index_table)",
        "body_type_method": "ISEQ_TYPE_METHOD",
        "body_type_block": "ISEQ_TYPE_BLOCK",
        "body_type_rescue": "ISEQ_TYPE_RESCUE",
        "body_type_ensure": "ISEQ_TYPE_ENSURE",
        "body_type_eval": "ISEQ_TYPE_EVAL",
        "line_entry_size": "sizeof(struct iseq_insn_info_entry)",
        "line_entry_line": "offsetof(struct iseq_insn_info_entry, line_no)",
        "method_definition": f"offsetof({_METHOD}, def)",
        "method_owner": f"offsetof({_METHOD}, owner)",
        "definition_id": "offsetof(struct rb_method_definition_struct, original_id)",
        "class_ext": "offsetof(struct RClass, ptr)",
        "ext_variables": "offsetof(struct rb_classext_struct, iv_tbl)",
        "table_first": f"offsetof({_TABLE}, entries_start)",
        "table_bound": f"offsetof({_TABLE}, entries_bound)",
        "table_entries": f"offsetof({_TABLE}, entries)",
        "id_scope_bits": "RUBY_ID_SCOPE_SHIFT",
        "last_operator_id": "tLAST_OP_ID",
        "string_length": "offsetof(struct RString, as.heap.len)",
        "string_pointer": "offsetof(struct RString, as.heap.ptr)",
        "string_embedded": "offsetof(struct RString, as.embed.ary)",
        "string_heap_bit": "__builtin_ctzl(RSTRING_NOEMBED)",
        "string_embedded_length_bit": "RSTRING_EMBED_LEN_SHIFT",
        "array_length": "offsetof(struct RArray, as.heap.len)",
        "array_pointer": "offsetof(struct RArray, as.heap.ptr)",
        "array_embedded": "offsetof(struct RArray, as.ary)",
        "array_embedded_bit": "__builtin_ctzl(RARRAY_EMBED_FLAG)",
        "array_embedded_length_bit": "RARRAY_EMBED_LEN_SHIFT",
        "class_singleton_bit": "__builtin_ctzl(RUBY_FL_SINGLETON)",
    }
)
"""The C expression for each derived field of a row, as Ruby 3.1 calls its structures."""

RENAMED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "ruby-2.7": {
            "vm_threads": f"offsetof({_VM}, living_threads)",
            "thread_node": f"offsetof({_THREAD}, vmlt_node)",
            "running": f"offsetof({_VM}, running_thread)",
            "string_embedded": "offsetof(struct RString, as.ary)",
        },
        "ruby-3.3": {
            "thread_native": f"offsetof({_THREAD}, nt)",
            "native_id": "offsetof(struct rb_native_thread, thread_id)",
            "class_path": "sizeof(struct RClass) + offsetof(struct rb_classext_struct, classpath)",
            "class_attached": "sizeof(struct RClass)"
            " + offsetof(struct rb_classext_struct, as.singleton_class.attached_object)",
            "string_length": "offsetof(struct RString, len)",
        },
    }
)
"""The expressions that are different, or additional, in other rows."""

WALKER_CONSTANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "FRAME_MAGIC_MASK": "VM_FRAME_MAGIC_MASK",
        "FRAME_MAGIC_CFUNC": "VM_FRAME_MAGIC_CFUNC",
        "FRAME_MAGIC_DUMMY": "VM_FRAME_MAGIC_DUMMY",
        "ENV_LOCAL": "VM_ENV_FLAG_LOCAL",
        "TYPE_MASK": "RUBY_T_MASK",
        "TYPE_IMEMO": "RUBY_T_IMEMO",
        "IMEMO_SHIFT": "RUBY_FL_USHIFT",
        "IMEMO_MASK": "IMEMO_MASK",
        "IMEMO_SVAR": "imemo_svar",
        "IMEMO_METHOD": "imemo_ment",
        "TYPE_CLASS": "RUBY_T_CLASS",
        "TYPE_MODULE": "RUBY_T_MODULE",
        "TYPE_STRING": "RUBY_T_STRING",
        "TYPE_ARRAY": "RUBY_T_ARRAY",
    }
)
"""Ruby's expression for each constant of walk_ruby.h and name_ruby.h: the same in all versions so far."""

FROM_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "thread_native_is_pointer": "vm_core.h: the thread holds its rb_nativethread_id_t itself",
        "native_id": "vm_core.h: rb_nativethread_id_t is the pthread id",
        "fiber_prev": "cont.c: struct rb_fiber_struct; found in live processes, by what points back",
        "vm_objspace": "rb_during_gc's machine code (symbolizers.ruby.machine_code.GcFlag)",
        "global_symbols": "the build's symbols, or symbolizers.ruby.machine_code.find_global_symbols",
        "labels_by_method": "vm_backtrace.c of 3.4: calculate_iseq_label",
        "objspace_flags": "as vm_objspace",
        "objspace_gc_bit": "as vm_objspace",
        "line_entry_position": "iseq.h of 2.5: struct iseq_insn_info_entry",
        "body_first_line_tag_bits": "iseq.h and vm_core.h: first_lineno is a VALUE, from 3.2 on an int",
        "array_embedded_length_bits": "ruby/internal/core/rarray.h: RARRAY_EMBED_LEN_MASK",
        "entry_size": "st.c: struct st_table_entry has three words",
        "entry_hash": "st.c: struct st_table_entry",
        "entry_key": "st.c: struct st_table_entry",
        "entry_value": "st.c: struct st_table_entry",
        "symbols_last_id": "symbol.h: rb_symbols_t",
        "symbols_by_name": "symbol.h: rb_symbols_t",
        "symbols_ids": "symbol.h: rb_symbols_t",
        "class_path_id": "live: (:__classpath__.object_id - 8) / 20, the same in every process",
        "class_attached_id": "live: (:__attached__.object_id - 8) / 20",
        "ids_per_block": "symbol.c: ID_ENTRY_UNIT",
        "ids_block_stride": "symbol.c: ID_ENTRY_SIZE",
    }
)
"""The sources of those fields that headers do not tell."""


def expressions_of(row: Row) -> dict[str, str]:
    """The C expression for each field of `row` that headers tell."""
    known = {**EXPRESSIONS, **RENAMED.get(row.name, {})}
    return {name: text for name, text in known.items() if row.has(name)}


def main(arguments: list[str] | None = None) -> None:
    """Print the fields of a row as they stand in layouts.py, and the constants of the walker."""
    parser = argparse.ArgumentParser(description="Derive a Ruby layout row.")
    parser.add_argument("row", type=LAYOUTS.named, help="its name: ruby-3.3, or of the version most like it")
    parser.add_argument("headers", nargs="+")
    parser.add_argument("-I", dest="folders", action="append", default=[], metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    for name, number in from_headers(
        chosen.headers, expressions_of(chosen.row), folders=chosen.folders
    ).items():
        print(f'"{name}": {number},')
    for name, source in FROM_SOURCES.items():
        print(f"# {name}: see {source}")
    constants = from_headers(chosen.headers, WALKER_CONSTANTS, folders=chosen.folders)
    for name, number in constants.items():
        print(f"#define {name} {number:#x}")


if __name__ == "__main__":
    main()
