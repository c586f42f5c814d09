"""Derive the numbers of a CPython layout row again: from the internal headers, or from DWARF.

    python -m symbolizers.python.derive --headers /usr/include/python3.11
    python -m symbolizers.python.derive --dwarf libpython3.11.so

A tool for whoever adds a version, and for the tests; nothing of a recording imports it. The headers
(Debian: libpython3.11-dev) are compiled with debug information by a C compiler; DWARF (of that, or of a
build with ``-g``) is read with pyelftools.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile
from msgspec import Struct

from symbolizers.layout import ABSENT, Absent
from symbolizers.python.layouts import with_extents


class Place(Struct, frozen=True):
    """A number to derive: the `what` of `member` in C type `type`.

    ``offset`` (bytes); ``bit``: the lowest bit of a bit-field, counted from the start of the structure it
    stands in; ``size`` of the type; ``value`` of the enumerator `member`; ``zero``: 0, if the type is there.
    """

    type: str
    member: str = ""
    what: str = "offset"


_RUNTIME: Final = "_PyRuntimeState"
_INTERPRETER: Final = "PyInterpreterState"
_THREAD: Final = "PyThreadState"
_CODE: Final = "PyCodeObject"
_FRAME: Final = "_PyInterpreterFrame"
_OLD_FRAME: Final = "PyFrameObject"
_OWNERS: Final = "_frameowner"
_SELF: Final = "_Py_DebugOffsets"

PLACES: Final[Mapping[str, tuple[Place, ...]]] = MappingProxyType(
    {
        # Up to 3.6 the root is the list's head itself, a static variable.
        "runtime_interpreters_head": (Place(_RUNTIME, "interpreters.head"), Place(_INTERPRETER, what="zero")),
        "interpreter_next": (Place(_INTERPRETER, "next"),),
        "interpreter_threads_head": (
            Place(_INTERPRETER, "threads.head"),
            Place(_INTERPRETER, "tstate_head"),
        ),
        "thread_next": (Place(_THREAD, "next"),),
        "thread_thread_id": (Place(_THREAD, "thread_id"),),
        "thread_frame": (
            Place(_THREAD, "current_frame"),
            Place(_THREAD, "frame"),
            Place(_THREAD, "cframe"),
        ),
        "thread_running_task": (Place("_PyThreadStateImpl", "asyncio_running_task"),),
        # No header has these: asyncio tells them in the section .AsyncioDebug of its module.
        "task_name": (),
        "task_name_value": (),
        "cframe_frame": (Place("_PyCFrame", "current_frame"),),
        "frame_code": (
            Place(_FRAME, "f_code"),
            Place(_FRAME, "f_executable"),
            Place(_OLD_FRAME, "f_code"),
        ),
        "frame_previous": (Place(_FRAME, "previous"), Place(_OLD_FRAME, "f_back")),
        "frame_instr": (Place(_FRAME, "prev_instr"), Place(_FRAME, "instr_ptr")),
        "frame_lasti": (Place(_OLD_FRAME, "f_lasti"),),
        "frame_owner": (Place(_FRAME, "owner"),),
        "frame_first_shim_owner": (
            Place(_OWNERS, "FRAME_OWNED_BY_INTERPRETER", "value"),
            Place(_OWNERS, "FRAME_OWNED_BY_CSTACK", "value"),
        ),
        "frame_entry": (Place(_FRAME, "is_entry"),),
        "code_argcount": (Place(_CODE, "co_argcount"),),
        "code_first_line": (Place(_CODE, "co_firstlineno"),),
        "code_filename": (Place(_CODE, "co_filename"),),
        "code_name": (Place(_CODE, "co_name"),),
        "code_qualname": (Place(_CODE, "co_qualname"),),
        "code_linetable": (Place(_CODE, "co_linetable"), Place(_CODE, "co_lnotab")),
        "code_first_instr": (Place(_CODE, "co_code_adaptive"),),
        "object_refcount": (Place("PyObject", "ob_refcnt"),),
        "object_type": (Place("PyObject", "ob_type"),),
        "type_name": (Place("PyTypeObject", "tp_name"),),
        "type_flags": (Place("PyTypeObject", "tp_flags"),),
        "unicode_length": (Place("PyASCIIObject", "length"),),
        "unicode_state": (Place("PyASCIIObject", "state"),),
        "unicode_kind_bit": (Place("PyASCIIObject", "state.kind", "bit"),),
        "unicode_compact_bit": (Place("PyASCIIObject", "state.compact", "bit"),),
        "unicode_ascii_bit": (Place("PyASCIIObject", "state.ascii", "bit"),),
        "unicode_ascii_data": (Place("PyASCIIObject", what="size"),),
        "unicode_compact_data": (Place("PyCompactUnicodeObject", what="size"),),
        "unicode_legacy_data": (Place("PyCompactUnicodeObject", what="size"),),
        "bytes_size": (Place("PyVarObject", "ob_size"),),
        "bytes_data": (Place("PyBytesObject", "ob_sval"), Place("PyStringObject", "ob_sval")),
    }
)
"""Where a version keeps each field of a row: the first of the places that it has; else it is absent."""

TABLE_PLACES: Final[Mapping[str, tuple[Place, ...]]] = MappingProxyType(
    {
        name: (Place(_SELF, member),)
        for name, member in {
            "free_threaded": "free_threaded",
            "runtime_interpreters_head": "runtime_state.interpreters_head",
            "interpreter_size": "interpreter_state.size",
            "interpreter_next": "interpreter_state.next",
            "interpreter_threads_head": "interpreter_state.threads_head",
            "thread_size": "thread_state.size",
            "thread_next": "thread_state.next",
            "thread_thread_id": "thread_state.thread_id",
            "thread_frame": "thread_state.current_frame",
            "frame_size": "interpreter_frame.size",
            "frame_code": "interpreter_frame.executable",
            "frame_previous": "interpreter_frame.previous",
            "frame_instr": "interpreter_frame.instr_ptr",
            "frame_owner": "interpreter_frame.owner",
            "code_size": "code_object.size",
            "code_argcount": "code_object.argcount",
            "code_first_line": "code_object.firstlineno",
            "code_filename": "code_object.filename",
            "code_name": "code_object.name",
            "code_qualname": "code_object.qualname",
            "code_linetable": "code_object.linetable",
            "code_first_instr": "code_object.co_code_adaptive",
            "object_size": "pyobject.size",
            "object_type": "pyobject.ob_type",
            "type_size": "type_object.size",
            "type_name": "type_object.tp_name",
            "type_flags": "type_object.tp_flags",
            "unicode_size": "unicode_object.size",
            "unicode_length": "unicode_object.length",
            "unicode_state": "unicode_object.state",
            "unicode_ascii_data": "unicode_object.asciiobject_size",
            "bytes_object_size": "bytes_object.size",
            "bytes_size": "bytes_object.ob_size",
            "bytes_data": "bytes_object.ob_sval",
        }.items()
    }
)
"""Members of ``_Py_DebugOffsets`` (3.13 and later); see `symbolizers.python.debug_offsets`."""

_PROBE: Final = """
#define Py_BUILD_CORE 1
#include <Python.h>
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_runtime.h>
#include <internal/pycore_interp.h>
#elif PY_VERSION_HEX >= 0x03080000
#include <internal/pycore_pystate.h>
#elif PY_VERSION_HEX >= 0x03070000
#include <internal/pystate.h>
#endif
#if PY_VERSION_HEX >= 0x030b0000
#include <internal/pycore_frame.h>
#include <internal/pycore_code.h>
#else
#include <frameobject.h>
#endif
"""


def compile_probe(include: Path, scratch: Path, *, defines: tuple[str, ...] = ()) -> Path:
    """An object file in `scratch` with the DWARF of all structures in the headers in `include`.

    `include` holds ``Python.h``; `defines` are those of the flavour, for example ``Py_GIL_DISABLED=1``.
    Raises `subprocess.CalledProcessError`.
    """
    source, output = scratch / "probe.c", scratch / "probe.o"
    source.write_text(_PROBE)
    # Debian keeps pyconfig.h apart, in a directory by the machine's triplet.
    directories = [f"-I{include}", f"-I{include / 'internal'}", f"-I{include.parent}"]
    flags = ["-g", "-w", "-DNDEBUG", "-fno-eliminate-unused-debug-types", *(f"-D{name}" for name in defines)]
    subprocess.run(["cc", *flags, *directories, "-c", str(source), "-o", str(output)], check=True)
    return output


Numbers = dict[str, int | Absent]


def from_headers(include: Path, *, defines: tuple[str, ...] = ()) -> Numbers:
    """The numbers of a row by name, from the headers in `include`; as `compile_probe` takes them."""
    with tempfile.TemporaryDirectory() as scratch:
        return from_dwarf(compile_probe(include, Path(scratch), defines=defines))


def from_dwarf(path: Path) -> Numbers:
    """The numbers of a row by name, from the DWARF of the ELF file at `path`.

    All but ``frame_lasti_unit``, which no structure tells: 1, and 2 in 3.10 (Objects/frameobject.c); and
    ``task_name`` and ``task_name_value``, which are absent. Raises
    `ValueError` where there is no DWARF, or none of code objects.
    """
    numbers = read_places(path, PLACES)
    argcount = numbers.pop("code_argcount")
    # Shim frames exist only from 3.12 on; before that, no reader needs the owner.
    if numbers["frame_first_shim_owner"] is ABSENT:
        numbers["frame_owner"] = ABSENT
    return with_extents(numbers, argcount)


def read_places(path: Path, places: Mapping[str, tuple[Place, ...]]) -> Numbers:
    """Each of `places` as the DWARF in the ELF file at `path` has it. Raises `ValueError` without DWARF."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        if not elf.has_dwarf_info(strict=True):
            raise ValueError(f"{path} has no DWARF")
        wanted = {place.type for alternatives in places.values() for place in alternatives}
        types = _types(elf, wanted)
        return {name: _first(types, alternatives) for name, alternatives in places.items()}


def _types(elf: ELFFile, wanted: set[str]) -> dict[str, DIE]:
    """The complete structure or enumeration behind each type name, as far as the DWARF has it."""
    found: dict[str, DIE] = {}
    for unit in elf.get_dwarf_info().iter_CUs():
        for die in unit.get_top_DIE().iter_children():
            name = die.attributes.get("DW_AT_name")
            if name is None or name.value.decode() not in wanted - set(found):
                continue
            type_ = _resolved(die)
            is_type = type_.tag in ("DW_TAG_structure_type", "DW_TAG_enumeration_type")
            if is_type and "DW_AT_byte_size" in type_.attributes:
                found[name.value.decode()] = type_
        if len(found) == len(wanted):
            break
    return found


def _resolved(die: DIE) -> DIE:
    """`die` without the typedefs around it."""
    while die.tag == "DW_TAG_typedef" and "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
    return die


def _first(types: Mapping[str, DIE], alternatives: tuple[Place, ...]) -> int | Absent:
    for place in alternatives:
        number = _number(types[place.type], place) if place.type in types else None
        if number is not None:
            return number
    return ABSENT


def _number(type_: DIE, place: Place) -> int | None:
    """The number at `place` in `type_`; None where it has no such member."""
    if place.what == "zero":
        return 0
    if place.what == "size":
        return int(type_.attributes["DW_AT_byte_size"].value)
    offset_bytes, bit = 0, 0
    for name in place.member.split("."):
        member = _member(type_, name)
        if member is None:
            return None
        if place.what == "value":
            return _attribute(member, "DW_AT_const_value")
        bit = _attribute(member, "DW_AT_data_bit_offset")
        offset_bytes += _attribute(member, "DW_AT_data_member_location")
        type_ = _resolved(member.get_DIE_from_attribute("DW_AT_type"))
    return bit if place.what == "bit" else offset_bytes


def _member(type_: DIE, name: str) -> DIE | None:
    """The member or enumerator `name` of `type_`, also one of a nameless structure or union in it."""
    for die in type_.iter_children():
        attribute = die.attributes.get("DW_AT_name")
        if attribute is not None and attribute.value == name.encode():
            return die
        if attribute is None and die.tag == "DW_TAG_member":
            inner = _member(_resolved(die.get_DIE_from_attribute("DW_AT_type")), name)
            if inner is not None and _attribute(die, "DW_AT_data_member_location") == 0:
                return inner
    return None


def _attribute(die: DIE, name: str) -> int:
    return int(die.attributes[name].value) if name in die.attributes else 0


def main(arguments: list[str] | None = None) -> None:
    """Print the fields of a row as they stand in layouts.py, or with --table in debug_offsets.py."""
    parser = argparse.ArgumentParser(description="Derive a CPython layout row.")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--headers", type=Path, help="directory of Python.h, with internal/ in it")
    kind.add_argument("--dwarf", type=Path, help="interpreter or library with debug information")
    parser.add_argument("-D", dest="defines", action="append", default=[], help="macro of the build flavour")
    parser.add_argument("--table", action="store_true", help="the places in _Py_DebugOffsets instead")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        path = chosen.dwarf or compile_probe(chosen.headers, Path(scratch), defines=tuple(chosen.defines))
        numbers = read_places(path, TABLE_PLACES) if chosen.table else from_dwarf(path)
    for name, number in numbers.items():
        print(f'"{name}": {"ABSENT" if isinstance(number, Absent) else number},')


if __name__ == "__main__":
    main()
