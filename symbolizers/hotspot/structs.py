"""Where HotSpot keeps what, by its own description: the array gHotSpotVMStructs of libjvm.so.

Debuggers go by it (the serviceability agent), so every version has it. An entry names a class, a field and
its type, and says how far into an object the field is or, of a static one, where it lies.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from symbolizers.base import AddressSpace
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed

_ARRAY, _STRIDE = "gHotSpotVMStructs", "gHotSpotVMStructEntryArrayStride"
_PARTS = tuple(
    f"gHotSpotVMStructEntry{part}Offset"
    for part in ("TypeName", "FieldName", "TypeString", "Offset", "Address")
)
_MOST_ENTRIES = 8192
"""JDK 17 has 788."""
_MOST_ENTRY_BYTES = 256
_LONGEST_NAME_BYTES = 64
_WORD = struct.Struct("<Q")
ADDRESS_LIMIT = 1 << 57
_MOST_TEXTS = 4096
_FORMATS: Mapping[str, str] = {
    **dict.fromkeys(("bool", "u1", "uint8_t"), "B"),
    **dict.fromkeys(("short", "int16_t"), "h"),
    **dict.fromkeys(("u2", "uint16_t"), "H"),
    **dict.fromkeys(("int", "jint", "int32_t"), "i"),
    **dict.fromkeys(("u4", "uint", "uint32_t"), "I"),
}
"""By a field's type how it lies in memory; a pointer or a size where it is none of these."""


class Field(NamedTuple):
    """How far into an object it is (bytes), and how to unpack it; `place`: where it lies, of a static one."""

    offset: int
    layout: struct.Struct
    place: int

    @property
    def end(self) -> int:
        """How far into an object it ends."""
        return self.offset + self.layout.size

    def moved(self, by: int) -> Field:
        """It, of an object that lies so many bytes into another one."""
        return self._replace(offset=self.offset + by)

    def of(self, content: bytes, at: int = 0) -> int:
        """Its value in the object at `at` of `content`. Raises `Malformed`."""
        try:
            (value,) = self.layout.unpack_from(content, at + self.offset)
        except (struct.error, OverflowError):
            raise Malformed(f"a field {self.offset} bytes into an object") from None
        return int(value)


Structs = Mapping[tuple[str, str], Field]
"""Fields by the names of their class and their own."""


class Library(NamedTuple):
    """A libjvm.so, and where its variables are that say where its description is."""

    elf: ElfFile
    variables: Mapping[str, int]


def find_variables(elf: ElfFile) -> Mapping[str, int] | None:
    """As `Library.variables`; None where `elf` is anything else. Raises `Malformed`."""
    variables: dict[str, int] = {}
    for name in (_ARRAY, _STRIDE, *_PARTS):
        symbol = elf.symbol(name)
        if symbol is None:
            return None
        variables[name] = symbol.address
    return variables


def read_structs(library: Library, bias: int, memory: AddressSpace, classes: Collection[str]) -> Structs:
    """The fields of these classes, in a process that has the library at `bias`.

    Raises `Malformed`, and `ReadFault` where it is not in memory (yet).
    """
    values = {name: word_at(memory, address + bias) for name, address in library.variables.items()}
    stride, parts = values[_STRIDE], [values[name] for name in _PARTS]
    if not 0 < stride <= _MOST_ENTRY_BYTES or max(parts) > stride - _WORD.size:
        raise Malformed(f"HotSpot's description has entries of {stride} bytes")
    names = Texts(library.elf, bias)
    found: dict[tuple[str, str], Field] = {}
    for entry in _entries(memory, values[_ARRAY], stride):
        class_at, field_at, type_at, offset, place = (_WORD.unpack_from(entry, part)[0] for part in parts)
        if not class_at:
            break
        if names.at(class_at) in classes:
            layout = struct.Struct("<" + _FORMATS.get(names.at(type_at), "Q"))
            found[names.at(class_at), names.at(field_at)] = Field(offset, layout, place)
    return found


def word_at(memory: AddressSpace, address: int) -> int:
    """The word there. Raises `ReadFault` and `Malformed`."""
    (word,) = _WORD.unpack(content_at(memory, address, _WORD.size))
    return int(word)


def content_at(memory: AddressSpace, address: int, size: int) -> bytes:
    """So many bytes there. Raises `ReadFault`, and `Malformed` for an address that cannot be."""
    if not 0 <= address < ADDRESS_LIMIT:
        raise Malformed(f"an object of HotSpot's at {address:#x}")
    return memory.read(address, size)


def _entries(memory: AddressSpace, start: int, stride: int) -> Iterator[bytes]:
    """One after the other, as many as there may be."""
    some = 4096 // stride
    for first in range(0, _MOST_ENTRIES, some):
        piece = content_at(memory, start + first * stride, some * stride)
        yield from (piece[at : at + stride] for at in range(0, len(piece), stride))


class Texts:
    """Texts of the library, by their addresses in the process. Lifetime: it is read once."""

    def __init__(self, elf: ElfFile, bias: int) -> None:
        self._elf = elf
        self._bias = bias
        self._known: dict[int, str] = {}

    def at(self, address: int) -> str:
        """The text there; empty where the file has none."""
        name = self._known.get(address)
        if name is None:
            if len(self._known) >= _MOST_TEXTS:
                self._known.clear()
            name = self._known[address] = self._read(address - self._bias)
        return name

    def _read(self, address: int) -> str:
        try:
            content = self._elf.read(address, _LONGEST_NAME_BYTES)
        except Malformed:
            return ""
        return content.partition(b"\0")[0].decode("latin-1")
