"""Where CPython keeps the names that `threading` gives its threads: modules, dicts and attributes.

Rows beside those of `symbolizers.python.layouts`, for user space alone, of builds with a GIL. From 3.14 on
Python tells the kernel the names itself, and 2.7 has other dicts: where there is no row, the kernel's name
of a thread has to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layout import ABSENT, Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "interpreter_modules": 8,
        "module_dict": 8,
        "type_basicsize": 8,
        "type_dictoffset": 8,
        "type_cached_keys": 8,
        "dict_keys": 8,
        "dict_values": 8,
        "keys_size": 8,
        "keys_log2_index_bytes": 1,
        "keys_kind": 1,
        "keys_entry_count": 8,
        "keys_indices": 8,
        "values_first": 8,
        "int_size": 8,
        "int_size_bit": 1,
        "int_digits": 4,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a byte or a bit number).

The entries of a dict's keys come after ``keys_indices``: ``keys_size`` numbers that are as wide as need
be, or else 2 to the power of ``keys_log2_index_bytes`` bytes of them. ``int_size_bit`` is where the number of
digits begins in ``int_size``.
"""

THREADS: Final = Layouts(
    Row(
        name="threads-3.6",
        versions=((3, 6), (3, 6)),
        source="DWARF of a 3.6.15 build",
        fields={
            "interpreter_modules": 16,
            "module_dict": 16,
            "type_basicsize": 32,
            "type_dictoffset": 288,
            "type_cached_keys": 856,
            "dict_keys": 32,
            "dict_values": 40,
            "keys_size": 8,
            "keys_log2_index_bytes": ABSENT,
            "keys_kind": ABSENT,
            "keys_entry_count": 32,
            "keys_indices": 40,
            "values_first": 0,
            "int_size": 16,
            "int_size_bit": 0,
            "int_digits": 24,
        },
        capabilities={"attributes": "dict_pointer"},
    ),
    Row(
        name="threads-3.7",
        versions=((3, 7), (3, 7)),
        like="threads-3.6",
        source="DWARF of a 3.7.16 build",
        fields={"interpreter_modules": 40},
    ),
    Row(
        name="threads-3.8",
        versions=((3, 8), (3, 8)),
        like="threads-3.7",
        source="DWARF of a 3.8.18 build",
        fields={"interpreter_modules": 56, "type_cached_keys": 872},
    ),
    Row(
        name="threads-3.9",
        versions=((3, 9), (3, 9)),
        like="threads-3.8",
        source="DWARF of a 3.9.18 build",
        fields={"interpreter_modules": 856, "type_cached_keys": 864},
    ),
    Row(
        name="threads-3.10",
        versions=((3, 10), (3, 10)),
        like="threads-3.9",
        source="DWARF of a 3.10.13 build",
        fields={"type_cached_keys": 872},
    ),
    Row(
        name="threads-3.11",
        versions=((3, 11), (3, 11)),
        like="threads-3.10",
        source="DWARF of a 3.11.7 build",
        fields={
            "interpreter_modules": 888,
            "keys_size": ABSENT,
            "keys_log2_index_bytes": 9,
            "keys_kind": 10,
            "keys_entry_count": 24,
            "keys_indices": 32,
        },
        capabilities={"attributes": "values_or_dict"},
    ),
    Row(
        name="threads-3.12",
        versions=((3, 12), (3, 12)),
        like="threads-3.11",
        source="DWARF of a 3.12.1 build",
        fields={"interpreter_modules": 944, "type_cached_keys": 880, "int_size_bit": 3},
        capabilities={"attributes": "tagged_pointer"},
    ),
    Row(
        name="threads-3.13",
        versions=((3, 13), (3, 13)),
        like="threads-3.12",
        source="DWARF of a 3.13.0 build",
        fields={"interpreter_modules": 7656, "values_first": 8},
        capabilities={"attributes": "inline_values"},
    ),
)
"""Oldest first. The capability ``attributes`` names how an object leads to its attributes; see
`symbolizers.python.dicts`."""
