"""Offsets of kernel structures from BTF, the type information that the kernel carries about itself.

Format: Documentation/bpf/btf.rst of the kernel. The wanted structures are found by their name's offset in
the string table, which is faster than walking some hundred thousand types.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from profiler.errors import PrerequisiteError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
HEADER_BYTES = _HEADER.size
_TYPE = struct.Struct("<III")
_INFO = struct.Struct("<I")
_MEMBER = struct.Struct("<III")
_KIND_STRUCT, _KIND_UNION = 4, 5
_EXTRA_BYTES = {1: 4, 3: 12, 14: 4, 17: 4}
"""What follows a type of each kind: integers, arrays, variables, tags of declarations."""
_EACH_BYTES = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""What follows for each member: structs, unions, enums, prototypes, sections, enums of 64 bits."""
_MOST_NESTED = 4
_MEMBER_OFFSET_MASK = 0xFFFFFF
"""If kind_flag is set, the upper byte of a member's offset is the size of a bit field."""


def read_btf(path: Path = VMLINUX, size: int = -1) -> bytes:
    """The BTF blob at `path`, or its first `size` bytes. Raises `PrerequisiteError` where there is none."""
    try:
        with path.open("rb") as file:
            blob = file.read(size)
    except OSError as error:
        raise PrerequisiteError(
            f"no BTF at {path} ({error.strerror}): pidflame needs a kernel built with"
            " CONFIG_DEBUG_INFO_BTF=y (the kernels of Debian 11, Ubuntu 20.10 and later are)"
        ) from None
    if len(blob) < HEADER_BYTES or _HEADER.unpack_from(blob)[0] != _MAGIC:
        raise PrerequisiteError(f"{path} is not little-endian BTF")
    return blob


class Btf:
    """The BTF blob at `path`. Raises `PrerequisiteError` when the kernel has none."""

    def __init__(self, path: Path = VMLINUX) -> None:
        blob = read_btf(path)
        _, _, _, header_size, type_offset, type_size, string_offset, string_size = _HEADER.unpack_from(blob)
        types, strings = header_size + type_offset, header_size + string_offset
        self._types = blob[types : types + type_size]
        self._strings = blob[strings : strings + string_size]
        self._positions = array("I")
        """Of the types so far, which `_walk` goes through."""
        self._left = self._walk()

    def offset(self, structure: str, member: str) -> int:
        """Bytes from the start of `structure` to `member`, which may be in a part of it that has no name.

        Raises `PrerequisiteError` if there is none.
        """
        for position in self._named(structure):
            offset = self._member(position, member)
            if offset is not None:
                return offset
        raise PrerequisiteError(f"this kernel's BTF has no {structure}.{member}: pidflame can't run on it")

    def has_name(self, anything: str) -> bool:
        """Whether something has that name: a type, a member, or a value of an enum."""
        return b"\0" + anything.encode() + b"\0" in self._strings

    def _string(self, offset: int) -> bytes:
        return self._strings[offset : self._strings.find(b"\0", offset)]

    def _named(self, structure: str) -> Iterator[int]:
        """Positions of struct types called `structure` among the types."""
        name_offset = self._strings.find(b"\0" + structure.encode() + b"\0") + 1
        wanted = struct.pack("<I", name_offset)
        position = self._types.find(wanted) if name_offset else -1
        while position >= 0:
            if position % 4 == 0 and position + _TYPE.size <= len(self._types):
                info = _TYPE.unpack_from(self._types, position)[1]
                if (info >> 24) & 0x1F == _KIND_STRUCT:
                    yield position
            position = self._types.find(wanted, position + 1)

    def has(self, structure: str, member: str) -> bool:
        """Whether `structure` has that `member`."""
        return any(self._member(position, member) is not None for position in self._named(structure))

    def _member(self, position: int, member: str, nested: int = 0) -> int | None:
        count = _TYPE.unpack_from(self._types, position)[1] & 0xFFFF
        members = self._types[position + _TYPE.size :][: count * _MEMBER.size]
        whole = len(members) - len(members) % _MEMBER.size  # a blob may be cut short
        unnamed: list[tuple[int, int]] = []
        for name_offset, type_id, offset_bits in _MEMBER.iter_unpack(members[:whole]):
            offset = int(offset_bits & _MEMBER_OFFSET_MASK) // 8
            if not name_offset:
                unnamed.append((type_id, offset))
            elif name_offset < len(self._strings) and self._string(name_offset) == member.encode():
                return offset
        for type_id, offset in unnamed if nested < _MOST_NESTED else ():
            inner = self._position_of(type_id)
            within = None if inner is None else self._member(inner, member, nested + 1)
            if within is not None:
                return offset + within
        return None

    def _position_of(self, type_id: int) -> int | None:
        """Where the struct or union of this number is among the types, which are numbered from 1 on."""
        self._positions.extend(islice(self._left, max(0, type_id - len(self._positions))))
        if not 0 < type_id <= len(self._positions):
            return None
        position = self._positions[type_id - 1]
        kind = _TYPE.unpack_from(self._types, position)[1] >> 24 & 0x1F
        return position if kind in (_KIND_STRUCT, _KIND_UNION) else None

    def _walk(self) -> Iterator[int]:
        position, end, types = 0, len(self._types) - _TYPE.size, self._types
        while position <= end:
            yield position
            (info,) = _INFO.unpack_from(types, position + 4)
            kind = info >> 24 & 0x1F
            each = _EACH_BYTES.get(kind, 0)
            position += _TYPE.size + (each * (info & 0xFFFF) if each else _EXTRA_BYTES.get(kind, 0))
