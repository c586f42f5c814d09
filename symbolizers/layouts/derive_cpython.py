"""Derive the numbers of a CPython layout row again: from the internal headers, or from DWARF.

    python -m symbolizers.layouts.derive_cpython --headers /usr/include/python3.11
    python -m symbolizers.layouts.derive_cpython --dwarf libpython3.11.so

A tool for whoever adds a version, and for the tests; nothing of a recording imports it. The headers
(Debian: libpython3.11-dev) are compiled and asked with a C compiler; DWARF (a build with ``-g``) is read
with pyelftools.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile


@dataclass(frozen=True, slots=True)
class Place:
    """A number to derive: the `what` (``offset``, ``size`` or ``bit``) of `member` in C type `type`.

    ``bit`` is the lowest bit of a bit-field, counted from the start of the structure it stands in.
    """

    type: str
    member: str = ""
    what: str = "offset"


_RUNTIME: Final = "_PyRuntimeState"
_CODE: Final = "PyCodeObject"
_FRAME: Final = "_PyInterpreterFrame"

PLACES: Final[Mapping[str, Place]] = MappingProxyType(
    {
        "runtime_interpreters_head": Place(_RUNTIME, "interpreters.head"),
        "interpreter_next": Place("PyInterpreterState", "next"),
        "interpreter_threads_head": Place("PyInterpreterState", "threads.head"),
        "thread_next": Place("PyThreadState", "next"),
        "thread_thread_id": Place("PyThreadState", "thread_id"),
        "thread_cframe": Place("PyThreadState", "cframe"),
        "cframe_current_frame": Place("_PyCFrame", "current_frame"),
        "frame_code": Place(_FRAME, "f_code"),
        "frame_previous": Place(_FRAME, "previous"),
        "frame_instr": Place(_FRAME, "prev_instr"),
        "code_first_instr": Place(_CODE, "co_code_adaptive"),
        "code_checksum": Place(_CODE, "co_argcount"),
        "code_first_line": Place(_CODE, "co_firstlineno"),
        "code_filename": Place(_CODE, "co_filename"),
        "code_qualname": Place(_CODE, "co_qualname"),
        "code_linetable": Place(_CODE, "co_linetable"),
        "object_refcount": Place("PyObject", "ob_refcnt"),
        "object_type": Place("PyObject", "ob_type"),
        "type_name": Place("PyTypeObject", "tp_name"),
        "type_flags": Place("PyTypeObject", "tp_flags"),
        "unicode_length": Place("PyASCIIObject", "length"),
        "unicode_state": Place("PyASCIIObject", "state"),
        "unicode_kind_bit": Place("PyASCIIObject", "state.kind", "bit"),
        "unicode_compact_bit": Place("PyASCIIObject", "state.compact", "bit"),
        "unicode_ascii_bit": Place("PyASCIIObject", "state.ascii", "bit"),
        "unicode_ascii_data": Place("PyASCIIObject", what="size"),
        "unicode_compact_data": Place("PyCompactUnicodeObject", what="size"),
        "unicode_legacy_data": Place("PyUnicodeObject", "data"),
        "bytes_size": Place("PyVarObject", "ob_size"),
        "bytes_data": Place("PyBytesObject", "ob_sval"),
    }
)
"""Where CPython 3.11 keeps each field of a row; ``code_checksum_words`` follows from two of them."""

_HEADERS: Final = ("Python.h", "pycore_runtime.h", "pycore_interp.h", "pycore_frame.h", "pycore_code.h")


def probe_source() -> str:
    """A C program that prints ``name number`` for each of `PLACES`, to compile against the headers."""
    lines = ["#include <stddef.h>", "#include <string.h>", "#define Py_BUILD_CORE 1"]
    lines += [f'#include "{header}"' for header in _HEADERS]
    types = sorted({place.type for place in PLACES.values()})
    lines += [f"{name} *probe_{index};" for index, name in enumerate(types)]
    lines.append("int main(void) {")
    lines += [f'\tprintf("{name} %lu\\n", (unsigned long)({_c(place)}));' for name, place in PLACES.items()]
    lines += ["\treturn 0;", "}", ""]
    return "\n".join(lines)


def _c(place: Place) -> str:
    if place.what == "size":
        return f"sizeof({place.type})"
    if place.what == "offset":
        return f"offsetof({place.type}, {place.member})"
    outer = place.member.partition(".")[0]
    return (
        f"({{ {place.type} probe; unsigned int bits; memset(&probe, 0, sizeof probe); "
        f"probe.{place.member} = ~0u; memcpy(&bits, &probe.{outer}, sizeof bits); __builtin_ctz(bits); }})"
    )


def compile_command(include: Path, source: Path, output: Path) -> list[str]:
    """The compiler's command line that makes `output` of the probe against the headers in `include`."""
    directories = [f"-I{include}", f"-I{include / 'internal'}"]
    return ["cc", "-g", "-w", "-DNDEBUG", *directories, str(source), "-o", str(output)]


def from_headers(include: Path) -> dict[str, int]:
    """The numbers of a row by name, from the headers in `include` (which holds ``Python.h``).

    Raises `subprocess.CalledProcessError` where a structure or member is called otherwise there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, program = Path(scratch, "probe.c"), Path(scratch, "probe")
        source.write_text(probe_source())
        subprocess.run(compile_command(include, source, program), check=True)
        printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return _with_words({name: int(number) for name, number in map(str.split, printed.splitlines())})


def from_dwarf(path: Path) -> dict[str, int]:
    """The numbers of a row by name, from the DWARF of the ELF file at `path`.

    Raises `ValueError` where it has no DWARF or lacks one of the structures.
    """
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        if not elf.has_dwarf_info():
            raise ValueError(f"{path} has no DWARF")
        structures = _structures(elf)
        if missing := sorted({place.type for place in PLACES.values()} - set(structures)):
            raise ValueError(f"{path}: no DWARF of {', '.join(missing)}")
        return _with_words({name: _from_die(structures[p.type], p) for name, p in PLACES.items()})


def _structures(elf: ELFFile) -> dict[str, DIE]:
    """The complete structure behind each type name that `PLACES` needs, as far as the DWARF has it."""
    wanted = {place.type for place in PLACES.values()}
    found: dict[str, DIE] = {}
    for unit in elf.get_dwarf_info().iter_CUs():
        for die in unit.get_top_DIE().iter_children():
            name = die.attributes.get("DW_AT_name")
            if name is None or name.value.decode() not in wanted - set(found):
                continue
            structure = _resolved(die)
            if structure.tag == "DW_TAG_structure_type" and "DW_AT_byte_size" in structure.attributes:
                found[name.value.decode()] = structure
        if len(found) == len(wanted):
            break
    return found


def _resolved(die: DIE) -> DIE:
    """`die` without the typedefs around it."""
    while die.tag == "DW_TAG_typedef" and "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
    return die


def _from_die(structure: DIE, place: Place) -> int:
    if place.what == "size":
        return int(structure.attributes["DW_AT_byte_size"].value)
    offset_bytes, bit = 0, 0
    for name in place.member.split("."):
        member = next(d for d in structure.iter_children() if _is_member(d, name))
        bit = _number(member, "DW_AT_data_bit_offset")
        offset_bytes += _number(member, "DW_AT_data_member_location")
        structure = _resolved(member.get_DIE_from_attribute("DW_AT_type"))
    return bit if place.what == "bit" else offset_bytes


def _is_member(die: DIE, name: str) -> bool:
    attribute = die.attributes.get("DW_AT_name")
    return die.tag == "DW_TAG_member" and attribute is not None and attribute.value == name.encode()


def _number(die: DIE, attribute: str) -> int:
    return int(die.attributes[attribute].value) if attribute in die.attributes else 0


def _with_words(numbers: dict[str, int]) -> dict[str, int]:
    """`numbers` and the count of 8-byte words from ``co_argcount`` to ``co_linetable``, both included."""
    words = (numbers["code_linetable"] + 8 - numbers["code_checksum"]) // 8
    return {**numbers, "code_checksum_words": words}


def main(arguments: list[str] | None = None) -> None:
    """Print the fields of a row as they stand in cpython.py."""
    parser = argparse.ArgumentParser(description="Derive a CPython layout row.")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--headers", type=Path, help="directory of Python.h, with internal/ in it")
    kind.add_argument("--dwarf", type=Path, help="interpreter or library with debug information")
    chosen = parser.parse_args(arguments)
    numbers = from_headers(chosen.headers) if chosen.headers else from_dwarf(chosen.dwarf)
    for name, number in numbers.items():
        print(f'"{name}": {number},')


if __name__ == "__main__":
    main()
