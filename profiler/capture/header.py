"""Reads the C headers in profiler/bpf, so that they stay the only definition of the wire format.

The reader understands the small part of C that records.h promises to keep to, and refuses everything else.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

BPF_DIRECTORY = Path(__file__).resolve().parent.parent / "bpf"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DEFINE = re.compile(r"^#define[ \t]+(\w+)[ \t]+(\d+)[ \t]*$", re.MULTILINE)
_ENUM = re.compile(r"^enum (\w+) \{(.*?)\};", re.DOTALL | re.MULTILINE)
_STRUCT = re.compile(r"^struct (\w+) \{(.*?)\};", re.DOTALL | re.MULTILINE)
_ENUMERATOR = re.compile(r"(\w+) = (\d+),?")
_FIELD = re.compile(r"(__u8|__u16|__u32|__u64|__s32|char|struct \w+) (\w+)(?:\[(\w+)\])?;")
_GUARD = re.compile(r"\A\s*#ifndef (\w+)\n#define \1\n(.*)^#endif\s*\Z", re.DOTALL | re.MULTILINE)
_CODES = {"__u8": "B", "__u16": "H", "__u32": "I", "__u64": "Q", "__s32": "i"}


class CStruct(Struct, frozen=True):
    """One C struct: its field names in order, the `struct` format (little endian, no padding), its alignment.

    A member that is a struct itself is replaced by its fields, and an array by its elements, with names as in
    C: ``walkers[0].root``. A char array is one field.
    """

    name: str
    fields: tuple[str, ...]
    layout: struct.Struct
    alignment: int

    def pack(self, values: Mapping[str, int]) -> bytes:
        """The bytes of the struct. Raises KeyError for a field without a value."""
        return self.layout.pack(*(values[name] for name in self.fields))


class Header(Struct, frozen=True):
    """What one header defines: plain number defines, enums and structs, by name."""

    defines: Mapping[str, int]
    enums: Mapping[str, Mapping[str, int]]
    structs: Mapping[str, CStruct]


@cache
def read_header(name: str) -> Header:
    """The header profiler/bpf/`name`. Raises ValueError on a declaration it does not understand."""
    text = _COMMENT.sub("", (BPF_DIRECTORY / name).read_text())
    defines = {match[1]: int(match[2]) for match in _DEFINE.finditer(text)}
    enums = {match[1]: dict(_enumerators(match[2])) for match in _ENUM.finditer(text)}
    structs: dict[str, CStruct] = {}
    for match in _STRUCT.finditer(text):
        structs[match[1]] = _struct(match[1], match[2], defines, structs)
    rest = _STRUCT.sub("", _ENUM.sub("", _DEFINE.sub("", _GUARD.sub(r"\2", text)))).strip()
    if rest:
        raise ValueError(f"{name}: not understood: {rest.splitlines()[0]!r}")
    return Header(defines, enums, structs)


def _lines(body: str) -> list[str]:
    return [line.strip() for line in body.splitlines() if line.strip()]


def _enumerators(body: str) -> list[tuple[str, int]]:
    found = []
    for line in _lines(body):
        match = _ENUMERATOR.fullmatch(line)
        if match is None:
            raise ValueError(f"not an enumerator with a plain number: {line!r}")
        found.append((match[1], int(match[2])))
    return found


def _struct(name: str, body: str, defines: Mapping[str, int], known: Mapping[str, CStruct]) -> CStruct:
    """The struct, whose members may be structs that are `known`."""
    fields: list[str] = []
    format_ = "<"
    widest = 1
    for line in _lines(body):
        match = _FIELD.fullmatch(line)
        if match is None:
            raise ValueError(f"struct {name}: not a plain field: {line!r}")
        kind, field, length = match.groups()
        count = defines[length] if length in defines else int(length) if length else None
        codes, names, alignment = _member(kind, field, count, known)
        if struct.calcsize(format_) % alignment:
            raise ValueError(f"struct {name}: padding before {field} is not written out")
        widest = max(widest, alignment)
        format_ += codes
        fields += names
    if struct.calcsize(format_) % widest:
        raise ValueError(f"struct {name}: padding at its end is not written out")
    return CStruct(name, tuple(fields), struct.Struct(format_), widest)


def _member(
    kind: str, field: str, count: int | None, known: Mapping[str, CStruct]
) -> tuple[str, list[str], int]:
    """The format, the names and the alignment of one member, an array where there is a `count`."""
    if kind == "char":
        return f"{count or 1}s", [field], 1
    places = [field] if count is None else [f"{field}[{index}]" for index in range(count)]
    if kind in _CODES:
        code = _CODES[kind]
        return code * len(places), places, struct.calcsize("<" + code)
    inner = known.get(kind.removeprefix("struct "))
    if inner is None:
        raise ValueError(f"{field}: {kind} is not defined before")
    names = [f"{place}.{name}" for place in places for name in inner.fields]
    return inner.layout.format.removeprefix("<") * len(places), names, inner.alignment
